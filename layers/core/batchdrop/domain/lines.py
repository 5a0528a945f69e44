"""Bytes to numbered lines, in bounded memory.

A line ends at `\\n` and nowhere else: U+2028 and U+0085 are ordinary text inside a JSON string.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

# A Messages request may have 32 MB (Anthropic, API overview, "Request size limits"): a longer line cannot be sent. It also keeps
# a function under 256 MB of memory, where a line exists up to three times (its chunks, the line, its params).
MAX_LINE_BYTES = 32_000_000
# What is kept of a line over the bound: enough to recognise it in `failed.jsonl`.
CUT_BYTES = 1_000
_CHUNK_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"
# `<line number, at most 12 digits>\t`, see `ids`.
_NUMBER_BYTES = 13


class Line(NamedTuple):
    """One line of a stream. `start` and `end` are byte offsets in the stream, `end` behind the newline."""

    number: int
    """1-based; blank lines count."""
    start: int
    end: int
    data: bytes
    """Without `\\n` and one trailing `\\r`; empty for a line of whitespace."""
    cut: bool
    """The line is longer than the bound: `data` holds its first 1,000 bytes."""


def read_lines(stream: BinaryIO, *, start: int = 0, first_line: int = 1, max_line: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Yields every line, blank ones with empty `data`.

    `start` and `first_line` say where in its object the stream begins. `max_line` is in bytes, without the newline.
    Memory: one chunk and at most `max_line`, whatever the lines are. A byte order mark before line 1 is dropped.
    """
    number, offset = first_line, start
    for lines, dropped, newline in _blocks(stream, max_line):
        surplus = dropped
        if number == 1 and start == 0 and lines[0].startswith(_BOM):
            lines[0] = lines[0].removeprefix(_BOM)
            surplus += len(_BOM)
        for whole in lines:
            size = len(whole) + surplus
            surplus = 0
            end = offset + size + newline
            cut = size > max_line
            data = whole[:CUT_BYTES] if cut else whole.removesuffix(b"\r")
            # tuple.__new__ takes half the time of the generated constructor, in the one loop where that shows.
            yield tuple.__new__(Line, (number, offset, end, b"" if data.isspace() and not cut else data, cut))
            number, offset = number + 1, end


def read_numbered(stream: BinaryIO, *, start: int = 0, max_line: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Lines of an object of ours that holds `<line number>\\t<original line>`: the number is the one in the line.

    Raises ValueError for a line without a number: that object was not written by Batchdrop.
    """
    for line in read_lines(stream, start=start, max_line=max_line + _NUMBER_BYTES):
        digits, tab, data = line.data.partition(b"\t")
        if not tab or not digits.isdigit():
            raise ValueError(f"byte {line.start}: a numbered line begins with its number and a tab")
        yield line._replace(number=int(digits), data=data)


def _blocks(stream: BinaryIO, max_line: int) -> Iterator[tuple[list[bytes], int, int]]:
    """Whole lines, a chunk's worth at a time, with the bytes that were dropped from the first of them and 1 for a newline."""
    held: list[bytes] = []
    size = 0
    while chunk := stream.read(_CHUNK_BYTES):
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines:
            size += len(lines[0])
            held.append(lines[0])
            lines[0] = b"".join(held)
            yield lines, size - len(lines[0]), 1
            held, size = [], 0
        size += len(rest)
        held.append(rest)
        if size > max_line:
            held = [b"".join(held)[:CUT_BYTES]]
    if size:
        yield [b"".join(held)], size - sum(map(len, held)), 0
