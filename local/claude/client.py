"""Starting the emulator from a test or a script, and controlling it.

The emulator runs as a process of its own, so that its cost is not measured as its caller's. This side needs only the standard
library.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_READY = "Claude emulator on "
_PATIENCE_SECONDS = 60
_LONGEST_CALL_SECONDS = 300


class ControlError(Exception):
    """The emulator did not accept an order; the message says why."""


class Control:
    """The controls of a running emulator (``/_emulator``). Every method raises ControlError for a refused order."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._address = urllib.parse.urlsplit(base_url).netloc

    def _call(self, method: str, path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(self._address, timeout=_LONGEST_CALL_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, f"/_emulator{path}", data)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise ControlError(content.decode(errors="replace"))
        return content

    def _json(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._call(method, path, body))
        return answer

    def now(self) -> float:
        """The emulated time in seconds since 1970."""
        return float(self._json("GET", "/clock")["epoch"])

    def advance(self, seconds: float) -> float:
        """Moves the clock forward; what is due by then has ended when this returns. Returns the new time."""
        return float(self._json("POST", "/clock", {"advance": seconds})["epoch"])

    def speed(self, speed: float) -> None:
        """Sets how many emulated seconds pass in a real one; 0 stops the clock."""
        self._json("POST", "/clock", {"speed": speed})

    def settings(self, **changes: object) -> dict[str, Any]:
        """Changes settings (see options.Settings) and returns all of them."""
        return self._json("POST", "/settings", changes)

    def fault(self, kind: str, route: str = "*", **fields: object) -> None:
        """Orders one fault (see faults.Fault for the fields)."""
        self._json("POST", "/faults", {"kind": kind, "route": route, **fields})

    def faults(self) -> list[dict[str, Any]]:
        """The faults ordered since the last clear, and how often each has happened."""
        answer: list[dict[str, Any]] = self._json("GET", "/faults")["faults"]
        return answer

    def clear_faults(self) -> None:
        """Removes all faults."""
        self._json("DELETE", "/faults")

    def log(self, route: str | None = None) -> list[dict[str, Any]]:
        """The journal since the last reset, of one route or of all."""
        query = f"?{urllib.parse.urlencode({'route': route})}" if route else ""
        return [json.loads(line) for line in self._call("GET", f"/log{query}").splitlines()]

    def count(self, route: str) -> int:
        """How many calls this route has had since the last reset."""
        return int(self._json("GET", "/counters")["routes"].get(route, {"count": 0})["count"])

    def batches(self) -> list[dict[str, Any]]:
        """Every accepted batch of every workspace, oldest first."""
        answer: list[dict[str, Any]] = self._json("GET", "/batches")["batches"]
        return answer

    def body(self, batch_id: str) -> bytes:
        """The body a batch was created with, byte for byte."""
        return self._call("GET", f"/batches/{batch_id}/body")

    def results(self, batch_id: str) -> bytes:
        """All results of a batch, whatever faults do to what the API shows; nothing before it has ended."""
        return self._call("GET", f"/batches/{batch_id}/results")

    def reset(self) -> None:
        """Forgets batches, faults, journal and limits; clock and settings stay."""
        self._json("POST", "/reset")


@contextlib.contextmanager
def start(*arguments: str, python: str = sys.executable) -> Iterator[Control]:
    """Runs an emulator with these command line arguments on a free port and gives its controls; ends it at the end.

    ``python`` is an interpreter that has starlette, uvicorn, httptools and msgspec. Raises RuntimeError if it does not
    start; the reason is on its own error output.
    """
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [python, "-m", "local.claude", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    with process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line.startswith(_READY):
                raise RuntimeError(f"the Claude emulator did not start: {line!r}")
            yield Control(line.removeprefix(_READY).strip())
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
