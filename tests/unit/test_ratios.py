"""Ratios of sums against calculations by hand, and what they never do."""

from __future__ import annotations

from math import isfinite, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.money.ratios import Others, Row, Usual, ratio

USUAL = Usual(spread=1.0, least=0.05)
AMOUNT = st.integers(0, 10**15)
ROWS = st.lists(st.builds(Row, AMOUNT, AMOUNT, AMOUNT), min_size=1, max_size=25).filter(
    lambda rows: sum(row.expected for row in rows) and sum(row.was for row in rows)
)
OTHERS = st.none() | st.builds(Others, st.integers(0, 10**6), st.integers(0, 10**18), st.integers(0, 10**18))


def translation(seed: int, rows: int = 20) -> list[Row]:
    """Answers as long as their prompts, within a tenth, of at most 10,000."""
    random = Random(seed)
    prompts = [int(random.lognormvariate(6, 0.9)) for _ in range(rows)]
    return [Row(10_000, prompt, int(prompt * random.uniform(0.9, 1.1))) for prompt in prompts]


@given(ROWS, OTHERS)
def test_a_ratio_is_never_out_of_bounds(rows: list[Row], others: Others | None) -> None:
    found = ratio(rows, USUAL, others)
    plain = sum(row.was for row in rows) / sum(row.expected for row in rows)
    assert plain / 2.001 <= found.value <= plain * 2.001
    assert isfinite(found.error)
    assert 0 < found.error < 20


@given(ROWS)
def test_without_others_it_is_that_of_the_sums(rows: list[Row]) -> None:
    expected = sum(row.was for row in rows) / sum(row.expected for row in rows)
    assert ratio(rows, USUAL, None).value == pytest.approx(expected)
    assert ratio(rows, USUAL, Others(10**9)).value == pytest.approx(expected)


def test_the_error_is_that_of_the_mean() -> None:
    """Three of 1 and one of 9: a mean of 3 and a deviation of 4, which is more than usual."""
    rows = [Row(10, 0, was) for was in (1, 1, 1, 9)]
    found = ratio(rows, Usual(spread=0.5, least=0.05), None)
    assert tuple(found) == pytest.approx((0.3, 4 / 3 / sqrt(4)))
    # Of twelve others the sum is as uncertain as of four that were tried and twelve that were not.
    assert ratio(rows, Usual(0.5, 0.05), Others(12)).error == pytest.approx(found.error * sqrt(1 + 4 / 12))


def test_rows_that_are_all_alike_are_believed_to_spread_a_little() -> None:
    alike = ratio([Row(10, 0, 2)] * 20, USUAL, None).error
    assert alike == pytest.approx(0.05 ** (20 / 30) / sqrt(20))
    assert ratio([Row(10, 0, 2)], USUAL, None).error == 1.0
    assert ratio([Row(10, 0, 2)] * 2_000, USUAL, None).error < alike / 10


def test_answers_that_follow_their_prompts_are_told_by_the_prompts_of_the_others() -> None:
    plain, told, narrower = [], [], 0
    for seed in range(200):
        rows, rest = translation(seed), translation(seed + 1_000, rows=1_000)
        others = Others(len(rest), sum(row.expected for row in rest), sum(row.also for row in rest))
        true = sum(row.was for row in rest) / others.expected
        without, found = ratio(rows, USUAL, None), ratio(rows, USUAL, others)
        plain.append(abs(without.value / true - 1))
        told.append(abs(found.value / true - 1))
        narrower += found.error < without.error
    assert narrower > 190
    assert sorted(told)[100] < 0.03 < 0.1 < sorted(plain)[100]


def test_answers_that_do_not_follow_are_left_alone() -> None:
    random = Random(7)
    changed = 0
    for _ in range(300):
        rows = [Row(10_000, random.randint(100, 2_000), random.randint(10, 500)) for _ in range(20)]
        others = Others(1_000, 10_000_000, 1_050_000)
        changed += ratio(rows, USUAL, others).value != ratio(rows, USUAL, None).value
    # In one of twenty cases chance looks like following.
    assert changed < 30


def test_others_unlike_any_row_tried_are_not_told_by_a_line() -> None:
    rows = translation(3)
    far = Others(1_000, 10_000_000, 400 * sum(row.also for row in rows))
    assert ratio(rows, USUAL, far) == ratio(rows, USUAL, Others(1_000))
