"""Questions about raw JSON, against what a full parse says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.formats import rawjson

KEYS = st.sampled_from(["a", "b", "model", "", 'q"', "\\", "é", "🙂", "}", ",", "params"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
SPACE = st.sampled_from(["", " ", "\t", "\r", "  "])


@st.composite
def objects(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, str]]]:
    """A JSON object in any spelling, with repeated keys, and its members as (key, value text)."""
    members = draw(st.lists(st.tuples(KEYS, VALUES), max_size=5))
    ascii_only = draw(st.booleans())

    def space() -> str:
        return draw(SPACE)

    texts = [(key, json.dumps(value, ensure_ascii=ascii_only)) for key, value in members]
    spelled = [f"{space()}{json.dumps(key, ensure_ascii=ascii_only)}{space()}:{space()}{text}{space()}" for key, text in texts]
    return (space() + "{" + (",".join(spelled) or space()) + "}" + space()).encode(), texts


@given(objects())
def test_members_are_found_in_any_spelling(case: tuple[bytes, list[tuple[str, str]]]) -> None:
    data, expected = case
    found = list(rawjson.members(data))
    assert [(member.key, data[member.value : member.end].decode()) for member in found] == expected
    assert all(json.loads(b"{" + data[member.start : member.end] + b"}").keys() == {member.key} for member in found)


@given(objects())
def test_repeated_keys_are_found_and_never_overlooked_by_counting(case: tuple[bytes, list[tuple[str, str]]]) -> None:
    data, expected = case
    keys = [key for key, _ in expected]
    repeated = rawjson.repeated_key(data)
    assert (repeated is None) == (len(set(keys)) == len(keys))
    assert repeated is None or keys.count(repeated) > 1
    if rawjson.surely_unique(rawjson.fields(data), len(data)):
        assert repeated is None


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_the_usual_spellings_need_no_closer_look(separators: tuple[str, str]) -> None:
    data = json.dumps({"model": "m", "max_tokens": 5, "messages": [1], "system": ""}, separators=separators).encode()
    assert rawjson.surely_unique(rawjson.fields(data), len(data))


def levels(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(levels, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(levels, value), default=0)
    return 0


@given(VALUES, st.integers(0, 150), st.integers(101, 130))
def test_depth_is_exact_where_it_could_matter(value: Any, extra: int, brackets: int) -> None:
    data = json.dumps(value).encode()
    data = b'["' + b"[" * brackets + b'",' + b"[" * extra + data + b"]" * extra + b"]"
    assert rawjson.depth(data) == 1 + extra + levels(value)


@given(st.lists(VALUES, max_size=8), st.integers(0, 8))
def test_elements_and_members_are_counted_up_to_a_bound(values: list[Any], most: int) -> None:
    objects = [value for value in values if isinstance(value, list | dict)]
    assert rawjson.has_more_objects(json.dumps(values).encode(), most) == (len(objects) > most)
    repeated = ",".join(f'"key":{json.dumps(value)}' for value in values)
    assert rawjson.has_more_members(f"{{{repeated}}}".encode(), most) == (len(values) > most)


@pytest.mark.parametrize(
    "number",
    [
        b"0", b"-12", b"1e99", b"1.5E+300", b"1e-400", b"0e999", b"9" * 308, b"0." + b"1" * 990, b"1e0000000000001",
        b"1" * 200 + b"e99", b"0." + b"0" * 400 + b"1e400",
    ],
)  # fmt: skip
def test_numbers_a_double_can_hold(number: bytes) -> None:
    assert rawjson.bad_number(b'{"a":["text",' + number + b"]}") is None


@pytest.mark.parametrize(
    "number", [b"1e309", b"1E+400", b"1" + b"0" * 309, b"9" * 10_000, b"0." + b"3" * 10_000, b"1" * 250 + b"e99", b"2e0000000309"]
)
def test_numbers_no_double_can_hold(number: bytes) -> None:
    assert rawjson.bad_number(b'{"a":["text, \\"5",1.5,-' + number + b"]}") == number


def test_what_looks_like_a_number_in_a_string_is_text() -> None:
    assert rawjson.bad_number(b'{"a":"1e999, \\"1e999","b":"' + b"9" * 10_000 + b'"}') is None


def first_bad_byte(data: bytes) -> int | None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


@given(st.binary(max_size=30) | st.text(max_size=30).map(str.encode), st.sampled_from([0, (1 << 20) - 7, (1 << 21) - 3]))
def test_utf8_is_judged_alike_in_windows(data: bytes, before: int) -> None:
    padded = b"x" * before + data
    assert rawjson.bad_utf8(padded) == first_bad_byte(padded)
