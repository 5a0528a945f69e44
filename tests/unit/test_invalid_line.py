"""Lists of the lines that are never sent."""

from __future__ import annotations

import io

from batchdrop.formats.invalid_line import InvalidLine, invalid_line, read_invalid_lines, shown


def test_a_line_as_it_is_stored() -> None:
    invalid = InvalidLine(line=12, type="not_json", message="The line is not valid JSON.")
    assert invalid_line(invalid) == b'{"line":12,"type":"not_json","message":"The line is not valid JSON."}\n'


def test_what_is_written_can_be_read() -> None:
    invalid = [InvalidLine(line=number, type="not_json", message="\u2028 \n") for number in (3, 8)]
    assert list(read_invalid_lines(io.BytesIO(b"".join(map(invalid_line, invalid))))) == invalid


def test_a_list_of_an_earlier_version_with_a_huge_message_can_be_read() -> None:
    huge = InvalidLine(line=1, type="duplicate_custom_id", message="x" * 33_000_000)
    assert list(read_invalid_lines(io.BytesIO(invalid_line(huge)))) == [huge]


def test_a_quotation_is_short() -> None:
    assert shown("x" * 80) == "x" * 80
    assert shown("x" * 81) == "x" * 77 + "..."
