"""Find the job, and have its rest asked again: by the stack, or from here."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec

from batchdrop_cli.ending import CannotUse, ended_by
from batchdrop_cli.exit_codes import ANSWERED, USAGE
from batchdrop_cli.following.said_status import Lookup
from batchdrop_cli.terminal import out, say, waiting
from batchdrop_client.bucket import Bucket, open_bucket
from batchdrop_client.ended_job import EndedJob, ended_job
from batchdrop_client.errors import StackError
from batchdrop_client.job import Job
from batchdrop_client.job_folder import job_folder
from batchdrop_client.plain_text import plain

_PATIENCE_SECONDS = 60.0
"""In which a stack has written the file of a retry, unless its rows are very many."""


class RetrySession(msgspec.Struct, kw_only=True):
    job: str
    bucket: str | None
    folder: str
    real_time: bool
    approve_up_to: Decimal | None
    prices: Path | None
    at_once: int
    may_pay_twice: bool
    out: Path | None
    as_json: bool

    def run(self) -> int:
        """The exit code."""
        try:
            bucket = open_bucket(self.bucket)
            job = ended_job(bucket, job_folder(bucket, self.job, self.folder))
            if "failed.jsonl" not in job.names:
                return say(
                    f"There is nothing to ask again: every row of {job.id} has an answer, or none was ever sent.", ANSWERED
                )
            return self._in_real_time(bucket, job) if self.real_time else self._by_the_stack(bucket, job)
        except StackError as problem:
            return ended_by(problem)

    def _by_the_stack(self, bucket: Bucket, job: EndedJob) -> int:
        if job.real_time is not None:
            raise CannotUse(
                f"{job.id} was asked in real time, and the stack knows no such job. Drop its failed.jsonl, or use --real-time.",
                USAGE,
            )
        from batchdrop_cli.retrying.rest_of_job import asked_before  # noqa: PLC0415 - nothing of it is needed before

        if before := asked_before(bucket, job):
            raise CannotUse(f"These rows were asked again before, {plain(before)}. Nothing was asked of the stack.", USAGE)
        asked = Job(bucket, job.folder)
        key = asked.retry()
        lookup = Lookup(self.bucket, self.folder)
        again = self._made_of(asked)
        if self.as_json:
            out(msgspec.json.encode({"job_id": job.id, "command": key, "retry": again.id if again else None}))
        if again is None:
            return say(f"The stack was asked for it. See what becomes of it: {lookup.command('status', job.id)}", ANSWERED)
        say(f"The stack asks again. Follow it: {lookup.command('status', again.id)} --watch", ANSWERED)
        if not self.as_json:
            out(again.id)
        return ANSWERED

    @staticmethod
    def _made_of(asked: Job) -> Job | None:
        """None: it is not known yet, or not to whoever asks."""
        try:
            with waiting("waiting for the stack"):
                return asked.retried(timeout=_PATIENCE_SECONDS)
        except (StackError, KeyboardInterrupt):
            return None

    def _in_real_time(self, bucket: Bucket, job: EndedJob) -> int:
        from batchdrop_cli.retrying.real_time import RealTime  # noqa: PLC0415 - what asks and writes is not needed else

        return RealTime(
            bucket=bucket,
            job=job,
            out=self.out,
            prices=self.prices,
            approve_up_to=self.approve_up_to,
            at_once=self.at_once,
            may_pay_twice=self.may_pay_twice,
            as_json=self.as_json,
        ).run()
