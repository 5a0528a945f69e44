"""How long an invocation works before it hands the rest to the next one."""

from __future__ import annotations

from collections.abc import Callable

from batchdrop.ports import Deadline

# Seconds kept back to end what has begun (a part on its way to S3, an id set of tens of megabytes) and to hand over.
_RESERVE = 45.0


def time_left(deadline: Deadline) -> Callable[[], bool]:
    """Whether there is time to begin the next piece of work."""
    reserve = min(_RESERVE, deadline.remaining() / 4)
    return lambda: deadline.remaining() >= reserve
