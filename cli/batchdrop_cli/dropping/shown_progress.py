"""How far an upload and a job are: bars on a terminal, lines when piped."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from batchdrop.domain.records import JobState
from batchdrop_cli.amounts_said import money
from batchdrop_cli.following.changes import Changes
from batchdrop_cli.terminal import on_terminal
from batchdrop_client.job_status import JobStatus
from batchdrop_client.plain_text import plain
from batchdrop_client.progress import Progress

_WORTH_A_BAR = 8_000_000
_PLAIN_PART = 0.25
"""Of a long transfer that is told in lines, the share after which another line comes."""

type Shown = Callable[[JobStatus], object]


@contextmanager
def transfer(what: str, size: int) -> Iterator[Progress]:
    """`what`: the first word of the bar. `size`: bytes. What it gives is told how many more have gone, from any thread."""
    if size < _WORTH_A_BAR:
        yield lambda _: None
        return
    with _transfer_bar(what, size) if on_terminal(sys.stderr) else _transfer_lines(what, size) as sent:
        yield sent


@contextmanager
def _transfer_bar(what: str, size: int) -> Iterator[Progress]:
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    parts = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=size)
        yield lambda more: shown.update(task, advance=more)


@contextmanager
def _transfer_lines(what: str, size: int) -> Iterator[Progress]:
    gone = told = 0
    lock = threading.Lock()

    def sent(more: int) -> None:
        nonlocal gone, told
        with lock:
            gone += more
            if gone - told >= size * _PLAIN_PART:
                told = gone
                click.echo(f"{what:<16}{gone / 1e6:,.1f} of {size / 1e6:,.1f} MB", err=True)

    yield sent


@contextmanager
def job_progress(*, approved: bool = False) -> Iterator[Shown]:
    """What it gives is told each status as it is looked at. `approved`: what it asked before has its yes."""
    with _job_bar(approved=approved) if on_terminal(sys.stderr) else _job_lines() as shown:
        yield shown


@contextmanager
def _job_lines() -> Iterator[Shown]:
    changes = Changes()

    def shown(status: JobStatus) -> None:
        if not status.is_over and (line := changes.line(status)) is not None:
            click.echo(line, err=True)

    yield shown


@contextmanager
def _job_bar(*, approved: bool) -> Iterator[Shown]:
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    parts = (TextColumn("answers "), BarColumn(), TextColumn("{task.fields[said]}", markup=False))
    with Progress(*parts, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, said="")

        def shown(status: JobStatus) -> None:
            counts = status.counts
            going = status.state in (JobState.running, JobState.finishing) and counts.total
            # Without a total the bar moves to and fro.
            said = beside(status, going=bool(going), approved=approved)
            bar.update(task, total=counts.total if going else None, completed=counts.finished, said=said)

        yield shown


def beside(status: JobStatus, *, going: bool, approved: bool) -> str:
    """What stands beside the bar. `going`: its rows are counted. `approved`: what it asked before has its yes."""
    if approved and status.asks:
        return "approved"  # which the stack has not seen yet
    if not going:
        return plain(status.message)
    end = f"   by about {status.expected_end.astimezone():%H:%M}" if status.expected_end else ""
    return f"{status.counts.finished:,} of {status.counts.total:,}   {money(status.cost.usd)}{end}"
