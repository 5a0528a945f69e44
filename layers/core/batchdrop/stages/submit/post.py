"""Send one batch to the API: render its body, write the intent, POST once, record the answer.

The order is the promise "never pay twice": the intent is stored before the POST, the POST is never repeated, and whatever is not
a definite answer is left to `poll` to reconcile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from batchdrop.domain import ids, refusals, transitions
from batchdrop.domain.admission import may_be_sent
from batchdrop.domain.call_headers import headers_of
from batchdrop.domain.deadlines import is_overdue
from batchdrop.domain.errors import (
    Ambiguous,
    BatchdropError,
    Forbidden,
    Incomplete,
    LostRace,
    ObjectGone,
    Refused,
    UnreadableList,
)
from batchdrop.domain.messages import SubmitBatch
from batchdrop.domain.records import Admission, Batch, BatchState, Job, JobState, Proof, RefusedAs, RowStatus, Unsent
from batchdrop.domain.retries import UNREADABLE_AT_MOST
from batchdrop.domain.transitions import Half, Move, Piece
from batchdrop.formats.batch_body import FRAME_BYTES, SEPARATOR_BYTES, BodyWriter, request_bytes, unmarked
from batchdrop.formats.file_source import may_name_files, pinned_in, sent_bytes
from batchdrop.formats.input_line import REQUESTS, Row
from batchdrop.formats.lines import Line
from batchdrop.formats.rendered_line import check_rendered
from batchdrop.formats.same_request import SameRequests
from batchdrop.jobs.batch_rows import FILE_GONE, SETTLED, UNLISTED, LineBlock, batch_rows_of, line_blocks_of
from batchdrop.jobs.cancel import CancelBatch, unsent_of
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.config_files import ConfigObject
from batchdrop.jobs.doubt import tell_doubt
from batchdrop.jobs.file_bytes import with_files
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.scratch import scratch
from batchdrop.money.price_list import PriceList
from batchdrop.money.sizing import Sizer
from batchdrop.ports import ApiBatch, Claude, Clock, Deadline, Ledger, Objects, Switch, SwitchState
from batchdrop.reports import sentences

log = logging.getLogger(__name__)

# Small, so that a block of rows goes to the file without a copy in between.
_WRITE_BYTES = 1 << 16
# What follows the POST fits into the rest.
_POST_SHARE = 0.8
# A job may be changed by others at the same moment.
_LOOKS = 5
# How old the batch may be by which a key proves its workspace: what lies at the API may be deleted there.
_PROOF_LASTS = timedelta(days=1)

# The table holds their numbers. Of a batch that lacks more of them nothing is sent.
_MOST_LEFT_OUT = 1_000
_WITHOUT_FILES = Unsent(status=RowStatus.invalid, error_type=FILE_GONE, message=sentences.FILE_GONE)
_TOO_MANY_GONE = Unsent(status=RowStatus.invalid, error_type=FILE_GONE, message=sentences.too_many_files_gone(_MOST_LEFT_OUT))

# A pilot is refused so often before its rows go untried: once may be an incident.
_PILOT_REFUSALS = 2


class _Body(NamedTuple):
    """A rendered request body on disk."""

    path: Path
    half: Half | None
    size: int
    gone: tuple[int, ...] = ()
    """Lines of rows that it lacks, since a file that they name is gone."""
    gone_copies: int = 0
    """How many of these were to get the answer of another one of them."""


class Submit(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    claude: Claude
    switch: Switch
    clock: Clock
    commit: Commit
    cancel_batch: CancelBatch
    publish: Publish
    prices: ConfigObject[PriceList]
    """Those that hold now. They tell models apart; nothing is counted at them here."""

    def __call__(self, message: SubmitBatch, deadline: Deadline) -> None:
        """Submits an admitted batch. Any other state means that somebody else did, or that `poll` has it."""
        batch = self.ledger.get_batch(message.job_id, message.batch)
        job = self.ledger.get_job(message.job_id)
        if batch is None or job is None or batch.state is not BatchState.ready or batch.admitted_at is None:
            log.info("nothing to submit", extra=asdict(message) | {"state": batch and batch.state})
            return
        if job.cancel_requested:
            self.cancel_batch(batch, unsent_of(job))
        # A job that is held lets nothing more go; this batch went before, and what it costs is reserved.
        elif job.state in (JobState.running, JobState.held) and self._may_spend(batch, job):
            self._submit(batch, job, deadline)
        else:
            self.commit(transitions.put_back(batch))
        self.publish(message.job_id)

    def _may_spend(self, batch: Batch, job: Job) -> bool:
        """Asked again right before spending: the switch or the API may have said no since the batch was admitted."""
        if job.streak is not None and job.streak.waits and job.streak.trying != batch.name:
            return False
        now = self.clock.now()
        if is_overdue(job, now):
            return False
        return self.switch.state() is SwitchState.run and may_be_sent(batch, self.ledger.get_admission(), now)

    # ------------------------------------------------------------ the POST

    def _submit(self, batch: Batch, job: Job, deadline: Deadline) -> None:
        prefix = ids.new_prefix()
        with scratch() as folder:
            rendered = self._rendered(batch, job, prefix, folder / "body.json")
            if rendered is None:
                return
            batch, body = rendered
            try:
                key = self.claude.key()
            except Refused as refusal:
                self._keyless(batch, refusal)
                return
            intended = self._intend(batch, prefix, key, deadline)
            try:
                answer = self.claude.create(body.path, headers_of(job), within=deadline.remaining() * _POST_SHARE)
            except Refused as refusal:
                self._refused(intended, job, body, refusal)
            except Ambiguous as unclear:
                log.warning("no definite answer", extra=_names(batch) | {"status": unclear.status, "kind": unclear.kind})
                self.commit(transitions.unanswered(intended, now=self.clock.now()))
            else:
                self._accepted(intended, answer)

    def _rendered(self, batch: Batch, job: Job, prefix: str, path: Path) -> tuple[Batch, _Body] | None:
        """The body on disk, and the batch without the rows whose files are gone. None: the batch has ended without a request."""
        given_up = self._given_up(batch, job)
        try:
            body = self._render(batch, job, prefix, path, given_up=given_up)
        except ObjectGone:
            self._unsent(batch, "input_deleted", sentences.INPUT_DELETED)
            return None
        except UnreadableList:
            log.exception("the list of invalid rows cannot be read", extra=_names(batch))
            self.commit(transitions.unsent(batch, UNLISTED, now=self.clock.now()))
            return None
        except Forbidden:
            if not given_up:
                raise
            self._unsent(batch, "input_unreadable", sentences.INPUT_UNREADABLE)
            return None
        if not body.gone:
            return batch, body
        if (why := self._not_sent(batch, body)) is not None:
            self.commit(transitions.unsent(batch, why, now=self.clock.now()))
            return None
        return self.commit(transitions.left_out(batch, body.gone, copies=body.gone_copies, body_bytes=body.size)), body

    def _given_up(self, batch: Batch, job: Job) -> bool:
        """Whether what is closed to this function has been so for long.

        Batches of a job that waits are put back and admitted anew: for them a day never passes, but the streak does.
        """
        now = self.clock.now()
        waited = batch.admitted_at is None or now >= batch.admitted_at + UNREADABLE_AT_MOST
        return waited or refusals.is_over(job.streak, now)

    @staticmethod
    def _not_sent(batch: Batch, body: _Body) -> Unsent | None:
        """The end of all its rows, as files of them are gone. None: the others are sent."""
        if len(body.gone) - body.gone_copies == batch.requests:
            return _WITHOUT_FILES
        return _TOO_MANY_GONE if len(body.gone) + len(batch.left_out) > _MOST_LEFT_OUT else None

    def _intend(self, batch: Batch, prefix: str, key: str, deadline: Deadline) -> Batch:
        now = self.clock.now()
        lease_until = transitions.lease(now, deadline.remaining())
        return self.commit(transitions.intended(batch, prefix, key, now=now, lease_until=lease_until))

    def _accepted(self, batch: Batch, answer: ApiBatch) -> None:
        accepted = self.commit(transitions.accepted(batch, answer.id, created_at=answer.created_at))
        log.info("batch accepted", extra=_names(batch) | {"api_id": answer.id, "requests": batch.requests})
        admission = self.ledger.get_admission()
        if admission.blocked or admission.throttles or admission.refused_jobs:
            self._tell(transitions.cleared(admission))
            self._prove(accepted, self.ledger.get_admission())
        else:
            self._prove(accepted, admission)
        for other in admission.refused_jobs:
            if other != batch.job_id:
                self._change(other, self._another_was_accepted)
                self.publish(other)
        job = self._change(batch.job_id, lambda job: self._was_accepted(job, batch))
        tell_doubt(self.commit, job, "")
        if job is not None and job.cancel_requested:
            self.cancel_batch(accepted)

    def _was_accepted(self, job: Job, batch: Batch) -> Move[Job] | None:
        words = refusals.words_of_the_account(job.streak, batch)
        if job.streak is None and words in ("", job.words_of_the_account):
            return None
        return transitions.streak_ended(job, now=self.clock.now(), words_of_the_account=words)

    def _another_was_accepted(self, job: Job) -> Move[Job] | None:
        """If this job is refused again as before, then it is for its rows."""
        if job.streak is None or not refusals.may_concern_all(job.streak):
            return None
        return transitions.streak_ended(job, now=self.clock.now(), words_of_the_account="")

    def _prove(self, batch: Batch, admission: Admission) -> None:
        """Keeps a batch by which another key can be known to see what is sent with this one."""
        now = self.clock.now()
        if not any(proof.key == batch.key and now < proof.accepted_at + _PROOF_LASTS for proof in admission.proofs):
            self._tell(transitions.proven(admission, Proof(key=batch.key, api_id=batch.api_id or "", accepted_at=now)))

    # ------------------------------------------------------------ refusals

    def _keyless(self, batch: Batch, refusal: Refused) -> None:
        """Without a key nothing is sent, so there is no intent either."""
        log.warning("no API key", extra=_names(batch))
        self.commit(transitions.put_back(batch))
        cause = refusals.cause_of(refusal)
        if cause is not None:
            self._block(batch, refusal, cause)
            return
        admission = self.ledger.get_admission()
        until = self.clock.now() + refusals.waiting_time(refusal, admission.throttles)
        self._tell(transitions.throttled(admission, until=until))

    def _refused(self, batch: Batch, job: Job, body: _Body, refusal: Refused) -> None:
        # Without the API's own words: they may quote the request.
        log.warning("create refused", extra=_names(batch) | {"status": refusal.status, "kind": refusal.kind})
        cause = refusals.cause_of(refusal)
        if cause is not None and self._key_was_replaced(batch):
            # The refusal is about a key that this function still held: the batch goes again with the new one.
            self.commit(transitions.refused(batch))
        elif cause is None and not refusals.is_of_this_batch(refusal):
            self._wait(batch, refusal)
        elif cause is None or refusals.may_be_of_a_row(cause):
            self._isolate(batch, job, body, refusal, cause)
        else:
            self.commit(transitions.refused(batch))
            streak = refusals.none_of_its_own(refusal, self.clock.now())
            self._change(batch.job_id, lambda job: transitions.refused_again(job, streak))
            self._block(batch, refusal, cause)

    def _key_was_replaced(self, batch: Batch) -> bool:
        try:
            return self.claude.key(fresh=True) != batch.key
        except Refused:
            return False

    def _wait(self, batch: Batch, refusal: Refused) -> None:
        until = self.clock.now() + refusals.waiting_time(refusal, batch.refusals)
        self.commit(transitions.refused(batch, not_before=until))
        self._tell(transitions.throttled(self.ledger.get_admission(), until=until))

    def _block(self, batch: Batch, refusal: Refused, cause: refusals.Cause) -> None:
        now = self.clock.now()
        admission, sentence = self.ledger.get_admission(), sentences.blocked(refusal, cause)
        self._tell(transitions.blocked(admission, sentence, batch.job_id, now=now, probe_at=now + refusals.PROBE_EVERY))

    def _isolate(self, batch: Batch, job: Job, body: _Body, refusal: Refused, cause: refusals.Cause | None) -> None:
        """Cuts the batch in two, until a row that is at fault for sure stands alone and ends."""
        now = self.clock.now()
        refused_as = refusals.refused_as(batch, refusal, now)
        job = self.ledger.get_job(batch.job_id) or job
        # Rows of a later attempt were accepted before: a cut would find nothing.
        can_be_isolated = batch.attempt == 1 or batch.requests == 1
        sure = can_be_isolated and (refusals.is_of_a_row(refusal) or refusals.is_at_fault(refused_as[-1], job))
        admission = self.ledger.get_admission()
        concerns_all = cause is not None and not sure and refusals.concerns_all(batch.job_id, admission)
        if batch.tries and batch.refusals >= _PILOT_REFUSALS and not concerns_all:
            # Its rows go with their batches, which are cut until the one at fault stands alone.
            self._end(batch, refusal)
            return
        if (sure and batch.requests == 1) or (not sure and refusals.is_over(job.streak, now)):
            self._end(batch, refusal)
        elif body.half is not None and batch.attempt == 1 and not batch.tries and not concerns_all:
            self.commit(self._cut(batch, job, body.half, refused_as))
        else:
            self.commit(transitions.refused(batch, refused_as=refused_as))
        if sure:
            return
        # It shows when another batch of the job is accepted.
        self._change(batch.job_id, lambda job: transitions.refused_again(job, refusals.one_more(job.streak, refusal, now)))
        if cause is not None and concerns_all:
            self._block(batch, refusal, cause)
        elif cause is not None:
            self._tell(transitions.suspected(admission, batch.job_id))

    def _cut(self, batch: Batch, job: Job, half: Half, refused_as: tuple[RefusedAs, ...]) -> Move[Batch]:
        """By the sizes of its rows. Once they cannot be read, it goes again as it is, and its next rendering says why."""
        before = tuple(row for row in batch.settled if row.line < half.next_line)
        behind = replace(batch.span, start=half.next_start, first_line=half.next_line)
        try:
            first = self._piece(replace(batch, span=replace(batch.span, end=half.next_start), settled=before), job)
            if not batch.copies:
                return transitions.split(batch, half, first.sizes, refused_as)
            rest = self._piece(replace(batch, span=behind, settled=batch.settled[len(before) :]), job)
        except (ObjectGone, Forbidden, UnreadableList):
            log.warning("rows cannot be read again", extra=_names(batch))
            return transitions.refused(batch, refused_as=refused_as)
        return transitions.split(batch, half, first.sizes, refused_as, anew=(first, rest))

    def _piece(self, batch: Batch, job: Job) -> Piece:
        """What there is to send in the span of a batch, by itself. Raises ObjectGone, Forbidden, UnreadableList."""
        now = self.clock.now()
        sizer = Sizer(self.prices.current(now).value, now)
        check = check_rendered if job.recipe else REQUESTS.check
        same = SameRequests(batch.settled) if batch.copies else None
        requests = copies = not_sent = 0
        body_bytes = FRAME_BYTES - SEPARATOR_BYTES
        with batch_rows_of(self.objects, batch) as rows:
            for line, invalid, _ in rows:
                row = check(line) if invalid is None else invalid
                if not isinstance(row, Row):
                    not_sent += row.type != SETTLED
                elif same is not None and same.answered_by(row.line, row.params) is not None:
                    copies += 1
                else:
                    requests += 1
                    body_bytes += SEPARATOR_BYTES + request_bytes(sent_bytes(row.params), row.line)
                    sizer.add(row)
        return Piece(requests, copies, not_sent, body_bytes, sizer.take())

    def _change(self, job_id: str, edge: Callable[[Job], Move[Job] | None]) -> Job | None:
        """The job after that, or as it is if the edge leads nowhere; whoever changes it meanwhile goes first."""
        job = self.ledger.get_job(job_id)
        for _ in range(_LOOKS):
            move = edge(job) if job is not None and job.state is JobState.running else None
            if move is None:
                break
            try:
                return self.commit(move)
            except LostRace:
                job = self.ledger.get_job(job_id)
        return job

    def _end(self, batch: Batch, refusal: Refused) -> None:
        self._unsent(batch, refusal.kind, sentences.refused(refusal))

    def _unsent(self, batch: Batch, error_type: str, message: str) -> None:
        """Ends every row of the batch as errored."""
        why = Unsent(status=RowStatus.errored, error_type=error_type, message=message)
        self.commit(transitions.unsent(batch, why, now=self.clock.now()))

    def _tell(self, move: Move[Admission]) -> None:
        try:
            self.commit(move)
        except LostRace:
            log.info("another submission spoke first")

    # ------------------------------------------------------------ the body

    def _render(self, batch: Batch, job: Job, prefix: str, path: Path, *, given_up: bool) -> _Body:
        """Splices the `params` of every valid row, byte for byte, into a request body on disk, with the files that they name.

        `given_up`: files that have been closed to this function for long are gone.
        """
        lost = (ObjectGone, Forbidden) if given_up else (ObjectGone,)
        with path.open("wb", buffering=_WRITE_BYTES) as out, line_blocks_of(self.objects, batch) as blocks:
            # Of a job that waits, a refusal cuts off one row: it tells soonest whether all of them are refused.
            waits = job.streak is not None and job.streak.waits
            body = BodyWriter(out, prefix, middle=1 if waits else batch.requests // 2)
            same = SameRequests(batch.settled) if batch.copies else None
            rows = _Rows(body, same, self.objects, lost, unmark=job.cached is False)
            for block in blocks:
                rows.add(block)
            body.close()
        if body.requests + len(rows.gone) - rows.gone_copies != batch.requests:
            raise Incomplete(f"{body.requests} of {batch.requests} requests read from {batch.span.object.key}")
        return _Body(path, body.half(), body.size, tuple(rows.gone), rows.gone_copies)


class _Rows:
    """Adds rows to a body. `same`: if equal ones are sent once. `lost`: what says that a file is gone.

    `unmark`: without the cache that their recipe has asked for if it pays.
    """

    def __init__(
        self,
        body: BodyWriter,
        same: SameRequests | None,
        objects: Objects,
        lost: tuple[type[BatchdropError], ...],
        *,
        unmark: bool,
    ) -> None:
        self._unmark = unmark
        self._body = body
        self._same = same
        self._objects = objects
        self._lost = lost
        self.gone: list[int] = []
        """Lines of rows that are not sent since a file that they name is gone, those that ask for the same included."""
        self.gone_copies = 0

    def add(self, block: LineBlock) -> None:
        """Adds the rows of a block that are sent, all at once where that is possible."""
        files = may_name_files(block.block.data)
        all_at_once = not files and self._same is None and self._body.may_add_all(block.block.lines)
        params = block.params() if all_at_once else None
        if params is not None:
            self._body.add_all(block.block.number, [*map(unmarked, params)] if self._unmark else params)
            return
        for line, invalid, _ in block.rows():
            if invalid is None:
                self._add_row(line, REQUESTS.params(line.data), files=files)
            elif invalid.type != SETTLED:
                self._body.leave_out()

    def _add_row(self, line: Line, params: msgspec.Raw, *, files: bool) -> None:
        source = None if self._same is None else self._same.answered_by(line.number, params)
        if source is not None:
            if source in self.gone:
                self.gone_copies += 1
                self._leave_out(line)
            return
        if self._unmark:
            params = unmarked(params)
        if files and pinned_in(bytes(params)):
            try:
                self._body.add_in_pieces(line, with_files(self._objects, bytes(params)))
            except self._lost:
                self._leave_out(line)
        else:
            self._body.add(line, params)

    def _leave_out(self, line: Line) -> None:
        self.gone.append(line.number)
        self._body.leave_out()


def _names(batch: Batch) -> dict[str, object]:
    return {"job_id": batch.job_id, "batch": batch.name}
