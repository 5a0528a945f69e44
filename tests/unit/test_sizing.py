"""Sizes of a batch are the sums over its rows, by what decides their prices."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.money import MOST_CLASSES, OTHERS, PriceClass, Size, Sizes
from batchdrop.formats.input_line import Row
from batchdrop.money.price_file import built_in
from batchdrop.money.price_list import DatedPrice, PriceList, Rates
from batchdrop.money.sizing import MAX_ANSWER_TOKENS, Sizer
from batchdrop.money.token_guess import guess_tokens, most_of

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PRICES = built_in()
LONG_ABOVE = 100_000
"""The tier of claude-haiku-5-5 (Anthropic, "Haiku 5.5")."""
MODELS = [
    "claude-haiku-5-5",
    "claude-haiku-4-5",
    "claude-haiku-4-5-20251001",
    "claude-opus-5-5",
    "claude-new-9",
    "x#us",
    "y#long",
]


def row(model: str = "claude-opus-5-5", text: str = "Hello", max_tokens: int = 100, **params: Any) -> Row:
    body = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": text}], **params}
    return Row(1, None, json.dumps(body, ensure_ascii=False).encode(), max_tokens, model)


def cached(text: str) -> dict[str, Any]:
    return {"system": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]}


def sizes(*rows: Row, prices: PriceList = PRICES) -> Sizes:
    sizer = Sizer(prices, NOW)
    for one in rows:
        sizer.add(one)
    return sizer.take()


def priced(models: int) -> PriceList:
    """A list of so many models, all alike."""
    price = DatedPrice.of(datetime.min.replace(tzinfo=UTC), Rates(*[10**9] * 5), us_percent=110)
    return PriceList(version="test", digest="", models={f"model-{number}": (price,) for number in range(models)}, web_search=0)


def total(found: Sizes) -> Size:
    return sum(found.values(), start=Size())


def alike(one: Size, other: Size) -> bool:
    """Prompts are guessed together: their sum is rounded once, not once for each."""
    return (
        (one.requests, one.max_output_tokens) == (other.requests, other.max_output_tokens)
        and abs(one.input_tokens - other.input_tokens) <= one.requests
        and abs(one.cache_tokens - other.cache_tokens) <= one.requests
    )


ROWS = st.lists(
    st.builds(
        row,
        model=st.sampled_from(MODELS),
        text=st.text(max_size=50),
        max_tokens=st.integers(1, 10**9),
    )
    | st.builds(lambda model, text: row(model, text, inference_geo="us"), st.sampled_from(MODELS), st.text(max_size=50))
    | st.builds(lambda model, text: row(model, text, **cached(text)), st.sampled_from(MODELS), st.text(max_size=50)),
    max_size=12,
)


@given(ROWS)
def test_sizes_are_sums_over_rows(rows: list[Row]) -> None:
    expected: Sizes = {}
    for one in rows:
        tokens = guess_tokens(one.params, one.model)
        of = PRICES.price_class(one.model, NOW, prompt_tokens=0, geo="us" if b"inference_geo" in one.params else None)
        size = Size(
            requests=1,
            input_tokens=tokens,
            max_output_tokens=min(one.max_tokens, MAX_ANSWER_TOKENS),
            cache_tokens=tokens if b"cache_control" in one.params else 0,
        )
        expected[str(of)] = expected.get(str(of), Size()) + size
    found = sizes(*rows)
    assert found.keys() == expected.keys()
    assert all(alike(size, expected[name]) for name, size in found.items())


@given(ROWS, st.lists(st.integers(1, 12)))
def test_where_batches_end_changes_no_sum(rows: list[Row], ends: list[int]) -> None:
    sizer = Sizer(PRICES, NOW)
    parts = []
    for number, one in enumerate(rows):
        sizer.add(one)
        if number in ends:
            parts.append(total(sizer.take()))
    parts.append(total(sizer.take()))
    apart, together = sum(parts, start=Size()), total(sizes(*rows))
    assert alike(apart, together)


def test_a_row_that_must_be_looked_at_by_itself_changes_no_other() -> None:
    plain = [row(text="word " * 300) for _ in range(50)]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO" * 1_000}}
    special = [
        row(inference_geo="us"),
        row(**cached("word " * 500)),
        row(messages=[{"role": "user", "content": [picture]}]),
        row(tools=[{"name": "get_time", "input_schema": {"type": "object"}}]),
    ]
    alone = [sizes(one) for one in special]
    found = sizes(*plain[:20], *special, *plain[20:])
    assert found["claude-opus-5-5#us"] == alone[0]["claude-opus-5-5#us"]
    assert total(found).cache_tokens == total(alone[1]).cache_tokens > 0
    expected = total(sizes(*plain)).input_tokens + sum(total(one).input_tokens for one in alone)
    assert abs(total(found).input_tokens - expected) <= 60
    assert total(alone[2]).input_tokens > 4_784 > total(alone[3]).input_tokens > 530


def test_taking_begins_anew() -> None:
    sizer = Sizer(PRICES, NOW)
    sizer.add(row())
    first = sizer.take()
    assert sizer.take() == {}
    sizer.add(row())
    assert sizer.take() == first != {}


@pytest.mark.parametrize("spelling", ['"inference_geo":"us"', '"inference_geo" : "us"', '"inference_geo":\n"us"'])
def test_a_request_for_the_united_states_has_a_class_of_its_own(spelling: str) -> None:
    here = row().params[:-1] + b"," + spelling.encode() + b"}"
    assert sizes(row()._replace(params=here)).keys() == {"claude-opus-5-5#us"}
    assert sizes(row(inference_geo="global")).keys() == {"claude-opus-5-5"}
    # It does not ask for it: a text says so.
    assert sizes(row(text='"inference_geo":"us" "cache_control"')).keys() == {"claude-opus-5-5"}


def test_a_model_that_costs_the_same_everywhere_has_one_class() -> None:
    assert sizes(row("claude-haiku-4-5", inference_geo="us"), row("claude-haiku-4-5")).keys() == {"claude-haiku-4-5"}


def test_only_prompts_that_ask_for_it_are_cached() -> None:
    assert total(sizes(row(text="word " * 99))).cache_tokens == 0
    found = total(sizes(row(**cached("word " * 99)), row()))
    assert 0 < found.cache_tokens < found.input_tokens


def test_a_prompt_is_long_if_by_the_most_it_may_take_it_may_be() -> None:
    letters = 100
    while most_of(guess_tokens(row("claude-haiku-5-5", "a" * letters).params, "claude-haiku-5-5")) <= LONG_ABOVE:
        letters += 1_000
    longest_short, shortest_long = row("claude-haiku-5-5", "a" * (letters - 1_000)), row("claude-haiku-5-5", "a" * letters)
    assert sizes(longest_short).keys() == {"claude-haiku-5-5"}
    assert sizes(shortest_long).keys() == {"claude-haiku-5-5#long"}
    assert guess_tokens(shortest_long.params, "claude-haiku-5-5") < LONG_ABOVE
    assert sizes(row("claude-haiku-4-5", "a" * 2 * letters)).keys() == {"claude-haiku-4-5"}


def test_models_without_a_price_beyond_twenty_are_counted_as_one() -> None:
    rows = [row(f"unknown-{number}") for number in range(50)]
    found = sizes(*rows)
    assert len(found) == MOST_CLASSES
    assert found[OTHERS].requests == 50 - (MOST_CLASSES - 1)
    assert total(found).requests == 50
    assert PRICES.rates(PriceClass.parse(OTHERS), NOW) is None


def test_models_with_a_price_are_never_among_the_others() -> None:
    unknown = [row(f"unknown-{number}") for number in range(50)]
    known = [row(f"model-{number}") for number in range(30)]
    found = sizes(*unknown, *known, prices=priced(30))
    assert all(found[f"model-{number}"].requests == 1 for number in range(30))
    assert found[OTHERS].requests == 50 - (MOST_CLASSES - 1)


def test_a_file_of_many_models_and_long_names_is_counted_rightly() -> None:
    rows = [row(f"unknown-{number}-{'x' * 200}") for number in range(500)] * 2
    found = sizes(*rows, row())
    assert total(found).requests == 1_001
    assert len(found) <= MOST_CLASSES + 1
    assert found["claude-opus-5-5"].requests == 1
    assert all(len(name) < 100 for name in found)


def test_an_answer_beyond_the_longest_of_any_model_is_counted_as_that() -> None:
    assert total(sizes(row(max_tokens=999_999_999))).max_output_tokens == MAX_ANSWER_TOKENS
