"""Open work that one tick cannot look at all of: some in each tick, each in its turn, so that none hides those behind it."""

from __future__ import annotations

from batchdrop.domain.open_work import OpenWork, place_of_job
from batchdrop.domain.records import Job
from batchdrop.ports import Ledger


class InTurn:
    """Where it is, it keeps in memory only: a new process begins with the first, and does no harm.

    No two jobs of a kind may have the same place: who goes on behind one of them would pass over the other.
    """

    def __init__(self, ledger: Ledger, limit: int) -> None:
        self._ledger = ledger
        self._limit = limit
        self._behind: dict[OpenWork, str] = {}

    def __call__(self, work: OpenWork) -> list[Job]:
        jobs = list(self._ledger.list_open_jobs(work, behind=self._behind.get(work, ""), limit=self._limit))
        last = place_of_job(jobs[-1]) if len(jobs) == self._limit else None
        self._behind[work] = last.due if last is not None else ""
        return jobs
