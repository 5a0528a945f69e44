"""A line of a batch's `invalid-<first line>.jsonl` in `work/`: why a line of the input is never sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from batchdrop.domain.record import Record
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines


class InvalidLine(Record, frozen=True):
    line: int
    type: str
    """What is wrong, in snake_case."""
    message: str
    """What is wrong, where, and what to do about it; for the person who wrote the line."""


_SHOWN_CHARS = 80
_decode = msgspec.json.Decoder(InvalidLine).decode


def shown(text: str) -> str:
    """A piece of the user's data as a message quotes it: at most 80 characters, whatever its length."""
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}..."


def invalid_line(invalid: InvalidLine) -> bytes:
    return msgspec.json.encode(invalid) + b"\n"


def read_invalid_lines(stream: BinaryIO) -> Iterator[InvalidLine]:
    """In ascending order of line numbers, as they were written. Version 0.1.0 quoted a custom id of any length."""
    return (_decode(line.data) for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES))
