"""Carry out what somebody asks of a job by dropping an object: cancel, retry, approve. The answer is in its `status.json`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import LostRace, ObjectGone
from batchdrop.domain.records import Job, JobState, RowStatus
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.formats.api_result import retryable
from batchdrop.formats.lines import read_lines
from batchdrop.jobs.cancel import CancelJob
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Ledger, Objects
from batchdrop.reports import documents
from batchdrop.stages.collect.pieces import OWN_LINE_BYTES

log = logging.getLogger(__name__)

_TRIES = 10


class _Error(msgspec.Struct, frozen=True):
    type: str


class _Failure(msgspec.Struct, frozen=True):
    status: RowStatus
    error: _Error


class _Failed(msgspec.Struct, frozen=True, rename={"failure": "_batchdrop"}):
    failure: _Failure


_decode_failed = msgspec.json.Decoder(_Failed).decode


@dataclass(frozen=True, kw_only=True)
class Control:
    objects: Objects
    ledger: Ledger
    clock: Clock
    commit: Commit
    cancel_job: CancelJob
    publish: Publish

    def __call__(self, key: str) -> None:
        """An object was created under `control/`."""
        command = keys.command_of(key)
        if command is None:
            log.warning("not a command", extra={"key": key})
            return
        name, job_id = command
        job = self.ledger.get_job(job_id)
        if job is None:
            self.objects.put(f"{keys.OUTBOX}{job_id}/status.json", documents.unknown_job(job_id, name, self.clock.now()))
            return
        commands: dict[str, Callable[[Job], str]] = {"cancel": self._cancel_job, "retry": self._retry, "approve": self._approve}
        run = commands.get(name)
        self._note(job_id, run(job) if run else f"There is no command '{name}'; there are cancel, approve and retry.")
        self.publish(job_id)

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
                return "A cancel came too late: the job had already ended."
            try:
                if not job.cancel_requested:
                    job = self.commit(transitions.cancel_requested(job, "Canceled by request."))
            except LostRace:
                job = self.ledger.get_job(job.id) or job
                continue
            # A job still being planned is canceled by its planner, once it knows all its batches.
            if job.state is not JobState.planning:
                self.cancel_job(job)
            return ""
        raise LostRace(f"job {job.id} changes faster than it can be canceled")

    def _approve(self, job: Job) -> str:
        return f"There is nothing to approve: the job is {job.state}, not held."

    def _retry(self, job: Job) -> str:
        """Drops the rows that may work next time into the inbox again, as a job of its own."""
        if job.state not in TERMINAL_JOB_STATES:
            return "A retry is possible once the job has ended."
        key = self._retry_key(job)
        rows = self._drop_again(job, key)
        if not rows:
            return "There is nothing to retry: no row failed for a reason that may pass."
        return f"A retry of {rows:,} failed rows was dropped as {key}; its answers come in a folder of that name."

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
            for line in read_lines(stream, max_line=OWN_LINE_BYTES):
                failure = _decode_failed(line.data).failure
                # A canceled row was never answered and never billed; whoever asks for a retry wants it.
                if failure.status is RowStatus.canceled or retryable(failure.status, failure.error.type):
                    writer.write(line.data + b"\n")
                    rows += 1
            if not rows:
                writer.abort()
        return rows
