"""Costs against a calculation of their own: decimals, from the table as it is written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.money import Bill
from batchdrop.domain.records import Usage
from batchdrop.formats.api_result import ApiResult, parse_result
from batchdrop.money import price_file
from batchdrop.money.billing import Biller

NOW = datetime(2026, 11, 25, tzinfo=UTC)
MILLION = Decimal(1_000_000)
CLASSES = ("input", "output", "write_5m", "write_1h", "read")
TABLE = json.loads((Path(price_file.__file__).parent / "prices.json").read_text(), parse_float=Decimal)
MODELS = sorted({entry["model"] for entry in TABLE["prices"]})
# Models before 4.6 cost the same everywhere (Anthropic, "Pricing").
SAME_EVERYWHERE = ("-4-5",)
FREE = ("cyber", "general_harms", None)


class Row(NamedTuple):
    model: str
    tokens: tuple[int, int, int, int, int]
    """As CLASSES."""
    geo: str | None = None
    searches: int = 0
    refusal: tuple[str | None, bool] | None = None
    """Category, and whether something was written before it."""


def line(row: Row, **message: Any) -> ApiResult:
    plain, output, write_5m, write_1h, read = row.tokens
    usage = {
        "input_tokens": plain,
        "output_tokens": output,
        "cache_creation_input_tokens": write_5m + write_1h,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
        "inference_geo": row.geo,
        "server_tool_use": {"web_search_requests": row.searches, "web_fetch_requests": 5} if row.searches else None,
    }
    content: list[Any] = [{"type": "text", "text": "said"}]
    reason: dict[str, Any] = {"stop_reason": "end_turn", "stop_details": None}
    if row.refusal is not None:
        category, written = row.refusal
        content = content if written else []
        reason = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": category, "explanation": None}}
    result = {"type": "succeeded", "message": {"model": row.model, "content": content, "usage": usage, **reason, **message}}
    return parse_result(json.dumps({"custom_id": "a-1", "result": result}).encode())


def price(model: str, at: datetime, *, is_long: bool) -> dict[str, Decimal]:
    """Dollars per million tokens, real time."""
    undated = model[:-9] if model[-8:].isdigit() else model
    entries = [entry for entry in TABLE["prices"] if entry["model"] == undated]
    began = [entry for entry in entries if entry.get("valid_from", "") <= at.date().isoformat()]
    entry = max(began, key=lambda entry: str(entry.get("valid_from", "")))
    return {name: Decimal((entry["long_prompt"] if is_long else entry)[name]) for name in CLASSES}


class Expected(NamedTuple):
    batch: Decimal
    real_time: Decimal
    uncached: Decimal


NOTHING = Expected(Decimal(0), Decimal(0), Decimal(0))


def expected(row: Row, at: datetime = NOW) -> Expected:
    if row.refusal is not None and row.refusal[0] in FREE and not row.refusal[1]:
        return NOTHING
    prompt = sum(row.tokens) - row.tokens[1]
    of = price(row.model, at, is_long=row.model == "claude-haiku-5-5" and prompt > 100_000)
    factor = Decimal("1.1") if row.geo == "us" and not any(old in row.model for old in SAME_EVERYWHERE) else Decimal(1)
    searches = row.searches * Decimal(10) / 1000
    real_time = sum((tokens * of[name] for tokens, name in zip(row.tokens, CLASSES, strict=True)), Decimal(0)) * factor / MILLION
    uncached = (prompt * of["input"] + row.tokens[1] * of["output"]) * factor / MILLION
    return Expected(real_time / 2 + searches, real_time + searches, uncached + searches)


def billed(rows: Iterable[Row], at: datetime = NOW) -> tuple[list[int | None], Bill, dict[str, Usage]]:
    biller = Biller(price_file.built_in(), at)
    costs = [biller.bill(line(row)) for row in rows]
    return costs, biller.total(), biller.usage()


tokens = st.one_of(st.just(0), st.integers(0, 300), st.integers(0, 120_000))
rows_of_any_kind = st.lists(
    st.builds(
        Row,
        st.sampled_from([*MODELS, "claude-haiku-4-5-20251001", "claude-opus-4-5-20251101"]),
        st.tuples(tokens, tokens, tokens, tokens, tokens),
        st.sampled_from([None, "us", "global", "eu"]),
        st.sampled_from([0, 0, 0, 1, 7]),
        st.one_of(
            st.none(),
            st.tuples(
                st.sampled_from(["cyber", "general_harms", None, "bio", "frontier_llm", "reasoning_extraction", "new"]),
                st.booleans(),
            ),
        ),
    ),
    max_size=30,
)


@given(rows_of_any_kind, st.integers(-60, 60).map(lambda days: NOW + timedelta(days=days)))
def test_cost_is_usage_times_price(rows: list[Row], at: datetime) -> None:
    costs, bill, usage = billed(rows, at)
    wanted = [expected(row, at) for row in rows]
    assert [Decimal(cost or 0).scaleb(-15) for cost in costs] == [one.batch for one in wanted]
    sums = [sum(column) for column in zip(NOTHING, *wanted, strict=True)]
    for found, want in zip((bill.usd, bill.real_time_usd, bill.uncached_usd), sums, strict=True):
        assert abs(found - want) < Decimal("1e-9")
        assert found == want
    paid = [row for row, one in zip(rows, costs, strict=True) if one or row.refusal is None or expected(row, at) != NOTHING]
    assert sum(one.input_tokens for one in usage.values()) == sum(row.tokens[0] for row in paid)
    assert sum(one.cache_read_tokens for one in usage.values()) == sum(row.tokens[4] for row in paid)
    assert not bill.unpriced
    assert not bill.unmetered


@pytest.mark.parametrize("model", MODELS)
def test_every_model_and_class_of_the_table(model: str) -> None:
    for index, name in enumerate(CLASSES):
        for number in (1, 1_000_000 if name == "output" else 90_000):
            row = Row(model, (*(0,) * index, number, *(0,) * (4 - index)))  # type: ignore[arg-type]  # five of them
            assert billed([row])[1].usd == expected(row).batch > 0


@pytest.mark.parametrize(
    ("row", "usd"),
    [
        # Of "Prices" in Anthropic's documentation, by hand.
        (Row("claude-haiku-4-5", (1_000_000, 0, 0, 0, 0)), "0.5"),
        (Row("claude-haiku-5-5", (100_000, 1_000_000, 0, 0, 0)), "0.255"),
        (Row("claude-haiku-5-5", (100_001, 1_000_000, 0, 0, 0)), "1.27500025"),
        (Row("claude-haiku-5-5", (1, 1_000_000, 0, 0, 100_000)), "1.25250025"),
        (Row("claude-haiku-5-5", (0, 0, 50_000, 50_001, 0)), "0.04062550"),
        (Row("claude-opus-5-5", (1_000_000, 1_000_000, 0, 0, 0), "us"), "13.2"),
        (Row("claude-sonnet-4-5", (1_000_000, 0, 0, 0, 0), "us"), "1.5"),
        (Row("claude-fable-5-2", (0, 0, 0, 0, 1_000_000)), "0.1"),
        (Row("claude-haiku-4-5", (0, 0, 0, 0, 0), searches=3), "0.03"),
        (Row("claude-opus-5", (1_000_000, 0, 0, 0, 0), refusal=("cyber", False)), "0"),
        (Row("claude-opus-5", (1_000_000, 0, 0, 0, 0), refusal=("bio", False)), "2.5"),
        (Row("claude-opus-5", (1_000_000, 0, 0, 0, 0), refusal=("cyber", True)), "2.5"),
        (Row("claude-opus-5", (1_000_000, 0, 0, 0, 0), refusal=("a new one", False)), "2.5"),
    ],
)
def test_by_hand(row: Row, usd: str) -> None:
    costs, bill, _ = billed([row])
    assert bill.usd == Decimal(usd) == Decimal(costs[0] or 0).scaleb(-15)


def test_the_price_is_that_of_the_day_of_the_batch() -> None:
    row = Row("claude-sonnet-5-5", (0, 0, 0, 0, 1_000_000))
    change = datetime(2026, 10, 7, tzinfo=UTC)
    assert billed([row], change - timedelta(seconds=1))[1].usd == Decimal("0.1")
    assert billed([row], change)[1].usd == Decimal("0.05")


def test_a_model_without_a_price_is_never_counted_as_nothing() -> None:
    costs, bill, usage = billed([Row("claude-haiku-4-5", (2, 0, 0, 0, 0)), *[Row("claude-next-9", (5, 5, 0, 0, 0))] * 2])
    assert costs[1:] == [None, None]
    assert (bill.unpriced, bill.usd) == ({"claude-next-9": 2}, Decimal("0.000001"))
    assert usage["claude-next-9"].input_tokens == 10


def test_an_answer_without_tokens_is_not_free() -> None:
    biller = Biller(price_file.built_in(), NOW)
    row = Row("claude-haiku-4-5", (2, 2, 0, 0, 0))
    assert biller.bill(line(row, usage={"input_tokens": 2})) is None
    assert biller.bill(line(row, usage=None)) is None
    bill = biller.total()
    assert (bill.usd, bill.unmetered, biller.usage()["claude-haiku-4-5"].requests) == (Decimal(0), {"usage": 2}, 2)


def test_what_usage_does_not_price_is_named() -> None:
    biller = Biller(price_file.built_in(), NOW)
    row = Row("claude-haiku-4-5", (2, 0, 0, 0, 0))
    assert biller.bill(line(row, container={"id": "c", "expires_at": "x"})) == 10**9
    assert biller.total().unmetered == {"code_execution": 1}
    assert biller.total().usd == Decimal("0.000001")


def test_names_from_the_api_do_not_fill_a_record() -> None:
    biller = Biller(price_file.built_in(), NOW)
    for number in range(50):
        biller.bill(line(Row(f"{number}-" + "x" * 100, (1, 1, 0, 0, 0))))
    unpriced = biller.total().unpriced
    assert (len(unpriced), sum(unpriced.values())) == (21, 50)
    assert max(map(len, unpriced)) == 80
    biller.bill(line(Row("", (1, 1, 0, 0, 0))))


def test_bills_add_up() -> None:
    first = billed([Row("claude-haiku-4-5", (2, 0, 0, 0, 0)), Row("x", (1, 1, 0, 0, 0))])[1]
    both = first + billed([Row("claude-haiku-4-5", (4, 0, 0, 0, 0)), Row("x", (1, 1, 0, 0, 0)), Row("y", (1, 1, 0, 0, 0))])[1]
    assert (both.usd, both.unpriced, both.prices) == (Decimal("0.000003"), {"x": 2, "y": 1}, first.prices)
    assert Bill() + both == both
