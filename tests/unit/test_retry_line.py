"""Rows that are sent again carry the number of their line in the input, and what was paid for them so far."""

from __future__ import annotations

import io

import pytest

from batchdrop.formats.lines import MAX_LINE_BYTES, Line, read_lines
from batchdrop.formats.retry_line import MAX_RETRY_LINE_BYTES, RetriedRow, retried_row, retry_line

FIRST = Line(12, 0, 0, b'{"a":\t1}', False)


def test_what_is_written_can_be_read() -> None:
    data = retry_line(FIRST) + retry_line(Line(40, 0, 0, b"x", False), 4500) + retry_line(Line(41, 0, 0, b"y", False), None)
    assert data == b'12\t{"a":\t1}\n40 4500\tx\n41 ?\ty\n'
    found = [retried_row(line) for line in read_lines(io.BytesIO(data), start=5)]
    assert found == [
        RetriedRow(Line(12, 5, 17, b'{"a":\t1}', False), 0),
        RetriedRow(Line(40, 17, 27, b"x", False), 4500),
        RetriedRow(Line(41, 27, 34, b"y", False), None),
    ]


def test_the_longest_one_is_not_cut() -> None:
    line = retry_line(Line(10**12 - 1, 0, 0, b"x", False), 10**27 - 1)
    assert len(line) - 1 - len(b"x") + MAX_LINE_BYTES == MAX_RETRY_LINE_BYTES


@pytest.mark.parametrize(
    "data", [b"{}", b"\t{}", b"x1\t{}", b"1 \t{}", b"1?\t{}", b"1 x\t{}", b" 1\t{}", b"1 -4\t{}", b"1 2 3\t{}"]
)
def test_a_line_without_a_number_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="byte 5"):
        retried_row(Line(1, 5, 10, data, False))
