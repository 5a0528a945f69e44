"""gzip as a stream, in bounded pieces: a few kilobytes that decompress to terabytes stop at the limit, not at the memory.

Why not the standard library's reader: `docs/decisions/0026-own-gzip-reader.md`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS
_PIECE_BYTES = 1 << 20


class InflateError(Exception):
    """The object is not a usable gzip file. `type` is in snake_case, the message a sentence for the person who dropped it."""

    def __init__(self, type: str, message: str) -> None:  # noqa: A002 - the word used for every error of a row
        super().__init__(message)
        self.type = type
        self.message = message


def sniff(head: bytes) -> bool:
    """Whether an object that begins with these bytes (two are enough) is gzip, whatever its name says."""
    return head.startswith(_MAGIC)


def inflate(chunks: Iterable[bytes], max_output: int) -> Iterator[bytes]:
    """Decompresses a gzip file of one or more members, in pieces of at most 1 MiB. Memory: one chunk and one piece.

    Raises InflateError, after everything that could be read before the fault was yielded: `gzip_corrupt`, `gzip_trailing_data`;
    `gzip_truncated` if the file ends within a member; `gzip_empty` if nothing came out of it; `too_large` before more than
    `max_output` bytes, over all members, were yielded.
    """
    inflater = _Inflater(max_output)
    for chunk in chunks:
        yield from inflater.feed(chunk)
    inflater.finish()


class _Inflater:
    def __init__(self, max_output: int) -> None:
        self._max_output = max_output
        self._output = 0
        self._member: zlib._Decompress | None = None
        self._members = 0
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        data = self._held + data
        self._held = b""
        pending = False
        while data or pending:
            if self._member is None:
                data = self._open(data)
                continue
            piece = self._inflate(self._member, data)
            # zlib may hold back output although it has consumed all input.
            pending = len(piece) == _PIECE_BYTES and not self._member.eof
            data = self._member.unconsumed_tail
            if self._member.eof:
                data = self._member.unused_data
                self._member = None
            self._output += len(piece)
            if self._output > self._max_output:
                raise InflateError("too_large", f"The file decompresses to more than {self._max_output:,} bytes. Split it.")
            if piece:
                yield piece

    def finish(self) -> None:
        if self._member is not None or self._held:
            raise InflateError("gzip_truncated", "The gzip file is truncated. Upload it again.")
        if not self._output:
            raise InflateError("gzip_empty", "The gzip file is empty.")

    def _open(self, data: bytes) -> bytes:
        """The start of a member in what lies between two, or nothing."""
        if self._members:
            # Tape and block devices pad with zeros; gzip(1) ignores them too.
            data = data.lstrip(b"\0")
        if len(data) < len(_MAGIC) and _MAGIC.startswith(data):
            self._held = data
            return b""
        if not sniff(data):
            if not self._members:
                raise InflateError("gzip_corrupt", "The file is not gzip.")
            raise InflateError(
                "gzip_trailing_data", "The compressed data is followed by data that is not gzip. Compress the file again."
            )
        self._member = zlib.decompressobj(_GZIP)
        self._members += 1
        return data

    def _inflate(self, member: zlib._Decompress, data: bytes) -> bytes:
        try:
            return member.decompress(data, _PIECE_BYTES)
        except zlib.error as error:
            raise InflateError("gzip_corrupt", f"The gzip file is damaged ({error}). Compress and upload it again.") from None
