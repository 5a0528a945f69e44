"""A line of a batch's `invalid-<first line>.jsonl` in `work/`: why a line of the input is never sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from batchdrop.domain.records import Record
from batchdrop.formats.lines import read_lines


class InvalidLine(Record, frozen=True):
    line: int
    type: str
    """What is wrong, in snake_case."""
    message: str
    """What is wrong, where, and what to do about it; for the person who wrote the line."""


_decode = msgspec.json.Decoder(InvalidLine).decode


def invalid_line(invalid: InvalidLine) -> bytes:
    return msgspec.json.encode(invalid) + b"\n"


def read_invalid_lines(stream: BinaryIO) -> Iterator[InvalidLine]:
    """In ascending order of line numbers, as they were written."""
    return (_decode(line.data) for line in read_lines(stream))
