"""`python -m tests.faults [--all] [scenario ...]`: runs the matrix and says what came of it. Exits with 1 after a broken promise.

Without `--all` it takes every seventh run, which takes half a minute on two cores; with it all of them.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.faults.matrix import Outcome, Piece, judge_piece, points
from tests.faults.scenarios import SCENARIOS

_STRIDE = 7
_PROCESSES = 2
# Pieces of work a scenario is cut into: small enough that both processes end at about the same time.
_PIECES = 8
_SHOWN = 30


def main() -> int:
    asked = _arguments()
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    names = asked.scenarios or list(SCENARIOS)
    for name in names:
        print(f"{name}: {len(points(SCENARIOS[name]))} calls leave the process")
    outcomes = list(_run(names, 1 if asked.all else _STRIDE))
    _print(outcomes)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--all", action="store_true", help="every fault at every call")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"of {', '.join(SCENARIOS)}; default: all")
    asked = parser.parse_args()
    unknown = set(asked.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    return asked


def _run(names: list[str], stride: int) -> Iterator[Outcome]:
    pieces = [Piece(name, number * stride, stride * _PIECES) for name in names for number in range(_PIECES)]
    with ProcessPoolExecutor(_PROCESSES, get_context("spawn")) as pool:
        for outcomes in pool.map(judge_piece, pieces):
            yield from outcomes


def _print(outcomes: list[Outcome]) -> None:
    kept = Counter(outcome.fault for outcome in outcomes if not outcome.wrong)
    broken = Counter(outcome.fault for outcome in outcomes if outcome.wrong)
    for name in sorted(kept | broken):
        print(f"  {name:26} {kept[name]:5} kept {broken[name]:5} broken")
    for outcome in [outcome for outcome in outcomes if outcome.wrong][:_SHOWN]:
        print(f"BROKEN {outcome.run}: {'; '.join(outcome.wrong[:3])}")
    print(f"{len(outcomes)} runs: {kept.total()} kept every promise, {broken.total()} did not")


if __name__ == "__main__":
    sys.exit(main())
