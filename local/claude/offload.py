"""Where a job runs: here if it is small, in a worker process if it would keep the server from answering."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec

from local.claude import worker
from local.claude.errors import ApiError
from local.claude.intake import Intake
from local.claude.rendering import Order, Rendered

_SMALL = 1 << 18  # bytes of body that are worked on in place: a few milliseconds at most
_LONGEST_REPLY = 1 << 28
_ROOT = Path(__file__).resolve().parents[2]


class _Worker:
    """One worker process, started at its first job and again if it dies; its jobs wait for one another."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._lock = asyncio.Lock()

    async def perform(self, job: worker.Job) -> worker.Outcome:
        async with self._lock:
            if self._process is None or self._process.returncode is not None:
                self._process = await self._start()
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(msgspec.json.encode(job) + b"\n")
            await stdin.drain()
            line = await stdout.readline()
            if not line:
                self._process = None
                raise RuntimeError("a worker of the emulator died; its message is above")
            return worker.OUTCOMES.decode(line)

    async def _start(self) -> Process:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            worker.__name__,
            stdin=PIPE,
            stdout=PIPE,
            limit=_LONGEST_REPLY,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # an interrupt at the terminal ends the server, and the worker follows from that
        )

    async def warm(self) -> None:
        """Starts the process before it is needed."""
        async with self._lock:
            if self._process is None:
                self._process = await self._start()

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # whatever it was writing is about to be removed with the spool
            await self._process.wait()


class Offload:
    """Runs jobs. Reading bodies and writing results have a worker each, so that a create call never waits for results."""

    def __init__(self) -> None:
        self._readers = _Worker()
        self._writers = _Worker()

    async def examine(self, path: Path, size: int) -> Intake:
        """Checks the form of a body of ``size`` bytes. Raises ApiError."""
        outcome = await self._perform(worker.Examine(str(path)), self._readers, size)
        if isinstance(outcome, worker.Refused):
            raise ApiError(outcome.status, outcome.message)
        assert isinstance(outcome, worker.Examined)
        return outcome.intake

    async def render(self, order: Order, size: int) -> Rendered:
        """Writes the results of a batch whose body and answers are about ``size`` bytes."""
        outcome = await self._perform(worker.Render(order), self._writers, size)
        assert isinstance(outcome, worker.Done)
        return outcome.rendered

    @staticmethod
    async def _perform(job: worker.Job, process: _Worker, size: int) -> worker.Outcome:
        return worker.perform(job) if size <= _SMALL else await process.perform(job)

    async def warm(self) -> None:
        """Starts both workers."""
        await asyncio.gather(self._readers.warm(), self._writers.warm())

    async def close(self) -> None:
        """Ends both workers."""
        await asyncio.gather(self._readers.close(), self._writers.close())
