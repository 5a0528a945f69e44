"""Let waiting batches go to the API: within the workspace's limits, in fair order, and only while spending is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import NamedTuple

import msgspec

from batchdrop.domain import refusals, transitions
from batchdrop.domain.admission import AdmissionLimits, Capacity, Fit, for_a_probe, is_due, is_waiting
from batchdrop.domain.deadlines import is_overdue
from batchdrop.domain.errors import LostRace
from batchdrop.domain.records import Batch, Job, JobState
from batchdrop.domain.transitions import Move
from batchdrop.jobs.budget import Budget, Over
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.pause import Pause
from batchdrop.jobs.waiting import waiting_batches
from batchdrop.ports import Clock, Ledger, Switch, SwitchState

# How many waiting batches one tick looks at. Those beyond wait for the next tick; it bounds time.
_LOOK_AT = 5000


class _Chosen(NamedTuple):
    batch: Batch
    tried: Move[Job] | None


class Admit(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    switch: Switch
    clock: Clock
    commit: Commit
    limits: AdmissionLimits
    budget: Budget
    pause: Pause

    def __call__(self, job: Job | None = None) -> int:
        """Admits what fits of all that waits, or only of a job just planned, unless others have waited longer.

        Returns the number of batches.
        """
        if job is None:
            return self._admit(islice(waiting_batches(self.ledger), _LOOK_AT))
        first = next((batch for batch in waiting_batches(self.ledger) if batch.job_id != job.id), None)
        if first is not None and (first.priority, first.start_tag) < (job.priority, job.created_at):
            return 0
        # Not from the index: what has just been stored may not be in it yet.
        return self._admit(filter(is_waiting, self.ledger.list_batches(job.id)))

    def _admit(self, waiting: Iterable[Batch]) -> int:
        now = self.clock.now()
        if self.switch.state() is not SwitchState.run:
            return 0
        admission = self.ledger.get_admission()
        capacity = Capacity(admission, self.limits, now)
        jobs: dict[str, Job | None] = {}
        admitted: list[Batch] = []
        for first in for_a_probe(waiting, admission) if admission.blocked else waiting:
            if capacity.used_up:
                break
            job = self._running(first.job_id, jobs, now)
            if job is None or not is_due(first, now) or (job.trying and not first.tries):
                continue
            chosen = self._chosen(job, first, now, blocked=bool(admission.blocked))
            if job.streak is not None and job.streak.waits:
                jobs[job.id] = None  # one batch of it at most
            if chosen is None:
                continue
            fit = capacity.judge(chosen.batch)
            if fit is Fit.holds:
                break
            if fit is Fit.goes and self._take(job, chosen, capacity, now, jobs):
                admitted.append(chosen.batch)
        if admitted and admission.blocked:
            with suppress(LostRace):  # the probe was answered meanwhile, or another poller sent one too
                self.commit(transitions.probed(admission, admitted[0].job_id, next_at=now + refusals.PROBE_EVERY))
        return len(admitted)

    def _chosen(self, job: Job, first: Batch, now: datetime, *, blocked: bool) -> _Chosen | None:
        """Of a job that waits one batch is tried, and not before its time unless the whole stack is blocked."""
        if job.streak is None or job.streak.next_at is None:
            return _Chosen(first, None)
        if now < job.streak.next_at and not blocked:
            return None
        batch = self._next_to_try(job, now) or first
        return _Chosen(batch, transitions.tried(job, batch.name, next_at=now + refusals.PROBE_EVERY))

    def _next_to_try(self, job: Job, now: datetime) -> Batch | None:
        batches = self.ledger.list_batches(job.id)
        return refusals.next_to_try(
            one for one in batches if is_waiting(one) and is_due(one, now) and (one.tries or not job.trying)
        )

    def _take(self, job: Job, chosen: _Chosen, capacity: Capacity, now: datetime, jobs: dict[str, Job | None]) -> bool:
        """`now` is before the admission record was read: only a batch admitted after a block counts as its probe."""
        batch, tried = chosen
        reserve = self.budget.reserve(job, batch, now)
        if isinstance(reserve, Over):
            jobs[job.id] = None
            self.pause(job, reserve)
            return False
        queue_limit = capacity.queue_limit(batch)
        try:
            self.commit(transitions.admitted(batch, now=now, queue_limit=queue_limit, reserve=reserve, tried=tried))
        except LostRace:
            return False
        capacity.take(batch)
        return True

    def _running(self, job_id: str, known: dict[str, Job | None], now: datetime) -> Job | None:
        """None: nothing of it is to be sent."""
        if job_id not in known:
            job = self.ledger.get_job(job_id)
            runs = job is not None and job.state is JobState.running and not job.cancel_requested and not is_overdue(job, now)
            known[job_id] = job if runs else None
        return known[job_id]
