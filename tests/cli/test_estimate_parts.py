"""The parts of `batchdrop estimate` that are functions: what prompts share, four ways to pay, advice, and how it is laid out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from batchdrop.domain.money import Size, Sizes
from batchdrop.formats.input_line import REQUESTS
from batchdrop.formats.lines import Line
from batchdrop.money.cache_rules import SHORTEST
from batchdrop.money.estimate import estimate
from batchdrop.money.learning import TriedRow, learn
from batchdrop.money.price_file import built_in
from batchdrop.money.price_list import Rates
from batchdrop.stages.plan.cutter import Limits
from batchdrop_cli.amounts_said import duration, number, price, said
from batchdrop_cli.columns import columns
from batchdrop_cli.estimating.advice import advice
from batchdrop_cli.estimating.estimated import Estimated, estimated
from batchdrop_cli.estimating.four_ways import FourWays, Range, cachings, four_ways
from batchdrop_cli.estimating.known import Known, known_by
from batchdrop_cli.estimating.planned_file import DEFAULT_LIMITS, PlannedFile, planned_file, summed
from batchdrop_cli.estimating.shared_start import SharedStart, common_start
from batchdrop_cli.estimating.shown_estimate import described
from batchdrop_cli.opening.opened_file import Planned
from tests.template import facts

NOW = datetime(2026, 12, 1, tzinfo=UTC)
PRICES = built_in()
GUESSED = known_by(None)
EXACT = known_by(None, prompts=Fraction(1), prompt=1)


def size(requests: int, prompt: int, answer: int, *, cached: int = 0) -> Size:
    return Size(
        requests=requests, input_tokens=requests * prompt, max_output_tokens=requests * answer, cache_tokens=requests * cached
    )


def answers_of(tokens: int, known: Known = EXACT) -> Known:
    return known_by(None, prompts=known.input_low if known is EXACT else None, prompt=1, answer=tokens)


def lines(*params: dict[str, Any]) -> Iterator[Planned]:
    start = 0
    for line_number, one in enumerate(params, 1):
        data = json.dumps({"params": one}).encode()
        line = Line(line_number, start, start + len(data) + 1, data, cut=False)
        start = line.end
        yield line, REQUESTS.check(line)


def request(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": prompt}]} | more


def told(*params: dict[str, Any], known: Known = GUESSED) -> Estimated:
    return estimated("rows.jsonl", planned_file(lines(*params), PRICES, NOW), PRICES, NOW, known)


# ---------------------------------------------------------------- four ways


def test_the_arithmetic_of_a_long_prompt_that_all_share() -> None:
    """1,000 rows on haiku-4.5 that share 6,000 tokens, with 200 of their own and answers of 150, worked out by hand."""
    ways = four_ways({"claude-haiku-4-5": size(1000, 6200, 150)}, {"claude-haiku-4-5": 6000}, PRICES, NOW, answers_of(150))
    assert ways.one_by_one == Range(6_950_000, 6_950_000)
    assert ways.batch == Range(3_475_000, 3_475_000)
    # One write at 1.25, 999 reads at 0.10, and what is not cached.
    assert ways.one_by_one_cached == Range(1_556_900, 1_556_900)
    # 98 % reads and 2 % writes at 2, half of it; then 30 % and 70 %.
    assert ways.batch_cached == Range(889_000, 4_765_000)
    (caching,) = cachings({"claude-haiku-4-5": size(1000, 6200, 150)}, {"claude-haiku-4-5": 6000}, PRICES, NOW, answers_of(150))
    assert caching.certain
    assert caching.pays_above is not None
    assert round(float(caching.pays_above) * 100, 1) == 52.6


def test_a_short_prompt_is_not_cached() -> None:
    ways = four_ways({"claude-haiku-4-5": size(8019, 230, 46)}, {"claude-haiku-4-5": 62}, PRICES, NOW, answers_of(46))
    assert (ways.one_by_one_cached, ways.batch_cached) == (None, None)
    assert said(*ways.one_by_one) == "$3.69"
    assert said(*ways.batch) == "$1.84"


@pytest.mark.parametrize(("share", "possible", "certain"), [(2000, False, False), (3000, True, False), (7000, True, True)])
def test_a_guess_near_the_shortest_prompt_is_not_certain(share: int, possible: bool, certain: bool) -> None:
    (caching,) = cachings({"claude-haiku-4-5": size(9, 8000, 1)}, {"claude-haiku-4-5": share}, PRICES, NOW, GUESSED)
    assert (caching.possible, caching.certain) == (possible, certain)


def test_one_row_has_nobody_to_share_with() -> None:
    (caching,) = cachings({"claude-haiku-4-5": size(1, 9000, 1)}, {"claude-haiku-4-5": 9000}, PRICES, NOW, GUESSED)
    assert not caching.possible


def test_how_short_a_prompt_may_be_is_not_made_up() -> None:
    (caching,) = cachings({"claude-fable-5-2": size(9, 9000, 1)}, {"claude-fable-5-2": 9000}, PRICES, NOW, GUESSED)
    assert (caching.shortest, caching.possible) == (None, False)
    assert PRICES.models.keys() - SHORTEST.keys() == {"claude-fable-5-2"}


sizes_of_files = st.dictionaries(
    st.sampled_from(["claude-haiku-4-5", "claude-haiku-5-5", "claude-haiku-5-5#long", "claude-opus-5#us", "unheard-of"]),
    st.builds(size, st.integers(1, 10**6), st.integers(1, 10**5), st.integers(0, 10**5)),
    max_size=5,
)


@given(sizes_of_files, st.integers(0, 10**5))
def test_what_a_stack_estimates_is_what_is_told_here(sizes: Sizes, shared: int) -> None:
    ways = four_ways(sizes, dict.fromkeys(sizes, shared), PRICES, NOW, GUESSED)
    stack = estimate(sizes, PRICES, NOW, None)
    assert (ways.as_it_stands, ways.at_most) == (Range(stack.low, stack.high), stack.worst)
    # Half, but for the last micro-dollar.
    assert abs(ways.one_by_one.high - 2 * ways.batch.high) <= 1
    assert ways.one_by_one.low <= ways.one_by_one.high


@given(sizes_of_files.map(lambda sizes: {name: Size(**_asking(one)) for name, one in sizes.items()}))
def test_what_asks_for_caching_is_what_a_stack_says(sizes: Sizes) -> None:
    stack = estimate(sizes, PRICES, NOW, None)
    assert four_ways(sizes, {}, PRICES, NOW, GUESSED).as_it_stands == Range(stack.low, stack.high)


def _asking(one: Size) -> dict[str, int]:
    return {name: getattr(one, name) for name in one.__struct_fields__} | {"cache_tokens": one.input_tokens}


def test_what_was_counted_takes_the_place_of_the_guess() -> None:
    learned = learn([TriedRow(guessed_input=100, input=150, most_output=0, output=0)] * 20)
    known = known_by(learned)
    assert Fraction(14, 10) < known.input_low < Fraction(3, 2) < known.input_high < Fraction(17, 10)
    assert known.answers(size(2, 1, 50)) == (0, 100)
    assert "corrected by 20 rows that the API has counted" in known.words()


def test_what_is_told_of_answers_is_within_what_they_may_be() -> None:
    assert answers_of(30).answers(size(2, 1, 50)) == (60, 60)
    assert answers_of(80).answers(size(2, 1, 50)) == (100, 100)


@given(sizes_of_files, st.integers(0, 10**6))
def test_caching_makes_no_prompt_cheaper_than_reading_all_of_it(sizes: Sizes, shared: int) -> None:
    """However wrong the guess at what is shared may be."""
    ways = four_ways(sizes, dict.fromkeys(("claude-haiku-4-5", "claude-haiku-5-5", "claude-opus-5"), shared), PRICES, NOW, EXACT)
    asking = {name: Size(**_asking(one)) for name, one in sizes.items()}
    least = four_ways(asking, {}, PRICES, NOW, EXACT).as_it_stands.low
    for cached in filter(None, (ways.one_by_one_cached, ways.batch_cached)):
        assert least <= cached.low <= cached.high


# ---------------------------------------------------------------- what prompts share


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_the_longest_text_that_both_begin_with(start: str, first: str, second: str) -> None:
    found = common_start(start + first, start + second)
    assert (start + first).startswith(found)
    assert (start + second).startswith(found)
    longer = min(len(start + first), len(start + second)) > len(found)
    assert not longer or (start + first)[len(found)] != (start + second)[len(found)]


def shared(*params: dict[str, Any]) -> int:
    start = SharedStart()
    for one in params:
        start.add(json.dumps(one).encode())
    return start.tokens()


LONG = "You are a careful reader of reviews. " * 100


def test_system_and_tools_come_before_messages() -> None:
    alone = shared(request("a", system=LONG), request("b", system=LONG))
    assert 600 < alone < 1100
    assert shared(request("a", system=[{"type": "text", "text": LONG}]), request("b", system=LONG)) == alone
    assert shared(request("a", system="A" + LONG), request("b", system="B" + LONG)) == 0
    tools = [{"name": "look", "description": LONG, "input_schema": {"type": "object"}}]
    assert shared(request("a", tools=tools), request("b", tools=tools)) > alone


def test_within_a_message_what_comes_first_is_shared() -> None:
    assert shared(request(f"{LONG}a"), request(f"{LONG}b")) > 600
    assert shared(request(f"a{LONG}"), request(f"b{LONG}")) == 0
    assert 0 < shared(request("Label this review: good"), request("Label this review: bad")) < 10


def test_other_settings_are_another_cache() -> None:
    assert shared(request("a", system=LONG, thinking={"type": "disabled"}), request("b", system=LONG)) == 0
    models = [request(LONG, model=model) for model in ("claude-haiku-4-5", "claude-haiku-4-5-20251001")]
    assert shared(*models) == 0


def test_an_image_ends_what_is_compared() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 9000}}
    content: Any = [{"type": "text", "text": LONG}, image, {"type": "text", "text": LONG}]
    row = request("") | {"messages": [{"role": "user", "content": content}]}
    assert 600 < shared(row, row) < 1100


def test_one_prompt_shares_with_nobody_and_strange_ones_share_nothing() -> None:
    assert shared(request(LONG)) == shared() == 0
    assert shared(request(LONG), request(LONG) | {"messages": 7}) == 0


# ---------------------------------------------------------------- batches


def test_batches_are_those_of_a_stack_with_its_defaults() -> None:
    parameters = facts.source()["Parameters"]
    disk = facts.source()["Mappings"]["Disk"][str(parameters["CollectDiskMiB"]["Default"])]["SpoolBytes"]
    assert (
        Limits.of_a_stack(
            max_requests=min(parameters["MaxBatchRequests"]["Default"], parameters["QueuedRequestsLimit"]["Default"]),
            max_body_bytes=parameters["MaxBatchBytes"]["Default"],
            spool_bytes=int(disk),
        )
        == DEFAULT_LIMITS
    )


@given(st.lists(st.text(max_size=30), max_size=30), st.integers(1, 10))
def test_the_sum_of_the_batches_is_the_whole(texts: list[str], most: int) -> None:
    rows = [request(text or "x") for text in texts]
    few = DEFAULT_LIMITS._replace(max_requests=most)
    parts, whole = (planned_file(lines(*rows), PRICES, NOW, limits) for limits in (few, DEFAULT_LIMITS))
    assert len(parts.batches) == -(-len(rows) // most)
    assert parts.sizes == summed(cut.sizes for cut in parts.batches)
    # The tokens of a batch are rounded once.
    guessed = [sum(size.input_tokens for size in of.sizes.values()) for of in (parts, whole)]
    assert abs(guessed[0] - guessed[1]) <= len(parts.batches)
    assert [replace(size, input_tokens=0) for size in parts.sizes.values()] == [
        replace(size, input_tokens=0) for size in whole.sizes.values()
    ]
    assert parts.rows == len(rows) == sum(cut.requests for cut in parts.batches)
    assert parts.shared == whole.shared


# ---------------------------------------------------------------- words


def test_nothing_that_can_be_sent_costs_nothing_known() -> None:
    found = told({"model": "claude-haiku-4-5"})
    assert (found.rows, found.invalid, found.requests) == (1, 1, 0)
    assert advice(found).batch is None
    text = described(found, 80)
    assert "1 row cannot be sent" in text
    assert "$" not in text


def test_a_model_without_a_price_is_named_and_never_nothing() -> None:
    found = told(request("a"), request("b", model="claude-unheard-of"))
    assert found.unpriced == {"claude-unheard-of": 1}
    text = " ".join(described(found, 80).split())
    assert "without 1 row of unknown price" in text
    assert "No price is known of claude-unheard-of" in text
    alone = " ".join(described(told(request("b", model="claude-unheard-of")), 80).split())
    assert "What it costs is not known." in alone
    assert "$" not in alone


@pytest.mark.parametrize(
    ("rows", "answer", "batch", "words"),
    [(3, 100, False, "One by one"), (50, 100, None, "less than a cent"), (5000, 100, True, "Batch it")],
)
def test_advice_goes_by_volume(rows: int, answer: int, batch: bool | None, words: str) -> None:
    found = told(*([request("Is this good?", max_tokens=answer)] * rows), known=known_by(None, answer=5))
    assert advice(found).batch is batch
    assert words in advice(found).sentences[0]


def test_advice_gives_latency_volume_and_independence() -> None:
    sentences = " ".join(advice(told(*([request("Is this good?", max_tokens=4000)] * 5000))).sentences)
    for words in ("it saves", "24 hours", "2 h 47 min", "independently"):
        assert words in sentences


def test_caching_one_by_one_may_be_cheaper_than_a_batch() -> None:
    found = told(*(request(f"{LONG * 8}{number}") for number in range(200)), known=known_by(None, answer=10))
    assert found.ways.one_by_one_cached is not None
    assert "costs less than a batch without" in " ".join(advice(found).sentences)


def test_a_wide_range_says_how_to_narrow_it() -> None:
    hint = "--answer-tokens takes it."
    row = request("a", max_tokens=4000)
    assert hint in " ".join(described(told(row), 80).split())
    assert hint not in " ".join(described(told(row, known=known_by(None, answer=9)), 80).split())


def test_a_mark_is_where_it_stands() -> None:
    system = [{"type": "text", "text": LONG * 8, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    text = described(told(*([request("a", system=system)] * 20)), 100)
    assert "Rows ask for caching" in text
    assert "<- as it stands" not in text
    assert "<- as it stands" in described(told(*([request("a")] * 20)), 100)


@pytest.mark.parametrize("width", [30, 60, 80, 116])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for system in ("", LONG * 8):
        text = described(told(*(request(f"{number}", system=system) for number in range(20))), width)
        assert max(map(len, text.splitlines())) <= width
        for words in ("without caching", "with caching", "one by one", "as a batch"):
            assert words in text


def test_names_of_models_and_files_are_plain_and_short() -> None:
    found = told(request("a", model="claude-\x1b[2J" + "x" * 900))
    text = described(found, 80)
    assert "\x1b" not in text
    assert len(text) < 2000


def test_amounts_as_people_read_them() -> None:
    assert said(1_710_000, 2_040_000) == "$1.71 to $2.04"
    assert said(2_040_001, 2_040_002) == "$2.04"
    assert said(0, 2_040_000) == said(10_000, 2_040_000) == "up to $2.04"
    assert [price(rate) for rate in Rates(5 * 10**9, 25 * 10**8, 125 * 10**6, 10**7, 5 * 10**6)] == [
        "$5.00",
        "$2.50",
        "$0.125",
        "$0.01",
        "$0.005",
    ]
    assert [duration(seconds) for seconds in (0.04, 9.96, 59, 60, 185, 3600, 7800, 10**6)] == [
        "0.0 s",
        "10.0 s",
        "59 s",
        "1 min",
        "3 min 5 s",
        "1 h",
        "2 h 10 min",
        "277 h 47 min",
    ]
    assert (number(1, "batch"), number(8019, "row"), number(0, "batch")) == ("1 batch", "8,019 rows", "0 batches")


def test_a_table_that_does_not_fit_is_stacked() -> None:
    head, rows = ["", "one by one", "as a batch"], [["cost", "$1.00", "$0.50"], ["caching", "not possible: too short"]]
    assert columns(head, rows, 60) == [
        "           one by one    as a batch",
        "cost       $1.00         $0.50",
        "caching    not possible: too short",
    ]
    assert columns(head, rows, 20) == [
        "cost",
        "  one by one: $1.00",
        "  as a batch: $0.50",
        "caching",
        "  not possible: too",
        "    short",
    ]


def test_nothing_costs_nothing() -> None:
    planned = planned_file(iter(()), PRICES, NOW)
    assert planned == PlannedFile(rows=0, batches=(), faults=(), invalid=0, shared={})
    nothing = Range(0, 0)
    assert four_ways({}, {}, PRICES, NOW, GUESSED) == FourWays(
        one_by_one=nothing,
        batch=nothing,
        one_by_one_cached=None,
        batch_cached=None,
        as_it_stands=nothing,
        at_most=0,
        asks_for_caching=False,
    )
