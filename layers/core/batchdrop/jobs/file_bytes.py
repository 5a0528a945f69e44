"""The bytes of files as they stand in a request. Memory: one chunk, however long the file."""

from __future__ import annotations

import codecs
from binascii import b2a_base64
from collections.abc import Iterator
from typing import BinaryIO

from batchdrop.domain.errors import Incomplete
from batchdrop.domain.records import ObjectRef
from batchdrop.formats.file_look import escaped
from batchdrop.formats.file_source import TEXT, Pinned, pieces, source_frame
from batchdrop.ports import Objects

# Three bytes of a file are four of base64: a chunk of whole threes needs no padding within.
_CHUNK = 3 << 18


def with_files(objects: Objects, params: bytes) -> Iterator[bytes]:
    """A filled request with its files in it, in pieces. Raises ObjectGone, Forbidden, Incomplete."""
    for piece in pieces(params):
        if isinstance(piece, bytes):
            yield piece
        else:
            before, behind = source_frame(piece.media_type)
            yield before
            yield from _data(objects, piece)
            yield behind


def _data(objects: Objects, file: Pinned) -> Iterator[bytes]:
    ref = ObjectRef(bucket=file.bucket, key=file.key, version_id=file.version_id, etag=file.etag, size=file.size)
    size = sum(map(len, source_frame(file.media_type)))
    with objects.read(ref) as stream:
        chunks = _text(stream) if file.media_type == TEXT else _base64(stream)
        for chunk in chunks:
            size += len(chunk)
            yield chunk
    if size != file.sent:
        raise Incomplete(f"{file.key} makes a source of {size} bytes, not of {file.sent}")


def _base64(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := _whole(stream):
        yield b2a_base64(chunk, newline=False)


def _text(stream: BinaryIO) -> Iterator[bytes]:
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    while chunk := _whole(stream):
        yield escaped(decode(chunk))


def _whole(stream: BinaryIO) -> bytes:
    """A chunk that is short at the end only, as an unbuffered stream may give less."""
    chunk = stream.read(_CHUNK)
    while len(chunk) < _CHUNK and (more := stream.read(_CHUNK - len(chunk))):
        chunk += more
    return chunk
