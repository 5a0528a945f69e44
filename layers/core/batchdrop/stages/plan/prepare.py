"""Turn the dropped file into lines: a batch is a byte range of them.

This is the only place that knows kinds of files. Everything after it reads lines. A file that takes longer to unpack than an
invocation has is unpacked by several: each inflates from the start, and writes what the ones before it have not
(`docs/decisions/0031-inflate-again.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from batchdrop.domain.errors import Rejected
from batchdrop.domain.records import ObjectRef, RowStatus, Unsent, Wishes
from batchdrop.formats import gzip_stream
from batchdrop.formats.gzip_stream import InflateError
from batchdrop.ports import Objects, ResumedWriter
from batchdrop.reports import sentences

_CHUNK = 1 << 20


class Source(NamedTuple):
    """Where the lines of a job are."""

    object: ObjectRef
    broken: Unsent | None = None
    """The file is damaged: the last line is where it breaks off, and why."""
    wishes: Wishes | None = None
    """What its recipe says of the job as a whole."""


class Text(NamedTuple):
    """A packed file of rows is unpacked; its lines have still to be made."""

    object: ObjectRef


class Unpacking(NamedTuple):
    """How far the lines of a job have been made when time ran out."""

    done: int
    total: int
    """An estimate: the rest of the file is taken to be packed as well as the start."""
    went_on: bool
    """This invocation came further than the one before it."""


type Made = Source | Text | Unpacking


def prepare(
    objects: Objects, ref: ObjectRef, copy: str, max_bytes: int, go_on: Callable[[], bool], *, packed: bool
) -> Source | Unpacking:
    """The object itself if it holds lines, else lines made from it and stored under the key `copy`.

    `packed`: its content is gzip. That decides, never the name. Raises Rejected for more than `max_bytes` of lines.
    """
    if packed:
        with objects.read(ref) as stream, objects.resume(copy) as writer:
            return _Unpacked(stream, writer, ref, copy).to_the_end(max_bytes, go_on)
    if ref.size > max_bytes:
        raise Rejected(sentences.too_large(max_bytes))
    return Source(ref)


class _Unpacked:
    """The copy of one gzip file. What comes before any damage is kept; the copy's last line then ends with the reason."""

    def __init__(self, stream: BinaryIO, writer: ResumedWriter, ref: ObjectRef, copy: str) -> None:
        self._stream = stream
        self._writer = writer
        self._ref = ref
        self._copy = copy
        self._found = writer.stored
        self._read = 0
        self._size = 0

    def to_the_end(self, max_bytes: int, go_on: Callable[[], bool]) -> Source | Unpacking:
        broken: Unsent | None = None
        try:
            for piece in gzip_stream.inflate(self._chunks(), max_bytes):
                if not go_on():
                    return self._suspended()
                self._take(piece)
        except InflateError as error:
            if error.type == "too_large":
                raise Rejected(sentences.decompressed_too_large(max_bytes)) from error
            if error.type != "gzip_empty":
                broken = Unsent(status=RowStatus.invalid, error_type=error.type, message=error.message)
                self._take(f"[{error.type}: {error.message}]".encode())
        return Source(ObjectRef(bucket=self._ref.bucket, key=self._copy, size=self._size), broken)

    def _take(self, data: bytes) -> None:
        known = min(len(data), max(0, self._found - self._size))
        self._size += len(data)
        if known < len(data):
            self._writer.write(data[known:])

    def _suspended(self) -> Unpacking:
        stored = self._writer.stored
        self._writer.suspend()
        return Unpacking(max(stored, self._size), self._size * self._ref.size // max(self._read, 1), stored > self._found)

    def _chunks(self) -> Iterator[bytes]:
        while chunk := self._stream.read(_CHUNK):
            self._read += len(chunk)
            yield chunk
