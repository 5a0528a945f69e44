"""Background processes of this checkout: started with a log, remembered by pid, and ended only by pid."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.errors import CannotRun
from local.paths import HOME, LOGS, ROOT

_ENDING_SECONDS = 10.0
_STARTING_SECONDS = 30.0
# interpreter, option, script or module: what is the same at every start
_PROGRAM = 3


def clean_environment() -> dict[str, str]:
    """This environment without what points at AWS or Claude: an emulator passes its own environment on to the functions."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ANTHROPIC_", "BATCHDROP_", "SAM_"))}
    without_proxy = ",".join(filter(None, (mine.get("NO_PROXY"), "127.0.0.1,localhost")))
    return {**mine, "NO_PROXY": without_proxy, "no_proxy": without_proxy}


def free_port(wanted: int = 0) -> int:
    """`wanted` if nothing listens there, otherwise any free port of the loopback interface."""
    for port in (wanted, 0):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return int(listener.getsockname()[1])
    raise CannotRun("No port of 127.0.0.1 is free.")


class Process:
    """One background process, known by name across runs through its pid file.

    A pid can be used again after a reboot: a process counts as ours only if it runs the same program, which is a path of this
    checkout.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = LOGS / f"{name}.log"
        self._pid_file = HOME / f"{name}.pid"

    def start(self, environment: Mapping[str, str]) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                self.command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._pid_file.write_text(f"{process.pid}\n")

    def running(self) -> bool:
        return self._pid() is not None

    def stop(self) -> None:
        """Ends the process and what it started: it leads a group of its own. No error if it is already gone."""
        pid = self._pid()
        if pid is not None:
            _signal_group(pid, signal.SIGTERM)
            if not _wait(lambda: self._pid() is None, _ENDING_SECONDS):
                _signal_group(pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)

    def wait_until_serving(self, url: str) -> None:
        """Raises CannotRun with the end of the log when the process ends or stays silent."""
        if not _wait(lambda: not self.running() or _answers(url), _STARTING_SECONDS) or not self.running():
            raise CannotRun(f"{self.name} did not start. The end of {self.log}:\n{_tail(self.log)}")

    def _pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            listed = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
            shown = subprocess.run(listed, capture_output=True, text=True, check=False).stdout
            if all(part in shown for part in self.command[:_PROGRAM]):
                return pid
        return None


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
