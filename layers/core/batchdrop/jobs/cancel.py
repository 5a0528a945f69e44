"""Cancel what is open of a job; what has finished is still collected."""

from __future__ import annotations

import logging
from contextlib import suppress

import msgspec

from batchdrop.domain import transitions
from batchdrop.domain.admission import is_its_turn
from batchdrop.domain.deadlines import DEADLINE_PASSED
from batchdrop.domain.errors import ApiError, LostRace
from batchdrop.domain.records import Batch, BatchState, Job, JobState, RowStatus, Unsent
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Claude, Clock, Ledger
from batchdrop.reports import sentences

log = logging.getLogger(__name__)

# Tries to plan a canceled job without coming further; after the last one it ends with the rows read so far.
_PLANNERS = 3
CANCELED = Unsent(status=RowStatus.canceled, error_type="canceled", message=sentences.CANCELED_UNSENT)


def unsent_of(job: Job) -> Unsent:
    """The end of rows that are not sent, because their job is canceled or its deadline has passed."""
    if not job.overdue:
        return CANCELED
    return Unsent(status=RowStatus.canceled, error_type=DEADLINE_PASSED, message=sentences.not_sent_by_deadline(job))


def planners_failed(job: Job) -> bool:
    """Whether a canceled job does not wait for a planner any more: none may begin then."""
    return job.cancel_requested and job.tries >= _PLANNERS


class CancelBatch(msgspec.Struct, frozen=True, kw_only=True):
    """`claude` is None in a function that has no key: batches at the API are then left for `poll`, within a minute."""

    clock: Clock
    commit: Commit
    claude: Claude | None = None

    def __call__(self, batch: Batch, why: Unsent = CANCELED) -> None:
        """What cannot be canceled yet is left alone, and `poll` asks again within a minute. `why`: the end of rows not sent.

        That is a batch being submitted, and one that was adopted: before its first result it may be somebody else's work.
        """
        try:
            if batch.state is BatchState.ready:
                self.commit(transitions.unsent(batch, why, now=self.clock.now()))
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
    clock: Clock
    commit: Commit
    publish: Publish
    cancel_batch: CancelBatch

    def __call__(self, job: Job) -> None:
        """Cancels what can be canceled now. `poll` asks again until the job has ended."""
        if job.state is JobState.held and not job.batches_total:
            self.end_unread(job)
            return
        if job.state is JobState.planning and not self._end_planning(job):
            return
        for batch in self.ledger.list_batches(job.id):
            # What warm-up or pilot have settled is no row of another batch: until that is known, no other one ends.
            if is_its_turn(job, batch):
                self.cancel_batch(batch, unsent_of(job))

    def end_unread(self, job: Job) -> None:
        """Ends a job without a batch that was asked to cancel, while it is held or by its planner.

        The documents come first: who dies here does it again. Nobody wakes a job that was asked to cancel.
        """
        ended = transitions.canceled_unread(job, now=self.clock.now())
        self.publish.end_without_rows(ended.after)
        with suppress(LostRace):
            self.commit(ended)

    def _end_planning(self, job: Job) -> bool:
        """Whether the job has batches to cancel now.

        A planner comes to its end first, so that every row is accounted for. It may never come to it: the file cannot be read.
        """
        now = self.clock.now()
        if not planners_failed(job) or (job.lease_until is not None and now < job.lease_until):
            return False
        batches = list(self.ledger.list_batches(job.id))
        try:
            if not batches:
                ended = transitions.canceled_unread(job, now=now)
                self.publish.end_without_rows(ended.after)
                self.commit(ended)
                return False
            lines = max(batch.last_line for batch in batches)
            unsendable = tuple(batch for batch in batches if not batch.requests)
            reason = sentences.canceled_while_reading(lines)
            self.commit(transitions.planned(job, now=now, lines=lines, unsendable=unsendable, cancel=True, reason=reason))
        except LostRace:
            log.info("a job moved on while its planning was being canceled", extra={"job_id": job.id})
            return False
        return True
