"""Where in a file an operator has to look, whatever stands around it."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.formats.config_file import ConfigFault, ConfigFile, Path, spelled

_texts = st.text(st.sampled_from('ab"\\/{}[]:,\n é1'), max_size=6)
_values = st.recursive(
    st.just(0) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=25,
)


def marked(value: Any, numbers: count[int], path: Path, marks: dict[Path, int]) -> Any:
    """With a number of its own for every 0."""
    match value:
        case dict():
            return {key: marked(inner, numbers, (*path, key), marks) for key, inner in value.items()}
        case list():
            return [marked(inner, numbers, (*path, index), marks) for index, inner in enumerate(value)]
        case 0:
            marks[path] = next(numbers)
            return marks[path]
    return value


@given(_values, st.sampled_from([None, 0, 2]), st.booleans())
def test_a_fault_names_the_line_on_which_its_value_stands(value: Any, indent: int | None, ascii_only: bool) -> None:
    marks: dict[Path, int] = {}
    text = json.dumps(marked(value, count(7_000_000_001), (), marks), indent=indent, ensure_ascii=ascii_only)
    with suppress(ConfigFault):
        file = ConfigFile(text.encode(), "f")
        for path, mark in marks.items():
            assert file.fault(path, "no").line == text[: text.index(str(mark))].count("\n") + 1
            assert file.fault((*path, "missing"), "no").line == file.fault(path, "no").line


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{"a": 1,\n "a": 2}', 2, "`a`: This field stands here a second time"),
        ('{"a": 1,\n "\\u0061": 2}', 2, "`a`: This field stands here a second time"),
        ('{"x": [{}, {"a": [],\n\n"a": []}]}', 3, "`x[1].a`: This field stands here a second time"),
        ("[1,\n2,]", 2, "not JSON (trailing comma in array)"),
        ('{\n"a": 1', 2, "not JSON (Input data was truncated)"),
        ("{'a': 1}", 1, "not JSON"),
        ("// no\n{}", 1, "not JSON"),
        ('{"a": NaN}', 1, "not JSON"),
        ('{"a":\n"\\ud800"}', 2, "not JSON"),
        ("", 1, "not JSON"),
    ],
)
def test_what_is_no_file_of_this_kind(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigFault) as found:
        ConfigFile(text.encode(), "config/x.json")
    assert found.value.line == line
    assert words in str(found.value)


def test_ten_levels_are_read() -> None:
    assert ConfigFile(b"[" * 10 + b"1" + b"]" * 10, "f").value
    with pytest.raises(ConfigFault, match="deeper than 10 levels"):
        ConfigFile(b"[" * 11 + b"1" + b"]" * 11, "f")


def test_a_mark_of_byte_order_is_no_fault() -> None:
    assert ConfigFile(b"\xef\xbb\xbf{}", "f").value == {}


@pytest.mark.parametrize("value", ["1.5", 1.5, "1.500000", "0.000001", 1e-6, 3, "3", 1e1])
def test_amounts(value: object) -> None:
    file = ConfigFile(json.dumps(value).encode(), "f")
    assert file.amount((), file.value, what="dollars", example="1", most=10) == Decimal(str(value))


@pytest.mark.parametrize("value", [0, -1, "", " 1", "1_000", "٣", "1e3", "Infinity", True, None, [], 11, "0.0000001", 1e300])
def test_what_is_no_amount(value: object) -> None:
    file = ConfigFile(json.dumps(value).encode(), "f")
    with pytest.raises(ConfigFault, match=r"Write dollars, such as 1\.$"):
        file.amount((), file.value, what="dollars", example="1", most=10)


@given(st.binary(max_size=200) | st.text(st.sampled_from('[]{}",:\\1eE.-a\n'), max_size=200).map(str.encode))
def test_anything_is_a_value_or_one_sentence(data: bytes) -> None:
    with suppress(ConfigFault):
        ConfigFile(data, "f")


def test_a_path_as_people_read_it() -> None:
    assert spelled(("folders", "a/b", 2, "day_usd")) == "folders.a/b[2].day_usd"
    assert spelled((0, "input")) == "[0].input"
    assert spelled(()) == ""
