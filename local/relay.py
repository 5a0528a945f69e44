"""`python -m local.relay ADDRESS`: lets containers reach the laptop system, which listens on the loopback interface only.

Relays the ports of `AWS_ENDPOINT_URL` and `ANTHROPIC_BASE_URL` on one more address of this machine, such as Docker's bridge.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from urllib.parse import urlsplit

_LOOPBACK = "127.0.0.1"
_CHUNK = 65_536


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


async def relay(address: str, ports: list[int]) -> None:
    """Serves until it is interrupted."""
    servers = [await asyncio.start_server(partial(_connect, port), address, port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> None:
    ports = [port for name in ("AWS_ENDPOINT_URL", "ANTHROPIC_BASE_URL") if (port := urlsplit(os.environ.get(name, "")).port)]
    if len(sys.argv) != 2 or not ports:
        sys.exit("usage: python -m local.relay ADDRESS, with the environment that `make up` prints")
    try:
        asyncio.run(relay(sys.argv[1], ports))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
