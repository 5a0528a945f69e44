"""Let go what waited for money: a limit has renewed, a price is known. What nobody has answered within 7 days ends."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import msgspec

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.open_work import PRICE, OpenWork
from batchdrop.domain.records import Job
from batchdrop.domain.retries import ANSWER_AWAITED
from batchdrop.jobs.budget import Budget, Over
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.pause import Pause
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Ledger
from batchdrop.reports import sentences
from batchdrop.stages.poll.apart import apart

# Of one tick, the longest waiting first.
_LOOKED_AT = 200


class LetGo(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    clock: Clock
    commit: Commit
    budget: Budget
    pause: Pause
    publish: Publish

    def __call__(self) -> None:
        """Raises the first error that one job ran into, once all have been tried."""
        now = self.clock.now()
        troubles: list[Exception] = []
        for job in self.ledger.list_open_jobs(OpenWork.limited, limit=_LOOKED_AT):
            with apart(job, troubles), suppress(LostRace):  # the index is late: it has been let go
                self._look_at(job, now)
        for job in self.ledger.list_open_jobs(OpenWork.asking, limit=_LOOKED_AT):
            if job.held_at is None or now < job.held_at + ANSWER_AWAITED:
                break
            with apart(job, troubles), suppress(LostRace):
                self.commit(transitions.cancel_requested(job, sentences.NOT_APPROVED))
        if troubles:
            raise troubles[0]

    def _look_at(self, job: Job, now: datetime) -> None:
        rest = self.pause.waiting(job)
        expected = None
        if job.needs == PRICE:
            hold, expected = self.pause.verdict(job, rest, now)
        else:
            reserve = self.budget.reserve(job, rest[0], now) if rest else None
            hold = self.pause.why(job, reserve, rest, now) if isinstance(reserve, Over) else None
        if hold is None:
            self.commit(transitions.let_go(job, now=now, expected=expected))
        else:
            self.pause.hold(job, hold, now)
        self.publish(job.id)
