"""Jobs as a table, or one a line for programs."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime

import msgspec

from batchdrop.domain import keys
from batchdrop_cli.amounts_said import number
from batchdrop_cli.exit_codes import ANSWERED
from batchdrop_cli.following.jobs_table import jobs_table
from batchdrop_cli.terminal import on_terminal, out, say
from batchdrop_client.newest_jobs import MOST_CALLS, NewestJobs
from batchdrop_client.plain_text import plain
from batchdrop_client.stack import Stack


def tell_jobs(bucket: str | None, folder: str, *, limit: int, as_json: bool) -> int:
    """The exit code. Raises StackError."""
    stack = Stack(bucket, folder=folder)
    found = stack.jobs(limit)
    if as_json:
        for one in found.jobs:
            out(msgspec.json.format(one.document, indent=-1))
    elif found.jobs:
        width = shutil.get_terminal_size().columns if on_terminal(sys.stdout) else None
        for line in jobs_table(found.jobs, datetime.now(UTC), width):
            out(line)
        if found.jobs[0].waits_for_a_person:
            say(f"What it waits for is told by: batchdrop status {found.jobs[0].job_id}", ANSWERED)
    _say_what_is_left_out(found, f"{keys.OUTBOX}{stack.folder}/" if stack.folder else keys.OUTBOX)
    return ANSWERED


def _say_what_is_left_out(found: NewestJobs, prefix: str) -> None:
    if not found.found:
        say(f"There is no job below {plain(prefix)}.", ANSWERED)
    if found.unread:
        say(f"The status.json of {number(len(found.unread), 'job')} could not be read: {', '.join(found.unread[:5])}.", ANSWERED)
    if not found.is_whole:
        say(f"Only the first {MOST_CALLS * 1000:,} objects below {plain(prefix)} were looked at. Name a folder.", ANSWERED)
    elif (more := found.found - len(found.jobs) - len(found.unread)) > 0:
        say(f"{number(more, 'older job')} {'is' if more == 1 else 'are'} not shown: see --limit.", ANSWERED)
