"""`python -m tests.faults [--hours N]`: every fault at every call of small jobs, then random trials; says what came of it.

Exits with 1 after a broken promise, or when anything that can happen did so too seldom to speak of.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from hashlib import blake2b
from itertools import count
from multiprocessing import get_context
from typing import NamedTuple

from tests.faults.matrix import Piece, judge_piece, points
from tests.faults.scenarios import SCENARIOS
from tests.faults.search import KINDS, keeps_every_promise, search
from tests.faults.trial import Result

_PROCESSES = 2
# Pieces of work a scenario is cut into: small enough that both processes end at about the same time.
_PIECES = 40
# How often everything has to come true, and how many rounds of trials around it may pass before it does.
_OFTEN_ENOUGH = 100
_ROUNDS = 12
_TRIALS = 60
_SHOWN = 30
# Shrinking takes a minute or so.
_SHRUNK = 3


class Played(NamedTuple):
    """What one piece of work came to. `distinct`: a number for each run, the same for the same run."""

    kind: str
    chance: int
    distinct: set[bytes]
    fired: Counter[str]
    broken: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--hours", type=float, default=0.0, help="search at least so long (default: until all has come true)")
    hours = parser.parse_args().hours
    began = time.monotonic()
    # A folder of its own: what other processes leave in the usual one is looked through whenever a stage asks for disk.
    with tempfile.TemporaryDirectory() as folder, _pool(folder) as pool:
        every_call = list(_every_call(pool))
        trials = list(_trials(pool, began + hours * 3600))
    broken = _print(every_call, trials)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if broken else 0


def _pool(folder: str) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(_PROCESSES, get_context("spawn"), initializer=_prepare, initargs=(folder,))


def _prepare(folder: str) -> None:
    logging.disable(logging.CRITICAL)
    tempfile.tempdir = folder


# ---------------------------------------------------------------- the runs


def _every_call(pool: ProcessPoolExecutor) -> Iterator[Played]:
    for name, scenario in SCENARIOS.items():
        print(f"{name}: {len(points(scenario))} calls leave the process")
    pieces = [Piece(name, number, _PIECES) for name in SCENARIOS for number in range(_PIECES)]
    yield from pool.map(_play_piece, pieces)


def _play_piece(piece: Piece) -> Played:
    outcomes = judge_piece(piece)
    return Played(
        piece.scenario,
        0,
        {_digest(outcome.run) for outcome in outcomes},
        Counter(f"fault: {outcome.fault}" for outcome in outcomes),
        [f"{outcome.run}\n{'\n'.join(outcome.wrong)}" for outcome in outcomes if outcome.wrong],
    )


def _trials(pool: ProcessPoolExecutor, until: float) -> Iterator[Played]:
    """Rounds of trials around everything that has not yet come true often enough; around everything while time is left."""
    fired: Counter[str] = Counter()
    for number in count():
        left = time.monotonic() < until
        kinds = [kind for kind in KINDS if left or fired[kind] < _OFTEN_ENOUGH]
        if not kinds or (number >= _ROUNDS and not left):
            return
        for future in as_completed([pool.submit(_play_trials, kind, number) for kind in kinds]):
            played = future.result()
            fired += played.fired
            yield played


def _play_trials(kind: str, chance: int) -> Played:
    played = Played(kind, chance, set(), Counter(), [])

    def judge(result: Result) -> None:
        if result.fired:
            played.distinct.add(_digest(repr(result.trial)))
            played.fired.update(result.fired)
        if result.broken:
            played.broken.append("\n".join([repr(result.trial), *result.broken]))

    search(kind, _TRIALS, chance, judge)
    return played


def _digest(run: str) -> bytes:
    return blake2b(run.encode(), digest_size=8).digest()


# ---------------------------------------------------------------- what is said about them


def _print(every_call: list[Played], trials: list[Played]) -> bool:
    fired = sum((one.fired for one in (*every_call, *trials)), Counter[str]())
    for name in sorted(fired.keys() | KINDS.keys()):
        print(f"  {name:60} {fired[name]:6}{'  too seldom' if fired[name] < _OFTEN_ENOUGH else ''}")
    runs = [len(set[bytes]().union(*(one.distinct for one in some))) for some in (every_call, trials)]
    broken = sorted((text for one in (*every_call, *trials) for text in one.broken), key=len)
    for text in broken[:_SHOWN]:
        print(f"BROKEN {text}")
    for one in [one for one in trials if one.broken][:_SHRUNK]:
        print(f"THE LEAST OF ITS KIND {_shrunk(one)}")
    print(f"{runs[0]} runs with one fault, {runs[1]} random ones: {len(broken)} broke a promise")
    return bool(broken) or any(fired[name] < _OFTEN_ENOUGH for name in KINDS)


def _shrunk(played: Played) -> str:
    try:
        search(played.kind, _TRIALS, played.chance, keeps_every_promise)
    except AssertionError as error:
        return str(error)
    return "not found again"


if __name__ == "__main__":
    sys.exit(main())
