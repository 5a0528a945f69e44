"""The time of this machine, and how much of it Lambda still grants."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class LambdaContext(Protocol):
    """The one thing of Lambda's context object that is used."""

    def get_remaining_time_in_millis(self) -> int: ...


class LambdaDeadline:
    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    def remaining(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000
