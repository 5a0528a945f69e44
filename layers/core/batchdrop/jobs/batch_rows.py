"""Read the rows of a batch: its lines, in order, each with the reason why it is not sent, if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

import msgspec

from batchdrop.domain.records import Batch, ObjectRef
from batchdrop.formats.input_line import REQUESTS
from batchdrop.formats.invalid_line import InvalidLine, read_invalid_lines
from batchdrop.formats.lines import MAX_LINE_BYTES, Block, Line, lines_in, read_blocks
from batchdrop.formats.retry_line import MAX_RETRY_LINE_BYTES, original_line
from batchdrop.ports import Objects


class BatchRow(NamedTuple):
    line: Line
    invalid: InvalidLine | None
    """Why it is not sent."""


class LineBlock(NamedTuple):
    """Lines of a batch that follow one another, and those among them that are not sent."""

    block: Block
    invalid: list[InvalidLine]
    numbered: bool

    def params(self) -> list[msgspec.Raw] | None:
        """Of every line, if every line is a row that is sent; None says: look at each of them."""
        block = self.block
        if self.invalid or self.numbered or block.dropped or not block.data.startswith(b"{"):
            return None
        # No line is invalid, so each is one JSON object or blank; and with as many objects as lines none is blank.
        found = REQUESTS.params_of_lines(block.data)
        return found if len(found) == block.lines else None

    def rows(self) -> Iterator[BatchRow]:
        """The lines that are not blank."""
        if self.numbered:
            return _paired(map(original_line, lines_in(self.block, MAX_RETRY_LINE_BYTES)), iter(self.invalid))
        return _paired(lines_in(self.block), iter(self.invalid))


@contextmanager
def line_blocks_of(objects: Objects, batch: Batch) -> Iterator[Iterator[LineBlock]]:
    """The lines of a batch, a chunk's worth at a time. Raises ObjectGone, also while reading."""
    span = batch.span
    longest = MAX_RETRY_LINE_BYTES if span.numbered else MAX_LINE_BYTES
    with objects.read(span.object, span.start, span.end) as stream, invalid_lines_of(objects, batch) as invalid:
        blocks = read_blocks(stream, start=span.start, first_line=span.first_line, max_line=longest)
        yield _line_blocks(blocks, invalid, numbered=span.numbered)


@contextmanager
def batch_rows_of(objects: Objects, batch: Batch) -> Iterator[Iterator[BatchRow]]:
    """The lines of a batch that are not blank. Raises ObjectGone, also while reading."""
    with line_blocks_of(objects, batch) as blocks:
        yield chain.from_iterable(block.rows() for block in blocks)


@contextmanager
def invalid_lines_of(objects: Objects, batch: Batch) -> Iterator[Iterator[InvalidLine]]:
    """The lines of a batch that are never sent, in order."""
    if not batch.invalid or batch.invalid_key is None:
        yield iter(())
        return
    with objects.read(ObjectRef(bucket=batch.span.object.bucket, key=batch.invalid_key)) as stream:
        yield read_invalid_lines(stream)


def _line_blocks(blocks: Iterator[Block], invalid: Iterator[InvalidLine], *, numbered: bool) -> Iterator[LineBlock]:
    following = next(invalid, None)
    for block in blocks:
        held: list[InvalidLine] = []
        while following is not None and following.line < block.number + block.lines:
            if following.line >= block.number:
                held.append(following)
            following = next(invalid, None)
        yield LineBlock(block, held, numbered)


def _paired(lines: Iterator[Line], invalid: Iterator[InvalidLine]) -> Iterator[BatchRow]:
    following = next(invalid, None)
    for line in lines:
        if not line.data:
            continue
        while following is not None and following.line < line.number:
            following = next(invalid, None)
        yield BatchRow(line, following if following is not None and following.line == line.number else None)
