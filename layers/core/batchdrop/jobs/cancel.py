"""Cancel what is open of a job; what has finished is still collected."""

from __future__ import annotations

import logging

import msgspec

from batchdrop.domain.errors import ApiError, LostRace
from batchdrop.domain.records import Batch, BatchState, Job, RowStatus, Unsent
from batchdrop.ports import Claude, Clock, Counters, Ledger, Queue, Queues
from batchdrop.reports import sentences

log = logging.getLogger(__name__)

CANCELED = Unsent(status=RowStatus.canceled, error_type="canceled", message=sentences.CANCELED_UNSENT)


class Cancel:
    """`claude` is None in a function that has no key: batches at the API are then left for `poll`, within a minute."""

    def __init__(self, ledger: Ledger, queues: Queues, clock: Clock, claude: Claude | None = None) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._claude = claude

    def job(self, job: Job) -> None:
        for batch in self._ledger.list_batches(job.id):
            self.batch(batch)

    def batch(self, batch: Batch) -> None:
        """What cannot be canceled yet is left alone, and `poll` asks again within a minute.

        That is a batch being submitted, and one that was adopted: before its first result it may be somebody else's work.
        """
        try:
            if batch.state is BatchState.ready:
                self._end(batch)
            elif batch.state is BatchState.in_progress and not batch.adopted:
                self._cancel_at_api(batch)
        except LostRace:
            log.info("batch moved on while it was being canceled", extra={"job_id": batch.job_id, "batch": batch.name})

    def _end(self, batch: Batch) -> None:
        now = self._clock.now()
        released = -batch.requests if batch.admitted_at is not None else 0
        ended = msgspec.structs.replace(
            batch, state=BatchState.ended, unsent=CANCELED, ended_at=now, message_sent_at=now, admitted_at=None, repairs=0
        )
        self._ledger.move_batch(batch, ended, Counters(batches_ended=1, queued=released))
        self._queues.send(Queue.collect, {"job_id": batch.job_id, "batch": batch.name})

    def _cancel_at_api(self, batch: Batch) -> None:
        if self._claude is None or batch.api_id is None:
            return
        try:
            self._claude.cancel(batch.api_id)
        except ApiError as error:
            log.warning("cancel not accepted yet", extra={"batch": batch.name, "status": error.status, "kind": error.kind})
            return
        self._ledger.move_batch(batch, msgspec.structs.replace(batch, state=BatchState.canceling))
