"""What the rows of a job teach: what those that were answered took, by what these were guessed at."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from batchdrop.domain.money import Size, Sizes
from batchdrop.domain.records import PILOT, Batch, BatchState, ObjectRef, Span, Taught, Usage
from batchdrop.jobs.teaching import taught_by
from batchdrop.money.estimate import Estimate, estimate
from batchdrop.money.learning import TriedRow, learned_of_job
from batchdrop.money.price_file import built_in

AT = datetime(2026, 11, 25, tzinfo=UTC)
HAIKU = "claude-haiku-5-5"
INPUT, OUTPUT = 1_000, 4_000
"""Tokens that a row is guessed at, and the most it may answer."""


def sizes(rows: int, name: str = HAIKU, tokens: int = INPUT) -> Sizes:
    return {name: Size(requests=rows, input_tokens=rows * tokens, max_output_tokens=rows * OUTPUT)}


def usage(rows: int, model: str = HAIKU, tokens: int = INPUT) -> dict[str, Usage]:
    """Prompts as they were guessed, answers of a quarter of what they may be."""
    return {model: Usage(requests=rows, input_tokens=rows * tokens, output_tokens=rows * OUTPUT // 4)} if rows else {}


def batch(line: int, attempt: int = 1, *, sizes: Sizes, usage: dict[str, Usage]) -> Batch:
    requests = sum(size.requests for size in sizes.values())
    return Batch(
        job_id="job",
        first_line=line,
        attempt=attempt,
        state=BatchState.collected,
        span=Span(object=ObjectRef(bucket="b", key="k", size=1), start=0, end=1, first_line=line),
        last_line=line + requests - 1,
        requests=requests,
        start_tag=AT,
        sizes=sizes,
        usage=usage,
    )


def taught(*batches: Batch) -> Taught:
    found = taught_by(batches, AT)
    assert found is not None
    return found


def shares(found: Taught) -> tuple[float, float]:
    return found.input / found.guessed_input, found.output / found.most_output


def next_file(found: Taught, of: Sizes) -> Estimate:
    total = TriedRow(found.guessed_input, found.input, found.most_output, found.output)
    return estimate(of, built_in(), AT, learned_of_job(total, found.rows))


@pytest.mark.parametrize("answered", [1, 7, 140])
def test_rows_that_were_not_answered_teach_nothing(answered: int) -> None:
    found = taught(batch(1, sizes=sizes(140), usage=usage(answered)))
    assert shares(found) == (1, 0.25)
    assert found.rows == answered


def test_of_no_answers_nobody_knows() -> None:
    assert taught_by([batch(1, sizes=sizes(140), usage={})], AT) is None
    assert taught_by([batch(1, sizes=sizes(1, "claude-nobody-9"), usage=usage(1, "claude-nobody-9"))], AT) is None


def test_a_batch_without_answers_does_not_tell_of_the_prompts_of_others() -> None:
    short = batch(1, sizes=sizes(100), usage=usage(100))
    long = batch(101, sizes=sizes(100, tokens=50_000), usage={})
    assert taught(short, long) == taught(short)


def test_a_row_that_goes_again_was_guessed_once() -> None:
    """Of 100 rows 40 expire. 10 of those that were answered are of no use, and go again with them, in two batches."""
    found = taught(
        batch(1, sizes=sizes(100), usage=usage(60)),
        batch(1, 2, sizes=sizes(25), usage=usage(25)),
        batch(51, 2, sizes=sizes(25), usage=usage(25)),
        batch(101, sizes=sizes(10), usage=usage(10)),
    )
    assert shares(found) == pytest.approx((120 / 110, 0.25 * 120 / 110))
    assert found.rows == 110


def test_rows_that_the_pilot_settled_are_counted_once() -> None:
    """With `strict` their sizes stay in those of the batches that they lie in."""
    pilot = batch(int(PILOT[:12]), sizes=sizes(20), usage=usage(20))
    found = taught(pilot, batch(1, sizes=sizes(40), usage=usage(20)))
    assert shares(found) == (1, 0.25)
    assert found.rows == 40


@pytest.mark.parametrize(
    ("name", "tokens", "percent"),
    [(f"{HAIKU}#long", 200_000, 500), (f"{HAIKU}#us", 200, 110), (f"{HAIKU}#long#us", 200_000, 550)],
)
def test_the_same_file_again_is_expected_at_its_price(name: str, tokens: int, percent: int) -> None:
    """Long prompts cost five times as much, and so do their answers; the United States a tenth more."""
    of = sizes(500, name, tokens)
    by_tokens = taught(batch(1, sizes=of, usage=usage(500, tokens=tokens)))
    assert shares(by_tokens) == (1, 0.25)
    found = next_file(by_tokens, of)
    # Half of 0.10 and 0.50 dollars a million tokens.
    cost = 500 * (tokens * 0.05 + OUTPUT / 4 * 0.25) * percent / 100
    assert found.low < cost < found.high < 1.5 * cost


def test_a_dated_id_is_its_alias() -> None:
    found = taught(batch(1, sizes=sizes(20, "claude-haiku-4-5"), usage=usage(20, "claude-haiku-4-5-20251001")))
    assert shares(found) == (1, 0.25)
