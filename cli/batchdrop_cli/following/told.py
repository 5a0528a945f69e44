"""What the commands about one job do."""

from __future__ import annotations

import sys

import click
import msgspec

from batchdrop_cli.ending import CannotUse
from batchdrop_cli.exit_codes import ANSWERED, FAILED, STOPPED, TIMED_OUT, WAITS
from batchdrop_cli.following.changes import Changes
from batchdrop_cli.following.said_status import Lookup, code_of, goes_on, next_lines
from batchdrop_cli.terminal import columns, fitted, on_terminal, out, say
from batchdrop_client.errors import NotApproved, TimedOut
from batchdrop_client.job import Job
from batchdrop_client.job_status import JobStatus
from batchdrop_client.plain_text import plain
from batchdrop_client.stack import Stack

_ID_CHARS = 16
"""Behind the dash of a job id."""
_GOES_ON = "Approved. {0} goes on within a minute; see how far it is: {1} --watch"
_STOPS = (
    "The stack was asked to stop {0}. Answers that were given are delivered and paid, and nothing more is sent. See what became "
    "of it: {1} --watch"
)


def tell_status(bucket: str | None, name: str, folder: str, *, watch: bool, minutes: float | None, as_json: bool) -> int:
    """The exit code. Raises StackError."""
    job = Stack(bucket, folder=folder).job(name)
    lookup = Lookup(bucket, folder)
    if not watch:
        return _ended(job.status(), lookup, as_json=as_json)
    changes = Changes()
    try:
        for status in job.watch(None if minutes is None else minutes * 60):
            if not status.is_over and (line := changes.line(status)) is not None:
                _tell(status, line, as_json=as_json)
    except TimedOut as late:
        return _say_next(late.status, lookup, as_json=as_json)
    except KeyboardInterrupt:
        raise CannotUse(f"\n{goes_on(job.id, lookup)}", TIMED_OUT) from None
    return _ended(status, lookup, as_json=as_json)


def cancel_job(bucket: str | None, name: str, folder: str, *, as_json: bool) -> int:
    """The exit code. Raises StackError."""
    job = Stack(bucket, folder=folder).job(name)
    key = job.cancel()
    if key is None:
        return say(f"There is nothing to stop. {plain(job.status().message)}", ANSWERED)
    _tell_command(job, key, _STOPS, Lookup(bucket, folder), as_json=as_json)
    return ANSWERED


def approve_job(bucket: str | None, name: str, folder: str, *, as_json: bool) -> int:
    """The exit code. Raises StackError."""
    name, code = _with_code(name.strip().rstrip("/"))
    job = Stack(bucket, folder=folder).job(name)
    status = job.status()
    if status.asks and status.question is not None and not code:
        code = status.question.code
        if not on_terminal(sys.stdin, sys.stderr):
            raise CannotUse(f"{plain(status.message)} Nothing was approved: give the code, as in {job.id}-{plain(code)}.", WAITS)
        if not says_yes(status):
            return say("Nothing was approved.", STOPPED)
    try:
        _tell_command(job, job.approve(code=code), _GOES_ON, Lookup(bucket, folder), as_json=as_json)
    except NotApproved as refused:
        return say(str(refused), FAILED)
    return ANSWERED


def _with_code(name: str) -> tuple[str, str]:
    """What stands behind the last dash is a code, whether or not a right one, unless it is the end of a job id."""
    start, dash, end = name.rpartition("-")
    return (start, end) if dash and len(end) != _ID_CHARS else (name, "")


def _tell_command(job: Job, key: str, sentence: str, lookup: Lookup, *, as_json: bool) -> None:
    told = sentence.format(job.id, lookup.command("status", job.id))
    out(msgspec.json.encode({"job_id": job.id, "command": key}) if as_json else told)


def says_yes(status: JobStatus) -> bool:
    """Whether the person at the terminal does."""
    try:
        return click.confirm(fitted(f"{plain(status.message)} Go on?", columns()), default=False, err=True)
    except click.Abort:
        say("", ANSWERED)  # the question's line is left
        return False


def _ended(status: JobStatus, lookup: Lookup, *, as_json: bool) -> int:
    _tell(status, status.message, as_json=as_json)
    return _say_next(status, lookup, as_json=as_json)


def _tell(status: JobStatus, sentence: str, *, as_json: bool) -> None:
    out(msgspec.json.format(status.document, indent=-1) if as_json else plain(sentence))


def _say_next(status: JobStatus, lookup: Lookup, *, as_json: bool) -> int:
    lines = [] if as_json else next_lines(status, lookup)
    return say("\n".join(lines), code_of(status)) if lines else code_of(status)
