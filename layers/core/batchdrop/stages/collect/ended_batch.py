"""Fetch the results of one ended batch, join them with its rows, and write them in input order; send again what may go again.

Safe to run twice: both runs write the same bytes to the same keys, and one conditional write says who was first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.errors import Incomplete, LostRace, NotFound, ObjectGone
from batchdrop.domain.records import Batch, BatchState, Job, JobState, ObjectRef, RowStatus, Span, Unsent, batch_name
from batchdrop.domain.retries import RESULTS_KEPT
from batchdrop.formats.batch_body import FRAME_BYTES
from batchdrop.formats.failed_line import number_of_failed
from batchdrop.formats.lines import Line
from batchdrop.formats.result_line import number_of_result
from batchdrop.jobs.batch_rows import BatchRow, batch_rows_of, invalid_lines_of
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Claude, Clock, Counters, Ledger, Objects, Queue, Queues
from batchdrop.reports import sentences
from batchdrop.stages.collect.download import NotOurs, Results
from batchdrop.stages.collect.pieces import part_writer
from batchdrop.stages.collect.route import Routed, Router

log = logging.getLogger(__name__)

# Losing this often means that many batches of one job end at the same moment; the queue then delivers the message again.
_TRIES = 20

# Not tried again: they may have been answered, and paid.
_DELETED = Unsent(
    status=RowStatus.missing,
    error_type="results_deleted",
    message=sentences.RESULTS_DELETED,
)


class Collect:
    """`spool_bytes`: disk for one download of results. `max_attempts`: how often a row is sent at most."""

    def __init__(
        self,
        objects: Objects,
        ledger: Ledger,
        queues: Queues,
        claude: Claude,
        clock: Clock,
        publish: Publish,
        *,
        spool_bytes: int,
        max_attempts: int,
    ) -> None:
        self._objects = objects
        self._ledger = ledger
        self._queues = queues
        self._claude = claude
        self._clock = clock
        self._publish = publish
        self._spool_bytes = spool_bytes
        self._max_attempts = max_attempts

    def batch(self, job_id: str, name: str) -> None:
        batch = self._ledger.get_batch(job_id, name)
        job = self._ledger.get_job(job_id)
        if batch is None or job is None:
            log.error("no such batch", extra={"job_id": job_id, "batch": name})
            return
        if batch.state is BatchState.ended and job.state is JobState.running:
            self._collect(batch, job)
        else:
            log.info("nothing to collect", extra={"job_id": job_id, "batch": name, "state": batch.state})
        now = self._publish.job(job_id)
        if now is not None and now.state is JobState.finishing:
            self._queues.send(Queue.finish, {"job_id": job_id})

    def _collect(self, batch: Batch, job: Job) -> None:
        try:
            rows = self._sort(batch, job)
        except NotOurs:
            self._disown(batch)
            return
        except NotFound:
            if batch.created_at is None or self._clock.now() < batch.created_at + RESULTS_KEPT:
                raise
            log.exception("results deleted before they were collected", extra={"job_id": job.id, "batch": batch.name})
            rows = self._sort(msgspec.structs.replace(batch, api_id=None, result_lines=0, unsent=_DELETED), job)
        self._record(batch, job, rows)

    # ------------------------------------------------------------ the rows

    def _sort(self, batch: Batch, job: Job) -> Routed:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "results"
            try:
                with self._answers(batch, job, path) as answers, batch_rows_of(self._objects, batch) as entries:
                    return self._write(batch, job, entries, answers)
            except ObjectGone:
                log.warning("the input is gone: rows are collected without their custom ids", extra={"batch": batch.name})
            with self._answers(batch, job, path) as answers:
                return self._write(batch, job, self._without_source(batch, answers), answers)

    def _answers(self, batch: Batch, job: Job, path: Path) -> Results:
        return Results(self._claude, self._clock, batch, job.token, path, self._spool_bytes)

    def _write(self, batch: Batch, job: Job, entries: Iterator[BatchRow], answers: Results) -> Routed:
        earlier = self._ledger.get_batch(job.id, batch_name(batch.first_line, batch.attempt - 1)) if batch.attempt > 1 else None
        with ExitStack() as stack:
            results = stack.enter_context(
                part_writer(self._objects, _part(batch, job, "results"), earlier.results if earlier else None, number_of_result)
            )
            failed = stack.enter_context(
                part_writer(self._objects, _part(batch, job, "failed"), earlier.failed if earlier else None, number_of_failed)
            )
            retry = stack.enter_context(part_writer(self._objects, _part(batch, job, "retry")))
            sorter = Router(batch, job.token, results, failed, retry, may_retry=self._may_retry(batch, job))
            for line, fault in entries:
                if fault is not None:
                    sorter.invalid(line, fault)
                else:
                    sorter.row(line, answers.get(line.number))
            rows = sorter.close()
        covered = rows.counts.total + (rows.retry.lines if rows.retry else 0)
        if covered != batch.requests + batch.invalid:
            raise Incomplete(f"{covered} of {batch.requests + batch.invalid} rows read from {batch.span.object.key}")
        return rows

    def _may_retry(self, batch: Batch, job: Job) -> bool:
        return batch.attempt < self._max_attempts and not job.cancel_requested

    def _without_source(self, batch: Batch, answers: Results) -> Iterator[BatchRow]:
        """The rows as far as they can be told without the input: by the invalid lines, by the results, then by counting."""
        unseen = batch.requests - batch.result_lines
        with invalid_lines_of(self._objects, batch) as faults:
            fault = next(faults, None)
            for number in range(batch.first_line, batch.last_line + 1):
                line = Line(number, 0, 0, b"{}", cut=False)
                while fault is not None and fault.line < number:
                    fault = next(faults, None)
                if fault is not None and fault.line == number:
                    yield BatchRow(line, fault)
                elif answers.get(number) is not None:
                    yield BatchRow(line, None)
                elif unseen > 0:
                    unseen -= 1
                    yield BatchRow(line, None)

    # ------------------------------------------------------------ the record

    def _record(self, batch: Batch, job: Job, rows: Routed) -> None:
        collected = msgspec.structs.replace(
            batch,
            state=BatchState.collected,
            collected_at=self._clock.now(),
            counts=rows.counts,
            usage=rows.usage,
            results=rows.results,
            failed=rows.failed,
            retry=rows.retry,
        )
        follow_up = self._follow_up(batch, job, rows)
        counters = Counters(
            succeeded=rows.counts.succeeded,
            errored=rows.counts.errored,
            expired=rows.counts.expired,
            canceled=rows.counts.canceled,
            invalid=rows.counts.invalid,
            missing=rows.counts.missing,
            batches_collected=1,
            batches_total=1 if follow_up else 0,
        )
        for _ in range(_TRIES):
            current = self._ledger.get_job(batch.job_id)
            if current is None:
                return
            last = follow_up is None and current.batches_collected + 1 == current.batches_total
            if follow_up is not None and current.cancel_requested:
                raise LostRace(f"job {batch.job_id} was canceled meanwhile: its batch is collected again, without a retry")
            try:
                self._ledger.move_batch(
                    batch,
                    collected,
                    counters,
                    follow_up=follow_up,
                    # Nothing new is opened for a job that is being canceled.
                    job_state=JobState.running if follow_up else None,
                    finish=current if last else None,
                )
            except LostRace:
                stored = self._ledger.get_batch(batch.job_id, batch.name)
                if stored is None or stored.revision != batch.revision:
                    log.info("another invocation collected this batch", extra={"job_id": batch.job_id, "batch": batch.name})
                    return
            else:
                return
        raise LostRace(f"batch {batch.name} of job {batch.job_id} could not be recorded")

    def _follow_up(self, batch: Batch, job: Job, rows: Routed) -> Batch | None:
        if rows.retry is None:
            return None
        source = msgspec.structs.replace(_part(batch, job, "retry"), size=rows.retry.size)
        return Batch(
            job_id=batch.job_id,
            first_line=batch.first_line,
            last_line=batch.last_line,
            attempt=batch.attempt + 1,
            state=BatchState.ready,
            span=Span(object=source, start=0, end=rows.retry.size, first_line=batch.first_line, numbered=True),
            requests=rows.retry.lines,
            body_bytes=rows.retry_body_bytes + FRAME_BYTES,
            priority=batch.priority,
            # It keeps its place: rows that failed at Anthropic's side do not queue up again behind later files.
            start_tag=batch.start_tag,
        )

    def _disown(self, batch: Batch) -> None:
        """An adopted batch is somebody else's: give it back, and let `poll` look for ours again."""
        log.warning("an adopted batch is not ours", extra={"batch": batch.name, "api_id": batch.api_id})
        foreign = (*batch.foreign, batch.api_id) if batch.api_id else batch.foreign
        back = msgspec.structs.replace(
            batch,
            state=BatchState.submitting,
            api_id=None,
            adopted=False,
            foreign=foreign,
            created_at=None,
            ended_at=None,
            message_sent_at=None,
            result_lines=0,
        )
        try:
            self._ledger.move_batch(batch, back, Counters(batches_ended=-1, queued=batch.requests))
        except LostRace:
            log.info("another invocation disowned it", extra={"batch": batch.name})


def _part(batch: Batch, job: Job, name: str) -> ObjectRef:
    return ObjectRef(bucket=job.input.bucket, key=f"{keys.batch_folder(job.id, batch.name)}{name}.jsonl")
