"""A status on the terminal: how a command ends that tells it, and what it says to do."""

from __future__ import annotations

import os
import shlex
from typing import NamedTuple

from batchdrop.domain.keys import command_of
from batchdrop.domain.open_work import RECIPE
from batchdrop.domain.records import JobState
from batchdrop.reports.next_step import RUN
from batchdrop_cli.exit_codes import ANSWERED, INCOMPLETE, STOPPED, TIMED_OUT, WAITS
from batchdrop_client.job_status import JobStatus
from batchdrop_client.named_folder import named_folder
from batchdrop_client.plain_text import OBEYED, plain

_OURS = ("approve", "cancel", "retry")


def code_of(status: JobStatus) -> int:
    """The exit code."""
    if status.is_complete:
        return ANSWERED
    if status.state is JobState.done:
        return INCOMPLETE
    if status.has_ended:
        return STOPPED
    return WAITS if status.waits else TIMED_OUT


class Lookup(NamedTuple):
    """Where a command was told to look for jobs: those that it names are told the same, if the environment does not say it."""

    bucket: str | None
    folder: str

    def command(self, name: str, job: str) -> str:
        """`batchdrop approve JOB --folder marketing`."""
        told = {"bucket": self.bucket or "", "folder": named_folder(self.folder)}
        options = "".join(
            f" --{option} {shlex.quote(OBEYED.sub(' ', given))}"
            for option, given in told.items()
            if given and given != os.environ.get(f"BATCHDROP_{option.upper()}", "")
        )
        return f"batchdrop {name} {job}{options}"


def next_lines(status: JobStatus, lookup: Lookup) -> list[str]:
    """What to do. A command that a terminal would not show as it is, is not shown at all."""
    step = status.next
    if step is None:
        return []
    if status.needs == RECIPE:
        # What lies beside the status is not beside whoever reads this.
        text = plain(step.text).replace(", like the starter here.", ".")
        return [f"{text} A starter, if there is one, comes with:", lookup.command("fetch", status.job_id)]
    command = step.command or ""
    if ours := _of_ours(command):
        lines = [plain(step.text).replace(RUN, "run this command"), lookup.command(*ours)]
    else:
        lines = [plain(step.text), *([command] if command and plain(command) == command else [])]
    if status.has_ended and not status.is_complete and status.counts.total:
        lines.append(f"failed.csv or failed.jsonl, and its other files: {lookup.command('fetch', status.job_id)}")
    return lines


def _of_ours(command: str) -> tuple[str, str] | None:
    """The command for the S3 console's users as one of this command line: its name, and the job with its code."""
    try:
        *_, option, key = ["", "", *shlex.split(command)]
    except ValueError:
        return None
    asked = command_of(key) if option == "--key" else None
    if asked is None or not asked.job_id or asked.name not in _OURS:
        return None
    return asked.name, "-".join(filter(None, (asked.job_id, asked.code)))


def goes_on(job_id: str, lookup: Lookup) -> str:
    return f"The job goes on. Look again with: {lookup.command('status', job_id)} --watch"
