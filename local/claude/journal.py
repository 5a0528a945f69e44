"""What was called: one entry per call, in order of arrival, without any text of a prompt, an answer or a key."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import IO, Literal

import msgspec
from msgspec import Struct

from local.claude.clock import Clock, rfc3339

type Outcome = Literal["open", "answered", "dropped", "cut", "disconnected", "failed"]


class Entry(Struct, kw_only=True):
    """One call.

    ``version`` and ``betas`` are the headers ``anthropic-version`` and ``anthropic-beta``.
    ``at`` is the emulated time of arrival, ``real`` the real one in seconds since 1970, ``seconds`` how long the call took
    (real). ``accepted`` says of a create call whether a batch came of it. ``outcome``: answered, dropped (no answer was
    sent), cut (an answer was sent in part), disconnected (the caller left), failed (a fault of the emulator itself), open
    while it lasts.
    """

    n: int
    at: str
    real: float
    route: str
    method: str
    path: str
    query: str
    workspace: str | None = None
    version: str | None = None
    betas: list[str] = []
    request_id: str
    status: int | None = None
    error: str | None = None
    batch_id: str | None = None
    requests: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    fault: str | None = None
    accepted: bool | None = None
    outcome: Outcome = "open"
    seconds: float = 0.0


class Journal:
    """The entries since the start or the last reset; with a file, closed entries are appended to it as JSON lines."""

    def __init__(self, clock: Clock, file: Path | None) -> None:
        self._clock = clock
        self._file: IO[bytes] | None = file.open("ab", buffering=0) if file else None
        self.entries: list[Entry] = []

    def open(self, *, route: str, method: str, path: str, query: str, request_id: str) -> Entry:
        """Begins the entry of a call that has just arrived."""
        entry = Entry(
            n=len(self.entries) + 1,
            at=rfc3339(self._clock.now()),
            real=time.time(),
            route=route,
            method=method,
            path=path,
            query=query,
            request_id=request_id,
        )
        self.entries.append(entry)
        return entry

    def close(self, entry: Entry) -> None:
        """Ends an entry whose call is over."""
        entry.seconds = round(time.time() - entry.real, 6)
        if self._file:
            self._file.write(msgspec.json.encode(entry) + b"\n")

    def counters(self) -> dict[str, dict[str, int | list[str]]]:
        """Per route: how many calls, and the emulated time of each."""
        times: dict[str, list[str]] = defaultdict(list)
        for entry in self.entries:
            times[entry.route].append(entry.at)
        return {route: {"count": len(at), "times": list(at)} for route, at in times.items()}

    def clear(self) -> None:
        """Forgets every entry; the file keeps them."""
        self.entries = []

    def end(self) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()
