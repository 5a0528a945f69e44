"""Cancel what is open of a job; what has finished is still collected."""

from __future__ import annotations

import logging

import msgspec

from batchdrop.domain import transitions
from batchdrop.domain.errors import ApiError, LostRace
from batchdrop.domain.records import Batch, BatchState, Job, RowStatus, Unsent
from batchdrop.jobs.commit import Commit
from batchdrop.ports import Claude, Clock, Ledger
from batchdrop.reports import sentences

log = logging.getLogger(__name__)

CANCELED = Unsent(status=RowStatus.canceled, error_type="canceled", message=sentences.CANCELED_UNSENT)


class CancelBatch(msgspec.Struct, frozen=True, kw_only=True):
    """`claude` is None in a function that has no key: batches at the API are then left for `poll`, within a minute."""

    clock: Clock
    commit: Commit
    claude: Claude | None = None

    def __call__(self, batch: Batch) -> None:
        """What cannot be canceled yet is left alone, and `poll` asks again within a minute.

        That is a batch being submitted, and one that was adopted: before its first result it may be somebody else's work.
        """
        try:
            if batch.state is BatchState.ready:
                self.commit(transitions.unsent(batch, CANCELED, now=self.clock.now()))
            elif batch.state is BatchState.in_progress and not batch.adopted:
                self._cancel_at_api(batch)
        except LostRace:
            log.info("batch moved on while it was being canceled", extra={"job_id": batch.job_id, "batch": batch.name})

    def _cancel_at_api(self, batch: Batch) -> None:
        if self.claude is None or batch.api_id is None:
            return
        try:
            self.claude.cancel(batch.api_id)
        except ApiError as error:
            log.warning("cancel not accepted yet", extra={"batch": batch.name, "status": error.status, "kind": error.kind})
            return
        self.commit(transitions.canceling(batch))


class CancelJob(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    cancel_batch: CancelBatch

    def __call__(self, job: Job) -> None:
        for batch in self.ledger.list_batches(job.id):
            self.cancel_batch(batch)
