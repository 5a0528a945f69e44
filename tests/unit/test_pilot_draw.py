"""The rows to be tried: the same whatever is planned again, spread over the file, and foreseen by nobody."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.records import PILOT_ROWS, Sample
from batchdrop.formats.lines import Line
from batchdrop.formats.same_request import request_digest
from batchdrop.stages.plan.pilot_draw import PilotDraw

JOB = "inbox~a.jsonl~Ab3"


def line(number: int) -> Line:
    return Line(number, number * 10, number * 10 + 9, b"{}", cut=False)


def drawn(numbers: Iterable[int], job: str = JOB, before: tuple[Sample, ...] = ()) -> tuple[Sample, ...]:
    draw = PilotDraw(job, before)
    for number in numbers:
        draw.add(line(number))
    return draw.drawn


@given(st.integers(0, 200), st.lists(st.integers(0, 200), max_size=6))
def test_the_same_rows_whatever_the_checkpoints(lines: int, checkpoints: list[int]) -> None:
    whole = drawn(range(1, lines + 1))
    before: tuple[Sample, ...] = ()
    begin = 0
    for end in (*sorted(checkpoints), lines):
        # What is read again after a kill is drawn again.
        before = drawn(range(max(1, begin - 7), min(end, lines) + 1), before=before)
        begin = min(end, lines)
    assert before == whole
    assert len(whole) == min(lines, PILOT_ROWS)


@given(st.permutations(range(1, 60)))
def test_the_same_rows_in_any_order(numbers: list[int]) -> None:
    assert drawn(numbers) == drawn(range(1, 60))


def test_the_smallest_ranks_come_first_with_their_places() -> None:
    found = drawn(range(1, 500))
    assert [sample.rank for sample in found] == sorted(sample.rank for sample in found)
    assert all((sample.start, sample.end) == (sample.line * 10, sample.line * 10 + 9) for sample in found)
    assert all(0 <= sample.rank < 1 << 63 for sample in found)


def test_another_version_of_a_file_has_another_draw() -> None:
    first, second = ({sample.line for sample in drawn(range(1, 2_000), job)} for job in (JOB, f"{JOB}4"))
    assert len(first & second) <= 3


def test_every_place_in_a_file_is_drawn_equally_often() -> None:
    jobs, rows, parts = 400, 300, 10
    counts = [0] * parts
    for job in range(jobs):
        for sample in drawn(range(1, rows + 1), f"{JOB}{job}"):
            counts[(sample.line - 1) * parts // rows] += 1
    expected = jobs * PILOT_ROWS / parts
    assert sum(counts) == jobs * PILOT_ROWS
    # Four standard deviations of a share of a tenth.
    assert all(abs(count - expected) < 4 * sqrt(expected) for count in counts)


def test_of_equal_requests_the_first_is_drawn_whatever_the_checkpoints() -> None:
    requests = [request_digest(b"%d" % (number * number % 97)) for number in range(1_000)]
    before: tuple[Sample, ...] = ()
    for begin, end in ((0, 1_000), (0, 30), (20, 45), (45, 1_000)):
        draw = PilotDraw(JOB, before if begin else ())
        for number in range(begin, end):
            draw.add_request(line(number + 1), requests[number])
        before = draw.drawn
        if (begin, end) == (0, 1_000):
            whole = before
    assert before == whole
    assert len({sample.digest for sample in whole}) == PILOT_ROWS
    assert [sample.line for sample in whole] == [requests.index(bytes.fromhex(sample.digest)) + 1 for sample in whole]
    assert [sample.rank for sample in whole] == sorted(sample.rank for sample in whole)
