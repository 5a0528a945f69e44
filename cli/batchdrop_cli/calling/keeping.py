"""What asking about many rows is given, and whom it tells what became of them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

SUCCEEDED = b'{"custom_id":"-","result":{"type":"succeeded","message":%b}}'
"""A message as the result line of a batch."""


class ToAsk(NamedTuple):
    line: int
    params: bytes
    max_tokens: int


class Keeping(Protocol):
    """Where it is kept what became of rows. Each may raise CannotKeep."""

    def asked(self, line: int) -> None:
        """It is about to be sent."""

    def not_asked(self, line: int) -> None:
        """It was not sent, or was not begun: nothing was paid."""

    def answered(self, line: int, message: bytes) -> None: ...

    def refused(self, line: int, error_type: str, error: str) -> None:
        """For good; nothing was paid."""


class CannotKeep(Exception):
    """A sentence about what could not be written."""


class Stopped(NamedTuple):
    """Why not every row was asked. Without `why` somebody has interrupted it."""

    why: str = ""
    lost: tuple[int, ...] = ()
    """Rows whose answers came and could not be kept."""
