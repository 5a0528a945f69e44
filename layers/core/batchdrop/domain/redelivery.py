"""When SQS delivers a message again, and how long it goes on.

A handled error puts the message off for a while that doubles. A function that was killed puts nothing off: its message comes back
after the queue's visibility timeout. `template.yaml` has the same numbers, and a test compares them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

MAX_PAUSE = 900
"""Seconds."""
MAX_RECEIVES = 30
"""After so many a message is a dead letter (`maxReceiveCount`): six hours of handled errors are over by then."""
TELL_CUT_OFF = 5
"""Invocations that were cut off before a job's status says so."""
_FIRST_PAUSE = 15
# Of the visibility timeout, which is six times a function's own: for a message that waits until a function is free.
_MARGIN = 0.25


def pause_after(receives: int) -> int:
    """Seconds until a message is delivered again whose delivery of this number failed: 30, 60, 120, ... 900."""
    return min(MAX_PAUSE, _FIRST_PAUSE << min(receives, MAX_RECEIVES))


def cut_off(receives: int, errors: int) -> int:
    """Of the deliveries before this one, those that were killed, or never begun: neither did they end, nor did they fail."""
    return max(0, receives - 1 - errors)


def silence(visibility: timedelta, errors: int) -> timedelta:
    """How long nothing is heard of a message while SQS still has it: its pause, then an invocation that is killed.

    `errors`: those handled so far. Whoever sends it again only after this raises no false alarm.
    """
    return visibility * (1 + _MARGIN) + timedelta(seconds=pause_after(errors) if errors else 0)


class Delivery(NamedTuple):
    """One delivery of a message, as SQS tells it."""

    receipt: str
    receives: int
    """This one included: `ApproximateReceiveCount`."""
