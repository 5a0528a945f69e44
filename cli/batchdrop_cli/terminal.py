"""The terminal: text that it does not obey, and whether there is one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from batchdrop_client.plain_text import OBEYED


def safe_json(data: bytes) -> str:
    """The same JSON, with what a terminal obeys written as escapes: such characters stand in its strings only."""
    return OBEYED.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", data.decode(errors="replace"))


def on_terminal(*streams: object) -> bool:
    return all(getattr(stream, "isatty", lambda: False)() for stream in streams)


def out(line: bytes | str) -> None:
    """A line of the result. Bytes are JSON."""
    if isinstance(line, bytes):
        click.echo(safe_json(line) if on_terminal(sys.stdout) else line)
    else:
        click.echo(line)


def say(sentence: str, code: int) -> int:
    """Beside the result; gives the exit code back."""
    click.echo(sentence, err=True)
    return code


@contextmanager
def waiting(what: str, steps: int = 0) -> Iterator[Callable[[], None]]:
    """Says on a terminal what is being waited for; the function that it gives counts a step."""
    if not on_terminal(sys.stderr):
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal

    taken = 0

    def step() -> None:
        nonlocal taken
        taken += 1
        status.update(f"{what}: {taken} of {steps}")

    with Console(stderr=True).status(what) as status:
        yield step
