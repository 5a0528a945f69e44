"""A status on the terminal: how a command ends that tells it, and what it says to do."""

from __future__ import annotations

import os
import shlex

from batchdrop.domain.records import JobState
from batchdrop_cli.exit_codes import ANSWERED, INCOMPLETE, STOPPED, TIMED_OUT, WAITS
from batchdrop_client.job_status import JobStatus
from batchdrop_client.plain_text import plain


def code_of(status: JobStatus) -> int:
    """The exit code."""
    if status.is_complete:
        return ANSWERED
    if status.state is JobState.done:
        return INCOMPLETE
    if status.has_ended:
        return STOPPED
    return WAITS if status.waits else TIMED_OUT


def next_lines(status: JobStatus) -> list[str]:
    """What to do. A command that a terminal would not show as it is, is not shown at all."""
    if status.next is None:
        return []
    command = status.next.command or ""
    return [plain(status.next.text), *([command] if command and plain(command) == command else [])]


def goes_on(job_id: str, folder: str = "") -> str:
    """`folder`: where it is looked for, if the environment does not name it."""
    named = "" if folder == os.environ.get("BATCHDROP_FOLDER", "") else f" --folder {shlex.quote(plain(folder))}"
    return f"The job goes on. Look again with: batchdrop status {job_id}{named} --watch"
