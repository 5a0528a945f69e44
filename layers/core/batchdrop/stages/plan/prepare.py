"""Turn the dropped file into lines: a batch is a byte range of them.

This is the only place that knows kinds of files. Everything after it reads lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from batchdrop.domain.errors import Rejected
from batchdrop.domain.records import ObjectRef, RowStatus, Unsent
from batchdrop.formats import gzip_stream
from batchdrop.formats.gzip_stream import InflateError
from batchdrop.ports import Objects
from batchdrop.reports import sentences

# What it takes to recognise gzip.
_HEAD_BYTES = 2
_CHUNK = 1 << 20


class Source(NamedTuple):
    """Where the lines of a job are."""

    object: ObjectRef
    broken: Unsent | None = None
    """The file is damaged: the last line is where it breaks off, and why."""


def prepare(objects: Objects, ref: ObjectRef, copy: str, max_bytes: int) -> Source:
    """The object itself if it holds lines, else lines made from it and stored under the key `copy`.

    The content decides, never the name: a `.gz` that holds plain text is plain text. Raises Rejected for more than `max_bytes`
    of lines.
    """
    if gzip_stream.sniff(_head(objects, ref)):
        return _decompressed(objects, ref, copy, max_bytes)
    if ref.size > max_bytes:
        raise Rejected(sentences.too_large(max_bytes))
    return Source(ref)


def _head(objects: Objects, ref: ObjectRef) -> bytes:
    if not ref.size:
        return b""
    with objects.read(ref, 0, min(ref.size, _HEAD_BYTES)) as stream:
        return stream.read(_HEAD_BYTES)


def _decompressed(objects: Objects, ref: ObjectRef, copy: str, max_bytes: int) -> Source:
    """What comes before any damage is kept; the copy's last line then ends with the reason."""
    broken: Unsent | None = None
    size = 0
    with objects.read(ref) as stream, objects.writer(copy) as writer:
        try:
            for piece in gzip_stream.inflate(_chunks(stream), max_bytes):
                writer.write(piece)
                size += len(piece)
        except InflateError as error:
            if error.type == "too_large":
                raise Rejected(sentences.decompressed_too_large(max_bytes)) from error
            if error.type != "gzip_empty":
                broken = Unsent(status=RowStatus.invalid, error_type=error.type, message=error.message)
                note = f"[{error.type}: {error.message}]".encode()
                writer.write(note)
                size += len(note)
    return Source(ObjectRef(bucket=ref.bucket, key=copy, size=size), broken)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
