"""Read the rows of a batch: its lines, in order, each with the reason why it is not sent, if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import chain, repeat
from operator import attrgetter
from typing import NamedTuple

import msgspec

from batchdrop.domain.errors import ObjectGone, UnreadableList
from batchdrop.domain.records import Batch, ObjectRef, RowStatus, Sample, Unsent
from batchdrop.formats.input_line import REQUESTS
from batchdrop.formats.invalid_line import InvalidLine, read_invalid_lines
from batchdrop.formats.lines import MAX_LINE_BYTES, Block, Line, lines_in, read_blocks
from batchdrop.formats.retry_line import MAX_RETRY_LINE_BYTES, retried_row
from batchdrop.ports import Objects
from batchdrop.reports import sentences

SETTLED = "settled"
"""The type of a line of the batch that the pilot has settled: it is no request of the batch, and it is not invalid."""
FILE_GONE = "file_gone"
"""The type of a row that is not sent since a file that it names is gone."""
UNLISTED = Unsent(status=RowStatus.invalid, error_type="unlisted", message=sentences.UNLISTED)
"""The end of rows that may be valid or not, because their batch's list of invalid rows cannot be read."""


class BatchRow(NamedTuple):
    line: Line
    invalid: InvalidLine | None
    """Why it is not sent."""
    paid: int | None = 0
    """Femto-dollars that earlier attempts at it have cost; None if nobody knows."""


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
            return _paired(map(retried_row, lines_in(self.block, MAX_RETRY_LINE_BYTES)), iter(self.invalid))
        return _paired(zip(lines_in(self.block), repeat(0)), iter(self.invalid))


@contextmanager
def line_blocks_of(objects: Objects, batch: Batch) -> Iterator[Iterator[LineBlock]]:
    """The lines of a batch, a chunk's worth at a time. Raises ObjectGone and UnreadableList, also while reading."""
    span = batch.span
    if batch.tries:
        yield (LineBlock(block, [], numbered=False) for row in batch.tries for block in _blocks_of(objects, span.object, row))
        return
    longest = MAX_RETRY_LINE_BYTES if span.numbered else MAX_LINE_BYTES
    with objects.read(span.object, span.start, span.end) as stream, invalid_lines_of(objects, batch) as invalid:
        blocks = read_blocks(stream, start=span.start, first_line=span.first_line, max_line=longest)
        yield _line_blocks(blocks, invalid, numbered=span.numbered)


@contextmanager
def batch_rows_of(objects: Objects, batch: Batch) -> Iterator[Iterator[BatchRow]]:
    """The lines of a batch that are not blank. Raises ObjectGone and UnreadableList, also while reading."""
    with line_blocks_of(objects, batch) as blocks:
        yield chain.from_iterable(block.rows() for block in blocks)


@contextmanager
def invalid_lines_of(objects: Objects, batch: Batch) -> Iterator[Iterator[InvalidLine]]:
    """The lines of a batch that it does not send, in order: invalid ones, and those that the pilot has settled.

    Raises UnreadableList, also while reading.
    """
    settled = [InvalidLine(line=row.line, type=SETTLED, message="") for row in batch.settled]
    gone = [InvalidLine(line=line, type=FILE_GONE, message=sentences.FILE_GONE) for line in batch.left_out]
    settled = list(merge(settled, gone, key=_line)) if gone else settled
    if not batch.invalid or batch.invalid_key is None:
        yield iter(settled)
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(objects.read(ObjectRef(bucket=batch.span.object.bucket, key=batch.invalid_key)))
        except ObjectGone as error:
            raise UnreadableList(batch.invalid_key) from error
        listed = _readable(read_invalid_lines(stream), batch.invalid_key)
        yield merge(listed, settled, key=_line) if settled else listed


_line = attrgetter("line")


def _readable(lines: Iterator[InvalidLine], key: str) -> Iterator[InvalidLine]:
    try:
        yield from lines
    except (ObjectGone, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableList(key) from error


def _blocks_of(objects: Objects, source: ObjectRef, row: Sample) -> Iterator[Block]:
    with objects.read(source, row.start, row.end) as stream:
        yield from read_blocks(stream, start=row.start, first_line=row.line)


def _line_blocks(blocks: Iterator[Block], invalid: Iterator[InvalidLine], *, numbered: bool) -> Iterator[LineBlock]:
    following = next(invalid, None)
    for block in blocks:
        held: list[InvalidLine] = []
        while following is not None and following.line < block.number + block.lines:
            if following.line >= block.number:
                held.append(following)
            following = next(invalid, None)
        yield LineBlock(block, held, numbered)


def _paired(lines: Iterable[tuple[Line, int | None]], invalid: Iterator[InvalidLine]) -> Iterator[BatchRow]:
    following = next(invalid, None)
    for line, paid in lines:
        if not line.data:
            continue
        while following is not None and following.line < line.number:
            following = next(invalid, None)
        yield BatchRow(line, following if following is not None and following.line == line.number else None, paid)
