"""`python -m tests.faults [scenario ...]`: runs the matrix and says what came of it. Exits with 1 after a broken promise."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter

from tests.faults.matrix import judge, outputs, play, runs
from tests.faults.scenarios import SCENARIOS, Scenario

_SHOWN = 30


def main(wanted: list[str]) -> int:
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    total: Counter[str] = Counter()
    broken: list[str] = []
    for scenario in SCENARIOS:
        if not wanted or scenario.name in wanted:
            _play(scenario, total, broken)
    for sentence in broken[:_SHOWN]:
        print("BROKEN", sentence)
    runs_made = total.total()
    print(f"{runs_made} runs, {runs_made - len(broken)} kept every promise, {len(broken)} did not")
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if broken else 0


def _play(scenario: Scenario, total: Counter[str], broken: list[str]) -> None:
    stack = scenario.build()
    play(scenario, stack)
    expected = outputs(stack)
    good: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for run in runs(scenario):
        wrong = judge(run, expected)
        (bad if wrong else good)[run.fault.name] += 1
        total[scenario.name] += 1
        broken += [f"{run}: {'; '.join(wrong[:3])}"] if wrong else []
    print(f"{scenario.name}: {len(stack.hooks.calls)} calls leave the process")
    for name in sorted(good | bad):
        print(f"  {name:28} {good[name]:5} well {bad[name]:5} not")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
