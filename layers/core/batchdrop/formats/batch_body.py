"""The body of a create: `{"requests":[...]}`, each request with a custom id of ours and the user's `params`, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from batchdrop.domain.ids import custom_id_bytes
from batchdrop.domain.transitions import Half
from batchdrop.formats.lines import Line

_OPEN = b'{"requests":['
_CLOSE = b"]}"
_SEPARATOR = b","
_REQUEST_FRAME = len(b'{"custom_id":"","params":}')

FRAME_BYTES = len(_OPEN) + len(_CLOSE)
"""Of a body around its requests."""
SEPARATOR_BYTES = len(_SEPARATOR)
"""Between two requests."""


def request_bytes(params_bytes: int, line: int) -> int:
    """Size of one request, its separator not counted."""
    return _REQUEST_FRAME + params_bytes + custom_id_bytes(line)


MARKS = tuple(b',"cache_control":{"type":"ephemeral","ttl":"%b"}' % ttl for ttl in (b"1h", b"5m"))
"""Of the cache, as recipes write them. No text of a row holds these bytes: in JSON each quote of it has a backslash before it."""


def unmarked(params: msgspec.Raw) -> msgspec.Raw:
    """`params`: all of a request's, or one of them."""
    data = bytes(params)
    for mark in MARKS:
        data = data.replace(mark, b"")
    return msgspec.Raw(data)


class BodyWriter:
    """Writes a body, request by request or many at once. `middle`: how many requests its first half has."""

    def __init__(self, out: BinaryIO, prefix: str, middle: int) -> None:
        self._out = out
        self._request = f',{{"custom_id":"{prefix}-%d","params":'.encode()
        self._middle = middle
        self._invalid = 0
        self.requests = 0
        self._second_half: tuple[Line, int, int] | None = None
        self.size = out.write(_OPEN)

    def may_add_all(self, requests: int) -> bool:
        """Whether that many can be added at once: the first has no comma before it, and where the second half begins is noted."""
        return bool(self.requests) and not self.requests <= self._middle < self.requests + requests

    def add_all(self, first_line: int, params: list[msgspec.Raw]) -> None:
        """Adds a request for each of the lines that follow one another."""
        pieces: list[bytes | msgspec.Raw] = []
        for line, value in enumerate(params, first_line):
            pieces += (self._request % line, value, b"}")
        self.size += self._out.write(b"".join(pieces))
        self.requests += len(params)

    def add(self, line: Line, params: msgspec.Raw) -> None:
        self._note_middle(line)
        self.size += self._out.write(b"".join((self._start(line), params, b"}")))
        self.requests += 1

    def add_in_pieces(self, line: Line, params: Iterator[bytes]) -> None:
        """The same for params that are too long to be held. If one of the pieces raises, it is as if nothing was added."""
        before = self._out.tell()
        try:
            self._out.write(self._start(line))
            for piece in params:
                self._out.write(piece)
            self._out.write(b"}")
        except BaseException:
            self._out.seek(before)
            self._out.truncate()
            raise
        self._note_middle(line)
        self.size += self._out.tell() - before
        self.requests += 1

    def _start(self, line: Line) -> bytes:
        start = self._request % line.number
        return start if self.requests else start.removeprefix(_SEPARATOR)

    def _note_middle(self, line: Line) -> None:
        if self.requests and self.requests == self._middle:
            self._second_half = (line, self._invalid, self.size)

    def leave_out(self) -> None:
        """Counts a row that is not sent."""
        self._invalid += 1

    def close(self) -> None:
        self.size += self._out.write(_CLOSE)

    def half(self) -> Half | None:
        """The first half of a closed body, unless it has one request only."""
        if self._second_half is None:
            return None
        line, invalid, first_bytes = self._second_half
        return Half(
            next_line=line.number,
            next_start=line.start,
            requests=self._middle,
            invalid=invalid,
            body_bytes=first_bytes + len(_CLOSE),
            rest_body_bytes=self.size - first_bytes - SEPARATOR_BYTES + len(_OPEN),
        )
