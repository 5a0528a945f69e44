"""Set going again what has stopped: a message lost on its way, an invocation that died.

Every step of the pipeline is safe to run twice, so repair is: send the message again. It waits longer each time. The first one
is no matter for a person; a second one for the same step is (`stalled.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Batch, Job
from batchdrop.domain.redelivery import silence
from batchdrop.domain.transitions import Move
from batchdrop.jobs.commit import Commit
from batchdrop.ports import Clock, Ledger, Metrics

log = logging.getLogger(__name__)

# Looked at per kind of open work and tick, in order of time: the longest stuck come first.
_LOOK_AT = 200
_LONGEST_WAIT = timedelta(hours=6)


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """`visibility`: the timeout of the queues."""

    ledger: Ledger
    clock: Clock
    metrics: Metrics
    commit: Commit
    visibility: timedelta

    def __call__(self) -> int:
        """Returns how many messages were sent again."""
        sent = 0
        for work in (OpenWork.admitted, OpenWork.ended):
            sent += sum(map(self._repeat_for_batch, self.ledger.list_open_batches(work, limit=_LOOK_AT)))
        for work in (OpenWork.planning, OpenWork.finishing):
            sent += sum(map(self._repeat_for_job, self.ledger.list_open_jobs(work, limit=_LOOK_AT)))
        if sent:
            self.metrics.count("StuckRepaired", sent)
        return sent

    def resume(self, incomplete: Iterable[Batch]) -> None:
        """Has batches whose results lacked answers collected again when their time has come: nothing is stuck there."""
        now = self.clock.now()
        for batch in incomplete:
            if batch.collect_at is not None and now >= batch.collect_at:
                with suppress(LostRace):
                    self.commit(transitions.resumed(batch, now=now))

    def _repeat_for_batch(self, batch: Batch) -> bool:
        now = self.clock.now()
        if not self._overdue(batch.message_sent_at or batch.ended_at or batch.admitted_at, batch, now):
            return False
        return self._repeat(transitions.batch_message_repeated(batch, now=now))

    def _repeat_for_job(self, job: Job) -> bool:
        now = self.clock.now()
        since = max(moment for moment in (job.message_sent_at, job.lease_until, job.updated_at) if moment is not None)
        if not self._overdue(since, job, now):
            return False
        return self._repeat(transitions.job_message_repeated(job, now=now))

    def _repeat[R: (Job, Batch)](self, move: Move[R]) -> bool:
        (message,) = move.messages
        try:
            self.commit(move)
        except LostRace:
            return False
        log.warning("message sent again", extra={"queue": message.queue} | msgspec.structs.asdict(message))
        return True

    def _overdue(self, since: datetime | None, record: Batch | Job, now: datetime) -> bool:
        """`since`: when something was last heard of its message."""
        patience = silence(self.visibility, record.errors)
        wait = min(patience * 2 ** min(record.repairs, 10), max(_LONGEST_WAIT, patience))
        return since is None or now >= since + wait
