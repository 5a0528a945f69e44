"""Prices by model, day, tier and geography, against a table and a calculation of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.model_names import KNOWN
from batchdrop.domain.money import PriceClass
from batchdrop.money.price_file import built_in, read_prices
from batchdrop.money.price_list import BATCH_PERCENT, FEMTO, Rates, femto_per_token, for_batch

NOW = datetime(2026, 11, 25, tzinfo=UTC)
# Anthropic, "Pricing": input, output, 5-minute write, 1-hour write, read; dollars for a million tokens.
TABLE = {
    "fable-5-2 mythos-5-2": "8 40 10 16 0.20",
    "fable-5-1 mythos-5-1": "10 50 12.5 20 0.25",
    "fable-5 mythos-5": "10 50 12.5 20 1.00",
    "opus-5-5": "4 20 5 8 0.20",
    "opus-4-5 opus-4-6 opus-4-7 opus-4-8 opus-5": "5 25 6.25 10 0.50",
    "sonnet-5-5": "2 10 2.5 4 0.10",
    "sonnet-5": "2 10 2.5 4 0.20",
    "sonnet-4-6 sonnet-4-5": "3 15 3.75 6 0.30",
    "haiku-5-5": "0.10 0.50 0.125 0.20 0.01",
    "haiku-4-5": "1 5 1.25 2 0.10",
}
PRICES = {f"claude-{name}": [Decimal(price) for price in row.split()] for names, row in TABLE.items() for name in names.split()}
LONG_HAIKU = [Decimal(price) for price in ("0.50", "2.50", "0.625", "1.00", "0.05")]
CHEAPER_READ = datetime(2026, 10, 7, tzinfo=UTC)
WITHOUT_RESIDENCY = {"claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"}
DATED = {
    "claude-haiku-4-5-20251001": "claude-haiku-4-5",
    "claude-opus-4-5-20251101": "claude-opus-4-5",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
}

models = st.sampled_from([*PRICES, *DATED])
moments = st.integers(0, 700).map(lambda days: NOW + timedelta(days=days - 350)) | st.sampled_from(
    [CHEAPER_READ, CHEAPER_READ - timedelta(microseconds=1)]
)
prompts = st.integers(0, 1_000_000) | st.sampled_from([99_999, 100_000, 100_001])


@given(
    model=models,
    at=moments,
    geo=st.sampled_from(["us", "global", "not_available", "", None]),
    prompt=prompts,
    tokens=st.lists(st.integers(0, 10**7), min_size=5, max_size=5),
)
def test_an_independent_calculation_says_the_same(
    model: str, at: datetime, geo: str | None, prompt: int, tokens: list[int]
) -> None:
    name = DATED.get(model, model)
    prices = list(PRICES[name])
    if name == "claude-haiku-5-5" and prompt > 100_000:
        prices = LONG_HAIKU
    if name == "claude-sonnet-5-5" and at < CHEAPER_READ:
        prices[4] = Decimal("0.20")
    usd = sum((count * price / 1_000_000 for count, price in zip(tokens, prices, strict=True)), Decimal(0))
    if geo == "us" and name not in WITHOUT_RESIDENCY:
        usd *= Decimal("1.1")

    listed = built_in()
    of = listed.price_class(model, at, prompt_tokens=prompt, geo=geo)
    rates = listed.rates(of, at)
    assert rates is not None
    femto = sum(count * rate for count, rate in zip(tokens, rates, strict=True))
    assert Decimal(femto) / FEMTO == usd
    assert Decimal(for_batch(femto)) / FEMTO == usd / 2
    assert of.model == name
    assert PriceClass.parse(str(of)) == of


def test_every_model_known_by_name_has_a_price() -> None:
    listed = built_in()
    assert {listed.name(model) for model in KNOWN} == set(PRICES) == set(listed.models)


def test_what_is_no_token() -> None:
    assert Decimal(built_in().web_search) / FEMTO == Decimal(10) / 1000
    assert built_in().batch_percent == BATCH_PERCENT == 50
    assert built_in().version == "built-in 2026-11-12"


def test_the_tier_of_long_prompts() -> None:
    listed = built_in()
    assert listed.long_above("claude-haiku-5-5", NOW) == 100_000
    assert listed.long_above("claude-opus-5-5", NOW) is None
    assert listed.long_above("gpt", NOW) is None


@given(model=st.text(max_size=200) | st.sampled_from(["claude-haiku-5-5#us", "claude-haiku-5-5#long", "claude-opus-9-20301231"]))
def test_an_unknown_model_has_no_price_and_no_class_of_another(model: str) -> None:
    listed = built_in()
    if listed.name(model) is None:
        of = listed.price_class(model, NOW, prompt_tokens=10, geo=None)
        assert listed.rates(of, NOW) is None
        assert PriceClass.parse(str(of)) == of
        assert of.model not in listed.models
        assert len(of.model) <= 80
        assert "#" in model or len(model) > 80 or of.model == model


def test_rates_are_found_for_a_class_that_an_earlier_list_made() -> None:
    """A model that had no tier and no residency factor yet."""
    listed = built_in()
    assert listed.rates(PriceClass("claude-haiku-4-5", True, True), NOW) == Rates(10**9, 5 * 10**9, 125 * 10**7, 2 * 10**9, 10**8)


def test_a_model_is_asked_for_before_it_has_a_price() -> None:

    entry = '[{"model": "m", "valid_from": "2026-12-01", "input": 1, "output": 1, "write_5m": 1, "write_1h": 1, "read": 1}]'
    listed = read_prices(entry.encode(), name="config/prices.json", version="1", at=NOW)
    of = listed.price_class("m", NOW, prompt_tokens=1, geo="us")
    assert of == PriceClass("m", us=True)
    assert listed.rates(of, NOW) is None
    assert listed.rates(of, datetime(2026, 12, 1, tzinfo=UTC)) == Rates(*[11 * 10**8] * 5)


@pytest.mark.parametrize("price", ["0.000001", "0.000003", "99999.999999"])
def test_the_smallest_price_stays_exact(price: str) -> None:

    femto = femto_per_token(Decimal(price))
    base = Rates(femto, femto, femto, femto, femto)
    us = base.percent(110)
    assert Decimal(for_batch(us.input)) / FEMTO == Decimal(price) / 1_000_000 * Decimal("1.1") / 2
