"""What every driver has in common. It runs in a tool's own environment: nothing may be imported here that needs a package.

A driver reads the rows of INPUT and does the whole job, in a FOLDER where the tool keeps whatever it keeps; run again with the
same folder it does what a user does who starts a script again. It writes `answers.jsonl`: a line for each row that the tool
hands back, in the tool's order; and `used.json`: what that took, in seconds of processor and bytes of memory. With a third
argument, the rows there are done first, so that everything is loaded before it is measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from bench.process import cpu_seconds, peak_bytes

MODEL = "claude-haiku-4-5"
MAX_TOKENS = 100
ANSWERS = "answers.jsonl"
USED = "used.json"


class Row(NamedTuple):
    """A row as a tool hands it back."""

    line: int | None
    """Of the input, from 0, as the tool or the text of the answer says; None if neither does."""
    answer: str | None
    error: str | None
    """Why there is no answer, in the tool's words."""


def prompts(source: Path) -> list[str]:
    with source.open(encoding="utf-8") as lines:
        return [json.loads(line)["params"]["messages"][0]["content"] for line in lines]


def line_of(custom_id: str) -> int | None:
    """The number at the end of an id."""
    number = custom_id.rpartition("-")[2]
    return int(number) if number.isdigit() else None


def main(run: Callable[[Path, Path], Iterable[Row]]) -> None:
    """Runs a driver."""
    source, folder, *warm = map(Path, sys.argv[1:])
    for rows in warm:
        (before := folder / "warm").mkdir()
        list(run(rows, before))
    began = cpu_seconds()
    with (folder / ANSWERS).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row._asdict()) + "\n" for row in run(source, folder))
    (folder / USED).write_text(json.dumps({"cpu": cpu_seconds() - began, "peak": peak_bytes()}))
