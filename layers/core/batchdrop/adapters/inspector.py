"""Looks at files that users name, in a process that has nothing to lose: no credentials, little memory, and not much time."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import msgspec

from batchdrop.domain.file_facts import UNREADABLE, FileFacts

_SECONDS = 20.0
"""For one file. A PDF of 600 pages takes some milliseconds, and the first file the start of the process."""
_PROGRAM = "batchdrop.formats.file_look"
# What Python needs to start, in Lambda and elsewhere. Nothing of the function's own.
_PASSED_ON = ("LD_LIBRARY_PATH", "LANG", "PATH", "SYSTEMROOT", "TMPDIR")

_facts = msgspec.json.Decoder(FileFacts).decode


class ChildInspector:
    """Keeps its process for the next file. One that ends, or takes too long, is replaced: its file is unreadable."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, path: Path) -> FileFacts:
        process = self._process = self._process or self._started()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process has no pipes")
        try:
            process.stdin.write(f"{path}\n".encode())
            process.stdin.flush()
        except BrokenPipeError:
            self.close()
            return UNREADABLE
        ready, _, _ = select.select([process.stdout], [], [], self._seconds)
        line = process.stdout.readline() if ready else b""
        if not line.endswith(b"\n"):
            self.close()
            return UNREADABLE
        return _facts(line)

    def close(self) -> None:
        """Ends the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:
                pass

    @staticmethod
    def _started() -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
