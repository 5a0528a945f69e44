"""A recipe has arrived: count it, then have the jobs of its team look that wait for one, or for money with an older one.

The count comes first. A job about to be held may have looked before the recipe was there; its move then fails on the new count.
Whoever dies in between, or does not find a job because the index is late, leaves it to `poll`, which compares the counts.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice

import msgspec

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.records import Arrivals
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.to_wake import to_tell, to_wake
from batchdrop.ports import Clock, Ledger

# Woken at once; `poll` wakes the others, as many in each tick.
_WOKEN = 100
_TRIES = 10


class Wake(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    clock: Clock
    commit: Commit

    def __call__(self, recipe_key: str) -> None:
        """Twice for one event is harmless: the jobs look again, and are held again. Raises LostRace."""
        arrivals = self._count(keys.team_of(recipe_key))
        now = self.clock.now()
        for job in to_wake(self.ledger, arrivals, now, limit=_WOKEN):
            with suppress(LostRace):  # it has been woken, or is being canceled
                self.commit(transitions.woken(job, now=now))
        for job in islice(to_tell(self.ledger, arrivals, now, limit=_WOKEN), _WOKEN):
            with suppress(LostRace):  # it has been told, or somebody has said yes
                self.commit(transitions.told_of_recipe(job, now=now))

    def _count(self, team: str) -> Arrivals:
        for _ in range(_TRIES):
            with suppress(LostRace):  # another recipe of the team
                return self.commit(transitions.recipe_arrived(self.ledger.get_arrivals(team)))
        raise LostRace("recipes of one team arrive faster than they can be counted")
