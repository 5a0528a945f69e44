"""The parts of a joined object: every byte once, in order, within S3's limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.adapters.part_plan import MAX_PART_BYTES, MAX_PARTS, MIB, MIN_PART_BYTES, Range, plan_parts, size_of

GB = 10**9
BYTES = st.one_of(
    st.integers(0, 3 * MIB), st.integers(MIN_PART_BYTES - 2, 3 * MIN_PART_BYTES), st.integers(0, 3 * MAX_PART_BYTES)
)
SIZES = st.one_of(
    st.lists(BYTES, max_size=30),
    # Tens of thousands of batches, each a little different.
    st.builds(
        lambda number, size, step: [size + place % 7 * step for place in range(number)],
        st.integers(1, 40_000),
        st.integers(0, 3 * MIN_PART_BYTES),
        st.integers(0, MIB),
    ),
)


@given(SIZES)
def test_every_byte_is_in_one_part_and_in_order(sizes: list[int]) -> None:
    place, offset = 0, 0
    for piece in (piece for part in plan_parts(sizes) for piece in part):
        while offset == sizes[place]:
            place, offset = place + 1, 0
        assert (piece.source, piece.start) == (place, offset)
        assert piece.start < piece.end <= sizes[place]
        offset = piece.end
    assert sum(sizes[place + 1 :]) == 0
    assert not sizes or offset == sizes[place]


@given(SIZES)
def test_the_parts_keep_to_the_limits_of_s3(sizes: list[int]) -> None:
    parts = plan_parts(sizes)
    assert len(parts) <= MAX_PARTS
    assert all(MIN_PART_BYTES <= size_of(part) <= MAX_PART_BYTES for part in parts[:-1])
    assert all(0 < size_of(part) <= MAX_PART_BYTES for part in parts[-1:])


@given(SIZES)
def test_little_is_held_in_memory(sizes: list[int]) -> None:
    """Up to 10,000 parts of the smallest size a part has that size; above, at most twice the share of a part."""
    share = sum(sizes) // MAX_PARTS
    held = [size_of(part) for part in plan_parts(sizes) if len(part) > 1]
    assert max(held, default=0) <= max(MIN_PART_BYTES, 2 * share + MIN_PART_BYTES)


@pytest.mark.parametrize("size", [60_000, 2_000_000, MIN_PART_BYTES, 9_999_999, 240_000_000])
def test_100_gb_in_pieces_of_any_size(size: int) -> None:
    parts = plan_parts([size] * (100 * GB // size))
    assert len(parts) <= MAX_PARTS
    assert max((size_of(part) for part in parts if len(part) > 1), default=0) <= 2 * MIN_PART_BYTES


def test_long_sources_are_copied_whole() -> None:
    assert plan_parts([240_000_000, 7_000_000]) == [(Range(0, 0, 240_000_000),), (Range(1, 0, 7_000_000),)]


def test_a_short_source_takes_the_first_bytes_of_a_long_one_along() -> None:
    filling = MIN_PART_BYTES - 10
    assert plan_parts([10, 240_000_000]) == [(Range(0, 0, 10), Range(1, 0, filling)), (Range(1, filling, 240_000_000),)]


def test_a_copy_is_short_enough_for_one_answer() -> None:
    parts = plan_parts([5 * GB])
    assert all(len(part) == 1 and size_of(part) <= 50 * MIN_PART_BYTES for part in parts)


def test_no_bytes_are_no_parts() -> None:
    assert plan_parts([]) == plan_parts([0, 0]) == []
