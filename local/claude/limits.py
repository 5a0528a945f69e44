"""The documented limits of the batch endpoints, and the two rate limits that can be switched on."""

from __future__ import annotations

import math
from collections import defaultdict, deque

from local.claude.errors import ApiError

MAX_REQUESTS = 100_000
MAX_BODY_BYTES = 256_000_000  # documented as 256 MB; whether mebibytes are meant is not, so the smaller reading holds
MAX_MESSAGE_BYTES = 32_000_000  # body of one real-time request
EXPIRES_AFTER = 24 * 3600.0  # seconds from creation to the end of a batch that is not done
ARCHIVED_AFTER = 29 * 24 * 3600.0  # seconds from creation for which results are kept
MAX_PAGE = 1_000
DEFAULT_PAGE = 20
_MINUTE = 60.0


class RequestRate:
    """Requests of a workspace to the batch endpoints within the last minute of the emulated clock."""

    def __init__(self) -> None:
        self._calls: dict[str, deque[float]] = defaultdict(deque)

    def admit(self, workspace: str, now: float, per_minute: int | None) -> None:
        """Counts a call. Raises the 429 with ``retry-after`` (seconds) when the minute is full; None admits all."""
        if per_minute is None:
            return
        calls = self._calls[workspace]
        while calls and calls[0] <= now - _MINUTE:
            calls.popleft()
        if len(calls) >= per_minute:
            raise ApiError(
                429,
                f"This request would exceed the rate limit of {per_minute} requests per minute to the batch endpoints.",
                retry_after=max(1, math.ceil(calls[0] + _MINUTE - now)) if calls else _MINUTE,
            )
        calls.append(now)

    def clear(self) -> None:
        """Forgets every call."""
        self._calls.clear()


def check_queue(queued: int, more: int, limit: int | None) -> None:
    """Raises the 429 for a batch that does not fit in the workspace's queue; None is no limit.

    What ``retry-after`` says in this case is not documented: half a minute is a guess that keeps callers moving.
    """
    if limit is not None and queued + more > limit:
        raise ApiError(
            429,
            f"This batch would exceed the limit of {limit} batch requests in the processing queue.",
            retry_after=30,
        )
