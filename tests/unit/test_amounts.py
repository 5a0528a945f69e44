"""Amounts of money as people and machines read them."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.money.amounts import dollars, micro_down, micro_up, usd

AMOUNTS = st.integers(-(10**30), 10**30)


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000001"),
        (99, "$0.000099"),
        (123, "$0.00012"),
        (126, "$0.00013"),
        (5_000, "$0.005"),
        (12_345, "$0.012"),
        (99_499, "$0.099"),
        (99_500, "$0.10"),
        (99_999, "$0.10"),
        (100_000, "$0.10"),
        (104_999, "$0.10"),
        (105_000, "$0.11"),
        (999_999, "$1.00"),
        (1_860_000, "$1.86"),
        (1_204_000_000, "$1,204.00"),
        (999_995_000, "$1,000.00"),
        (-1, "-$0.000001"),
        (-1_204_000_000, "-$1,204.00"),
    ],
)
def test_people_read_cents_or_two_digits(micro: int, text: str) -> None:
    assert dollars(micro) == text


@given(st.integers(-(10**15), 10**15))
def test_an_amount_for_people_is_near_and_has_a_fixed_form(micro: int) -> None:
    text = dollars(micro)
    assert re.fullmatch(r"-?\$\d{1,3}(,\d{3})*\.\d{2,6}", text)
    read = Decimal(text.replace("$", "").replace(",", "")) * 1_000_000
    assert abs(read - micro) <= max(5_000 if abs(micro) >= 100_000 else 0, abs(micro) * Decimal("0.05"))
    assert text.startswith("-") == (micro < 0)
    assert dollars(-micro).lstrip("-") == text.lstrip("-")


@pytest.mark.parametrize(
    ("femto", "text"),
    [
        (0, "0"),
        (1, "0.000000000000001"),
        (123_000_000_000, "0.000123"),
        (12 * 10**15, "12"),
        (10**40, "1" + "0" * 25),
        (-1, "-0.000000000000001"),
        (15 * 10**14, "1.5"),
    ],
)
def test_machines_read_every_digit(femto: int, text: str) -> None:
    assert usd(femto) == text


@given(AMOUNTS)
def test_an_amount_for_machines_is_exact_and_plain(femto: int) -> None:
    text = usd(femto)
    assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", text)
    assert Fraction(text) * 10**15 == femto
    assert text != "-0"


@given(AMOUNTS)
def test_whole_micro_dollars_are_just_above_and_just_below(femto: int) -> None:
    down, up = micro_down(femto) * 10**9, micro_up(femto) * 10**9
    assert down <= femto <= up
    assert up - down == (0 if femto % 10**9 == 0 else 10**9)
