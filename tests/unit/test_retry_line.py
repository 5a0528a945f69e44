"""Rows that are sent again carry the number of their line in the input."""

from __future__ import annotations

import io

import pytest

from batchdrop.formats.lines import Line, read_lines
from batchdrop.formats.retry_line import original_line, retry_line


def test_what_is_written_can_be_read() -> None:
    data = retry_line(Line(12, 0, 0, b'{"a":\t1}', False)) + retry_line(Line(40, 0, 0, b"x", False))
    assert data == b'12\t{"a":\t1}\n40\tx\n'
    found = [original_line(line) for line in read_lines(io.BytesIO(data), start=5)]
    assert found == [Line(12, 5, 17, b'{"a":\t1}', False), Line(40, 17, 22, b"x", False)]


@pytest.mark.parametrize("data", [b"{}", b"\t{}", b"x1\t{}"])
def test_a_line_without_a_number_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="byte 5"):
        original_line(Line(1, 5, 10, data, False))
