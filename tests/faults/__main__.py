"""`python -m tests.faults [--hours N]`: every fault at every call of small jobs, then random trials; says what came of it.

Exits with 1 after a broken promise, or when anything that can happen did so too seldom to speak of.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter

from tests.faults.campaign import OFTEN_ENOUGH, Played, every_call, pool, random_trials, shrunk
from tests.faults.matrix import points
from tests.faults.scenarios import SCENARIOS
from tests.faults.search import KINDS

_SHOWN = 30
# Shrinking takes a minute or so.
_SHRUNK = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--hours", type=float, default=0.0, help="search for so long (default: until all has come true)")
    hours = parser.parse_args().hours
    began = time.monotonic()
    logging.disable(logging.CRITICAL)
    for name, scenario in SCENARIOS.items():
        print(f"{name}: {len(points(scenario))} calls leave the process", flush=True)
    with pool() as processes:
        single = list(every_call(processes))
        random = list(random_trials(processes, began + hours * 3600))
    wrong = _print(single, random)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if wrong else 0


def _print(single: list[Played], random: list[Played]) -> bool:
    fired = sum((played.fired for played in (*single, *random)), Counter[str]())
    seldom = [name for name in KINDS if fired[name] < OFTEN_ENOUGH]
    broken = sorted((text for played in (*single, *random) for text in played.broken), key=len)
    for name in sorted(fired):
        print(f"  {name:60} {fired[name]:6}")
    for name in seldom:
        print(f"TOO SELDOM {name}")
    for text in broken[:_SHOWN]:
        print(f"BROKEN {text}")
    for played in [played for played in random if played.broken][:_SHRUNK]:
        print(f"THE LEAST THAT BREAKS IT {shrunk(played)}")
    runs = f"{_distinct(single)} runs with one fault, {_distinct(random)} random trials, no two the same"
    print(f"{runs}: {len(broken)} broke a promise")
    return bool(broken or seldom)


def _distinct(some: list[Played]) -> int:
    return len(set[bytes]().union(*(played.distinct for played in some)))


if __name__ == "__main__":
    sys.exit(main())
