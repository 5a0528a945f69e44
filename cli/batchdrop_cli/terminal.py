"""The terminal: text that it does not obey, and whether there is one."""

from __future__ import annotations

import shutil
import sys
import textwrap
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
    click.echo(fitted(sentence, columns()) if on_terminal(sys.stderr) else sentence, err=True)
    return code


def columns() -> int:
    return shutil.get_terminal_size().columns


def fitted(text: str, width: int) -> str:
    """Its lines broken between words. A command at the end of one that is too long has a line of its own, and stays whole."""
    return "\n".join(one for line in text.split("\n") for one in _fitted(line, width))


def _fitted(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    if line.startswith(("batchdrop ", "aws ")):
        return [line]
    sentence, colon, command = line.partition(": batchdrop ")
    words = textwrap.wrap(sentence + colon[:1], max(width, 20), break_long_words=False, break_on_hyphens=False)
    return [*words, *([f"batchdrop {command}"] if colon else [])]


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
