"""Did an ambiguous create leave a batch behind? A pure decision over what the API lists.

The API has no idempotency key and a listed batch does not show its requests. What identifies ours: it was created after the
intent was written, it has our number of requests, and nobody has claimed it. Certainty comes only from a result's custom id.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from batchdrop.domain import transitions
from batchdrop.domain.ids import parse_custom_id, prefixes_of
from batchdrop.domain.record import Record
from batchdrop.domain.records import Batch, BatchState
from batchdrop.domain.retries import RESULTS_KEPT
from batchdrop.domain.transitions import Move

# How far this machine's clock and the API's may differ.
CLOCK_SKEW = timedelta(minutes=5)
# Adopting is free of risk (the first result confirms it) and waits this long at most. Releasing is not: it waits the whole grace.
SETTLING = timedelta(minutes=1)
# So many good looks at the list must find nothing before a batch is released. They are spread evenly over the grace, which so
# begins with the first of them: a list that was down, or comes back with an older state, cannot use it up.
LOOKS = 3
# A create that gets no answer again and again is sent less and less often.
_SEND_AGAIN_AFTER = timedelta(minutes=15)
_SEND_AGAIN_AT_MOST = timedelta(hours=6)
# A 404 has been seen for valid batches (anthropics/anthropic-sdk-python#1432), for a while. So many of them, over that time, say
# that a batch was deleted. One that was adopted is not waited for any longer: it was probably somebody else's.
NOT_FOUND = 3
NOT_FOUND_FOR = timedelta(hours=1)


class Candidate(Record, frozen=True):
    """A batch at the API, as listed."""

    id: str
    requests: int
    created_at: datetime
    ended: bool


class Look(Record, frozen=True):
    """A good look at the API's list: all that nobody owns for sure, as far back as it was asked for."""

    at: datetime
    """When it began."""
    key: str
    """The fingerprint of the API key that it was taken with: it shows the batches of that key's workspace."""
    listed: tuple[Candidate, ...]
    """Newest first."""


class Wait(Record, frozen=True):
    """Too early to tell: the POST may be under way, or the list may lag behind."""


class NoTrace(Record, frozen=True):
    """This look found nothing. It counts, and more like it have to follow."""


class Release(Record, frozen=True):
    """No batch of ours is at the API: it can be sent again."""


class Adopt(Record, frozen=True):
    api_id: str


class Identify(Record, frozen=True):
    """Several could be ours. Those that have ended can be told apart by the custom id of their first result."""

    ended: tuple[str, ...]


class GiveUp(Record, frozen=True):
    """The results of whatever it may have created are deleted by now, so nobody will ever know."""


type Definite = Wait | NoTrace | Release | Adopt | GiveUp
type Decision = Definite | Identify


def earliest_creation(batch: Batch) -> datetime:
    """No batch of ours can have been created before this, by the API's clock."""
    return (batch.first_intent_at or batch.intent_at or batch.start_tag) - CLOCK_SKEW


def latest_creation(batch: Batch, look: Look, grace: timedelta) -> datetime:
    """Until a batch can be released at the earliest: the API may create it long after the POST has been given up."""
    return (batch.first_look_at or look.at) + grace + CLOCK_SKEW


def candidates_for(batch: Batch, look: Look, grace: timedelta) -> list[Candidate]:
    """Those on the list that could be this batch, as far as the list tells, oldest first."""
    found = (
        one
        for one in reversed(look.listed)
        if one.requests == batch.requests
        and earliest_creation(batch) <= one.created_at <= latest_creation(batch, look, grace)
        and one.id not in batch.not_ours
    )
    return sorted(found, key=lambda one: one.created_at)


def names(batch: Batch, custom_id: str) -> bool:
    """Whether a custom id belongs to this very batch."""
    ours = parse_custom_id(custom_id)
    return ours is not None and ours.prefix in prefixes_of(batch) and batch.first_line <= ours.line <= batch.last_line


def is_due(batch: Batch, at: datetime) -> bool:
    """Whether its POST was over before a look that began then."""
    return batch.state is BatchState.submitting and batch.lease_until is not None and batch.lease_until <= at


def pause_before_sending_again(releases: int) -> timedelta:
    """`releases`: how often the batch has been released before. An answer that was lost once costs no further wait."""
    return min(_SEND_AGAIN_AFTER * 2 ** min(releases - 1, 10), _SEND_AGAIN_AT_MOST) if releases else timedelta()


def decide(
    batch: Batch,
    candidates: list[Candidate],
    rivals: Collection[Batch],
    at: datetime,
    grace: timedelta,
    *,
    doubtful: bool = False,
    same_workspace: bool = True,
) -> Decision:
    """What a look that began `at` that time says about a batch. `candidates`: those that no batch has claimed.

    `rivals`: the other batches in `submitting`, which may have created any of the candidates themselves.
    `doubtful`: another batch has adopted one that could be this one's, and has not seen its first result yet.
    `same_workspace`: whether the look is known to show the workspace that the batch was sent to. If it is not, finding nothing
    says nothing; a candidate is as good as any other, as its first result has to confirm it.
    """
    if batch.lease_until is None or not is_due(batch, at):
        return Wait()
    if not candidates and not doubtful and same_workspace:
        return _without_trace(batch, at, grace)
    contested = doubtful or any(rival.requests == batch.requests for rival in rivals)
    if len(candidates) == 1 and not contested:
        return Adopt(api_id=candidates[0].id) if at >= batch.lease_until + min(grace, SETTLING) else Wait()
    if at >= batch.lease_until + grace + CLOCK_SKEW + RESULTS_KEPT:
        return GiveUp()
    return Identify(ended=tuple(one.id for one in candidates if one.ended)) if candidates else Wait()


def _without_trace(batch: Batch, at: datetime, grace: timedelta) -> Decision:
    looks = batch.no_trace_at
    if looks and at < looks[-1] + grace / (LOOKS - 1):
        return Wait()
    return Release() if len(looks) + 1 >= LOOKS else NoTrace()


def not_found(batch: Batch, now: datetime) -> Move[Batch]:
    """The API has answered 404 for an adopted batch that nothing has confirmed: if it lasts, it is given back."""
    since = batch.not_found_since
    if since is not None and batch.not_found + 1 >= NOT_FOUND and now >= since + NOT_FOUND_FOR:
        return transitions.disowned(batch, not_ours=False)
    return transitions.not_found(batch, now=now)
