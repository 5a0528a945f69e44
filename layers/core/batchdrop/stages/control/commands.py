"""Carry out what somebody asks of a job by dropping an object: cancel, retry, approve. The answer is in its `status.json`."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import LostRace, ObjectGone
from batchdrop.domain.records import Job, JobState, RowStatus
from batchdrop.domain.retries import retryable
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.formats.failed_line import read_failure
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.jobs.cancel import CancelJob
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Ledger, Metrics, Objects
from batchdrop.reports import sentences

log = logging.getLogger(__name__)

_TRIES = 10


class Control(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    clock: Clock
    metrics: Metrics
    commit: Commit
    cancel_job: CancelJob
    publish: Publish

    def __call__(self, key: str) -> None:
        """An object was created under `control/`.

        Whoever may write there may write anything. A key that is no command, or that names no job, is therefore only logged and
        counted, and no text of a key is put where others read it.
        """
        command = keys.command_of(key)
        answer = self._answer(command.name) if command else None
        job = self.ledger.get_job(command.job_id) if command and answer else None
        if answer is None or job is None:
            log.warning("not a command", extra={"key": key})
            self.metrics.count("IgnoredCommands")
            return
        self._note(job.id, answer(job))
        self.publish(job.id)

    def _answer(self, command: str) -> Callable[[Job], str] | None:
        """What carries a command out, and says what became of it."""
        return {"cancel": self._cancel_job, "retry": self._retry, "approve": self._approve}.get(command)

    def _note(self, job_id: str, note: str) -> None:
        for _ in range(_TRIES):
            job = self.ledger.get_job(job_id)
            if job is None or job.note == note:
                return
            try:
                self.commit(transitions.noted(job, note))
            except LostRace:
                continue
            return

    def _cancel_job(self, job: Job) -> str:
        for _ in range(_TRIES):
            if job.state in TERMINAL_JOB_STATES or job.state is JobState.finishing:
                return sentences.CANCEL_TOO_LATE
            try:
                if not job.cancel_requested:
                    job = self.commit(transitions.cancel_requested(job, sentences.CANCEL_REQUESTED))
            except LostRace:
                job = self.ledger.get_job(job.id) or job
                continue
            # A job still being planned is canceled by its planner, once it knows all its batches.
            if job.state is not JobState.planning:
                self.cancel_job(job)
            return ""
        raise LostRace(f"job {job.id} changes faster than it can be canceled")

    def _approve(self, job: Job) -> str:
        return sentences.nothing_to_approve(job)

    def _retry(self, job: Job) -> str:
        """Drops the rows that may work next time into the inbox again, as a job of its own."""
        if job.state not in TERMINAL_JOB_STATES:
            return sentences.RETRY_TOO_EARLY
        key = self._retry_key(job)
        rows = self._drop_again(job, key)
        if not rows:
            return sentences.NOTHING_TO_RETRY
        return sentences.retried(rows, key)

    @staticmethod
    def _retry_key(job: Job) -> str:
        """The same for the same job: a command delivered twice writes one object once."""
        folder = keys.outbox_folder(job.input.key, job.id).removeprefix(keys.OUTBOX)
        return f"{keys.INBOX}{folder.rsplit('/', 2)[0]}.retry-of-{job.id}.jsonl"

    def _drop_again(self, job: Job, key: str) -> int:
        rows = 0
        try:
            failed = self.objects.head(keys.outbox_folder(job.input.key, job.id) + "failed.jsonl")
        except ObjectGone:
            return 0
        with self.objects.read(failed.ref) as stream, self.objects.writer(key, once=True) as writer:
            for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES):
                failure = read_failure(line.data)
                # A canceled row was never answered and never billed; whoever asks for a retry wants it.
                if failure.status is RowStatus.canceled or retryable(failure.status, failure.error.type):
                    writer.write(line.data + b"\n")
                    rows += 1
            if not rows:
                writer.abort()
        return rows
