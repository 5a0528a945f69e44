"""Who goes next. Start-time fair queueing: a job's batches queue up one after the other in its own virtual time.

The first batch of a job is tagged with the time the job was dropped, the next one later by the time its predecessors are expected
to keep the API busy. So a small job dropped after a huge one goes before the huge one's later batches, and nobody waits for ever,
because tags only grow with time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

# Most batches end within an hour (Anthropic, "Batch processing"): a full batch takes one slot of this length.
SLOT = timedelta(hours=1)
SLOT_REQUESTS = 100_000


def start_tag(dropped_at: datetime, requests_before: int) -> datetime:
    """The tag of a job's batch that has `requests_before` requests of the same job before it."""
    return dropped_at + SLOT * (requests_before / SLOT_REQUESTS)


def may_be_overtaken(tag: datetime, now: datetime) -> bool:
    """Whether a batch for which there is no room lets smaller ones pass: for one slot, then it holds the line."""
    return now - tag < SLOT
