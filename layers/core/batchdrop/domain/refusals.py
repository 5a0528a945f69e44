"""What to do when the API definitely refuses a create. The tables are the rule; nothing was accepted in any of these cases.

It is refused for the account as a whole (`cause_of`), for something in this batch, or for now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from batchdrop.domain.errors import Refused
from batchdrop.domain.records import Admission, Batch, Job, RefusedAs, Streak


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
    role = "role"
    """Of the functions: AWS takes no key that is minted from it."""


_CAUSE_BY_STATUS = {401: Cause.key, 402: Cause.credit, 403: Cause.permission, 404: Cause.address}
# `error.details.error_code` (Anthropic, "Errors"). The two 429s have no `retry-after`: no waiting cures them. A third one,
# `ramp_limit_exceeded`, has one and passes by itself.
KEY_MISSING = "key_missing"
ROLE_REFUSED = "role_refused"
_CAUSE_BY_CODE = {
    # These two are our own: what the adapter knows about the key.
    KEY_MISSING: Cause.key,
    ROLE_REFUSED: Cause.role,
    "organization_on_hold": Cause.hold,
    "enforced_spend_limit_reached": Cause.spend_limit,
    "contract_spend_limit_reached": Cause.contract,
}
# They may also be about one row: a file, a model or a beta that the workspace may not use, or does not have.
_PERHAPS_OF_A_ROW = frozenset({Cause.permission, Cause.address})
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

# A job of which everything is refused, and nobody knows why: so many tries find a good row, if there are many, within minutes.
_TRIES_WITHOUT_PAUSE = 16
_LONGEST_PAUSE = timedelta(hours=6)
_GIVE_UP_AFTER = timedelta(days=7)
_NAMES_A_REQUEST = re.compile(r"requests\.\d+\b")
_NUMBER = re.compile(r"\d+")
_WORDS_KEPT = 5


def cause_of(refusal: Refused) -> Cause | None:
    """None: it is not about the account as a whole."""
    if refusal.code in _CAUSE_BY_CODE:
        return _CAUSE_BY_CODE[refusal.code]
    if refusal.status == 400:
        words = str(refusal).lower()
        return next((cause for pattern, cause in _CAUSE_BY_WORDS if pattern.match(words)), None)
    return _CAUSE_BY_STATUS.get(refusal.status or 0)


def may_be_of_a_row(cause: Cause) -> bool:
    return cause in _PERHAPS_OF_A_ROW


def concerns_all(job_id: str, admission: Admission) -> bool:
    """Whether what may also be about a row was met by two jobs, with no batch accepted in between."""
    return bool(admission.blocked) or any(other != job_id for other in admission.refused_jobs)


def is_of_this_batch(refusal: Refused) -> bool:
    """Of a refusal without such a cause: whether something in the batch is at fault. Otherwise the same batch may go later."""
    return refusal.status in _OF_THIS_BATCH


def waiting_time(refusal: Refused, refusals: int) -> timedelta:
    """`retry-after` where the API sent one, else doubling from 30 s up to 15 minutes."""
    if refusal.retry_after is not None:
        return min(timedelta(seconds=max(refusal.retry_after, 1.0)), RETRY_AFTER_MOST)
    return min(BACKOFF_FIRST * float(2 ** min(refusals, 10)), BACKOFF_MOST)


# ---------------------------------------------------------------- of rows, or of the account in words that nobody knows


def is_of_a_row(refusal: Refused) -> bool:
    """Whether it says so itself: it names a request (`requests.3.custom_id: ...`), or there are too many bytes."""
    return refusal.status == 413 or _NAMES_A_REQUEST.match(str(refusal)) is not None


def refused_as(batch: Batch, refusal: Refused, now: datetime) -> tuple[RefusedAs, ...]:
    """What the batch was refused as so far, this refusal last."""
    words = _words(refusal.status, refusal.kind, str(refusal))
    since = next((one.since for one in batch.refused_as if one.words == words), now)
    others = [one for one in batch.refused_as if one.words != words]
    return (*others[1 - _WORDS_KEPT :], RefusedAs(words=words, since=since))


def is_at_fault(refused: RefusedAs, job: Job) -> bool:
    """Refused in the same words before and after another batch of the job was accepted: that is about rows."""
    return job.accepted_at is not None and job.accepted_at > refused.since and refused.words != job.words_of_the_account


def one_more(streak: Streak | None, refusal: Refused, now: datetime) -> Streak:
    """The second one in a row makes the job wait."""
    refusals = 1 + (streak.refusals if streak is not None else 0)
    pause = timedelta() if is_over(streak, now) else _pause(refusals)
    return Streak(
        status=refusal.status,
        error_type=refusal.kind,
        message=str(refusal),
        refusals=refusals,
        since=streak.since if streak is not None and streak.refusals else now,
        next_at=None if pause is None else now + pause,
    )


def none_of_its_own(refusal: Refused, now: datetime) -> Streak:
    """After a refusal of the account: the job shows what the API said."""
    return Streak(status=refusal.status, error_type=refusal.kind, message=str(refusal), since=now)


def is_over(streak: Streak | None, now: datetime) -> bool:
    """Whether batches that are refused now end with all their rows, so that every job ends."""
    return streak is not None and streak.refusals > 0 and now >= ends_at(streak)


def ends_at(streak: Streak) -> datetime:
    return streak.since + _GIVE_UP_AFTER


def may_concern_all(streak: Streak) -> bool:
    """Whether its last refusal was one of the account, or a 403 or 404, which may be one: a batch of another job then tells."""
    return not streak.refusals or _CAUSE_BY_STATUS.get(streak.status or 0) in _PERHAPS_OF_A_ROW


def words_of_the_account(streak: Streak | None, accepted: Batch) -> str:
    """Words that cannot have been about rows, or "": of a long streak, or in which the same rows were refused before."""
    if streak is not None and streak.refusals > _TRIES_WITHOUT_PAUSE:
        return _words(streak.status, streak.error_type, streak.message)
    return next((one.words for one in reversed(accepted.refused_as) if one.whole), "")


def next_to_try(waiting: Iterable[Batch]) -> Batch | None:
    """The batch of a job that waits with the best prospects: a row alone, or the largest, from which a refusal cuts one row.

    So every second try is a row from another place; those that were refused before come last.
    """
    return min(waiting, key=lambda batch: (batch.refusals, batch.requests != 1, -batch.requests), default=None)


def _words(status: int | None, error_type: str, message: str) -> str:
    """Without numbers: a position in the body differs from one piece to the next."""
    return _NUMBER.sub("0", f"{status} {error_type}: {message}")


def _pause(refusals: int) -> timedelta | None:
    if refusals == 1:
        return None
    if refusals <= _TRIES_WITHOUT_PAUSE:
        return timedelta()
    return min(PROBE_EVERY * 2.0 ** min(refusals - _TRIES_WITHOUT_PAUSE - 1, 10), _LONGEST_PAUSE)
