"""Let waiting batches go to the API: within the workspace's limits, in fair order, and only while spending is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from batchdrop.domain import fairness, refusals
from batchdrop.domain.errors import LostRace
from batchdrop.domain.records import Admission, Batch, BatchState, Job, JobState
from batchdrop.ports import Clock, Counters, Ledger, OpenWork, Queue, Queues, Switch, SwitchState

# How many waiting batches one tick looks at. Those beyond wait for the next tick; it bounds time and memory.
_LOOK_AT = 1000


class Admit:
    """`limit`: queued requests the stack may have at the API. `per_tick`: create calls a minute it allows itself."""

    def __init__(
        self,
        ledger: Ledger,
        queues: Queues,
        switch: Switch,
        clock: Clock,
        *,
        limit: int,
        per_tick: int,
    ) -> None:
        self._ledger = ledger
        self._queues = queues
        self._switch = switch
        self._clock = clock
        self._limit = limit
        self._per_tick = per_tick

    def job(self, job: Job) -> int:
        """Admits what fits of a job just planned, unless others have waited longer. Returns the number of batches."""
        first = next(iter(self._ledger.list_open_batches(OpenWork.waiting, limit=1)), None)
        if first is not None and (first.priority, first.start_tag) < (job.priority, job.created_at):
            return 0
        return self._admit(filter(is_waiting, self._ledger.list_batches(job.id)))

    def tick(self) -> int:
        """Admits what fits of all that waits. Returns the number of batches."""
        return self._admit(self._ledger.list_open_batches(OpenWork.waiting, limit=_LOOK_AT))

    def _admit(self, waiting: Iterable[Batch]) -> int:
        now = self._clock.now()
        if self._switch.state() is not SwitchState.run:
            return 0
        admission = self._ledger.get_admission()
        budget = self._budget(admission, now)
        room = self._limit - admission.queued
        jobs: dict[str, bool] = {}
        admitted = 0
        for batch in waiting:
            if admitted >= budget or room <= 0:
                break
            if batch.not_before is not None and now < batch.not_before:
                continue
            if not self._runs(batch.job_id, jobs):
                continue
            if batch.requests > room and not self._larger_than_all_room(batch, admission):
                if fairness.may_be_overtaken(batch.start_tag, now):
                    continue
                break
            if self._reserve(batch, now):
                room -= batch.requests
                admitted += 1
        if admitted and admission.blocked:
            self._next_probe(admission, now)
        return admitted

    def _budget(self, admission: Admission, now: datetime) -> int:
        if admission.throttled_until is not None and now < admission.throttled_until:
            return 0
        if admission.blocked:
            return 1 if admission.probe_at is None or now >= admission.probe_at else 0
        return self._per_tick

    def _larger_than_all_room(self, batch: Batch, admission: Admission) -> bool:
        """The limit was lowered after the file was cut: such a batch goes when it would be alone, or never would."""
        return batch.requests > self._limit and admission.queued == 0

    def _runs(self, job_id: str, known: dict[str, bool]) -> bool:
        if job_id not in known:
            job = self._ledger.get_job(job_id)
            known[job_id] = job is not None and job.state is JobState.running and not job.cancel_requested
        return known[job_id]

    def _reserve(self, batch: Batch, now: datetime) -> bool:
        """Takes capacity for one batch and sends it on its way."""
        admitted = msgspec.structs.replace(batch, admitted_at=now, message_sent_at=now, repairs=0)
        limit = max(self._limit, batch.requests)
        try:
            self._ledger.move_batch(
                batch, admitted, Counters(queued=batch.requests), job_state=JobState.running, queue_limit=limit
            )
        except LostRace:
            return False
        self._queues.send(Queue.submit, {"job_id": batch.job_id, "batch": batch.name})
        return True

    def _next_probe(self, admission: Admission, now: datetime) -> None:
        try:
            self._ledger.move_admission(admission, msgspec.structs.replace(admission, probe_at=now + refusals.PROBE_EVERY))
        except LostRace:
            return  # the probe was answered meanwhile, or another poller sent one too


def is_waiting(batch: Batch) -> bool:
    return batch.state is BatchState.ready and batch.admitted_at is None
