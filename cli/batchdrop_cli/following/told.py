"""What the commands about one job do."""

from __future__ import annotations

import sys
import time
from datetime import datetime

import click
import msgspec

from batchdrop.domain import ids, keys
from batchdrop_cli.bucket.opened_bucket import CannotUse, aws_said, open_bucket
from batchdrop_cli.exit_codes import ANSWERED, FAILED, STOPPED, WAITS
from batchdrop_cli.following.job_status import dropped_key, read_status
from batchdrop_cli.terminal import on_terminal, out, plain, say

LOOK_SECONDS = 5.0
_APPROVAL = "approval"


def tell_status(bucket: str | None, job: str, folder: str, *, watch: bool, minutes: float | None, as_json: bool) -> int:
    """The exit code. Raises CannotUse."""
    opened = open_bucket(bucket)
    until = None if minutes is None else time.monotonic() + minutes * 60
    told = ""
    try:
        while True:
            status, document, where = read_status(opened, job, folder)
            job = where  # found once
            over = not watch or status.code in {WAITS, ANSWERED, STOPPED} or status.has_ended
            over |= until is not None and time.monotonic() >= until
            if over or status.message != told:
                told = status.message
                if as_json:
                    out(msgspec.json.format(document, indent=-1))
                else:
                    out(plain(f"{datetime.now():%H:%M:%S} {told}" if watch and not over else told))  # noqa: DTZ005 - the wall's
            if over:
                if status.next is not None and not as_json:
                    say("\n".join(status.next.lines()), status.code)
                return status.code
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        raise CannotUse("The job goes on. Look again with: batchdrop status", STOPPED) from None


def cancel_job(bucket: str | None, job: str, folder: str) -> int:
    """The exit code. Raises CannotUse."""
    opened = open_bucket(bucket)
    status, _, _ = read_status(opened, job, folder)
    if status.has_ended:
        return say(f"There is nothing to stop. {plain(status.message)}", ANSWERED)
    key = keys.command_key("cancel", dropped_key(status), status.job_id)
    with aws_said(opened.name):
        opened.objects.put(key, b"")
    out(plain(key))
    return ANSWERED


def approve_job(bucket: str | None, job: str, folder: str) -> int:
    """The exit code. Raises CannotUse."""
    opened = open_bucket(bucket)
    job, code = ids.answered(job.strip()) or (job, "")
    status, _, _ = read_status(opened, job, folder)
    question = status.question
    if question is None or status.needs != _APPROVAL:
        return say(f"There is nothing to approve. {plain(status.message)}", FAILED)
    key = keys.command_key("approve", dropped_key(status), f"{status.job_id}-{question.code}")
    if not ids.is_code(question.code) or question.answer != key:
        raise CannotUse(f"The question of {status.job_id} cannot be read.")
    if code and code != question.code:
        return say(f"Something else is asked by now, and nothing was approved. {plain(status.message)}", FAILED)
    if not code:
        if not on_terminal(sys.stdin, sys.stderr):
            raise CannotUse(
                f"{plain(status.message)} Nothing was approved: give the code, as in {status.job_id}-{question.code}.", WAITS
            )
        try:
            said_yes = click.confirm(f"{plain(status.message)} Go on?", default=False, err=True)
        except click.Abort:
            said_yes = False
        if not said_yes:
            return say("Nothing was approved.", STOPPED)
    with aws_said(opened.name):
        opened.objects.put(key, b"")
    out(plain(key))
    return ANSWERED
