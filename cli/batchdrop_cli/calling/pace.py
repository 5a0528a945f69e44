"""How fast requests go: what slows one of them slows all."""

from __future__ import annotations

import asyncio
from contextlib import suppress

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
"""Seconds, where the API does not say how long to wait."""


class Pace:
    """At most `width` requests under way. It is halved when the API asks to slow down, and grows again by one at a time.

    Requests that went before the API last said so were sent at the old pace: what becomes of these says nothing new.
    """

    def __init__(self, most: int) -> None:
        self._most = self.width = most
        self._active = 0
        self._until = 0.0
        self._slowed_at = 0.0
        self._wait = 0.0
        self._in_a_row = 0
        self._changed = asyncio.Event()
        self._stopped = False

    async def turn(self) -> float | None:
        """When it may go: the time of the loop. None: it may not, as all has been stopped."""
        while not self._stopped:
            now = _now()
            if self._active < self.width and now >= self._until:
                self._active += 1
                return now
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until - now if now < self._until else None):
                    await self._changed.wait()
        return None

    def went_well(self) -> None:
        self._wait = 0.0
        self._in_a_row += 1
        if self._in_a_row >= self.width < self._most:
            self.width += 1
            self._in_a_row = 0
        self.over()

    def slow_down(self, began: float, retry_after: float) -> None:
        """`began`: when that request went. `retry_after`: seconds that the API has named; 0: it has named none."""
        self._in_a_row = 0
        if began >= self._slowed_at:
            self.width = max(1, self.width // 2)
            self._wait = min(max(FIRST_WAIT, self._wait * 2), LONGEST_WAIT)
            self._slowed_at = _now()
        self._until = max(self._until, _now() + (retry_after or self._wait))
        self.over()

    def over(self) -> None:
        self._active -= 1
        self._changed.set()

    def stop(self) -> None:
        """Nothing goes any more. What is under way goes on."""
        self._stopped = True
        self._changed.set()


def _now() -> float:
    return asyncio.get_running_loop().time()
