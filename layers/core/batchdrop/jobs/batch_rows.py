"""Read the rows of a batch: its lines, in order, each with the reason why it is not sent, if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

import msgspec

from batchdrop.domain.records import Batch, ObjectRef, Record
from batchdrop.formats.lines import MAX_LINE_BYTES, NUMBER_BYTES, Block, Line, lines_in, numbered, read_blocks, read_lines
from batchdrop.formats.splice import params_in
from batchdrop.ports import Objects


class Fault(Record, frozen=True):
    """Why a row is never sent. One line of a batch's `invalid.jsonl`."""

    line: int
    type: str
    message: str


class BatchRow(NamedTuple):
    line: Line
    fault: Fault | None


_NUMBERED_LINE_BYTES = MAX_LINE_BYTES + NUMBER_BYTES
_decode_fault = msgspec.json.Decoder(Fault).decode


class LineBlock(NamedTuple):
    """Lines of a batch that follow one another, and those among them that are not sent."""

    block: Block
    faults: list[Fault]
    numbered: bool

    def params(self) -> list[msgspec.Raw] | None:
        """Of every line, if every line is a row that is sent; None says: look at each of them."""
        block = self.block
        if self.faults or self.numbered or block.dropped or not block.data.startswith(b"{"):
            return None
        # No line has a fault, so each is one JSON object or blank; and with as many objects as lines none is blank.
        found = params_in(block.data)
        return found if len(found) == block.lines else None

    def entries(self) -> Iterator[BatchRow]:
        """The lines that are not blank."""
        if self.numbered:
            return _paired(map(numbered, lines_in(self.block, _NUMBERED_LINE_BYTES)), iter(self.faults))
        return _paired(lines_in(self.block), iter(self.faults))


@contextmanager
def line_blocks_of(objects: Objects, batch: Batch) -> Iterator[Iterator[LineBlock]]:
    """The lines of a batch, a chunk's worth at a time. Raises ObjectGone, also while reading."""
    span = batch.span
    longest = _NUMBERED_LINE_BYTES if span.numbered else MAX_LINE_BYTES
    with objects.read(span.object, span.start, span.end) as stream, faults_of(objects, batch) as faults:
        blocks = read_blocks(stream, start=span.start, first_line=span.first_line, max_line=longest)
        yield _line_blocks(blocks, faults, numbered=span.numbered)


@contextmanager
def batch_rows_of(objects: Objects, batch: Batch) -> Iterator[Iterator[BatchRow]]:
    """The lines of a batch that are not blank. Raises ObjectGone, also while reading."""
    with line_blocks_of(objects, batch) as blocks:
        yield chain.from_iterable(stretch.entries() for stretch in blocks)


@contextmanager
def faults_of(objects: Objects, batch: Batch) -> Iterator[Iterator[Fault]]:
    if not batch.invalid or batch.invalid_key is None:
        yield iter(())
        return
    with objects.read(ObjectRef(bucket=batch.span.object.bucket, key=batch.invalid_key)) as stream:
        yield (_decode_fault(line.data) for line in read_lines(stream) if line.data)


def _line_blocks(blocks: Iterator[Block], faults: Iterator[Fault], *, numbered: bool) -> Iterator[LineBlock]:
    fault = next(faults, None)
    for block in blocks:
        held: list[Fault] = []
        while fault is not None and fault.line < block.number + block.lines:
            if fault.line >= block.number:
                held.append(fault)
            fault = next(faults, None)
        yield LineBlock(block, held, numbered)


def _paired(lines: Iterator[Line], faults: Iterator[Fault]) -> Iterator[BatchRow]:
    fault = next(faults, None)
    for line in lines:
        if not line.data:
            continue
        while fault is not None and fault.line < line.number:
            fault = next(faults, None)
        yield BatchRow(line, fault if fault is not None and fault.line == line.number else None)
