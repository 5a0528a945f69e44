"""Send one batch to the API: render its body, write the intent, POST once, record the answer.

The order is the promise "never pay twice": the intent is stored before the POST, the POST is never repeated, and whatever is not
a definite answer is left to `poll` to reconcile.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec

from batchdrop.domain import refusals
from batchdrop.domain.errors import Ambiguous, Incomplete, LostRace, ObjectGone, Refused
from batchdrop.domain.records import Admission, Batch, BatchState, Job, JobState, RowStatus, Unsent
from batchdrop.formats.batch_body import BodyWriter, Half
from batchdrop.formats.input_line import REQUESTS
from batchdrop.jobs.batch_rows import LineBlock, line_blocks_of
from batchdrop.jobs.cancel import Cancel
from batchdrop.jobs.publish import Publish
from batchdrop.ports import ApiBatch, Claude, Clock, Counters, Deadline, Ledger, Objects, Queue, Queues, Switch, SwitchState
from batchdrop.reports import sentences

log = logging.getLogger(__name__)

_LEASE_MARGIN = timedelta(seconds=15)
# Small, so that a block of rows goes to the file without a copy in between.
_WRITE_BYTES = 1 << 16
# Two POSTs (the second with a key just replaced) and what follows them fit into the time left.
_POST_SHARE = 0.4


class _Body(NamedTuple):
    """A rendered request body on disk."""

    path: Path
    size: int
    half: Half | None


class Submit:
    def __init__(
        self,
        objects: Objects,
        ledger: Ledger,
        queues: Queues,
        claude: Claude,
        switch: Switch,
        clock: Clock,
        cancel: Cancel,
        publish: Publish,
    ) -> None:
        self._objects = objects
        self._ledger = ledger
        self._queues = queues
        self._claude = claude
        self._switch = switch
        self._clock = clock
        self._cancel = cancel
        self._publish = publish

    def batch(self, job_id: str, name: str, deadline: Deadline) -> None:
        """Submits an admitted batch. Any other state means that somebody else did, or that `poll` has it."""
        batch = self._ledger.get_batch(job_id, name)
        job = self._ledger.get_job(job_id)
        if batch is None or job is None or batch.state is not BatchState.ready or batch.admitted_at is None:
            log.info("nothing to submit", extra={"job_id": job_id, "batch": name, "state": batch and batch.state})
            return
        if job.cancel_requested:
            self._cancel.batch(batch)
        elif job.state is JobState.running and self._may_spend(batch):
            self._submit(batch, job, deadline)
        else:
            self._put_back(batch)
        self._publish.job(job_id)

    def _may_spend(self, batch: Batch) -> bool:
        """Asked again right before spending: the switch or the API may have said no since the batch was admitted."""
        if self._switch.state() is not SwitchState.run:
            return False
        admission = self._ledger.get_admission()
        if admission.throttled_until is not None and self._clock.now() < admission.throttled_until:
            return False
        if not admission.blocked or admission.blocked_at is None or batch.admitted_at is None:
            return True
        return batch.admitted_at > admission.blocked_at  # the probe

    def _put_back(self, batch: Batch) -> None:
        waiting = msgspec.structs.replace(batch, admitted_at=None, message_sent_at=None)
        self._ledger.move_batch(batch, waiting, Counters(queued=-batch.requests))

    # ------------------------------------------------------------ the POST

    def _submit(self, batch: Batch, job: Job, deadline: Deadline) -> None:
        with TemporaryDirectory() as folder:
            try:
                body = self._render(batch, job, Path(folder) / "body.json")
            except ObjectGone:
                self._end(batch, "input_deleted", sentences.INPUT_DELETED)
                return
            intended = self._intend(batch, deadline)
            try:
                answer = self._claude.create(body.path, within=deadline.remaining() * _POST_SHARE)
            except Refused as refusal:
                self._refused(intended, job, body, refusal)
            except Ambiguous as unclear:
                log.warning("no definite answer", extra=_names(batch) | {"status": unclear.status, "kind": unclear.kind})
                self._leave_to_poll(intended)
            else:
                self._accepted(intended, answer)

    def _intend(self, batch: Batch, deadline: Deadline) -> Batch:
        now = self._clock.now()
        lease = now + timedelta(seconds=deadline.remaining()) + _LEASE_MARGIN
        return self._ledger.move_batch(
            batch, msgspec.structs.replace(batch, state=BatchState.submitting, intent_at=now, lease_until=lease)
        )

    def _leave_to_poll(self, batch: Batch) -> None:
        """Stays `submitting`: only `poll`, which can look at the API, may decide. The POST is over, so it may look soon."""
        self._ledger.move_batch(batch, msgspec.structs.replace(batch, lease_until=self._clock.now()))

    def _accepted(self, batch: Batch, answer: ApiBatch) -> None:
        moved = self._ledger.move_batch(
            batch,
            msgspec.structs.replace(
                batch, state=BatchState.in_progress, api_id=answer.id, created_at=answer.created_at, refusals=0
            ),
        )
        log.info("batch accepted", extra=_names(batch) | {"api_id": answer.id, "requests": batch.requests})
        self._clear_block()
        job = self._ledger.get_job(batch.job_id)
        if job is not None and job.cancel_requested:
            self._cancel.batch(moved)

    def _clear_block(self) -> None:
        admission = self._ledger.get_admission()
        if admission.blocked or admission.throttles:
            self._move_admission(
                admission,
                msgspec.structs.replace(admission, blocked="", blocked_at=None, probe_at=None, throttles=0, throttled_until=None),
            )

    # ------------------------------------------------------------ refusals

    def _refused(self, batch: Batch, job: Job, body: _Body, refusal: Refused) -> None:
        # Without the API's own words: they may quote the request.
        log.warning("create refused", extra=_names(batch) | {"status": refusal.status, "kind": refusal.kind})
        match refusals.reaction_to(refusal):
            case refusals.Reaction.wait:
                self._wait(batch, refusal)
            case refusals.Reaction.block:
                self._block(batch, refusal)
            case refusals.Reaction.isolate:
                self._isolate(batch, job, body, refusal)

    def _wait(self, batch: Batch, refusal: Refused) -> None:
        until = self._clock.now() + refusals.waiting_time(refusal, batch.refusals)
        self._back_to_ready(batch, msgspec.structs.replace(batch, refusals=batch.refusals + 1, not_before=until))
        admission = self._ledger.get_admission()
        self._move_admission(
            admission,
            msgspec.structs.replace(admission, throttled_until=until, throttles=admission.throttles + 1),
        )

    def _block(self, batch: Batch, refusal: Refused) -> None:
        now = self._clock.now()
        self._back_to_ready(batch, msgspec.structs.replace(batch, refusals=batch.refusals + 1))
        admission = self._ledger.get_admission()
        self._move_admission(
            admission,
            msgspec.structs.replace(
                admission,
                blocked=sentences.blocked(refusal),
                blocked_at=now,
                probe_at=now + refusals.PROBE_EVERY,
            ),
        )

    def _back_to_ready(self, batch: Batch, after: Batch) -> None:
        self._ledger.move_batch(batch, _ready_again(after), Counters(queued=-batch.requests))

    def _isolate(self, batch: Batch, job: Job, body: _Body, refusal: Refused) -> None:
        """Cuts the batch in two. Rows of a later attempt were accepted before, so there a cut would find nothing."""
        if body.half is not None and batch.attempt == 1 and job.splits < refusals.MAX_SPLITS:
            self._split(batch, body.size, body.half)
        else:
            self._end(batch, refusal.kind, sentences.refused(refusal))

    def _split(self, batch: Batch, size: int, half: Half) -> None:
        ready = msgspec.structs.replace(_ready_again(batch), refusals=batch.refusals + 1)
        first = msgspec.structs.replace(
            ready,
            span=msgspec.structs.replace(batch.span, end=half.next_start),
            last_line=half.next_line - 1,
            requests=half.requests,
            invalid=half.invalid,
            body_bytes=half.size,
        )
        second = msgspec.structs.replace(
            ready,
            first_line=half.next_line,
            span=msgspec.structs.replace(batch.span, start=half.next_start, first_line=half.next_line),
            requests=batch.requests - half.requests,
            invalid=batch.invalid - half.invalid,
            body_bytes=half.rest(size),
            revision=0,
        )
        self._ledger.move_batch(batch, first, Counters(queued=-batch.requests, batches_total=1, splits=1), follow_up=second)

    def _end(self, batch: Batch, error_type: str, message: str) -> None:
        """Ends every row of the batch as errored, unsent."""
        now = self._clock.now()
        unsent = Unsent(status=RowStatus.errored, error_type=error_type, message=message)
        self._ledger.move_batch(
            batch,
            msgspec.structs.replace(batch, state=BatchState.ended, unsent=unsent, ended_at=now, message_sent_at=now),
            Counters(batches_ended=1, queued=-batch.requests),
        )
        self._queues.send(Queue.collect, {"job_id": batch.job_id, "batch": batch.name})

    def _move_admission(self, before: Admission, after: Admission) -> None:
        try:
            self._ledger.move_admission(before, after)
        except LostRace:
            log.info("another submission spoke first")

    # ------------------------------------------------------------ the body

    def _render(self, batch: Batch, job: Job, path: Path) -> _Body:
        """Splices the `params` of every valid row, byte for byte, into a request body on disk."""
        with path.open("wb", buffering=_WRITE_BYTES) as out, line_blocks_of(self._objects, batch) as blocks:
            body = BodyWriter(out, job.token, batch.attempt, middle=batch.requests // 2)
            for block in blocks:
                _add(body, block)
            body.close()
        if body.requests != batch.requests:
            raise Incomplete(f"{body.requests} of {batch.requests} requests read from {batch.span.object.key}")
        return _Body(path, body.size, body.half)


def _add(body: BodyWriter, block: LineBlock) -> None:
    """Adds the rows of a block that are sent, all at once where that is possible."""
    params = block.params() if body.may_add_all(block.block.lines) else None
    if params is not None:
        body.add_all(block.block.number, params)
        return
    for line, invalid in block.rows():
        if invalid is None:
            body.add(line, REQUESTS.params(line.data))
        else:
            body.leave_out()


def _ready_again(batch: Batch) -> Batch:
    return msgspec.structs.replace(
        batch, state=BatchState.ready, admitted_at=None, message_sent_at=None, intent_at=None, lease_until=None
    )


def _names(batch: Batch) -> dict[str, object]:
    return {"job_id": batch.job_id, "batch": batch.name}
