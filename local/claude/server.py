"""The server: the application with all its parts, and its life from the ready line to the last file removed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from local.claude import api, control
from local.claude.batches import Batches
from local.claude.calls import Emulator
from local.claude.clock import Clock
from local.claude.faults import Faults
from local.claude.identifiers import Identifiers
from local.claude.journal import Journal
from local.claude.limits import RequestRate
from local.claude.offload import Offload
from local.claude.options import Options
from local.claude.wire import Protocol

READY = "Claude emulator on "
# Longer than any client keeps a connection for later: one that the server closes just when a client uses it again would
# look like a lost request, and losing requests is for the faults.
_KEEP_ALIVE_SECONDS = 600
_GRACE_SECONDS = 1
_BACKLOG = 2048


def application(options: Options, spool: Path) -> Starlette:
    """The emulator as an ASGI application that keeps its files in ``spool``."""
    clock = Clock(0.0 if options.clock == "manual" else options.speed, options.clock_offset)
    identifiers, offload = Identifiers(options.seed), Offload()
    emulator = Emulator(
        settings=options.settings,
        keys=options.keys,
        workspaces=options.workspaces,
        clock=clock,
        identifiers=identifiers,
        offload=offload,
        batches=Batches(clock, options.settings, offload, identifiers, spool),
        faults=Faults(),
        journal=Journal(clock, options.journal),
        rate=RequestRate(),
        spool=spool,
        late=set(),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(emulator.batches.run()), asyncio.create_task(offload.warm())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await offload.close()
        emulator.journal.end()

    return Starlette(routes=[*api.routes(emulator), *control.routes(emulator)], lifespan=lifespan)


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            host, port = listening.getsockname()[:2]
            print(f"{READY}http://{host}:{port}", flush=True)


def serve(options: Options) -> None:
    """Serves until the process is told to end (SIGTERM or an interrupt), then removes every file it made."""
    if options.spool is not None:
        options.spool.mkdir(parents=True, exist_ok=True)
    with (
        socket.create_server((options.host, options.port), backlog=_BACKLOG) as listening,
        tempfile.TemporaryDirectory(prefix="claude-emulator-", dir=options.spool, ignore_cleanup_errors=True) as spool,
        _ended_by_signals(),
    ):
        # Connections inherit this. Without it an answer waits 40 ms for the acknowledgement of its own headers.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            application(options, Path(spool)),
            http=Protocol,
            ws="none",
            lifespan="on",
            access_log=False,
            log_level="error",
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        _Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Lets the program end in order: the server sends itself the signal again once it is done, which would kill it."""

    def ignore(number: int, frame: FrameType | None) -> None:
        pass

    before = {number: signal.signal(number, ignore) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
