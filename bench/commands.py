"""How long the command line takes to be there: `python -m bench.commands` prints it beside an interpreter that does nothing.

The target is 0.15 s. On a machine that does other work the ratios say more than the seconds. Modules are compiled before, as an
installation has them: otherwise the compiler is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

TARGET_SECONDS = 0.15
_TIMES = 15
_SUBJECTS = {
    "nothing": ["-c", "pass"],
    "import click": ["-c", "import click"],
    "batchdrop --help": ["-m", "batchdrop_cli", "--help"],
    "batchdrop status --help": ["-m", "batchdrop_cli", "status", "--help"],
    "batchdrop --version": ["-m", "batchdrop_cli", "--version"],
}


class Start(NamedTuple):
    """Seconds: the shortest of each, which what else the machine does has disturbed least."""

    wall: float
    processor: float


def measure() -> dict[str, Start]:
    """The subjects take turns, so that what else the machine does meets all of them."""
    taken: dict[str, list[Start]] = {name: [] for name in _SUBJECTS}
    with tempfile.TemporaryDirectory() as compiled:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = compiled
        for turn in range(_TIMES + 1):
            for name, arguments in _SUBJECTS.items():
                start = _started(arguments, environment)
                if turn:
                    taken[name].append(start)
    return {name: Start(*map(min, zip(*starts, strict=True))) for name, starts in taken.items()}


def _started(arguments: list[str], environment: dict[str, str]) -> Start:
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return Start(time.perf_counter() - began, used.ru_utime + used.ru_stime)


def main() -> None:
    found = measure()
    nothing = found["nothing"]
    for name, start in found.items():
        met = "met" if start.wall < TARGET_SECONDS else "missed"
        target = f", target below {TARGET_SECONDS} s: {met}" if name.startswith("batchdrop") else ""
        ratio = f"{start.processor / nothing.processor:.1f} times nothing"
        print(f"{name:<24} {start.wall:.3f} s, {start.processor:.3f} s of processor, {ratio}{target}")


if __name__ == "__main__":
    main()
