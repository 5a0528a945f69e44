"""The process that does the heavy work: ``python -m local.claude.worker`` reads jobs as JSON lines, answers the same way.

A large body is parsed in one go, which no other thread of a process survives unharmed; in a process of its own it leaves
the server free to answer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from local.claude import intake, rendering
from local.claude.errors import ApiError


class Examine(Struct, tag="examine"):
    """Check the form of the body in this file."""

    path: str


class Render(Struct, tag="render"):
    """Write the results of a batch."""

    order: rendering.Order


class Examined(Struct, tag="examined"):
    """The body is in order."""

    intake: intake.Intake


class Refused(Struct, tag="refused"):
    """The body is not: the error to answer."""

    status: int
    message: str


class Done(Struct, tag="rendered"):
    """The results are written."""

    rendered: rendering.Rendered


type Job = Examine | Render
type Outcome = Examined | Refused | Done

_JOBS: msgspec.json.Decoder[Job] = msgspec.json.Decoder(Examine | Render)
OUTCOMES: msgspec.json.Decoder[Outcome] = msgspec.json.Decoder(Examined | Refused | Done)


def perform(job: Job) -> Outcome:
    """Does one job in this process."""
    match job:
        case Examine(path):
            try:
                return Examined(intake.examine(Path(path)))
            except ApiError as error:
                return Refused(error.status, error.message)
        case Render(order):
            return Done(rendering.render(order))


def main() -> None:
    """Serves jobs until the input ends, which it does when the server is gone, however it went."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(perform(_JOBS.decode(line))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
