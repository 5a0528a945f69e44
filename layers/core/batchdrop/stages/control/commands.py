"""Carry out what somebody asks of a job by dropping an object: cancel, retry, approve. The answer is in its `status.json`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import msgspec

from batchdrop.domain import ids, keys, transitions
from batchdrop.domain.errors import Forbidden, LostRace, ObjectGone, TooEarly
from batchdrop.domain.keys import Command
from batchdrop.domain.messages import Dropped, RetryJob
from batchdrop.domain.open_work import APPROVAL, LIMIT
from batchdrop.domain.records import Approval, Job, JobState, Question
from batchdrop.domain.transitions import TERMINAL_JOB_STATES, Cover, Move
from batchdrop.jobs.cancel import CancelJob
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.time_left import time_left
from batchdrop.ports import Clock, Deadline, Ledger, Metrics, Objects
from batchdrop.reports import sentences
from batchdrop.stages.control.approve_all import ApproveAll, for_later_files
from batchdrop.stages.control.retry import DropAgain

log = logging.getLogger(__name__)

_TRIES = 10
# Events of S3 usually come within seconds; what is not opened by then is no job, or its uploads have failed for long.
_LOOKED_AT_WITHIN = timedelta(minutes=15)
_FIRST_PAUSE = timedelta(seconds=5)


class Control(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    clock: Clock
    metrics: Metrics
    commit: Commit
    cancel_job: CancelJob
    publish: Publish
    drop_again: DropAgain
    approve_all: ApproveAll
    separate_teams: bool
    """Only a command that names the folder of a team counts: that is what IAM can tell apart."""

    def __call__(self, message: Dropped | RetryJob, deadline: Deadline) -> None:
        """An object was created under `control/`, or a long retry goes on.

        Whoever may write there may write anything. A key that is no command, or that names no job, is therefore only logged and
        counted, and no text of a key is put where others read it. Nor does a message count whose object S3 does not know: it
        shows that somebody may send to the queue, not that they may write there.
        """
        command = Command("retry", message.job_id) if isinstance(message, RetryJob) else keys.command_of(message.key)
        if command is not None and isinstance(message, Dropped) and not self._counts(command, message):
            command = None
        if command is not None and not command.job_id and isinstance(message, Dropped):
            if not self.approve_all(command, self._approval(command.code, 0, message)):
                self._ignore(message)
            return
        answer = self._answer(command, message, time_left(deadline)) if command else None
        job = self.ledger.get_job(command.job_id) if command and answer else None
        if command is not None and command.name == "cancel" and job is None:
            self._wait_for(command.job_id)
        if command is None or answer is None or job is None or not keys.is_below(job.input.key, command.folder):
            self._ignore(message)
            return
        note = answer(job)
        if note is not None:
            self._change(job.id, lambda job: None if job.note == note else transitions.noted(job, note))
        self.publish(job.id)

    def _wait_for(self, job_id: str) -> None:
        """Uploads and commands come by queues of their own. Who cancels what was dropped by mistake is heard, however quick.

        Raises TooEarly: the file may not have been looked at yet.
        """
        now = self.clock.now()
        try:
            age = now - ids.uploaded_at(job_id)
        except ValueError:  # the time of no day
            return
        if timedelta() <= age < _LOOKED_AT_WITHIN:
            raise TooEarly(f"job {job_id} is not there yet", until=now + max(_FIRST_PAUSE, age / 2))

    def _counts(self, command: Command, message: Dropped) -> bool:
        if self.separate_teams and not command.folder:
            return False
        try:
            self.objects.head(message.key, message.version_id)
        except (ObjectGone, Forbidden):
            return False
        return True

    def _ignore(self, message: Dropped | RetryJob) -> None:
        log.warning("not a command", extra={"key": message})
        self.metrics.count("IgnoredCommands")

    def _answer(
        self, command: Command, message: Dropped | RetryJob, go_on: Callable[[], bool]
    ) -> Callable[[Job], str | None] | None:
        """What carries a command out, and says what became of it."""
        answers: dict[str, Callable[[Job], str | None]] = {
            "cancel": self._cancel_job,
            "retry": lambda job: self._retry(job, go_on, begun=isinstance(message, RetryJob)),
        }
        if isinstance(message, Dropped):
            answers["approve"] = lambda job: self._approve(job, command.code, message)
            answers["raise"] = lambda job: self._raise_limit(job, command.code, message)
        return answers.get(command.name)

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

    def _approve(self, job: Job, code: str, said: Dropped) -> str | None:
        """A yes covers what the job has used so far, and the high end of what was shown for the rest."""
        for _ in range(_TRIES):
            if _has_heard(job, code):
                return None
            question = self._question(job, APPROVAL)
            if question is None:
                return sentences.nothing_to_approve(job)
            if question.code != code:
                return sentences.ANOTHER_QUESTION
            yes = self._approval(question.code, question.high, said)
            try:
                self.commit(self._let_go(job, question, yes))
            except LostRace:
                job = self.ledger.get_job(job.id) or job
                continue
            return ""
        raise LostRace(f"job {job.id} changes faster than it can be approved")

    def _raise_limit(self, job: Job, code: str, said: Dropped) -> str | None:
        for _ in range(_TRIES):
            if _has_heard(job, code):
                return None
            question = self._question(job, LIMIT)
            if question is None:
                return sentences.NOTHING_TO_RAISE
            if question.code != code:
                return sentences.ANOTHER_QUESTION
            yes = self._approval(question.code, question.high, said)
            try:
                virtual_time = self.ledger.get_admission().virtual_time
                self.commit(transitions.let_go(job, now=self.clock.now(), virtual_time=virtual_time, raised=yes))
            except LostRace:
                job = self.ledger.get_job(job.id) or job
                continue
            return ""
        raise LostRace(f"job {job.id} changes faster than its limit can be raised")

    @staticmethod
    def _question(job: Job, needs: str) -> Question | None:
        waits = job.state is JobState.held and job.needs == needs and not job.cancel_requested
        return job.question if waits else None

    def _let_go(self, job: Job, question: Question, yes: Approval) -> Move[Job]:
        now = self.clock.now()
        may_use = question.may_use(job.used)
        agreed = None if question.for_pilot else for_later_files(self.ledger.get_group(question.group), yes, may_use, now)
        virtual_time = self.ledger.get_admission().virtual_time
        return transitions.let_go(job, now=now, virtual_time=virtual_time, cover=Cover(yes, may_use), agreed=agreed)

    def _approval(self, code: str, amount: int, said: Dropped) -> Approval:
        return Approval(
            code=code,
            amount=amount,
            key=said.key,
            version_id=said.version_id,
            at=said.at or self.clock.now(),
            source_ip=said.source_ip,
        )

    def _retry(self, job: Job, go_on: Callable[[], bool], *, begun: bool) -> str | None:
        """None: it goes on in another invocation, and the job's note says how far it is."""
        if job.state not in TERMINAL_JOB_STATES:
            return sentences.RETRY_TOO_EARLY
        outcome = self.drop_again(job, go_on, begun=begun)
        if isinstance(outcome, str):
            return outcome
        note = sentences.retrying(outcome.offset, outcome.failed.size)
        self._change(job.id, lambda job: transitions.retried_in_part(job, note))
        return None


def _has_heard(job: Job, code: str) -> bool:
    """S3 may deliver an event more than once, and people may say yes twice: no code is asked a second time."""
    return any(yes.code == code for yes in job.approvals)
