"""Look again at held jobs that may go on: those that wait for a recipe, and those that wait in line behind others of their team.

A recipe's own event wakes what the index shows, and the index is late. A job that has waited too long is planned once more, so
that a recipe whose event was lost still counts; if there is none, `plan` rejects the job.
"""

from __future__ import annotations

from contextlib import suppress

from batchdrop.domain import keys, purses, transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.open_work import PLACE, OpenWork, before_team, behind_line, behind_team
from batchdrop.domain.records import Job
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.to_wake import is_due, to_wake
from batchdrop.ports import Clock, Ledger
from batchdrop.stages.poll.apart import apart

# Of one tick. A team of which no job is to go on costs two reads, or four if jobs of it wait in line, however many.
_TEAMS = 100
_WOKEN = 100
_CALLED = 300


class WakeHeld:
    """Goes through the teams that have held jobs in order, some in each tick; each has its turn before any has a second one.

    Where it is, it keeps in memory only: a new process begins with the first team, and does no harm. `open_jobs`: how many a team
    may have open at a time.
    """

    def __init__(self, ledger: Ledger, clock: Clock, commit: Commit, open_jobs: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._commit = commit
        self._open_jobs = open_jobs
        self._behind = ""

    def __call__(self) -> None:
        """Raises the first error that one job ran into, once all have been tried."""
        troubles: list[Exception] = []
        to_be_woken, to_be_called = _WOKEN, _CALLED
        for _ in range(_TEAMS):
            first = next(self._ledger.list_open_jobs(OpenWork.held, behind=self._behind, limit=1), None)
            if first is None:
                self._behind = ""
                break
            team = keys.team_of(first.input.key)
            self._behind = behind_team(team)
            longest_held: Job | None = first
            if first.needs == PLACE:
                to_be_called -= self._call(team, to_be_called, troubles)
                longest_held = next(self._ledger.list_open_jobs(OpenWork.held, behind=behind_line(team), limit=1), None)
            if longest_held is not None and keys.team_of(longest_held.input.key) == team:
                to_be_woken -= self._wake(longest_held, to_be_woken, troubles)
            if not to_be_woken or not to_be_called:
                break
        if troubles:
            raise troubles[0]

    def _wake(self, first: Job, limit: int, troubles: list[Exception]) -> int:
        """Returns how many jobs it tried."""
        now, tried = self._clock.now(), 0
        arrivals = self._ledger.get_arrivals(keys.team_of(first.input.key))
        if not is_due(first, arrivals, now):
            return 0
        for job in to_wake(self._ledger, arrivals, now, limit=limit):
            tried += 1
            with apart(job, troubles), suppress(LostRace):  # the index is late: it has been woken
                self._commit(transitions.woken(job, now=now))
        return tried

    def _call(self, team: str, limit: int, troubles: list[Exception]) -> int:
        """As many of those in line as there are places. Returns how many it tried."""
        (open_now,) = self._ledger.get_purses([purses.open_jobs(team)])
        free, tried = min(limit, self._open_jobs - open_now.used), 0
        if free <= 0:
            return 0
        for job in self._ledger.list_open_jobs(OpenWork.held, behind=before_team(team), limit=free):
            if job.needs != PLACE or keys.team_of(job.input.key) != team:
                break
            tried += 1
            with apart(job, troubles), suppress(LostRace):  # the index is late, or all places are taken again
                self._commit(transitions.called(job, limit=self._open_jobs, now=self._clock.now()))
        return tried
