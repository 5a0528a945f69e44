"""A load that is a twentieth of that of docs/scale.md, so that what the page says of all of it does not rot."""

from __future__ import annotations

from tests.scale.figures import PAGE, WRITES_A_SECOND, simulated
from tests.scale.load import SMALL


def test_a_small_load_is_within_every_limit() -> None:
    # Nothing comes late: then the last file of all would be one of those.
    found = simulated(SMALL._replace(late=0))
    assert found.refused == 0
    assert max(found.writes.values()) < WRITES_A_SECOND / 2
    assert found.bound_hours <= found.hours <= found.bound_hours * 1.25  # in few hours the last one counts more
    assert found.slowest_tick < 60
    assert 1 <= found.unequal < 1.5


def test_the_page_keeps_what_it_promises() -> None:
    text = PAGE.read_text()
    assert "| beyond that | " in text
    beyond = float(text.split("| beyond that | ")[1].split(" %")[0])
    assert 0 <= beyond <= 5
