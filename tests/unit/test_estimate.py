"""What rows will cost: low, high and at worst, in that order, and the same in parts as as a whole."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.money import OTHERS, Learned, Size, Sizes, sizes_share
from batchdrop.money.estimate import Estimate, estimate, guessed_cost, unpriced
from batchdrop.money.learning import SHARE, OtherRows, TriedRow, learn, nothing_learned
from batchdrop.money.price_file import built_in
from batchdrop.money.token_guess import GUESS_MOST

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PRICES = built_in()
CLASSES = ["claude-opus-5-5", "claude-opus-5-5#us", "claude-haiku-5-5", "claude-haiku-5-5#long", "claude-nobody-9", OTHERS]
TOKENS = st.integers(0, 10**10)
SIZE = st.builds(Size, requests=st.integers(1, 10**6), input_tokens=TOKENS, max_output_tokens=TOKENS, cache_tokens=TOKENS)
SIZES = st.dictionaries(st.sampled_from(CLASSES), SIZE, max_size=4)
AMOUNT = st.integers(0, 10**15)
ROWS = st.lists(st.builds(TriedRow, AMOUNT, AMOUNT, AMOUNT, AMOUNT), max_size=20)
LEARNED = st.none() | st.builds(learn, ROWS)
# Dollars a million tokens in a batch (Anthropic, "Pricing": half of 4 and 20).
OPUS_INPUT, OPUS_OUTPUT = Decimal(2), Decimal(10)
MOST = round(GUESS_MOST * SHARE)


def opus(**tokens: int) -> Sizes:
    return {"claude-opus-5-5": Size(requests=1, **tokens)}


def of(sizes: Sizes, learned: Learned | None = None) -> Estimate:
    return estimate(sizes, PRICES, NOW, learned)


def shares(low: int, high: int) -> Learned:
    return Learned(input_low=low, input_high=high, output_low=low, output_high=high, rows=20)


@given(SIZES, LEARNED)
def test_low_high_and_worst_are_in_order(sizes: Sizes, learned: Learned | None) -> None:
    found = of(sizes, learned)
    assert 0 <= found.low <= found.high <= found.worst


@given(SIZES, LEARNED, st.integers(0, 10))
def test_parts_cost_what_the_whole_costs(sizes: Sizes, learned: Learned | None, tenths: int) -> None:
    whole = of(sizes, learned)
    parts = sum((of(part, learned) for part in sizes_share(sizes, tenths, 10)), start=Estimate())
    # A micro-dollar of rounding for each part. What is cached is bounded by the prompt, in a part as in the whole.
    cached = any(size.cache_tokens > size.input_tokens for size in sizes.values())
    for name in ("low", "high", "worst"):
        assert abs(getattr(parts, name) - getattr(whole, name)) <= 2 or cached


@given(SIZES)
def test_whatever_was_learned_the_worst_case_covers_the_guess(sizes: Sizes) -> None:
    assert of(sizes, shares(SHARE, SHARE)).worst == of(sizes).worst


def test_without_learning_a_prompt_is_guessed_and_an_answer_may_be_anything() -> None:
    found = of(opus(input_tokens=1_000_000, max_output_tokens=1_000_000))
    low, high = (Decimal(share) for share in (nothing_learned().input_low, nothing_learned().input_high))
    answers = int(OPUS_OUTPUT * SHARE)
    assert found == Estimate(
        low=int(OPUS_INPUT * low), high=int(OPUS_INPUT * high) + answers, worst=int(OPUS_INPUT * MOST) + answers
    )


def test_what_was_learned_is_a_share_of_what_was_guessed() -> None:
    found = of(opus(input_tokens=1_000_000, max_output_tokens=1_000_000), shares(100_000, 200_000))
    assert (found.low, found.high) == (1_200_000, 2_400_000)
    assert found.worst == of(opus(input_tokens=1_000_000, max_output_tokens=1_000_000)).worst


def test_a_prompt_that_took_more_than_any_guess_raises_the_worst_case() -> None:
    found = of(opus(input_tokens=1_000_000), shares(5 * SHARE, 6 * SHARE))
    assert found.high == found.worst == 12_000_000


def test_rounding_is_away_from_the_middle() -> None:
    found = of(opus(input_tokens=1), shares(100_000, 100_000))
    assert (found.low, found.high) == (0, 1)


def test_cached_tokens_are_written_at_most_and_read_at_least() -> None:
    """5, 8 and 0.20 dollars a million for a write of five minutes, of an hour, and a read; half of each in a batch."""
    low, high = nothing_learned().input_low, nothing_learned().input_high
    found = of(opus(input_tokens=1_000_000, cache_tokens=400_000))
    assert found.low == pytest.approx((0.6 * 2 + 0.4 * 0.10) * low, abs=1)
    assert found.high == pytest.approx((0.6 * 2 + 0.4 * 4) * high, abs=1)
    assert found.worst == pytest.approx((0.6 * 2 + 0.4 * 4) * MOST, abs=1)
    # What caching changed was seen, so it is in what was learned.
    assert of(opus(input_tokens=1_000_000, cache_tokens=400_000), shares(500_000, 500_000)).high == 1_000_000
    # Nothing was seen.
    assert of(opus(input_tokens=1_000_000, cache_tokens=400_000), nothing_learned()) == found


def test_classes_have_their_own_prices() -> None:
    def at(name: str) -> int:
        return of({name: Size(requests=1, input_tokens=1_000_000)}, shares(SHARE, SHARE)).high

    assert at("claude-opus-5-5") == 2_000_000
    assert at("claude-opus-5-5#us") == 2_200_000
    assert at("claude-haiku-5-5#long") == 5 * at("claude-haiku-5-5") == 250_000


def test_models_without_a_price_are_named_and_in_no_sum() -> None:
    size = Size(requests=1, input_tokens=10**9, max_output_tokens=10**9)
    known = opus(input_tokens=10)
    assert of({**known, "nobody": size, OTHERS: size}) == of(known)
    assert guessed_cost({"nobody": size}, PRICES, NOW) == (0, 0)
    batches = [known, {"nobody#us": size, **known}, {OTHERS: size}, {"empty": Size()}]
    assert unpriced(batches, PRICES, NOW) == (OTHERS, "nobody")
    assert unpriced([known], PRICES, NOW) == ()


@given(SIZES)
def test_what_was_learned_is_a_share_of_the_guessed_cost(sizes: Sizes) -> None:
    prompts, answers = guessed_cost(sizes, PRICES, NOW)
    assert of(sizes, shares(SHARE, SHARE)).high == -(-(prompts + answers) // 10**9)


def test_an_estimate_of_the_others_holds_what_they_cost() -> None:
    rows = [TriedRow(10**12, 13 * 10**11, 10**13, 10**12 + number * 10**10) for number in range(20)]
    others = opus(input_tokens=50_000_000, max_output_tokens=10_000_000)
    prompts, answers = guessed_cost(others, PRICES, NOW)
    found = of(others, learn(rows, OtherRows(1_000, prompts, answers)))
    middle = prompts * 1.3 + answers * sum(row.output for row in rows) / sum(row.most_output for row in rows)
    assert found.low * 10**9 < middle < found.high * 10**9
    assert found.high < 1.3 * found.low


def test_estimates_are_added() -> None:
    assert Estimate(low=1, high=2, worst=3) + Estimate(low=10, high=20, worst=30) == Estimate(low=11, high=22, worst=33)
