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
    "folder started": 211,
    "rows": 211,
    "waiting": 307,
    "lines": 127,
    "overdue": 211,
    "sent once": 127,
    "sent once, tried": 307,
    "warmed up": 307,
    "warmed up, tried": 409,
    # But for the deletion it is the mixed one.
    "deleted": 409,
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


def test_a_deletion_that_fails_or_is_killed_at_any_call_is_made_later() -> None:
    found = list(runs(SCENARIOS["deleted"]))
    deletes = [run.call for run in found if run.name == "claude.delete"]
    # From the list of the batches to the folder that goes last.
    calls = range(deletes[0] - 1, deletes[-1] + 3)
    chosen = [run for run in found if run.call in calls and (run.call == deletes[0] or run.fault.name.startswith("killed"))]
    assert {run.name for run in chosen} == {"ledger.list_batches", "claude.delete", "objects.remove_all"}
    assert {str(run): wrong for run in chosen if (wrong := judge(run))} == {}


def test_the_points_come_from_the_run_itself() -> None:
    """Every kind of call that the fakes know, and the same ones each time."""
    found = points(MIXED)
    assert found == points(MIXED)
    fakes = {name.split(".")[0] for name in found}
    assert fakes == {"objects", "ledger", "queues", "claude", "switch", "notices", "events", "metrics"}
