"""`status.json` of a job: what it says, and how a command ends that tells it."""

from __future__ import annotations

import msgspec

from batchdrop.domain.keys import INBOX
from batchdrop.domain.record import Record
from batchdrop.domain.records import Counts, JobState
from batchdrop_cli.bucket.job_folder import job_folder
from batchdrop_cli.bucket.opened_bucket import Bucket, CannotUse, aws_said
from batchdrop_cli.exit_codes import ANSWERED, INCOMPLETE, STOPPED, TIMED_OUT, WAITS
from batchdrop_cli.terminal import plain


class _Input(Record, frozen=True):
    key: str


class _Question(Record, frozen=True):
    code: str
    answer: str
    """The key of the object that says yes."""


class _Next(Record, frozen=True):
    text: str
    command: str | None = None

    def lines(self) -> list[str]:
        """A command that a terminal would not show as it is, is not shown at all."""
        command = self.command or ""
        return [plain(self.text), *([command] if command and plain(command) == command else [])]


class JobStatus(Record, frozen=True):
    job_id: str
    state: JobState
    message: str
    input: _Input
    counts: Counts = Counts()
    needs: str | None = None
    question: _Question | None = None
    next: _Next | None = None
    """None: of a job that ended with an earlier version."""

    @property
    def has_ended(self) -> bool:
        return self.state in {JobState.done, JobState.rejected, JobState.canceled}

    @property
    def code(self) -> int:
        """The exit code of a command that tells this."""
        match self.state:
            case JobState.done:
                return ANSWERED if self.counts.succeeded == self.counts.total else INCOMPLETE
            case JobState.rejected | JobState.canceled:
                return STOPPED
            case JobState.held:
                return WAITS
        return TIMED_OUT


def read_status(bucket: Bucket, job: str, folder: str) -> tuple[JobStatus, bytes, str]:
    """With the document as it is, and the job's folder. Raises CannotUse."""
    where = job_folder(bucket, job, folder)
    with aws_said(bucket.name):
        data = bucket.objects.get(f"{where}status.json")
    try:
        found = msgspec.json.decode(data, type=JobStatus)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise CannotUse(f"{plain(where)}status.json cannot be read.") from None
    if found.job_id != where.rstrip("/").rsplit("/", 1)[-1]:
        raise CannotUse(f"{plain(where)}status.json is that of another job.")
    return found, data, where


def dropped_key(status: JobStatus) -> str:
    """Of the file that was dropped. Raises CannotUse for what the stack knows no job of."""
    if not status.input.key.startswith(INBOX):
        raise CannotUse(f"{status.job_id} was asked in real time, and the stack knows no such job.")
    return status.input.key
