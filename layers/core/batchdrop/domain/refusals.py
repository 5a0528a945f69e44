"""What to do when the API definitely refuses a create. The table is the rule; nothing was accepted in any of these cases."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from batchdrop.domain.errors import Refused


class Reaction(StrEnum):
    wait = "wait"
    """The same batch may work later: put it back and slow down."""
    block = "block"
    """No batch will work until somebody acts: stop submitting, try one batch now and then."""
    isolate = "isolate"
    """Something in this body is at fault: cut it in two until the culprit stands alone, then fail that row."""


# Source: Anthropic, "Errors" (status codes and error types) and "Rate limits".
BY_STATUS: dict[int | None, Reaction] = {
    None: Reaction.wait,  # the connection was never made
    400: Reaction.isolate,
    401: Reaction.block,
    402: Reaction.block,
    403: Reaction.block,
    404: Reaction.block,
    413: Reaction.isolate,
    422: Reaction.isolate,
    429: Reaction.wait,
    529: Reaction.wait,
}

# A 429 that no waiting cures: it has no `retry-after` and asks for a person (Anthropic, "Errors").
SPEND_LIMIT_CODES = frozenset({"enforced_spend_limit_reached"})

BACKOFF_FIRST = timedelta(seconds=30)
BACKOFF_MOST = timedelta(minutes=15)
PROBE_EVERY = timedelta(minutes=5)

# Finding one bad row among 100,000 takes 17 cuts. A job that needs more than this is refused for a reason common to its rows.
MAX_SPLITS = 64


def reaction_to(refusal: Refused) -> Reaction:
    if refusal.code in SPEND_LIMIT_CODES:
        return Reaction.block
    return BY_STATUS.get(refusal.status, Reaction.wait)


def waiting_time(refusal: Refused, refusals: int) -> timedelta:
    """`retry-after` where the API sent one, else doubling from 30 s; at most 15 minutes either way."""
    if refusal.retry_after is not None:
        return min(timedelta(seconds=max(refusal.retry_after, 1.0)), BACKOFF_MOST)
    return min(BACKOFF_FIRST * float(2 ** min(refusals, 10)), BACKOFF_MOST)
