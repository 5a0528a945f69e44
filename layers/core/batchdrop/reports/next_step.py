"""What somebody can do about a job now: a sentence and at most one command, wherever the sentence of its state stands."""

from __future__ import annotations

import shlex
from urllib.parse import quote

from batchdrop.domain import keys
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.open_work import APPROVAL, LIMIT, PRICE, RECIPE
from batchdrop.domain.record import Record
from batchdrop.domain.records import Job, JobState
from batchdrop.reports.sentences import NO_TEAM, failed_file, were_started

_RUN = "run this command, or create the folder that it names in the S3 console"
_CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


class NextStep(Record, frozen=True, kw_only=True):
    """`text` holds nothing of the data; `command` is quoted for a POSIX shell."""

    text: str
    command: str | None = None
    console_url: str | None = None
    """Of the S3 console: where the folder is created, or where the files are. None where the region is not known."""


def next_step(job: Job, region: str = "", *, passes: bool | None = None) -> NextStep:
    """`region`: of the bucket. `passes`: whether a retry would ask again about some row; None: its reasons are not known."""
    match job.state:
        case JobState.planning:
            return NextStep(text="Nothing to do.")
        case JobState.held:
            return _held(job, region)
        case JobState.running | JobState.finishing if job.cancel_requested or job.state is JobState.finishing:
            return NextStep(text="Nothing to do: the files come by themselves.")
        case JobState.running:
            return _command(job, region, f"Nothing to do. To stop it, {_RUN}.", "cancel", job.id)
        case JobState.rejected:
            return _files(job, region, _after_rejection(job))
        case _:
            return _ended(job, region, passes)


def console_url(bucket: str, key: str, region: str) -> str | None:
    """Of a folder, or of an object, in the S3 console."""
    if not region:
        return None
    host = next((host for start, host in _CONSOLES.items() if region.startswith(start)), "console.aws.amazon.com")
    page = "buckets" if key.endswith("/") else "object"
    return f"https://{region}.{host}/s3/{page}/{quote(bucket)}?region={region}&prefix={quote(key)}"


def _after_rejection(job: Job) -> str:
    if job.reason == NO_TEAM:
        return "Put the file into the folder of a team, below inbox/."
    if were_started(job.reason):
        return "Nothing to do: the documents are in the job that the message names."
    if is_start(job.input):
        return "Follow the message, and create start again."
    return "Correct the file and put it in again."


def _held(job: Job, region: str) -> NextStep:
    if job.needs == RECIPE:
        text = "Put a recipe.yaml into the folder of the file, like the starter here, or correct the one that the message names."
        return _files(job, region, text)
    question, group = job.question, job.group
    if job.needs == PRICE and job.strange:
        text = f"Correct the file and put it in again, or wait for an operator. To stop this job, {_RUN}."
        return _command(job, region, text, "cancel", job.id)
    if question is None or job.needs not in (APPROVAL, LIMIT):
        return _command(job, region, f"Nothing to do: it goes on by itself. To stop it, {_RUN}.", "cancel", job.id)
    if job.needs == LIMIT:
        text = f"Nothing to do, or an operator lifts the limit for this job alone: {_RUN}."
        return _command(job, region, text, "raise", f"{job.id}-{question.code}")
    if group is not None and group.leader == job.id:
        return _command(job, region, f"To let all of these files go, {_RUN}.", "approve", f"all-{group.code}")
    return _command(job, region, f"To go on, {_RUN}.", "approve", f"{job.id}-{question.code}")


def _ended(job: Job, region: str, passes: bool | None) -> NextStep:
    without = job.counts.total - job.counts.succeeded
    if not without:
        return _files(job, region, "Nothing to do: the answers are beside this status.")
    if passes is None:
        passes = job.counts.errored + job.counts.expired + job.counts.canceled > 0
    correct = f"Correct {failed_file(job)} and put it in again"
    if not passes:
        return _files(job, region, f"{correct}.")
    return _command(
        job, region, f"{correct}. If some failed for a passing reason, to ask those alone again, {_RUN}.", "retry", job.id
    )


def _files(job: Job, region: str, text: str) -> NextStep:
    folder = keys.outbox_folder(job.input.key, job.id)
    return NextStep(text=text, console_url=console_url(job.input.bucket, folder, region))


def _command(job: Job, region: str, text: str, command: str, last: str) -> NextStep:
    key = keys.command_key(command, job.input.key, last)
    return NextStep(
        text=text,
        command=f"aws s3api put-object --bucket {shlex.quote(job.input.bucket)} --key {shlex.quote(key)}",
        console_url=console_url(job.input.bucket, key.rpartition("/")[0] + "/", region),
    )
