"""Look again at jobs that wait for a recipe: one has arrived that did not wake them, or they have waited too long.

A recipe's own event wakes what the index shows, and the index is late. A job that has waited too long is planned once more, so
that a recipe whose event was lost still counts; if there is none, `plan` rejects the job.
"""

from __future__ import annotations

from contextlib import suppress

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.open_work import OpenWork, behind_team
from batchdrop.domain.records import Arrivals
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.to_wake import is_due, to_wake
from batchdrop.ports import Clock, Ledger
from batchdrop.stages.poll.apart import apart

# Of one tick. A team of which no job is to be woken costs two reads of one item, however many wait there.
_TEAMS = 100
_WOKEN = 100


class WakeHeld:
    """Goes through the teams that have held jobs in order, some in each tick; each has its turn before any has a second one.

    Where it is, it keeps in memory only: a new process begins with the first team, and does no harm.
    """

    def __init__(self, ledger: Ledger, clock: Clock, commit: Commit) -> None:
        self._ledger = ledger
        self._clock = clock
        self._commit = commit
        self._behind = ""

    def __call__(self) -> None:
        """Raises the first error that one job ran into, once all have been tried."""
        now = self._clock.now()
        troubles: list[Exception] = []
        left = _WOKEN
        for _ in range(_TEAMS):
            first = next(self._ledger.list_open_jobs(OpenWork.held, behind=self._behind, limit=1), None)
            if first is None:
                self._behind = ""
                break
            arrivals = self._ledger.get_arrivals(keys.team_of(first.input.key))
            self._behind = behind_team(arrivals.team)
            if is_due(first, arrivals, now):
                left -= self._wake(arrivals, left, troubles)
            if not left:
                break
        if troubles:
            raise troubles[0]

    def _wake(self, arrivals: Arrivals, limit: int, troubles: list[Exception]) -> int:
        """Returns how many jobs it tried."""
        now, tried = self._clock.now(), 0
        for job in to_wake(self._ledger, arrivals, now, limit=limit):
            tried += 1
            with apart(job, troubles), suppress(LostRace):  # the index is late: it has been woken
                self._commit(transitions.woken(job, now=now))
        return tried
