"""Put the rows of a job into the order of the whole table: people sort a table before they drop it again.

An external merge sort. A run is some rows in order, an object in `work/`; where it ends depends on the rows alone, so two
invocations that make the same one write the same bytes. A row is a head of a fixed length, and its line.

Memory: one run, and in merging the buffer and the next head of each. Nothing is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from heapq import heapify, heappop, heapreplace
from operator import itemgetter
from typing import BinaryIO, NamedTuple

import msgspec

from batchdrop.domain.errors import BatchdropError, Incomplete
from batchdrop.domain.records import ObjectRef
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.formats.whole_line import PlacedRow, newest
from batchdrop.ports import Objects

# 20 GB are some 300 runs; to merge them takes the reading buffer of each, 256 KB.
RUN_BYTES = 64_000_000
RUN_ROWS = 200_000
_HEAD = b"%012d %012d %010d "
_HEAD_BYTES = 37
_in_order = itemgetter(0, 1)

type Read = Callable[[bytes], PlacedRow | None]


class NoPlace(BatchdropError):
    """There is a row of which nobody knows where it belongs."""


class Run(NamedTuple):
    object: ObjectRef
    end: int
    """Bytes of the sources up to where the next run begins."""


class SortRows(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    run_bytes: int = RUN_BYTES
    run_rows: int = RUN_ROWS

    def __call__(self, sources: Sequence[tuple[ObjectRef, Read]], start: int, key: str) -> Run:
        """Stores the run that begins with byte `start` of the sources, one after the other. Raises NoPlace, ObjectGone."""
        rows: list[PlacedRow] = []
        size, end = 0, start
        for row, behind in _rows(self.objects, sources, start):
            rows.append(row)
            size, end = size + len(row.text), behind
            if size >= self.run_bytes or len(rows) >= self.run_rows:
                break
        rows.sort(key=_in_order)
        with self.objects.writer(key) as out:
            for row in rows:
                out.write(_HEAD % (row.row, row.line, len(row.text)) + row.text)
        bucket = sources[0][0].bucket
        return Run(ObjectRef(bucket=bucket, key=key, size=size + _HEAD_BYTES * len(rows)), end)


def _rows(objects: Objects, sources: Sequence[tuple[ObjectRef, Read]], start: int) -> Iterator[tuple[PlacedRow, int]]:
    """Each row, and where the next one begins."""
    before = 0
    for ref, read in sources:
        offset = start - before
        if offset < ref.size:
            with objects.read(ref, max(0, offset)) as stream:
                for line in read_lines(stream, start=max(0, offset), max_line=MAX_OUTPUT_LINE_BYTES):
                    row = read(line.data)
                    if row is None:
                        raise NoPlace(f"{ref.key}: byte {line.start}")
                    yield row, before + line.end
        before += ref.size


class SortedRows:
    """All runs merged. Of rows with the same number the last one in the job's file that has an answer counts."""

    def __init__(self, objects: Objects, runs: Sequence[ObjectRef], at: Sequence[int], stack: ExitStack) -> None:
        """`at`: where to begin in each run."""
        self._streams = [stack.enter_context(objects.read(run, start)) for run, start in zip(runs, at, strict=True)]
        self.at = list(at)
        """Where to go on, once all rows that were taken are dealt with."""
        self._heads = [head for number, stream in enumerate(self._streams) if (head := _head(stream, number)) is not None]
        heapify(self._heads)

    @property
    def row(self) -> int | None:
        """The number of the next row; None at the end."""
        return self._heads[0].row if self._heads else None

    def take(self) -> tuple[bytes, int]:
        """The line of that row, and how often it is there."""
        row, times, text = self.row, 0, b""
        while self._heads and (head := self._heads[0]).row == row:
            text, times = newest(text, _read(self._streams[head.run], head.size)), times + 1
            self.at[head.run] += _HEAD_BYTES + head.size
            following = _head(self._streams[head.run], head.run)
            if following is None:
                heappop(self._heads)
            else:
                heapreplace(self._heads, following)
        return text, times


class _Head(NamedTuple):
    row: int
    line: int
    run: int
    size: int


def _head(stream: BinaryIO, run: int) -> _Head | None:
    head = stream.read(_HEAD_BYTES)
    if not head:
        return None
    row, line, size = map(int, head.split())
    return _Head(row, line, run, size)


def _read(stream: BinaryIO, size: int) -> bytes:
    text = stream.read(size)
    if len(text) < size:
        raise Incomplete("a run of sorted rows breaks off")
    return text
