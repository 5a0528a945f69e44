"""Which waiting batches may go to the API, and in which order those of one team.

A job's batches queue up one after the other in its own virtual time. The first batch of a job is tagged with the time the job
was dropped, the next one later by the time its predecessors are expected to keep the API busy. So a small job dropped after a
huge one goes before the huge one's later batches, and nobody waits for ever: tags only grow with time. Between teams,
`fair_order` decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from batchdrop.domain.records import WARM_UP, Admission, Batch, BatchState, Job

# Most batches end within an hour (Anthropic, "Batch processing"): a full batch takes one slot of this length.
SLOT = timedelta(hours=1)
SLOT_REQUESTS = 100_000


def start_tag(dropped_at: datetime, requests_before: int) -> datetime:
    """The tag of a job's batch that has `requests_before` requests of the same job before it."""
    return dropped_at + SLOT * (requests_before / SLOT_REQUESTS)


def may_be_overtaken(tag: datetime, now: datetime) -> bool:
    """Whether a batch for which there is no room lets smaller ones pass: for one slot, then it holds the line."""
    return now - tag < SLOT


def is_waiting(batch: Batch) -> bool:
    return batch.state is BatchState.ready and batch.admitted_at is None


def is_its_turn(job: Job, batch: Batch) -> bool:
    """Whether no other batch of the job comes first: its warm-up before its pilot, and that before all others."""
    if job.warming and batch.name != WARM_UP:
        return False
    return bool(batch.tries) or not job.trying


def is_due(batch: Batch, now: datetime) -> bool:
    """Whether the time before which a refused batch must not be sent again has passed."""
    return batch.not_before is None or now >= batch.not_before


def is_throttled(admission: Admission, now: datetime) -> bool:
    return admission.throttled_until is not None and now < admission.throttled_until


def may_be_sent(batch: Batch, admission: Admission, now: datetime) -> bool:
    """Asked right before the POST: the API may have said no since the batch was admitted."""
    if is_throttled(admission, now):
        return False
    if not admission.blocked or admission.blocked_at is None or batch.admitted_at is None:
        return True
    return batch.admitted_at > admission.blocked_at  # the probe


def for_a_probe(waiting: Iterable[Batch], admission: Admission) -> list[Batch]:
    """Jobs that were not tried first, then those tried longest ago: one job's rows do not speak for the others."""
    turn = {job_id: number for number, job_id in enumerate(admission.refused_jobs)}
    return sorted(waiting, key=lambda batch: turn.get(batch.job_id, -1))


class AdmissionLimits(NamedTuple):
    queued_requests: int
    """What the stack may have at the API (Anthropic, "Rate limits": 100,000 to 500,000 by tier and model)."""
    per_tick: int
    """Create calls a minute that it allows itself."""


class Fit(StrEnum):
    goes = "goes"
    overtaken = "overtaken"
    """There is no room for it; a smaller one behind it may go."""
    holds = "holds"
    """There is no room for it, and nothing behind it may go either."""


class Capacity:
    """What is left for the batches of one tick."""

    def __init__(self, admission: Admission, limits: AdmissionLimits, now: datetime) -> None:
        self._limit = limits.queued_requests
        self._nothing_queued = admission.queued == 0
        self._now = now
        self._room = limits.queued_requests - admission.queued
        self._creates = _creates(admission, limits, now)

    @property
    def used_up(self) -> bool:
        return self._creates <= 0 or self._room <= 0

    def judge(self, batch: Batch) -> Fit:
        if batch.requests <= self._room or self._larger_than_all_room(batch):
            return Fit.goes
        return Fit.overtaken if may_be_overtaken(batch.start_tag, self._now) else Fit.holds

    def queue_limit(self, batch: Batch) -> int:
        """What the stored number of queued requests must not exceed once this batch is among them."""
        return max(self._limit, batch.requests)

    def take(self, batch: Batch) -> None:
        self._room -= batch.requests
        self._creates -= 1

    def _larger_than_all_room(self, batch: Batch) -> bool:
        """The limit was lowered after the file was cut: such a batch goes when it would be alone, or never would."""
        return batch.requests > self._limit and self._nothing_queued


def _creates(admission: Admission, limits: AdmissionLimits, now: datetime) -> int:
    if is_throttled(admission, now):
        return 0
    if admission.blocked:
        return 1 if admission.probe_at is None or now >= admission.probe_at else 0
    return limits.per_tick
