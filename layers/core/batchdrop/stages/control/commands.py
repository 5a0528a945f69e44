"""Carry out what somebody asks of a job by dropping an object: cancel, retry, approve. The answer is in its `status.json`."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.messages import RetryJob
from batchdrop.domain.records import Job, JobState
from batchdrop.domain.transitions import TERMINAL_JOB_STATES, Move
from batchdrop.jobs.cancel import CancelJob
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.time_left import time_left
from batchdrop.ports import Clock, Deadline, Ledger, Metrics, Objects
from batchdrop.reports import sentences
from batchdrop.stages.control.retry import DropAgain

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
    drop_again: DropAgain

    def __call__(self, message: str | RetryJob, deadline: Deadline) -> None:
        """An object with this key was created under `control/`, or a long retry goes on.

        Whoever may write there may write anything. A key that is no command, or that names no job, is therefore only logged and
        counted, and no text of a key is put where others read it.
        """
        if isinstance(message, RetryJob):
            name, job_id = "retry", message.job_id
        elif command := keys.command_of(message):
            name, job_id = command
        else:
            self._ignore(message)
            return
        answer = self._answer(name, time_left(deadline))
        job = self.ledger.get_job(job_id) if answer else None
        if answer is None or job is None:
            self._ignore(message)
            return
        note = answer(job)
        if note is not None:
            self._change(job_id, lambda job: None if job.note == note else transitions.noted(job, note))
        self.publish(job_id)

    def _ignore(self, message: str | RetryJob) -> None:
        log.warning("not a command", extra={"key": message})
        self.metrics.count("IgnoredCommands")

    def _answer(self, command: str, go_on: Callable[[], bool]) -> Callable[[Job], str | None] | None:
        """What carries a command out, and says what became of it."""
        return {"cancel": self._cancel_job, "retry": lambda job: self._retry(job, go_on), "approve": self._approve}.get(command)

    def _change(self, job_id: str, edge: Callable[[Job], Move[Job] | None]) -> None:
        for _ in range(_TRIES):
            job = self.ledger.get_job(job_id)
            move = edge(job) if job is not None else None
            if move is None:
                return
            try:
                self.commit(move)
            except LostRace:
                continue
            return
        raise LostRace(f"job {job_id} changes faster than a command about it can be answered")

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
            self.cancel_job(job)
            return ""
        raise LostRace(f"job {job.id} changes faster than it can be canceled")

    def _approve(self, job: Job) -> str:
        return sentences.nothing_to_approve(job)

    def _retry(self, job: Job, go_on: Callable[[], bool]) -> str | None:
        """None: it goes on in another invocation, and the job's note says how far it is."""
        if job.state not in TERMINAL_JOB_STATES:
            return sentences.RETRY_TOO_EARLY
        outcome = self.drop_again(job, go_on)
        if isinstance(outcome, str):
            return outcome
        note = sentences.retrying(outcome.offset, outcome.failed.size)
        self._change(job.id, lambda job: transitions.retried_in_part(job, note))
        return None
