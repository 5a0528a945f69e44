"""How far it is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import click

from batchdrop.money.amounts import dollars, micro_up
from batchdrop_cli.terminal import on_terminal

_SECONDS_BETWEEN_LINES = 60.0

type Step = Callable[[int], None]
"""A row more has come to its end, and so many femto-dollars were paid for it."""


@contextmanager
def progress(done: int, total: int) -> Iterator[Step]:
    with _bar(done, total) if on_terminal(sys.stderr) else _lines(done, total) as step:
        yield step


@contextmanager
def _lines(done: int, total: int) -> Iterator[Step]:
    spoken = time.monotonic()
    paid = 0

    def step(femto: int) -> None:
        nonlocal done, paid, spoken
        done, paid = done + 1, paid + femto
        if time.monotonic() - spoken >= _SECONDS_BETWEEN_LINES:
            spoken = time.monotonic()
            click.echo(f"{datetime.now():%H:%M:%S} {done:,} of {total:,} {dollars(micro_up(paid))}", err=True)  # noqa: DTZ005 - the wall's

    yield step


@contextmanager
def _bar(done: int, total: int) -> Iterator[Step]:
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    paid = 0
    parts = (
        TextColumn("answers"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TextColumn("{task.fields[paid]}"),
        TimeRemainingColumn(),
    )
    with Progress(*parts, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", completed=done, total=total, paid="")

        def step(femto: int) -> None:
            nonlocal paid
            paid += femto
            shown.update(task, advance=1, paid=dollars(micro_up(paid)))

        yield step
