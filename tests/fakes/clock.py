"""Time that moves when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 22, 0, 31, 15, 250_000, tzinfo=UTC)


class ManualClock:
    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class FakeDeadline:
    """`seconds` from now by a manual clock."""

    def __init__(self, clock: ManualClock, seconds: float = 900.0) -> None:
        self._clock = clock
        self._end = clock.now() + timedelta(seconds=seconds)

    def remaining(self) -> float:
        return (self._end - self._clock.now()).total_seconds()
