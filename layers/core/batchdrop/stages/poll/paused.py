"""Let go what waited for money: a limit has renewed, a price is known. What nobody has answered within 7 days ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.open_work import PRICE, OpenWork, instant, place_of_job
from batchdrop.domain.records import Job
from batchdrop.domain.retries import ANSWER_AWAITED
from batchdrop.domain.transitions import Hold
from batchdrop.jobs.budget import Budget, Over
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.pause import Pause
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Ledger
from batchdrop.reports import sentences
from batchdrop.stages.poll.apart import apart

# Those that have waited longest, in each tick; of the others as many, and each of them has its turn.
_LOOKED_AT = 100
_TOLD_AGAIN = timedelta(minutes=3)


class LetGo(msgspec.Struct, kw_only=True):
    """Where it is among those that have not waited longest, it keeps in memory only: a new process begins anew."""

    ledger: Ledger
    clock: Clock
    commit: Commit
    budget: Budget
    pause: Pause
    publish: Publish
    behind: str = ""

    def __call__(self) -> None:
        """Raises the first error that one job ran into, once all have been tried."""
        now = self.clock.now()
        troubles: list[Exception] = []
        for job in self._limited():
            with apart(job, troubles), suppress(LostRace):  # the index is late: it has been let go
                self._look_at(job, now)
        for job in self.ledger.list_open_jobs(OpenWork.asking, limit=_LOOKED_AT):
            if job.held_at is None or now < job.held_at + ANSWER_AWAITED:
                break
            with apart(job, troubles), suppress(LostRace):
                self.commit(transitions.cancel_requested(job, sentences.NOT_APPROVED))
        self._tell(now, troubles)
        if troubles:
            raise troubles[0]

    def _limited(self) -> Iterator[Job]:
        """Many may wait for one limit, and must not hide those that wait for another."""
        first = list(self.ledger.list_open_jobs(OpenWork.limited, limit=_LOOKED_AT))
        yield from first
        if len(first) < _LOOKED_AT:
            return
        behind = max(self.behind, _place(first[-1]))
        others = list(self.ledger.list_open_jobs(OpenWork.limited, behind=behind, limit=_LOOKED_AT))
        self.behind = _place(others[-1]) if len(others) == _LOOKED_AT else ""
        yield from others

    def _look_at(self, job: Job, now: datetime) -> None:
        rest = self.pause.waiting(job)
        expected = None
        hold: Hold | None = None
        if job.needs == PRICE:
            hold, expected = self.pause.verdict(job, rest, now)
        if hold is None and rest and isinstance(over := self.budget.reserve(job, rest[0], now), Over):
            hold = self.pause.why(job, over, rest, now)
        if hold is None:
            self.commit(transitions.let_go(job, now=now, expected=expected))
            self.publish(job.id)
        else:
            self.pause.hold(job, hold, now)

    def _tell(self, now: datetime, troubles: list[Exception]) -> None:
        """Who held a job may have died before its status said so, and then nobody would know that they are asked."""
        for work in (OpenWork.asking, OpenWork.limited):
            for job in self.ledger.list_open_jobs(work, behind=instant(now - _TOLD_AGAIN), limit=_LOOKED_AT):
                with apart(job, troubles):
                    self.publish(job.id)


def _place(job: Job) -> str:
    """In the index."""
    place = place_of_job(job)
    return place.due if place else ""
