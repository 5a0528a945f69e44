"""What the table remembers of money: classes as text, and sizes in parts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.money import PriceClass, Size, Sizes, micro_up, rest_of, sizes_share

COUNTS = st.integers(0, 10**12)
SIZE = st.builds(Size, requests=COUNTS, input_tokens=COUNTS, max_output_tokens=COUNTS, cache_tokens=COUNTS)
SIZES = st.dictionaries(st.sampled_from(["a", "b", "a#long", "a#us", "c"]), SIZE)


@st.composite
def parts(draw: st.DrawFn) -> tuple[int, int]:
    whole = draw(st.integers(1, 100_000))
    return draw(st.integers(0, whole)), whole


@given(SIZES, parts())
def test_a_part_and_the_others_are_what_was_given(sizes: Sizes, of: tuple[int, int]) -> None:
    share, others = sizes_share(sizes, *of)
    for name in sizes.keys() | share.keys() | others.keys():
        assert share.get(name, Size()) + others.get(name, Size()) == sizes.get(name, Size())
    for found in (share, others):
        assert Size() not in found.values()
        assert all(getattr(size, field) >= 0 for size in found.values() for field in size.__struct_fields__)


@given(SIZES, parts())
def test_a_part_is_as_large_as_its_rows(sizes: Sizes, of: tuple[int, int]) -> None:
    part, whole = of
    share, _ = sizes_share(sizes, part, whole)
    for name, size in sizes.items():
        for field in size.__struct_fields__:
            exact = Decimal(getattr(size, field) * part) / whole
            assert exact - 1 < getattr(share.get(name, Size()), field) <= exact


@given(SIZES, st.integers(1, 1_000))
def test_all_rows_are_everything_and_no_rows_are_nothing(sizes: Sizes, whole: int) -> None:
    kept = {name: size for name, size in sizes.items() if size != Size()}
    assert sizes_share(sizes, whole, whole) == (kept, {})
    assert sizes_share(sizes, 0, whole) == ({}, kept)


def test_what_is_left_is_never_below_0() -> None:
    sizes = {"a": Size(requests=3, input_tokens=10, max_output_tokens=30), "b": Size(requests=1, input_tokens=7)}
    taken = {"a": Size(requests=1, input_tokens=11, max_output_tokens=10), "b": Size(requests=1), "c": Size(requests=1)}
    assert rest_of(sizes, taken) == {"a": Size(requests=2, max_output_tokens=20)}
    assert rest_of(sizes, {}) == sizes


@given(SIZE, SIZE)
def test_what_was_added_is_taken_away(one: Size, other: Size) -> None:
    both = one + other
    assert both.cache_tokens == one.cache_tokens + other.cache_tokens
    assert both - other == one


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (PriceClass("m"), "m"),
        (PriceClass("m", long_prompt=True), "m#long"),
        (PriceClass("m", us=True), "m#us"),
        (PriceClass("m", long_prompt=True, us=True), "m#long#us"),
    ],
)
def test_a_class_is_read_as_it_is_written(of: PriceClass, text: str) -> None:
    assert str(of) == text
    assert PriceClass.parse(text) == of


@pytest.mark.parametrize(("usd", "micro"), [("0", 0), ("0.0000001", 1), ("0.000001", 1), ("0.0000011", 2), ("12", 12_000_000)])
def test_dollars_are_rounded_up(usd: str, micro: int) -> None:
    assert micro_up(Decimal(usd)) == micro
