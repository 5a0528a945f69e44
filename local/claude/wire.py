"""Requests and answers on the wire: reading a body to disk, sending a file, breaking a connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_CHUNK = 1 << 20
_CONNECTION = "connection"


class CallerLeft(Exception):
    """The caller closed the connection before the request was whole."""


class Connection:
    """The TCP connection of a call, for faults below HTTP."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    @property
    def closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Closes at once; what was not sent yet is lost and the caller sees a reset or an end."""
        self._transport.abort()

    def hang_up(self) -> None:
        """Closes after what was already written has been sent."""
        self._transport.close()


class Protocol(HttpToolsProtocol):
    """The HTTP protocol of the server; it hands every call its connection."""

    def on_message_begin(self) -> None:
        """Called by the parser at the start of a request."""
        super().on_message_begin()
        self.scope.setdefault("state", {})[_CONNECTION] = Connection(self.transport)


def connection_of(scope: Scope) -> Connection:
    """The connection a call came in on."""
    connection: Connection = scope["state"][_CONNECTION]
    return connection


class Span(Struct, frozen=True):
    """A part of a file, from ``start`` up to ``end``, in bytes."""

    start: int
    end: int


class FileBody(Struct, frozen=True):
    """A body that is parts of a file, one after the other."""

    path: Path
    spans: list[Span]


class Reply(Struct, kw_only=True):
    """An answer: status, headers and a body from memory or disk.

    With ``broken_off`` (bytes) the body ends there and so does the connection; a ``framed`` body announces its length.
    """

    status: int = 200
    media_type: str = "application/json"
    headers: dict[str, str] = {}
    body: bytes | FileBody = b""
    broken_off: int | None = None
    framed: bool = True


async def receive_body(receive: Receive) -> AsyncIterator[bytes]:
    """The chunks of a request's body. Raises CallerLeft if it breaks off."""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise CallerLeft
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def receive_whole(receive: Receive, limit: int, too_large: Callable[[], Exception]) -> bytes:
    """A body in memory; over ``limit`` bytes the rest is read and thrown away, and what ``too_large`` makes is raised."""
    chunks, size = [], 0
    async for chunk in receive_body(receive):
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
    if size > limit:
        raise too_large()
    return b"".join(chunks)


async def spool_body(receive: Receive, path: Path, limit: int, count: Callable[[int], None]) -> int:
    """Writes a body to a file while it arrives and returns its size, which is more than ``limit`` when it is too large.

    ``count`` is called with the bytes received so far. What is over the limit is read to its end, so that the caller gets
    to the answer, but not kept.
    """
    size = 0
    with path.open("wb", buffering=0) as file:
        async for chunk in receive_body(receive):
            size += len(chunk)
            count(size)
            if size <= limit:
                file.write(chunk)
    return size


async def discard_body(receive: Receive) -> int:
    """Reads a body to its end and returns its size."""
    size = 0
    async for chunk in receive_body(receive):
        size += len(chunk)
    return size


async def send_reply(reply: Reply, headers: Mapping[str, str], scope: Scope, send: Send) -> int:
    """Sends an answer and returns how many bytes of body went out."""
    connection = connection_of(scope)
    length = _length(reply.body)
    fields = {"content-type": reply.media_type, **reply.headers, **headers}
    if reply.framed:
        fields["content-length"] = str(length)
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in fields.items()],
        }
    )
    sent, limit = 0, length if reply.broken_off is None else reply.broken_off
    for chunk in _chunks(reply.body):
        if sent >= limit or connection.closing:
            break
        part = chunk[: limit - sent]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        sent += len(part)
    if reply.broken_off is not None:
        connection.hang_up()
    else:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return sent


async def leave(scope: Scope, receive: Receive, *, at_once: bool) -> None:
    """Closes the connection of a call without an answer and waits until the server has noticed."""
    connection = connection_of(scope)
    if at_once:
        connection.abort()
    else:
        connection.hang_up()
    while (await receive())["type"] != "http.disconnect":
        pass  # the rest of a body that is not needed


def _length(body: bytes | FileBody) -> int:
    return len(body) if isinstance(body, bytes) else sum(span.end - span.start for span in body.spans)


def _chunks(body: bytes | FileBody) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    with body.path.open("rb", buffering=0) as file:
        for span in body.spans:
            place = span.start
            while place < span.end:
                # Read here and not in a thread: the file has just been written, its pages are in memory.
                chunk = os.pread(file.fileno(), min(_CHUNK, span.end - place), place)
                if not chunk:
                    return
                place += len(chunk)
                yield chunk
