"""Request bodies: what the API expects, of the size that was foretold, however they are written."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.transitions import Half
from batchdrop.formats.batch_body import FRAME_BYTES, SEPARATOR_BYTES, BodyWriter, request_bytes
from batchdrop.formats.input_line import REQUESTS, Row
from batchdrop.formats.lines import Line
from tests.input_lines import GOOD, body_of


def test_a_body_is_what_the_api_expects() -> None:
    rows = [Row(line, None, GOOD.encode(), 5, "m") for line in (7, 12)]
    assert json.loads(body_of(rows, "t")) == {
        "requests": [{"custom_id": f"t-{line}", "params": json.loads(GOOD)} for line in (7, 12)]
    }


@given(st.lists(st.integers(0, 40).map(lambda size: b'"%b"' % (b"x" * size)), min_size=1, max_size=12))
def test_a_body_has_the_size_that_its_requests_add_up_to(params: list[bytes]) -> None:
    rows = [Row(line, None, value, 5, "m") for line, value in enumerate(params, 95)]
    requests = [request_bytes(len(row.params), row.line) for row in rows]
    assert len(body_of(rows)) == FRAME_BYTES + sum(requests) + SEPARATOR_BYTES * (len(rows) - 1)


def written(lines: list[Line], middle: int, at_once: int) -> tuple[bytes, Half | None]:
    """A body whose lines are added `at_once` at a time, where that is allowed."""
    out = io.BytesIO()
    writer = BodyWriter(out, "prefix", middle)
    for start in range(0, len(lines), at_once):
        block = lines[start : start + at_once]
        if writer.may_add_all(len(block)):
            writer.add_all(block[0].number, [REQUESTS.params(line.data) for line in block])
        else:
            for line in block:
                writer.add(line, REQUESTS.params(line.data))
    writer.close()
    assert (writer.requests, writer.size) == (len(lines), len(out.getvalue()))
    return out.getvalue(), writer.half()


def lines_of(count: int) -> list[Line]:
    data = [b'{"params":{"a":%d}}' % number for number in range(count)]
    return [Line(number, 100 * number, 100 * number + len(one), one, cut=False) for number, one in enumerate(data, 5)]


@given(st.integers(1, 30), st.integers(1, 8))
def test_blocks_and_single_lines_give_the_same_body(count: int, at_once: int) -> None:
    lines = lines_of(count)
    assert written(lines, count // 2, at_once) == written(lines, count // 2, 1)


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("count", [2, 3, 9])
def test_the_halves_of_a_body_are_bodies_of_their_own(count: int, at_once: int) -> None:
    lines = lines_of(count)
    _, half = written(lines, count // 2, at_once)
    assert half is not None
    second = next(index for index, line in enumerate(lines) if line.number == half.next_line)
    assert (second, half.requests, half.next_start) == (count // 2, count // 2, lines[second].start)
    assert half.body_bytes == len(written(lines[:second], 0, 1)[0])
    assert half.rest_body_bytes == len(written(lines[second:], 0, 1)[0])


def test_a_body_of_one_request_has_no_halves() -> None:
    assert written(lines_of(1), 0, 1)[1] is None


def test_rows_left_out_before_the_second_half_are_counted() -> None:
    writer = BodyWriter(io.BytesIO(), "prefix", 1)
    first, second = lines_of(2)
    writer.leave_out()
    writer.add(first, REQUESTS.params(first.data))
    writer.leave_out()
    writer.add(second, REQUESTS.params(second.data))
    writer.leave_out()
    writer.close()
    half = writer.half()
    assert half is not None
    assert half.invalid == 2
