"""The emulator's clock: real, faster than real, or stopped until it is advanced."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since 1970 as the emulated API sees them.

    ``speed`` is emulated seconds per real second; 0 stops the clock, so that only :meth:`advance` moves it.
    ``offset`` is added once, in seconds, to imitate a machine whose clock differs from the caller's.
    """

    def __init__(self, speed: float = 1.0, offset: float = 0.0) -> None:
        self._base = time.time() + offset
        self._since = time.monotonic()
        self._speed = speed

    @property
    def speed(self) -> float:
        """Emulated seconds per real second."""
        return self._speed

    def now(self) -> float:
        """The emulated time, in seconds since 1970."""
        return self._base + (time.monotonic() - self._since) * self._speed

    def advance(self, seconds: float) -> None:
        """Moves the time forward. Raises ValueError for a negative number: batches never become younger."""
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        self._base += seconds

    def set_speed(self, speed: float) -> None:
        """Changes the speed from this moment on. Raises ValueError for a negative number."""
        if speed < 0:
            raise ValueError("the clock only moves forward")
        self._base, self._since, self._speed = self.now(), time.monotonic(), speed

    def real_seconds_until(self, moment: float) -> float | None:
        """Real seconds until the emulated ``moment``; None if the clock is stopped before it."""
        left = moment - self.now()
        if left <= 0:
            return 0.0
        return left / self._speed if self._speed else None


def rfc3339(moment: float) -> str:
    """A moment in seconds since 1970 as the API writes times, in UTC with microseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
