"""Real processes, killed at exact moments; `make faults` kills ten times as many."""

from __future__ import annotations

from tests.e2e.laptop import Laptop
from tests.faults.kills import MOMENTS, Run

_CHOSEN = {
    "the POST is on its way",
    "the POST is accepted, unanswered",
    "an end is seen, not recorded",
    "half of the results have come",
}


def test_killed_processes_cost_nothing_but_time(second: Laptop) -> None:
    chosen = [moment for moment in MOMENTS if moment.name in _CHOSEN]
    run = Run(second, chosen)
    with second.ticking():
        run.play(files=3, wide=False)
    assert run.killer.left() == []
    assert len(run.killer.kills) == len(_CHOSEN)
    assert run.findings() == {}
