"""Fetch the results of one ended batch, join them with its rows, and write them in input order; send again what may go again.

Safe to run twice, also at the same time: each run writes parts of its own, and one conditional write says whose parts count.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
from msgspec.structs import asdict, replace

from batchdrop.domain import keys, reconcile, transitions
from batchdrop.domain.deadlines import DEADLINE_PASSED, is_overdue
from batchdrop.domain.errors import BatchdropError, Forbidden, Incomplete, LostRace, NotFound, ObjectGone, UnreadableList
from batchdrop.domain.messages import CollectBatch
from batchdrop.domain.records import (
    PILOT,
    WARM_UP,
    ApiCounts,
    Batch,
    BatchState,
    Job,
    JobState,
    ObjectRef,
    Part,
    RowStatus,
    Unsent,
)
from batchdrop.domain.retries import ANSWERS_AWAITED, ANSWERS_AWAITED_AFTER_CANCEL, RESULTS_KEPT, UNREADABLE_AT_MOST, next_look
from batchdrop.domain.transitions import Collected, Move
from batchdrop.formats.failed_line import number_of_failed
from batchdrop.formats.lines import Line
from batchdrop.formats.result_line import number_of_result
from batchdrop.jobs.answer_size import most_answers
from batchdrop.jobs.batch_rows import SETTLED, UNLISTED, BatchRow, batch_rows_of, invalid_lines_of
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.config_files import ConfigObject
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.scratch import scratch
from batchdrop.money.billing import Biller
from batchdrop.money.price_list import PriceList
from batchdrop.money.sizing import Sizer
from batchdrop.ports import Claude, Clock, Ledger, Metrics, Objects
from batchdrop.recipes.caching import AUTO
from batchdrop.recipes.form import AnswerForm, Form, Kind, Table, decode_form
from batchdrop.reports import sentences
from batchdrop.stages.collect.copies import Copies, copies_of, unlisted
from batchdrop.stages.collect.download import NotOurs, Results
from batchdrop.stages.collect.earlier import Earlier, earlier_attempts, of_pilot
from batchdrop.stages.collect.out_of_reach import telling
from batchdrop.stages.collect.pieces import EarlierGone, part_writer
from batchdrop.stages.collect.route import Router
from batchdrop.stages.collect.row_lines import RecipeLines, RequestLines
from batchdrop.stages.collect.settled_ends import SettledEnd, settled_ends
from batchdrop.stages.collect.tried_files import write_tried
from batchdrop.stages.collect.tried_rows import TriedRows, holders_of, sizes_of

log = logging.getLogger(__name__)

# Losing this often means that many batches of one job end at the same moment; the queue then delivers the message again.
_TRIES = 100
_RUN_BYTES = 8

# Not tried again: they may have been answered, and paid.
_DELETED = Unsent(status=RowStatus.missing, error_type="results_deleted", message=sentences.RESULTS_DELETED)


class _AnswersMissing(BatchdropError):
    """Rows without a result line may have been answered, as the API counts its requests now. `some`: others have a line."""

    def __init__(self, counts: ApiCounts, *, some: bool) -> None:
        super().__init__("the results lack answers that the API counts")
        self.counts = counts
        self.some = some


class Collect(msgspec.Struct, frozen=True, kw_only=True):
    """`spool_bytes`: disk for one download of results. `max_attempts`: how often a row is sent at most."""

    objects: Objects
    ledger: Ledger
    claude: Claude
    clock: Clock
    commit: Commit
    publish: Publish
    metrics: Metrics
    prices: ConfigObject[PriceList]
    spool_bytes: int
    max_attempts: int

    def __call__(self, message: CollectBatch) -> None:
        batch = self.ledger.get_batch(message.job_id, message.batch)
        job = self.ledger.get_job(message.job_id)
        if batch is None or job is None:
            log.error("no such batch", extra=asdict(message))
            return
        if batch.state is BatchState.ended and job.state in (JobState.running, JobState.held):
            self._collect(batch, job)
        else:
            log.info("nothing to collect", extra=asdict(message) | {"state": batch.state})
        self.publish(message.job_id)

    def _collect(self, batch: Batch, job: Job) -> None:
        try:
            with telling(self.commit, self.ledger, self.publish, job):
                rows = self._route(batch, job)
        except NotOurs:
            log.warning("an adopted batch is not ours", extra={"batch": batch.name, "api_id": batch.api_id})
            self._try(transitions.disowned(batch, not_ours=True))
            return
        except _AnswersMissing as missing:
            if self._awaits_answers(batch, job):
                self._postpone(batch, missing.counts, confirmed=missing.some)
                return
            log.warning("answers that the API counts were never delivered", extra={"job_id": job.id, "batch": batch.name})
            rows = self._route(batch, job, lost=True)
        except NotFound:
            if batch.created_at is None or self.clock.now() < batch.created_at + RESULTS_KEPT:
                if batch.adopted:
                    self._ask_for(batch)
                raise
            log.exception("results deleted before they were collected", extra={"job_id": job.id, "batch": batch.name})
            rows = self._route(replace(batch, api_id=None, result_lines=0, unsent=_DELETED), job)
        self._record(batch, rows)

    # ------------------------------------------------------------ the rows

    def _route(self, batch: Batch, job: Job, *, lost: bool = False) -> Collected:
        try:
            return self._read_rows(batch, job, lost=lost)
        except UnreadableList:
            log.exception("the list of invalid rows cannot be read", extra={"job_id": job.id, "batch": batch.name})
        return self._read_rows(replace(batch, invalid_key=None, unsent=batch.unsent or UNLISTED), job, lost=lost)

    def _read_rows(self, batch: Batch, job: Job, *, lost: bool) -> Collected:
        """With the rows themselves, if the input is still there."""
        with scratch() as folder:
            path = folder / "results"
            try:
                copies = copies_of(self.objects, batch)
                with self._download(batch, path, copies) as results, batch_rows_of(self.objects, batch) as rows:
                    return self._write(batch, job, rows, results, copies, lost=lost, may_retry=self._may_retry(batch, job))
            except ObjectGone:
                log.warning("the input is gone: rows are collected without their custom ids", extra={"batch": batch.name})
            except Forbidden:
                # Answers wait for their custom ids, and for the rows that share them, unless somebody wants the job to end. Rows
                # that were never sent have none.
                has_answers = batch.api_id is not None or (batch.copies and batch.settled)
                wait = has_answers and not job.cancel_requested
                if wait and self.clock.now() < (batch.ended_at or batch.start_tag) + UNREADABLE_AT_MOST:
                    raise
                log.warning("the input is refused: rows are collected without their custom ids", extra={"batch": batch.name})
            copies = Copies(batch)
            with self._download(batch, path, copies) as results:
                rows = self._without_source(batch, results)
                return self._write(batch, job, rows, results, copies, lost=lost, may_retry=False)

    def _download(self, batch: Batch, path: Path, copies: Copies) -> Results:
        return Results(self.claude, self.clock, batch, path, self.spool_bytes, copies)

    def _write(
        self, batch: Batch, job: Job, rows: Iterator[BatchRow], results: Results, copies: Copies, *, lost: bool, may_retry: bool
    ) -> Collected:
        find = of_pilot if batch.settled else earlier_attempts
        earlier = find(self.objects, self.ledger, batch)
        run = secrets.token_hex(_RUN_BYTES)
        form = self._form(job)
        now = self.clock.now()
        prices, at = self.prices.current(now).value, batch.created_at or now
        biller = Biller(prices, at)
        completes = bool(job.completes)
        lines = RequestLines(job.id, completes=completes) if form is None else RecipeLines(form, job.id, completes=completes)
        canceled = (DEADLINE_PASSED, sentences.not_answered_by_deadline(job)) if job.overdue else None

        def part(name: str, suffix: str = "jsonl") -> ObjectRef:
            return ObjectRef(bucket=job.input.bucket, key=keys.part(job.id, batch.name, run, name, suffix))

        with ExitStack() as stack:
            answered = stack.enter_context(
                part_writer(self.objects, part("results"), earlier.results, number_of_result, earlier.lines)
            )
            failed = stack.enter_context(
                part_writer(self.objects, part("failed"), earlier.failed, number_of_failed, earlier.lines)
            )
            retry = stack.enter_context(part_writer(self.objects, part("retry")))
            if batch.tries:
                router: Router = TriedRows(
                    batch,
                    lines,
                    biller,
                    answered,
                    failed,
                    retry,
                    lost=lost,
                    prices=prices,
                    at=at,
                    rendered=form is not None,
                    decides=batch.name == PILOT and job.cache == AUTO,
                    others=sizes_of(one for one in self.ledger.list_batches(job.id) if not one.tries),
                )
            else:
                again = {reason: form.retry_changes.get(reason, {}) for reason in form.answer.retry_reasons} if form else {}
                may_retry = may_retry and (form is None or form.attempts is None or batch.attempt < form.attempts)
                router = Router(
                    *(batch, lines, biller, answered, failed, retry),
                    may_retry=may_retry,
                    lost=lost,
                    canceled=canceled,
                    sizer=Sizer(prices, at),
                    rendered=form is not None,
                    again=again,
                    answer_room=most_answers(self.spool_bytes),
                )
            self._feed(router, batch, rows, results, copies, earlier)
            unsent = unlisted(batch)
            if batch.api_id is not None and router.without_line > unsent and not lost:
                self._check_unbilled(batch, router.succeeded, some=router.without_line < batch.requests + unsent)
            collected = replace(router.close(), losses=earlier.losses)
            covered = collected.counts.total + collected.left + (collected.retry.lines if collected.retry else 0)
            if covered != batch.rows:
                raise Incomplete(f"{covered} of {batch.rows} rows read from {batch.span.object.key}")
        if form is not None and form.table.columns and collected.retry is None:
            # A function that collects requests only loads none of it.
            from batchdrop.stages.collect.tables import write_tables  # noqa: PLC0415

            pieces = (collected.results, collected.failed)
            tables = write_tables(self.objects, form, job.id, pieces, (part("table", "csv"), part("failed", "csv")))
            collected = replace(collected, table=tables.table, failed_table=tables.failed)
        if batch.name == PILOT:
            self._show_tried(job, collected)
        return collected

    def _feed(
        self, router: Router, batch: Batch, rows: Iterator[BatchRow], results: Results, copies: Copies, earlier: Earlier
    ) -> None:
        settled = {row.line: row.status for row in batch.settled}
        ends = self._settled_ends(batch, earlier)
        for line, invalid, paid in rows:
            if invalid is not None and invalid.type == SETTLED:
                router.settled(line, None if earlier.gone else settled[line.number])
            elif invalid is not None:
                router.invalid(line, invalid, paid)
            elif (source := copies.source_of(line.number)) is None:
                router.row(line, results.get(line.number), paid)
            elif source in settled:
                router.same_as_settled(line, source, ends.get(source))
            else:
                router.copy(line, source, results.get_for_copy(line.number), paid)

    def _settled_ends(self, batch: Batch, earlier: Earlier) -> dict[int, SettledEnd]:
        if not (batch.copies and batch.settled):
            return {}
        try:
            return settled_ends(self.objects, batch.span.object.bucket, earlier, {row.line for row in batch.settled})
        except ObjectGone as error:
            raise EarlierGone("the pieces of the pilot were deleted") from error

    def _show_tried(self, job: Job, rows: Collected) -> None:
        try:
            write_tried(self.objects, job, rows, self.ledger.get_batch(job.id, WARM_UP))
        except ObjectGone:
            log.exception("the rows that were tried cannot be shown: objects under work/ are gone", extra={"job_id": job.id})

    def _form(self, job: Job) -> Form | None:
        """None for a file of requests. If somebody has deleted it, answers are kept as they are, and there is no table."""
        if job.recipe is None:
            return None
        try:
            return decode_form(self.objects.get(keys.form(job.id)))
        except (ObjectGone, msgspec.DecodeError):
            log.exception("the form of a job with a recipe cannot be read", extra={"job_id": job.id})
            return Form(recipe_key=job.recipe.key, table=Table(kind=Kind.jsonl, columns=()), answer=AnswerForm())

    def _check_unbilled(self, batch: Batch, succeeded: int, *, some: bool) -> None:
        """Raises _AnswersMissing unless the API counts every request without an answer as not billed. `some`: others have a line.

        Its counts may lag as its results do: two looks have to agree, that of the batch's end or of the last try, and this one.
        """
        counts = self.claude.retrieve(batch.api_id or "").counts
        unbilled = min(counts.unbilled, (batch.api_counts or counts).unbilled)
        if succeeded + unbilled < batch.requests:
            raise _AnswersMissing(counts, some=some)

    def _may_retry(self, batch: Batch, job: Job) -> bool:
        return batch.attempt < self.max_attempts and not job.cancel_requested and not is_overdue(job, self.clock.now())

    def _without_source(self, batch: Batch, results: Results) -> Iterator[BatchRow]:
        """The rows as far as they can be told without the input: by the invalid lines, by the results, then by counting."""
        paid = None if batch.span.numbered else 0
        # Nobody can tell any more which answer a copy shares.
        unseen = batch.requests - results.count() + batch.copies + unlisted(batch)
        with invalid_lines_of(self.objects, batch) as listed:
            invalid = next(listed, None)
            for number in [row.line for row in batch.tries] or range(batch.first_line, batch.last_line + 1):
                line = Line(number, 0, 0, b"{}", cut=False)
                while invalid is not None and invalid.line < number:
                    invalid = next(listed, None)
                if invalid is not None and invalid.line == number:
                    yield BatchRow(line, invalid)
                elif results.get(number) is not None:
                    yield BatchRow(line, None, paid)
                elif unseen > 0:
                    unseen -= 1
                    yield BatchRow(line, None, paid)

    # ------------------------------------------------------------ answers that are late

    def _awaits_answers(self, batch: Batch, job: Job) -> bool:
        patience = ANSWERS_AWAITED_AFTER_CANCEL if job.cancel_requested else ANSWERS_AWAITED
        return batch.incomplete_since is None or self.clock.now() < batch.incomplete_since + patience

    def _postpone(self, batch: Batch, counts: ApiCounts, *, confirmed: bool) -> None:
        now = self.clock.now()
        until = next_look(batch.incomplete_since or now, now)
        log.warning(
            "results lack answers that the API counts", extra={"job_id": batch.job_id, "batch": batch.name, "until": until}
        )
        try:
            self.commit(transitions.postponed(batch, counts=counts, until=until, now=now, confirmed=confirmed))
        except LostRace:
            log.info("another invocation was first", extra={"job_id": batch.job_id, "batch": batch.name})

    # ------------------------------------------------------------ the record

    def _record(self, batch: Batch, rows: Collected) -> None:
        """Only parts that are surely not the recorded ones are removed: after any other error the write may have succeeded."""
        for _ in range(_TRIES):
            job = self.ledger.get_job(batch.job_id)
            if job is None:
                return
            if rows.retry is not None and job.cancel_requested:
                self._discard(rows)
                raise LostRace(f"job {batch.job_id} was canceled meanwhile: its batch is collected again, without a retry")
            try:
                self.commit(self._move(batch, job, rows))
            except LostRace:
                stored = self.ledger.get_batch(batch.job_id, batch.name)
                if stored is None or stored.revision != batch.revision:
                    log.info("another invocation was first", extra={"job_id": batch.job_id, "batch": batch.name})
                    self._discard(rows, keep=stored)
                    return
            else:
                self._tell_losses(batch, rows)
                return
        self._discard(rows)
        raise LostRace(f"batch {batch.name} of job {batch.job_id} could not be recorded")

    def _move(self, batch: Batch, job: Job, rows: Collected) -> Move[Batch]:
        now = self.clock.now()
        if not batch.tries:
            return transitions.collected(batch, job, rows, now=now)
        holders = holders_of(self.ledger.list_batches(job.id), rows)
        if batch.name == WARM_UP:
            return transitions.warm_up_collected(batch, job, rows, holders, now=now)
        reason, note = sentences.weighed(job.warmed + len(rows.settled)), sentences.untried(batch.unsent) if batch.unsent else ""
        return transitions.pilot_collected(batch, job, rows, holders, reason=reason, note=note, now=now)

    def _tell_losses(self, batch: Batch, rows: Collected) -> None:
        if rows.losses:
            log.error(
                "pieces of an earlier attempt were deleted",
                extra={"job_id": batch.job_id, "batch": batch.name, "rows": rows.rows_lost},
            )
        if rows.rows_lost:
            self.metrics.count("AnswersAtRisk", rows.rows_lost)

    def _discard(self, rows: Collected, keep: Batch | None = None) -> None:
        """Removes the parts of this run, unless they are the ones that the batch to `keep` names: the answer was lost then."""
        recorded = {part.key for part in _parts(keep)} if keep else set[str]()
        for part in _parts(rows):
            if part.key not in recorded:
                self.objects.delete(part.key)

    def _ask_for(self, batch: Batch) -> None:
        """Results can be late. Only if the API does not show the batch either may its owner have deleted it."""
        try:
            self.claude.retrieve(batch.api_id or "")
        except NotFound:
            self._try(reconcile.not_found(batch, self.clock.now()))
        else:
            if batch.not_found:
                self._try(transitions.found_again(batch))

    def _try(self, move: Move[Batch]) -> None:
        try:
            self.commit(move)
        except LostRace:
            log.info("another invocation was first", extra={"batch": move.after.name, "edge": move.edge})


def _parts(of: Batch | Collected) -> list[Part]:
    return [part for part in (of.results, of.failed, of.retry, of.table, of.failed_table) if part is not None]
