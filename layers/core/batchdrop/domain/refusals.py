"""What to do when the API definitely refuses a create. The tables are the rule; nothing was accepted in any of these cases.

It is refused for the account as a whole (`cause_of`), for something in this batch, or for now.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum

from batchdrop.domain.errors import Refused


class Cause(StrEnum):
    """Why the API accepts no batch at all, until somebody acts or a limit resets."""

    key = "key"
    credit = "credit"
    permission = "permission"
    address = "address"
    usage_limit = "usage_limit"
    """The one that the organization or the workspace has set for itself."""
    spend_limit = "spend_limit"
    contract = "contract"
    hold = "hold"


_CAUSE_BY_STATUS = {401: Cause.key, 402: Cause.credit, 403: Cause.permission, 404: Cause.address}
# `error.details.error_code` (Anthropic, "Errors"). The two 429s have no `retry-after`: no waiting cures them. A third one,
# `ramp_limit_exceeded`, has one and passes by itself.
_CAUSE_BY_CODE = {
    "organization_on_hold": Cause.hold,
    "enforced_spend_limit_reached": Cause.spend_limit,
    "contract_spend_limit_reached": Cause.contract,
}
# How the message of a 400 without a code begins (anthropic-sdk-typescript#618, anthropic-sdk-python#1646). What a message quotes
# of a request never stands at its beginning, so no row can be mistaken for one of these.
_CAUSE_BY_WORDS = (
    (re.compile(r"your credit balance is too low\b"), Cause.credit),
    (re.compile(r"you have reached your specified (?:\w+ )?api usage limits\b"), Cause.usage_limit),
)

_OF_THIS_BATCH = frozenset({400, 413, 422})

BACKOFF_FIRST = timedelta(seconds=30)
BACKOFF_MOST = timedelta(minutes=15)
# No `retry-after` is trusted beyond this: a wrong one must not stop submission for days.
RETRY_AFTER_MOST = timedelta(hours=6)
PROBE_EVERY = timedelta(minutes=5)

# Finding one bad row among 100,000 takes 17 cuts. A job that needs more than this is refused for a reason common to its rows.
MAX_SPLITS = 64


def cause_of(refusal: Refused) -> Cause | None:
    """None: it is not about the account as a whole."""
    if refusal.code in _CAUSE_BY_CODE:
        return _CAUSE_BY_CODE[refusal.code]
    if refusal.status == 400:
        words = str(refusal).lower()
        return next((cause for pattern, cause in _CAUSE_BY_WORDS if pattern.match(words)), None)
    return _CAUSE_BY_STATUS.get(refusal.status or 0)


def is_of_this_batch(refusal: Refused) -> bool:
    """Of a refusal without such a cause: whether something in the batch is at fault. Otherwise the same batch may go later."""
    return refusal.status in _OF_THIS_BATCH


def waiting_time(refusal: Refused, refusals: int) -> timedelta:
    """`retry-after` where the API sent one, else doubling from 30 s up to 15 minutes."""
    if refusal.retry_after is not None:
        return min(timedelta(seconds=max(refusal.retry_after, 1.0)), RETRY_AFTER_MOST)
    return min(BACKOFF_FIRST * float(2 ** min(refusals, 10)), BACKOFF_MOST)
