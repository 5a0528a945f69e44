"""Read the rows of a batch: its lines, in order, each with the reason why it is not sent, if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from batchdrop.domain.lines import Line, read_lines, read_numbered
from batchdrop.domain.records import Batch, ObjectRef, Record, Span
from batchdrop.ports import Objects


class Fault(Record, frozen=True):
    """Why a row is never sent. One line of a batch's `invalid.jsonl`."""

    line: int
    type: str
    message: str


class Entry(NamedTuple):
    line: Line
    fault: Fault | None


_decode_fault = msgspec.json.Decoder(Fault).decode


@contextmanager
def lines_of(objects: Objects, span: Span) -> Iterator[Iterator[Line]]:
    with objects.read(span.object, span.start, span.end) as stream:
        if span.numbered:
            yield read_numbered(stream, start=span.start)
        else:
            yield read_lines(stream, start=span.start, first_line=span.first_line)


@contextmanager
def entries_of(objects: Objects, batch: Batch) -> Iterator[Iterator[Entry]]:
    """The lines of a batch that are not blank. Raises ObjectGone, also while reading."""
    with lines_of(objects, batch.span) as lines, faults_of(objects, batch) as faults:
        yield _paired(lines, faults)


@contextmanager
def faults_of(objects: Objects, batch: Batch) -> Iterator[Iterator[Fault]]:
    if not batch.invalid or batch.invalid_key is None:
        yield iter(())
        return
    with objects.read(ObjectRef(bucket=batch.span.object.bucket, key=batch.invalid_key)) as stream:
        yield (_decode_fault(line.data) for line in read_lines(stream) if line.data)


def _paired(lines: Iterator[Line], faults: Iterator[Fault]) -> Iterator[Entry]:
    fault = next(faults, None)
    for line in lines:
        if not line.data:
            continue
        while fault is not None and fault.line < line.number:
            fault = next(faults, None)
        if fault is not None and fault.line == line.number:
            yield Entry(line, fault)
        else:
            yield Entry(line, None)
