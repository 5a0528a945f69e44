"""A load that is a twentieth of that of docs/scale.md, so that what the page says of all of it does not rot."""

from __future__ import annotations

import pytest

from tests.scale.figures import PAGE, TICK, WRITES_A_SECOND, simulated, stored, written
from tests.scale.load import FULL, SMALL


def test_the_page_shows_the_figures_of_the_last_run() -> None:
    assert written(PAGE.read_text(), stored()) == PAGE.read_text()


def test_the_room_at_the_api_is_the_first_limit_and_is_used_up_to_a_twentieth() -> None:
    whole, crowd = stored().whole, stored().crowd
    assert (whole.jobs, whole.rows, whole.refused) == (FULL.jobs, FULL.rows, 0)
    assert max(whole.shares, key=lambda name: whole.shares[name]) == "the room at the API"
    assert 0 <= whole.beyond <= 0.05
    assert whole.unequal < 1.1
    assert max(whole.writes.values()) < WRITES_A_SECOND / 2
    assert max(whole.slowest_tick, crowd) < TICK


def test_a_small_load_takes_as_long_as_in_the_last_run() -> None:
    """Else the figures are out of date, and `make scale` writes them anew; or something has become slower."""
    found, before = simulated(SMALL), stored().part
    assert (found.jobs, found.rows, found.refused) == (SMALL.jobs, SMALL.rows, 0)
    assert found.most_queued == before.most_queued
    assert found.hours == pytest.approx(before.hours, rel=0.05)
    assert found.used == pytest.approx(before.used, rel=0.02)
    assert found.unequal == pytest.approx(before.unequal, rel=0.1)
    assert found.bound_hours == pytest.approx(before.bound_hours, rel=0.05)
    assert found.slowest_tick == pytest.approx(before.slowest_tick, rel=0.25)
    # A tick removes all marks that it has shown, one transaction after the other.
    assert found.writes.pop("index marked") < WRITES_A_SECOND / 2
    assert max(found.writes.values()) <= 2 * max(before.writes.values())
    assert max(found.newcomer_hours) < 1.5
