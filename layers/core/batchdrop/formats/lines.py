"""Bytes to numbered lines, in bounded memory.

A line ends at `\\n` and nowhere else: U+2028 and U+0085 are ordinary text inside a JSON string.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

# A Messages request may have 32 MB (Anthropic, API overview, "Request size limits"): a longer line cannot be sent. It also keeps
# a function under 270 MiB of memory, where a line exists several times (its chunks, the line, its params).
MAX_LINE_BYTES = 32_000_000
# What is kept of a line over the bound: enough to recognise it in `failed.jsonl`.
CUT_BYTES = 1_000
_CHUNK_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"
MAX_OUTPUT_LINE_BYTES = 1 << 28
"""A line of `results.jsonl` or `failed.jsonl`: at most one input line or one result, and some words around it."""


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


class Block(NamedTuple):
    """Some whole lines of a stream in one piece. Only the last line of the stream may lack its newline."""

    number: int
    """Of the first line."""
    start: int
    """Offset in the stream."""
    end: int
    lines: int
    data: bytes
    dropped: int
    """Bytes that are left out of the first line, which is longer than the bound."""


def read_blocks(stream: BinaryIO, *, start: int = 0, first_line: int = 1, max_line: int = MAX_LINE_BYTES) -> Iterator[Block]:
    """Yields the stream in order, a chunk's worth of whole lines at a time. Arguments and memory are those of `read_lines`."""
    number, offset = first_line, start
    for data, dropped in _whole_lines(stream, max_line):
        lines = data.count(b"\n") or 1
        end = offset + len(data) + dropped
        yield Block(number, offset, end, lines, data, dropped)
        number, offset = number + lines, end


def lines_in(block: Block, max_line: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Yields every line of a block that was read with the same `max_line`, blank ones with empty `data`."""
    number, offset, surplus = block.number, block.start, block.dropped
    lines = block.data.split(b"\n")
    newline = len(lines) > block.lines
    if newline:
        lines.pop()
    if number == 1 and offset == 0 and lines[0].startswith(_BOM):
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


def read_lines(stream: BinaryIO, *, start: int = 0, first_line: int = 1, max_line: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Yields every line, blank ones with empty `data`.

    `start` and `first_line` say where in its object the stream begins. `max_line` is in bytes, without the newline.
    Memory: one chunk and at most `max_line`, whatever the lines are. A byte order mark before line 1 is dropped.
    """
    blocks = read_blocks(stream, start=start, first_line=first_line, max_line=max_line)
    return chain.from_iterable(lines_in(block, max_line) for block in blocks)


def _whole_lines(stream: BinaryIO, max_line: int) -> Iterator[tuple[bytes, int]]:
    """Whole lines, a chunk's worth at a time, and how many bytes were dropped from the first of them."""
    held: list[bytes] = []
    size = dropped = 0
    while chunk := stream.read(_CHUNK_BYTES):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            held.append(chunk[:cut])
            yield _taken(held), dropped
            chunk = chunk[cut:]
            size = dropped = 0
        if chunk:
            size += len(chunk)
            held.append(chunk)
            if size > max_line:
                kept = _taken(held)[:CUT_BYTES]
                held.append(kept)
                dropped = size - len(kept)
    if held:
        yield _taken(held), dropped


def _taken(pieces: list[bytes]) -> bytes:
    """Joins them and lets go of them: a line may be long."""
    whole = b"".join(pieces)
    pieces.clear()
    return whole
