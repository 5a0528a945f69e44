"""Batches cover the input once and stay within every limit."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.formats.input_line import REQUESTS, Row
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line, read_lines
from batchdrop.jobs.answer_size import ANSWER_BYTES_FIXED, ANSWER_BYTES_PER_TOKEN
from batchdrop.money.price_file import built_in
from batchdrop.money.sizing import Sizer
from batchdrop.stages.plan.cutter import Cut, Cutter, Limits
from tests.input_lines import body_of

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WIDE = Limits(100_000, 256_000_000, 10**12, 10**12, 10**12)


def row_text(size: int, max_tokens: int) -> str:
    params = {"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "x" * size}]}
    return json.dumps({"params": params})


LINES = st.lists(
    st.one_of(st.builds(row_text, st.integers(0, 300), st.integers(1, 900)), st.just("no json"), st.just("")), max_size=25
)
LIMITS = st.builds(
    Limits,
    max_requests=st.integers(1, 8),
    max_body_bytes=st.integers(200, 2_000),
    max_answer_bytes=st.integers(ANSWER_BYTES_FIXED + 12, 60_000),
    max_span_bytes=st.integers(100, 3_000),
    max_span_lines=st.integers(1, 12),
)


def sizer() -> Sizer:
    return Sizer(built_in(), NOW)


def cut_all(lines: list[Line], limits: Limits) -> list[Cut]:
    cutter = Cutter(limits, sizer())
    taken = [cutter.take(line, REQUESTS.check(line)) for line in lines if line.data]
    return [cut for cut in (*taken, cutter.finish()) if cut is not None]


def rows_of(cut: Cut, lines: list[Line]) -> list[Row]:
    parsed = [REQUESTS.check(line) for line in lines if cut.start <= line.start < cut.end and line.data]
    return [row for row in parsed if isinstance(row, Row)]


@given(LINES, LIMITS, st.integers(1, 2_000))
def test_cuts_cover_every_line_once_and_stay_within_the_limits(texts: list[str], limits: Limits, first_line: int) -> None:
    data = "\n".join(texts).encode()
    lines = list(read_lines(io.BytesIO(data), start=50, first_line=first_line))
    cuts = cut_all(lines, limits)
    taken = [line for line in lines if line.data]

    covered = [line.number for cut in cuts for line in taken if cut.start <= line.start < cut.end]
    assert covered == [line.number for line in taken]
    assert all(before.end <= after.start and before.last_line < after.first_line for before, after in pairwise(cuts))
    for cut in cuts:
        rows = rows_of(cut, lines)
        answer = sum(row.max_tokens * ANSWER_BYTES_PER_TOKEN + ANSWER_BYTES_FIXED for row in rows)
        assert cut.requests == len(rows)
        assert cut.body_bytes == (len(body_of(rows)) if rows else 0)
        assert cut.invalid == sum(line.data == b"no json" for line in taken if cut.start <= line.start < cut.end)
        assert cut.requests <= limits.max_requests
        assert cut.requests <= 1 or (cut.body_bytes <= limits.max_body_bytes and answer <= limits.max_answer_bytes)
        assert cut.last_line == cut.first_line or (
            cut.end - cut.start <= limits.max_span_bytes and cut.last_line - cut.first_line < limits.max_span_lines
        )


@given(LINES, LIMITS)
def test_no_batch_ends_before_it_is_full(texts: list[str], limits: Limits) -> None:
    lines = list(read_lines(io.BytesIO("\n".join(texts).encode())))
    for cut in cut_all(lines, limits)[:-1]:
        following = next(line for line in lines if line.start >= cut.end and line.data)
        rows = rows_of(cut, lines) + rows_of(cut._replace(start=following.start, end=following.end), lines)
        answer = sum(row.max_tokens * ANSWER_BYTES_PER_TOKEN + ANSWER_BYTES_FIXED for row in rows)
        assert (
            len(rows) > limits.max_requests
            or len(body_of(rows)) > limits.max_body_bytes
            or answer > limits.max_answer_bytes
            or following.end - cut.start > limits.max_span_bytes
            or following.number - cut.first_line >= limits.max_span_lines
        )


def lines_of(*texts: str) -> list[Line]:
    return list(read_lines(io.BytesIO("\n".join(texts).encode())))


def test_exactly_full_is_not_too_full() -> None:
    lines = lines_of(*[row_text(10, 5)] * 6)
    assert [cut.requests for cut in cut_all(lines, WIDE._replace(max_requests=3))] == [3, 3]
    size = len(body_of(rows_of(cut_all(lines[:3], WIDE)[0], lines)))
    assert [cut.requests for cut in cut_all(lines, WIDE._replace(max_body_bytes=size))] == [3, 3]
    assert [cut.requests for cut in cut_all(lines, WIDE._replace(max_body_bytes=size - 1))] == [2, 2, 2]


@pytest.mark.parametrize(
    "limits", [WIDE._replace(max_answer_bytes=100), WIDE._replace(max_body_bytes=10), WIDE._replace(max_span_bytes=1)]
)
def test_a_row_that_is_too_large_alone_is_a_batch_of_one(limits: Limits) -> None:
    assert [cut.requests for cut in cut_all(lines_of(*[row_text(10, 5)] * 3), limits)] == [1, 1, 1]


def test_the_longest_answers_make_smaller_batches() -> None:
    """1 GB of answers, as the worst case: 277 of 300,000 tokens."""
    limits = Limits.of_a_stack(max_requests=100_000, max_body_bytes=10**9, spool_bytes=250_000_000)
    lines = lines_of(*[row_text(10, 300_000)] * 300)
    assert [cut.requests for cut in cut_all(lines, limits)] == [277, 23]


def test_invalid_lines_cost_no_request() -> None:
    (cut,) = cut_all(lines_of("x", row_text(1, 1), "y", "z"), WIDE._replace(max_requests=1))
    assert (cut.first_line, cut.last_line, cut.requests, cut.invalid) == (1, 4, 1, 3)


def test_only_invalid_lines_have_no_body() -> None:
    (cut,) = cut_all(lines_of("x", "y"), WIDE)
    assert (cut.requests, cut.invalid, cut.body_bytes) == (0, 2, 0)


def test_nothing_taken_nothing_cut() -> None:
    assert Cutter(WIDE, sizer()).finish() is None


def test_it_can_be_used_again_after_finish() -> None:
    cutter = Cutter(WIDE, sizer())
    line = Line(1, 0, 2, b"x", False)
    invalid = InvalidLine(line=1, type="not_json", message="")
    cutter.take(line, invalid)
    first = cutter.finish()
    cutter.take(line, invalid)
    assert cutter.finish() == first


def test_an_absurd_max_tokens_does_not_make_a_batch_of_each_row() -> None:
    """No answer is longer than a model can give."""
    params = b'{"model":"m","max_tokens":999999999,"messages":[]}'
    cutter = Cutter(Limits.of_a_stack(max_requests=1_000, max_body_bytes=10**9, spool_bytes=10**9), sizer())
    rows = [(Line(n, n * 100, n * 100 + 99, b"x", cut=False), Row(n, None, params, 999_999_999, "m")) for n in range(1, 1_001)]
    assert [cut for line, row in rows if (cut := cutter.take(line, row))] == []
