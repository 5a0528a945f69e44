"""Set going again what has stopped: a message lost on its way, an invocation that died.

Every step of the pipeline is safe to run twice, so repair is: send the message again. It waits longer each time, and it is
counted, so that an alarm tells an operator long before anything is lost.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import msgspec

from batchdrop.domain.errors import LostRace
from batchdrop.domain.records import Batch, Job
from batchdrop.ports import Clock, Ledger, Metrics, OpenWork, Queue, Queues

log = logging.getLogger(__name__)

# Looked at per kind of open work and tick, in order of time: the longest stuck come first.
_LOOK_AT = 200
_LONGEST_WAIT = timedelta(hours=6)


class Repair:
    """`patience`: after this time a message must have been delivered again by its queue: the visibility timeout."""

    def __init__(self, ledger: Ledger, queues: Queues, clock: Clock, metrics: Metrics, *, patience: timedelta) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._metrics = metrics
        self._patience = patience

    def tick(self) -> int:
        """Returns how many messages were sent again."""
        sent = 0
        for work, queue in ((OpenWork.admitted, Queue.submit), (OpenWork.ended, Queue.collect)):
            for batch in self._ledger.list_open_batches(work, limit=_LOOK_AT):
                sent += self._batch(batch, queue)
        for work, queue in ((OpenWork.planning, Queue.plan), (OpenWork.finishing, Queue.finish)):
            for job in self._ledger.list_open_jobs(work, limit=_LOOK_AT):
                sent += self._job(job, queue)
        if sent:
            self._metrics.count("StuckRepaired", sent)
        return sent

    def _batch(self, batch: Batch, queue: Queue) -> bool:
        now = self._clock.now()
        if not self._overdue(batch.message_sent_at or batch.ended_at or batch.admitted_at, batch.repairs, now):
            return False
        try:
            self._ledger.move_batch(batch, msgspec.structs.replace(batch, message_sent_at=now, repairs=batch.repairs + 1))
        except LostRace:
            return False
        log.warning("message sent again", extra={"job_id": batch.job_id, "batch": batch.name, "queue": queue})
        self._queues.send(queue, {"job_id": batch.job_id, "batch": batch.name})
        return True

    def _job(self, job: Job, queue: Queue) -> bool:
        now = self._clock.now()
        since = max(moment for moment in (job.message_sent_at, job.lease_until, job.updated_at) if moment is not None)
        if not self._overdue(since, job.repairs, now):
            return False
        try:
            self._ledger.move_job(job, msgspec.structs.replace(job, message_sent_at=now, repairs=job.repairs + 1))
        except LostRace:
            return False
        log.warning("message sent again", extra={"job_id": job.id, "queue": queue})
        self._queues.send(queue, {"job_id": job.id})
        return True

    def _overdue(self, since: datetime | None, repairs: int, now: datetime) -> bool:
        wait = min(self._patience * 2 ** min(repairs, 10), max(_LONGEST_WAIT, self._patience))
        return since is None or now >= since + wait
