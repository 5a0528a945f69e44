"""`complete.jsonl`: the table as it was, merged with the rows of the job that completes it. Both are in order: one pass.

A checkpoint follows each part of the upload that S3 has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, Line, read_lines
from batchdrop.formats.whole_checkpoint import WholeCheckpoint, encode_checkpoint
from batchdrop.formats.whole_line import has_answer, newest
from batchdrop.ports import Objects
from batchdrop.stages.finish.growing import Growing
from batchdrop.stages.finish.sort_rows import SortedRows

_BLOCK_BYTES = 1 << 18


class Kept(NamedTuple):
    """How a file of the table as it was is read."""

    number: Callable[[bytes], int]
    text: Callable[[bytes], bytes]
    """The line of `complete.jsonl`."""


class MergeRows(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects

    def __call__(
        self, job: Job, key: str, start: WholeCheckpoint, rest: bytes, kept: tuple[Kept, ...], go_on: Callable[[], bool]
    ) -> WholeCheckpoint:
        """How far it has come. `rest`: as `start` was stored with. `kept`: one for each file of its base. Raises ObjectGone."""
        with ExitStack() as stack, self.objects.resume(key) as out:
            base = [
                _Kept(self.objects, ref, offset, how, stack) for ref, offset, how in zip(start.base, start.at, kept, strict=False)
            ]
            own = SortedRows(self.objects, start.runs, start.at[len(base) :], stack)
            growing = Growing(out, start.file, rest)
            totals = _Totals(start)
            for block in _blocks(base, own, totals):
                stored = growing.write(block)
                time_is_up = not go_on()
                if stored or time_is_up:
                    grown, rest = growing.suspend() if time_is_up else growing.mark()
                    at = (*(one.offset for one in base), *own.at)
                    reached = replace(start, file=grown, at=at, **totals.counts())
                    self._store(job, reached, rest)
                    if time_is_up:
                        return reached
        reached = replace(start, file=growing.grown, complete=True, **totals.counts())
        self._store(job, reached, b"")
        return reached

    def _store(self, job: Job, checkpoint: WholeCheckpoint, rest: bytes) -> None:
        self.objects.put(keys.whole_checkpoint(job.id), encode_checkpoint(checkpoint, rest))


class _Totals:
    def __init__(self, start: WholeCheckpoint) -> None:
        self.rows, self.answered, self.repeated, self.placeless = start.rows, start.answered, start.repeated, start.placeless

    def counts(self) -> dict[str, int]:
        return {"rows": self.rows, "answered": self.answered, "repeated": self.repeated, "placeless": self.placeless}


class _Kept:
    """A file of the table as it was, row by row."""

    def __init__(self, objects: Objects, ref: ObjectRef, offset: int, how: Kept, stack: ExitStack) -> None:
        stream = stack.enter_context(objects.read(ref, offset))
        self._lines = read_lines(stream, start=offset, max_line=MAX_OUTPUT_LINE_BYTES)
        self._how = how
        self.offset = offset
        """Where to go on, once all rows that were taken are dealt with."""
        self._next: tuple[int, Line] | None = self._read()

    @property
    def row(self) -> int | None:
        """The number of the next row; None at the end."""
        return None if self._next is None else self._next[0]

    def take(self, row: int) -> bytes:
        """Its line; empty if that row is not the next."""
        if self._next is None or self._next[0] != row:
            return b""
        line = self._next[1]
        self.offset, self._next = line.end, self._read()
        return self._how.text(line.data)

    def _read(self) -> tuple[int, Line] | None:
        line = next(self._lines, None)
        return None if line is None else (self._how.number(line.data), line)


def _blocks(base: list[_Kept], own: SortedRows, totals: _Totals) -> Iterator[bytes]:
    block: list[bytes] = []
    size = 0
    while rows := [row for row in (own.row, *(one.row for one in base)) if row is not None]:
        row = min(rows)
        text = next(filter(None, [one.take(row) for one in base]), b"")
        if own.row == row:
            new, times = own.take()
            if not text:  # the number of a header, or of a blank line
                totals.placeless += 1
                continue
            totals.repeated += times > 1
            text = newest(text, new)
        totals.rows += 1
        totals.answered += has_answer(text)
        block.append(text)
        size += len(text)
        if size >= _BLOCK_BYTES:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)
