"""Copy a gzip-compressed input to `work/` as plain lines: a batch is a byte range, and gzip has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from batchdrop.domain.errors import Rejected
from batchdrop.domain.records import ObjectRef, RowStatus, Unsent
from batchdrop.formats.gzip_stream import InflateError, Inflater, sniff
from batchdrop.ports import Objects

_CHUNK = 1 << 20


def is_compressed(objects: Objects, ref: ObjectRef) -> bool:
    """By content, never by name: a `.gz` that holds plain text is plain text."""
    with objects.read(ref, 0, min(ref.size, 2)) as stream:
        return sniff(stream.read(2))


def unpack(objects: Objects, ref: ObjectRef, key: str, max_bytes: int) -> tuple[ObjectRef, Unsent | None]:
    """Writes the decompressed object to `key`.

    A stream that breaks off keeps what came before: the copy's last line then ends in the reason, and the verdict says that this
    line is where it broke. Raises Rejected beyond `max_bytes`; nothing is kept then.
    """
    inflater = Inflater(max_bytes)
    broken: Unsent | None = None
    size = 0
    with objects.read(ref) as stream, objects.writer(key) as writer:
        try:
            for piece in _pieces(stream, inflater):
                writer.write(piece)
                size += len(piece)
        except InflateError as error:
            if error.type == "too_large":
                raise Rejected(f"{error.message} Nothing was sent; split it and drop the parts.") from error
            if error.type == "gzip_empty":
                return ObjectRef(bucket=ref.bucket, key=key, size=size), None
            broken = Unsent(status=RowStatus.invalid, error_type=error.type, message=error.message)
            note = f"[{error.type}: {error.message}]".encode()
            writer.write(note)
            size += len(note)
    return ObjectRef(bucket=ref.bucket, key=key, size=size), broken


def _pieces(stream: BinaryIO, inflater: Inflater) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield from inflater.feed(chunk)
    inflater.finish()
