"""Which open work lies on which shelf of the table's sparse index, and in which order.

A record that is on no shelf waits for nobody: a running job (its batches carry it), a collected batch, a job that has ended.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from batchdrop.domain.records import Batch, BatchState, Job, JobState


class Shelf(StrEnum):
    """The partitions of the sparse index of open work. The index is eventually consistent: a hint, never the truth."""

    planning = "planning"
    """jobs, by lease_until (else updated_at)"""
    held = "held"
    """jobs, by updated_at"""
    canceling = "canceling"
    """running jobs that were asked to cancel, by updated_at"""
    finishing = "finishing"
    """jobs, by updated_at"""
    waiting = "waiting"
    """ready batches without admitted_at, by priority, then tag"""
    admitted = "admitted"
    """ready batches with admitted_at, by handed_at (else admitted_at)"""
    submitting = "submitting"
    """batches, by intent_at"""
    watched = "watched"
    """in_progress and canceling batches, by created_at"""
    ended = "ended"
    """batches, by handed_at (else ended_at)"""


class Place(NamedTuple):
    """A shelf and the text that orders a record on it."""

    shelf: Shelf
    due: str


def instant(moment: datetime) -> str:
    """`2026-11-22T00:31:15.000000Z`: UTC in a fixed width, so that texts sort as the times do."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def place_of_job(job: Job) -> Place | None:
    match job.state:
        case JobState.planning:
            return Place(Shelf.planning, instant(job.lease_until or job.updated_at))
        case JobState.held:
            return Place(Shelf.held, instant(job.updated_at))
        case JobState.running if job.cancel_requested:
            return Place(Shelf.canceling, instant(job.updated_at))
        case JobState.finishing:
            return Place(Shelf.finishing, instant(job.updated_at))
        case _:
            return None


def place_of_batch(batch: Batch) -> Place | None:
    """A missing time falls back to the batch's tag, which it always has: an odd record is looked at, never lost."""
    match batch.state:
        case BatchState.ready if batch.admitted_at is None:
            return Place(Shelf.waiting, f"{batch.priority}|{instant(batch.tag)}")
        case BatchState.ready:
            return Place(Shelf.admitted, instant(batch.handed_at or batch.admitted_at or batch.tag))
        case BatchState.submitting:
            return Place(Shelf.submitting, instant(batch.intent_at or batch.tag))
        case BatchState.in_progress | BatchState.canceling:
            return Place(Shelf.watched, instant(batch.created_at or batch.tag))
        case BatchState.ended:
            return Place(Shelf.ended, instant(batch.handed_at or batch.ended_at or batch.tag))
        case BatchState.collected:
            return None
