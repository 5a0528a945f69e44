"""A part of the matrix in every test run: all faults, at calls spread over every scenario. `make faults` runs the rest."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.faults.matrix import Run, judge, points, runs
from tests.faults.scenarios import MIXED, SCENARIOS

# A prime: it visits every fault and every part of a scenario.
_STRIDE = 61
# Of those with thousands of calls.
_STRIDES = {
    "files": 211,
    "files go": 211,
    "rows": 211,
    "waiting": 307,
    "lines": 127,
    "overdue": 211,
    "sent once": 127,
    "sent once, tried": 307,
    "warmed up": 307,
    "warmed up, tried": 409,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_part_of_the_matrix(name: str) -> None:
    wrong = {
        str(run): found for run in islice(runs(SCENARIOS[name]), 0, None, _STRIDES.get(name, _STRIDE)) if (found := judge(run))
    }
    assert wrong == {}


def creates() -> list[Run]:
    first = points(MIXED).index("claude.create")
    return [run for run in runs(MIXED) if run.call == first]


@pytest.mark.parametrize("run", creates(), ids=lambda run: run.fault.name)
def test_every_fault_of_a_create(run: Run) -> None:
    assert judge(run) == []


def test_the_points_come_from_the_run_itself() -> None:
    """Every kind of call that the fakes know, and the same ones each time."""
    found = points(MIXED)
    assert found == points(MIXED)
    fakes = {name.split(".")[0] for name in found}
    assert fakes == {"objects", "ledger", "queues", "claude", "switch", "notices", "metrics"}
