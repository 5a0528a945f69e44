"""Thousands of runs on two processes: one fault at every call of the scenarios, and random trials."""

from __future__ import annotations

import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from hashlib import blake2b
from itertools import count
from multiprocessing import get_context
from typing import NamedTuple

from tests.faults.matrix import Piece, judge_piece
from tests.faults.scenarios import SCENARIOS
from tests.faults.search import KINDS, keeps_every_promise, search
from tests.faults.trial import Result

OFTEN_ENOUGH = 100
"""How often everything has to come true."""
_ROUNDS = 12
_TRIALS = 60
_PROCESSES = 2
# Pieces of work a scenario is cut into: small enough that both processes end at about the same time.
_PIECES = 40


class Played(NamedTuple):
    """What one piece of work came to. `distinct`: a number for each run, the same for the same run."""

    name: str
    chance: int
    distinct: set[bytes]
    fired: Counter[str]
    broken: list[str]


@contextmanager
def pool() -> Iterator[ProcessPoolExecutor]:
    """Its processes have a folder of their own for scratch: in the usual one they would look through what others leave there."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(_PROCESSES, get_context("spawn"), initializer=_prepare, initargs=(folder,)) as processes,
    ):
        yield processes


def _prepare(folder: str) -> None:
    logging.disable(logging.CRITICAL)
    tempfile.tempdir = folder


def every_call(processes: ProcessPoolExecutor) -> Iterator[Played]:
    pieces = [Piece(name, number, _PIECES) for name in SCENARIOS for number in range(_PIECES)]
    yield from processes.map(_play_piece, pieces)


def random_trials(processes: ProcessPoolExecutor, until: float) -> Iterator[Played]:
    """Rounds of trials around what has not yet come true often enough; around everything while time is left."""
    fired: Counter[str] = Counter()
    for number in count():
        left = time.monotonic() < until
        kinds = [kind for kind in KINDS if left or fired[kind] < OFTEN_ENOUGH]
        if not kinds or (number >= _ROUNDS and not left):
            return
        for future in as_completed([processes.submit(_play_trials, kind, number) for kind in kinds]):
            played = future.result()
            fired += played.fired
            yield played


def shrunk(played: Played) -> str:
    """The least trial of that piece of work that breaks a promise, and how."""
    try:
        search(played.name, _TRIALS, played.chance, keeps_every_promise)
    except AssertionError as error:
        return str(error)
    return "not found again"


def _play_piece(piece: Piece) -> Played:
    outcomes = judge_piece(piece)
    return Played(
        piece.scenario,
        0,
        {_digest(outcome.run) for outcome in outcomes},
        Counter(f"fault: {outcome.fault}" for outcome in outcomes),
        [f"{outcome.run}\n{'\n'.join(outcome.wrong)}" for outcome in outcomes if outcome.wrong],
    )


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
