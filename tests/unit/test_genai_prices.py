"""The built-in prices against those that a public package lists. It is asked for its own table alone: no socket opens here."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest

from batchdrop.money.price_file import built_in
from batchdrop.money.price_list import FEMTO, Rates, for_batch

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PROMPTS = (1_000, 100_000, 100_001)
# Its names for what a million tokens of each class are; a cached token counts as input too.
USAGE: dict[str, tuple[str, ...]] = {
    "input": ("input_tokens",),
    "output": ("output_tokens",),
    "write_5m": ("input_tokens", "cache_write_tokens", "cache_write_5m_tokens"),
    "write_1h": ("input_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    "read": ("input_tokens", "cache_read_tokens"),
}
# Every difference, with its reason.
LACKING = {"claude-mythos-5", "claude-mythos-5-1"}
"""It has no such model. Anthropic's page has."""
WITHOUT_HISTORY = {("claude-sonnet-5-5", "read"): (Decimal("0.20"), Decimal("0.10"))}
"""Before 2026-10-07: ours, and theirs. It knows today's prices only, and would bill an earlier answer at them."""


def theirs(model: str, usage: dict[str, int], *, batch: bool, at: datetime = NOW) -> Decimal:
    return genai_prices.calc_price(
        genai_prices.Usage(**usage),
        model,
        provider_id="anthropic",
        genai_request_timestamp=at,
        price_context={"processing": "batch"} if batch else None,
    ).total_price


def usd(femto: int) -> Decimal:
    return Decimal(femto) / FEMTO


def ours(model: str, name: str, *, prompt: int, at: datetime = NOW, geo: str | None = None) -> int:
    listed = built_in()
    rates = listed.rates(listed.price_class(model, at, prompt_tokens=prompt, geo=geo), at)
    assert rates is not None
    return int(getattr(rates, name))


@pytest.mark.parametrize("name", Rates._fields)
@pytest.mark.parametrize("model", sorted(built_in().models.keys() - LACKING))
def test_a_price_is_theirs(model: str, name: str) -> None:
    for tokens in PROMPTS:
        usage = dict.fromkeys(USAGE[name], tokens)
        femto = tokens * ours(model, name, prompt=0 if name == "output" else tokens)
        assert usd(femto) == theirs(model, usage, batch=False)
        assert usd(for_batch(femto)) == theirs(model, usage, batch=True)


def test_a_long_prompt_puts_the_output_at_the_higher_price_there_too() -> None:
    usage = {"input_tokens": 100_001, "output_tokens": 1_000}
    femto = 100_001 * ours("claude-haiku-5-5", "input", prompt=100_001) + 1_000 * ours(
        "claude-haiku-5-5", "output", prompt=100_001
    )
    assert usd(for_batch(femto)) == theirs("claude-haiku-5-5", usage, batch=True)


@pytest.mark.parametrize("model", sorted(LACKING))
def test_models_that_it_lacks(model: str) -> None:
    assert model in built_in().models
    with pytest.raises(LookupError):
        theirs(model, {"input_tokens": 1}, batch=True)


@pytest.mark.parametrize(("model", "name"), list(WITHOUT_HISTORY))
def test_prices_that_have_changed(model: str, name: str) -> None:
    earlier = datetime(2026, 10, 6, tzinfo=UTC)
    mine = usd(1_000_000 * ours(model, name, prompt=0, at=earlier))
    assert (mine, theirs(model, dict.fromkeys(USAGE[name], 1_000_000), batch=False, at=earlier)) == WITHOUT_HISTORY[model, name]


def test_it_knows_no_residency() -> None:
    """There is nothing to say it with: the factor is ours alone."""
    assert ours("claude-opus-5", "input", prompt=1, geo="us") * 10 == ours("claude-opus-5", "input", prompt=1) * 11


def test_a_search_has_the_same_price_and_no_discount() -> None:
    """What the discount of a batch on searches is, Anthropic does not say; it counts none."""
    for batch in (True, False):
        searches = theirs("claude-opus-5", {"web_searches": 1_000}, batch=batch)
        assert searches == usd(1_000 * built_in().web_search) == 10


def test_dated_ids_are_resolved_alike() -> None:
    for model in ("claude-haiku-4-5-20251001", "claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929"):
        assert usd(1_000 * ours(model, "input", prompt=1_000)) == theirs(model, {"input_tokens": 1_000}, batch=False)
