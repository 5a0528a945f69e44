"""What folders may spend: which limits hold for a file, and what is refused with which sentence."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.keys import team_of
from batchdrop.money.limit_file import MAX_NAMED_FOLDERS, FolderLimits, LimitFault, LimitList, read_limits

NAME = "config/limits.json"
EXAMPLE = {
    "default": {"ask_above_usd": 2, "day_usd": 10},
    "folders": {
        "marketing": {"ask_above_usd": 5, "day_usd": "20", "month_usd": 100, "earlier_approvals": False},
        "marketing/eu": {"day_usd": 0.5},
        "nightly": {"ask_above_usd": 50, "earlier_approvals": True},
    },
}
DEFAULT = FolderLimits(ask_above=2_000_000, day=10_000_000)
MARKETING = FolderLimits(ask_above=5_000_000, day=20_000_000, month=100_000_000, earlier_approvals=False)
EU = FolderLimits(day=500_000)
STACK = 1_000_000


def read(said: object) -> LimitList:
    return read_limits(said if isinstance(said, bytes) else json.dumps(said, indent=1).encode(), name=NAME, version="v1")


@pytest.mark.parametrize(
    ("key", "limits"),
    [
        ("inbox/marketing/a.csv", [("marketing", MARKETING)]),
        ("inbox/marketing/eu/deep/a.csv", [("marketing/eu", EU), ("marketing", MARKETING)]),
        ("inbox/marketing/us/a.csv", [("marketing", MARKETING)]),
        ("inbox/marketing-eu/a.csv", [("marketing-eu", DEFAULT)]),
        ("inbox/Marketing/a.csv", [("Marketing", DEFAULT)]),
        ("inbox/other/eu/a.csv", [("other", DEFAULT)]),
        ("inbox/a.csv", [("", DEFAULT)]),
        ("inbox/marketing", [("", DEFAULT)]),
    ],
)
def test_limits_of_a_file(key: str, limits: list[tuple[str, FolderLimits]]) -> None:
    assert list(read(EXAMPLE).limits_of(key)) == limits


def test_a_named_folder_in_one_that_is_not_leaves_that_one_its_default() -> None:
    limits = read({"default": {"day_usd": 10}, "folders": {"a/b": {"day_usd": 1}}})
    assert limits.limits_of("inbox/a/b/x.csv") == (("a/b", FolderLimits(day=1_000_000)), ("a", FolderLimits(day=10_000_000)))


@pytest.mark.parametrize(
    ("key", "micro", "earlier"),
    [
        ("inbox/marketing/eu/a.csv", 5_000_000, False),
        ("inbox/nightly/a.csv", 50_000_000, True),
        ("inbox/other/a.csv", 2_000_000, True),
        ("inbox/a.csv", 2_000_000, True),
    ],
)
def test_the_nearest_that_says_it_decides(key: str, micro: int, earlier: bool) -> None:
    assert read(EXAMPLE).ask_above(key, STACK) == micro
    assert read(EXAMPLE).earlier_approvals(key) is earlier


@pytest.mark.parametrize("said", [{}, {"folders": {}}, {"default": {}}, {"folders": {"a": {}}}])
def test_what_is_not_said_is_the_stacks(said: dict[str, object]) -> None:
    assert read(said).ask_above("inbox/a/b.csv", STACK) == STACK
    assert read(said).earlier_approvals("inbox/a/b.csv")
    assert LimitList().limits_of("inbox/a/b.csv") == ()


def test_zero_is_an_amount() -> None:
    limits = read({"folders": {"a": {"ask_above_usd": 0, "day_usd": 0, "month_usd": "0.000001"}}})
    assert limits.folders["a"] == FolderLimits(ask_above=0, day=0, month=1)
    assert limits.ask_above("inbox/a/b.csv", STACK) == 0


def nested(levels: int) -> dict[str, object]:
    return {"folders": {"/".join("x" * depth): {"day_usd": depth} for depth in range(1, levels + 1)}}


def test_ten_folders_may_lie_one_within_the_other() -> None:
    key = f"inbox/{'x/' * 12}a.csv"
    assert [limits.day for _, limits in read(nested(10)).limits_of(key)] == [depth * 1_000_000 for depth in range(10, 0, -1)]
    with pytest.raises(LimitFault, match="More than 10 folders"):
        read(nested(11))


@pytest.mark.parametrize(
    ("said", "line", "field", "words"),
    [
        ([], 1, "", "must be an object with `default`, `folders`"),
        ({"folder": {}}, 2, "folder", "Did you mean `folders`?"),
        ({"folders": []}, 2, "folders", "one entry a folder"),
        ({"folders": {"a": 5}}, 3, "folders.a", "must be an object"),
        ({"folders": {"a": {"day": 5}}}, 4, "folders.a.day", "Did you mean `day_usd`?"),
        ({"folders": {"a": {"day_usd": -1}}}, 4, "folders.a.day_usd", "0 or more"),
        ({"folders": {"a": {"day_usd": None}}}, 4, "folders.a.day_usd", "not a decimal"),
        ({"folders": {"a": {"day_usd": "5 USD"}}}, 4, "folders.a.day_usd", "not a decimal"),
        ({"folders": {"a": {"day_usd": 1e10}}}, 4, "folders.a.day_usd", "more than 1,000,000,000"),
        ({"folders": {"a": {"earlier_approvals": "no"}}}, 4, "folders.a.earlier_approvals", "true or false"),
        ({"folders": {"a": {"earlier_approvals": None}}}, 4, "folders.a.earlier_approvals", "true or false"),
        ({"default": {"month_usd": "0.0000001"}}, 3, "default.month_usd", "more than 6 decimals"),
        ({"folders": {"a/": {}}}, 3, "folders.a/", "without a slash"),
        ({"folders": {"/a": {}}}, 3, "folders./a", "without a slash"),
        ({"folders": {"inbox/a": {}}}, 3, "folders.inbox/a", "below inbox/"),
        ({"folders": {"": {}}}, 3, "folders.", "below inbox/"),
        ({"folders": {"a/" * 20_000 + "a": {}}}, 3, None, "1,024 bytes"),
        (b'{"folders": {"a": {"day_usd": 1},\n"a": {"day_usd": 2}}}', 2, "folders.a", "a second time"),
        (b'{"default": {"day_usd": 1e99999999999999999999}}', 1, "default.day_usd", "not a decimal"),
        (b'{"default": {"day_usd": ' + b"9" * 5_000 + b"}}", 1, "", "not JSON"),
    ],
)
def test_faults(said: object, line: int, field: str | None, words: str) -> None:
    with pytest.raises(LimitFault) as found:
        read(said)
    assert found.value.line == line
    assert field is None or found.value.field == field
    assert words in str(found.value)
    assert str(found.value).startswith(f"{NAME}, line {line}")
    assert len(str(found.value)) < 400


_folder = st.sampled_from(["a", "a/b", "a/b/c", "b", "ab", "a//b"])
_amounts = st.fixed_dictionaries({}, optional={"ask_above_usd": st.integers(0, 9), "day_usd": st.integers(0, 9)})
_segments = st.lists(st.sampled_from(["a", "b", "c", "ab", ""]), max_size=5)


@given(st.dictionaries(_folder, _amounts), st.none() | _amounts, _segments)
def test_limits_are_those_of_every_folder_that_holds_the_file(
    folders: dict[str, dict[str, int]], default: dict[str, int] | None, segments: list[str]
) -> None:
    key = "/".join(["inbox", *segments, "file.csv"])
    limits = read({"folders": folders} | ({} if default is None else {"default": default}))
    holding = sorted((folder for folder in folders if key.startswith(f"inbox/{folder}/")), key=len, reverse=True)
    top = team_of(key)
    expected = [(folder, folders[folder]) for folder in holding] + [(top, default)] * (default is not None and top not in folders)
    assert [(folder, said.day) for folder, said in limits.limits_of(key)] == [
        (folder, None if (day := (said or {}).get("day_usd")) is None else day * 1_000_000) for folder, said in expected
    ]
    asked = [said["ask_above_usd"] for said in [*(folders[one] for one in holding), default or {}] if "ask_above_usd" in said]
    assert limits.ask_above(key, STACK) == (asked[0] * 1_000_000 if asked else STACK)
    assert len(limits.limits_of(key)) <= MAX_NAMED_FOLDERS + 1


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["default", "folders", "a", "a/b", "day_usd", "ask_above_usd", "é"]), inner)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=300) | _json.map(lambda value: json.dumps(value).encode()))
def test_anything_is_limits_or_one_sentence(data: bytes) -> None:
    with suppress(LimitFault):
        assert read(data).version
