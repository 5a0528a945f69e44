"""What stands still although everything that mends itself has had its time: from here on a person is needed."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from batchdrop.domain import ids
from batchdrop.domain.records import Batch, BatchState, Job

# The API ends every batch within 24 hours of its creation (Anthropic, "Batch processing").
NOT_ENDED_AFTER = timedelta(hours=26)
# A create without an answer is settled within an hour, unless several batches have to be told apart.
IN_DOUBT_AFTER = timedelta(hours=6)
UNANSWERED = 3
"""Creates of one batch without an answer and without a trace."""
# Most answers that come late come within hours, and the batch is looked at again until then.
INCOMPLETE_AFTER = timedelta(hours=24)
REPAIRS = 2
"""A lost message is sent again once; if nothing is heard of that one either, its function does not work."""
REFUSED_AFTER = timedelta(hours=24)
OLD_AFTER = timedelta(days=14)
"""Longer than a job waits for an answer of a person (7 days) or for answers of the API (7 days)."""

_AT_THE_API = (BatchState.in_progress, BatchState.canceling)


class Why(StrEnum):
    """The word in the log, for each of which `docs/operations.md` says what to do."""

    not_ended = "not_ended"
    in_doubt = "in_doubt"
    unanswered = "unanswered"
    incomplete = "incomplete"
    not_taken = "not_taken"
    refused = "refused"
    old = "old"


def why_batch(batch: Batch, now: datetime) -> Why | None:
    """Why a batch that is open work needs a person; None while it does not."""
    if batch.state in _AT_THE_API and _before(batch.created_at, now - NOT_ENDED_AFTER):
        return Why.not_ended
    if batch.state is BatchState.submitting and _before(batch.intent_at, now - IN_DOUBT_AFTER):
        return Why.in_doubt
    if batch.state in (BatchState.ready, BatchState.submitting) and batch.releases >= UNANSWERED:
        return Why.unanswered
    if _before(batch.incomplete_since, now - INCOMPLETE_AFTER):
        return Why.incomplete
    if batch.incomplete_since is None and batch.repairs >= REPAIRS:
        return Why.not_taken
    return None


def why_job(job: Job, now: datetime) -> Why | None:
    """Why an open job needs a person, its batches aside."""
    # A canceled job calls its planner every few minutes, and ends by itself if none answers.
    if job.repairs >= REPAIRS and not job.cancel_requested:
        return Why.not_taken
    if job.streak is not None and job.streak.waits and _before(job.streak.since, now - REFUSED_AFTER):
        return Why.refused
    return Why.old if _before(ids.uploaded_at(job.id), now - OLD_AFTER) else None


def _before(moment: datetime | None, limit: datetime) -> bool:
    return moment is not None and moment < limit
