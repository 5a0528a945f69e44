"""Pieces of output files: written in input order, with what an earlier attempt wrote merged in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from heapq import merge

import msgspec

from batchdrop.domain.errors import BatchdropError, ObjectGone
from batchdrop.domain.records import ObjectRef, Part
from batchdrop.formats.checksums import Crc64
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.ports import Objects, ObjectWriter

_FLUSH_BYTES = 1 << 20


class EarlierGone(BatchdropError):
    """Somebody has deleted the piece of an earlier attempt while it was read."""


class PartWriter:
    """Lines in ascending order of their numbers. `earlier` yields lines of an earlier attempt, which fall into place."""

    def __init__(self, key: str, writer: ObjectWriter, earlier: Iterator[tuple[int, bytes]]) -> None:
        self._key = key
        self._writer = writer
        self._earlier = earlier
        self._next = next(earlier, None)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._lines = 0
        self._size = 0
        self._crc = Crc64()
        self.closed = False

    def write(self, number: int, data: bytes) -> None:
        while self._next is not None and self._next[0] < number:
            self._put(self._next[1])
            self._next = next(self._earlier, None)
        self._put(data)

    def close(self) -> Part | None:
        """The finished piece, or None if it has no line: then no object is written."""
        while self._next is not None:
            self._put(self._next[1])
            self._next = next(self._earlier, None)
        self._flush()
        if not self._lines:
            self._writer.abort()
            return None
        self._writer.close()
        self.closed = True
        return Part(key=self._key, lines=self._lines, size=self._size, crc64nvme=self._crc.hex())

    def _put(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        self._lines += 1
        if self._pending_bytes >= _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        block = b"".join(self._pending)
        self._writer.write(block)
        self._crc.update(block)
        self._size += len(block)
        self._pending, self._pending_bytes = [], 0


@contextmanager
def part_writer(
    objects: Objects,
    ref: ObjectRef,
    earlier: Sequence[Part] = (),
    number_of: Callable[[bytes], int] | None = None,
    only: frozenset[int] | None = None,
) -> Iterator[PartWriter]:
    """`number_of` tells the input line of an earlier line, and `only` which of them are taken over, if not all.

    The object appears at `close`; an exception leaves nothing behind.

    Raises EarlierGone, also while lines are written.
    """
    writer = objects.writer(ref.key)
    part = PartWriter(ref.key, writer, iter(()))
    try:
        if number_of is None:
            yield part
        else:
            with ExitStack() as stack:
                sources = [msgspec.structs.replace(ref, key=piece.key) for piece in earlier]
                pieces = [stack.enter_context(closing(_earlier_lines(objects, one, number_of, only))) for one in sources]
                part = PartWriter(ref.key, writer, merge(*pieces))
                yield part
    except BaseException:
        if part.closed:
            objects.delete(ref.key)
        else:
            writer.abort()
        raise


def _earlier_lines(
    objects: Objects, ref: ObjectRef, number_of: Callable[[bytes], int], only: frozenset[int] | None
) -> Generator[tuple[int, bytes]]:
    try:
        with objects.read(ref) as stream:
            for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES):
                number = number_of(line.data)
                if only is None or number in only:
                    yield number, line.data + b"\n"
    except ObjectGone as error:
        raise EarlierGone(f"{ref.key} was deleted") from error
