"""How long the command line takes to be there: `python -m bench.commands` prints it beside an interpreter that does nothing.

The target is 0.15 s. On a machine that does other work the ratio says more than the seconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

TARGET_SECONDS = 0.15
_TIMES = 15
_SUBJECTS = {
    "nothing": ["-c", "pass"],
    "batchdrop --version": ["-m", "batchdrop_cli", "--version"],
    "batchdrop --help": ["-m", "batchdrop_cli", "--help"],
}


def measure() -> dict[str, float]:
    """Median seconds. The subjects take turns, so that what else the machine does meets all of them."""
    taken: dict[str, list[float]] = {name: [] for name in _SUBJECTS}
    for _ in range(_TIMES):
        for name, arguments in _SUBJECTS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    found = measure()
    for name, seconds in found.items():
        met = "" if name == "nothing" else f", target below {TARGET_SECONDS} s: {'met' if seconds < TARGET_SECONDS else 'missed'}"
        print(f"{name:<20} {seconds:.3f} s  {seconds / found['nothing']:.1f} times nothing{met}")


if __name__ == "__main__":
    main()
