"""A deployed stack of version 0.1.0 is updated, rolled back and updated again while jobs are open."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.laptop import running
from tests.upgrade.checkout import VERSION_0_1_0, Checkout
from tests.upgrade.journey import PARAMETERS, Journey


def test_nothing_is_lost_or_paid_for_twice_on_the_way_here_and_back_and_here_again(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.put(VERSION_0_1_0)
    with running(tmp_path / ".local", *PARAMETERS, root=tmp_path) as laptop:
        assert Journey(laptop, checkout, VERSION_0_1_0, print, every_state=False)() == []
