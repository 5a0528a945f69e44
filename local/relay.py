"""`python -m local.relay ADDRESS PORT...`: passes on to the same ports of the loopback interface what arrives at another address.

On Linux, containers have a network of their own, whose loopback is not this machine's: they reach this machine at its bridge.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from functools import partial

from local.processes import Process

_LOOPBACK = "127.0.0.1"
_CHUNK = 65_536
# Of Linux's <netinet/in.h>: an engine may set its bridge up with the first container, after this has started.
_IP_FREEBIND = 15


def process(address: str = "", ports: Sequence[int] = ()) -> Process:
    return Process("relay", [sys.executable, "-m", "local.relay", address, *map(str, ports)])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _connect(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    inner, outer = await asyncio.open_connection(_LOOPBACK, port)
    await asyncio.gather(_copy(reader, outer), _copy(inner, writer), return_exceptions=True)


def _listener(address: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    listener.bind((address, port))
    return listener


async def relay(address: str, ports: list[int]) -> None:
    """Serves until it is ended."""
    servers = [await asyncio.start_server(partial(_connect, port), sock=_listener(address, port)) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(relay(sys.argv[1], [int(port) for port in sys.argv[2:]]))
