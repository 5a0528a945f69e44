"""Short words for trouble."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import Ambiguous, Refused
from batchdrop.ports import DEFAULT_HEADERS, ApiBatch
from tests.stack import Stack

LOST = Ambiguous("connection lost", kind="ReadError")


def refused(status: int | None, kind: str = "", *, retry_after: float | None = None, code: str = "", text: str = "no") -> Refused:
    return Refused(text, status=status, kind=kind, retry_after=retry_after, code=code)


def fail(stack: Stack, call: str, error: Exception, *, after: bool = False, times: int = 1) -> None:
    """The next calls of that name raise: before anything happens, or after it has. `ledger.commit` is every one of its edges."""
    left = [error] * times

    def hook(name: str) -> None:
        if (name == call or name.startswith(f"{call}.")) and left:
            raise left.pop().with_traceback(None)  # each raise adds its frames to the one error

    if after:
        stack.hooks.after = hook
    else:
        stack.hooks.before = hook


def minutes(stack: Stack, number: int) -> None:
    for _ in range(number):
        stack.step()


@contextmanager
def keeping_bodies(stack: Stack) -> Iterator[list[bytes]]:
    """What is posted meanwhile never reaches the API, and its sender gets no answer: the API may take it later."""
    bodies: list[bytes] = []
    create = stack.claude.create

    def keep(body: Path, headers: CallHeaders = DEFAULT_HEADERS, *, within: float = 600.0) -> ApiBatch:
        bodies.append(body.read_bytes())
        raise LOST.with_traceback(None)

    stack.claude.create = keep  # type: ignore[method-assign]
    yield bodies
    stack.claude.create = create  # type: ignore[method-assign]
