"""What somebody can do about a job now: a sentence and at most one command, wherever the sentence of its state stands."""

from __future__ import annotations

import shlex
from urllib.parse import quote

from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.open_work import APPROVAL, LIMIT, PRICE, RECIPE
from batchdrop.domain.record import Record
from batchdrop.domain.records import Job, JobState
from batchdrop.reports.sentences import (
    NO_TEAM,
    NOTHING_TO_RETRY,
    failed_file,
    has_no_recipe,
    is_retried,
    successor_of,
    were_started,
)

RUN = "run this command, or create the folder that it names in the S3 console"
_CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


class Left(Record, frozen=True, kw_only=True):
    """Of the rows without an answer."""

    passes: bool
    """A retry asks again about some of them."""
    stays: bool
    """And leaves others, which have to be corrected."""
    is_guess: bool = False
    """Whether a retry finds any is not known."""
    may_be_paid: bool = False
    """Or leaves them since they may have been answered and paid for."""


class NextStep(Record, frozen=True, kw_only=True):
    """`text` holds nothing of the data; `command` is quoted for a POSIX shell."""

    text: str
    command: str | None = None
    console_url: str | None = None
    """Of the S3 console: where the folder is created, or where the files are. None where the region is not known."""


def next_step(job: Job, region: str = "", *, left: Left | None = None) -> NextStep:
    """`region`: of the bucket. `left`: what is known of the rows without an answer; None: their number."""
    match job.state:
        case JobState.planning:
            return NextStep(text="Nothing to do.")
        case JobState.held:
            return _held(job, region)
        case JobState.running | JobState.finishing if job.cancel_requested or job.state is JobState.finishing:
            return NextStep(text="Nothing to do: the files come by themselves.")
        case JobState.running:
            return _command(job, region, f"Nothing to do. To stop it, {RUN}.", "cancel", job.id)
        case JobState.rejected:
            return _files(job, region, _after_rejection(job))
        case _:
            return _ended(job, region, left)


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
        text = "Correct the recipe that the message names, and put it in again."
        if has_no_recipe(job):
            text = "Put a recipe.yaml into the folder of the file, like the starter here."
        return _files(job, region, text)
    question, group = job.question, job.group
    if job.needs == PRICE and job.strange:
        text = f"Correct the file and put it in again, or wait for an operator. To stop this job, {RUN}."
        return _command(job, region, text, "cancel", job.id)
    if question is None or job.needs not in (APPROVAL, LIMIT):
        return _command(job, region, f"Nothing to do: it goes on by itself. To stop it, {RUN}.", "cancel", job.id)
    if job.needs == LIMIT:
        text = f"Nothing to do, or an operator lifts the limit for this job alone: {RUN}."
        return _command(job, region, text, "raise", f"{job.id}-{question.code}")
    if group is not None and group.leader == job.id:
        return _command(job, region, f"To let all of these files go, {RUN}.", "approve", f"all-{group.code}")
    return _command(job, region, f"To go on, {RUN}.", "approve", f"{job.id}-{question.code}")


def _ended(job: Job, region: str, left: Left | None) -> NextStep:
    if successor := successor_of(job):
        return NextStep(text=f"Nothing to do here: job {successor} has taken its place.")
    without = job.counts.total - job.counts.succeeded
    if not job.counts.total:
        return _files(job, region, "Nothing to do. If you want answers after all, put the file in again.")
    if not without:
        return _files(job, region, "Nothing to do: the answers are beside this status.")
    if without == job.rows_lost:
        return _files(job, region, "Nothing to do here: an operator can download what is in no file, as the message says.")
    return _without_answer(job, region, left or _left_by_counts(job))


def _without_answer(job: Job, region: str, left: Left) -> NextStep:
    file = failed_file(job)
    if job.note == NOTHING_TO_RETRY:
        left = replace(left, passes=False)
    if left.may_be_paid and not left.passes and not left.stays:
        text = f"These rows may have been answered and paid for. To have them asked once more all the same, put {file} in again."
        return _files(job, region, text)
    step = _as_left(job, region, left)
    if not left.may_be_paid:
        return step
    twice = f"Rows that may have been answered and paid for are in {file} too, and may be paid twice if they are put in again."
    return replace(step, text=f"{step.text} {twice}")


def _as_left(job: Job, region: str, left: Left) -> NextStep:
    file = failed_file(job)
    if is_retried(job):
        text = "Nothing to do: the failed rows are asked again, and the message says where their answers come."
        if left.stays:
            text = (
                "The rows that failed for a passing reason are asked again, and the message says where their answers come. "
                f"Take them out of {file}, correct the others and put it in again."
            )
        return _files(job, region, text)
    if left.passes and not left.stays:
        text = f"If you want the answers that are missing, put {file} in again, or {RUN}."
        return _command(job, region, text, "retry", job.id)
    correct = _correct_documents(file) if is_start(job.input) else f"Correct {file} and put it in again."
    if not left.passes:
        return _files(job, region, correct)
    alone = "those alone that failed for a passing reason" + (", if any did" if left.is_guess else "")
    return _command(job, region, f"{correct} To ask again about {alone}, {RUN}.", "retry", job.id)


def _left_by_counts(job: Job) -> Left:
    """Nobody knows what the API's errors were about."""
    counts = job.counts
    may_stay = counts.errored + counts.invalid
    again = counts.finished - counts.succeeded - may_stay - counts.missing - job.rows_lost
    passes = again + counts.errored + counts.missing > 0
    return Left(passes=passes, stays=may_stay > 0, is_guess=not again, may_be_paid=counts.missing > 0)


def _correct_documents(file: str) -> str:
    """What a row of it names is at fault, and no table that anybody has."""
    return (
        "Mend these documents, put them into the folder again under the same names, and create the folder start in it again: it "
        f"takes what was replaced. Or put {file} in as it is: complete.csv then has the whole table."
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
