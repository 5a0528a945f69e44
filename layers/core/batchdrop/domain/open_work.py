"""Which kind of open work a record is, and its order there: the two keys of the table's sparse index.

A record that is no open work waits for nobody: a collected batch, a job that has ended.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from batchdrop.domain.keys import team_of
from batchdrop.domain.records import Batch, BatchState, Job, JobState

RECIPE, APPROVAL, LIMIT, PRICE, PLACE = "recipe", "approval", "limit", "price", "place"
"""What a held job may need (`Job.needs`)."""
_TEAM_BYTES = 500
_AFTER_SLASH = chr(ord("/") + 1)
_IN_LINE, _BEHIND_LINE = "!", "0"  # the first sorts before all digits, the second before what begins with digits


class OpenWork(StrEnum):
    """The partitions of the sparse index of open work. The index is eventually consistent: a hint, never the truth."""

    planning = "planning"
    """jobs, by lease_until (else updated_at)"""
    held = "held"
    """jobs, by team. First those of a team that wait in line because too many of it are open, by created_at, then id. Behind them
    those that wait for a recipe, by arrivals, then held_at (else updated_at): who has seen the fewest recipes comes first"""
    asking = "asking"
    """held jobs that ask whether they may cost what they will cost, by team, then group, then held_at, then id"""
    limited = "limited"
    """held jobs that wait until a limit renews or a price is known, by held_at, then id"""
    running = "running"
    """jobs that nobody has asked to cancel, by priority, then created_at: those whose batches may be admitted"""
    canceling = "canceling"
    """running and held jobs that were asked to cancel, by updated_at, then id"""
    finishing = "finishing"
    """jobs, by updated_at"""
    untold = "untold"
    """jobs that have ended, and of which subscribers are still to be told, by finished_at, then id"""
    waiting = "waiting"
    """ready batches that version 0.1.0 left without admitted_at, by priority, then tag. Now those of each job have a partition of
    their own (`waiting_in`), so that a job that cannot be admitted hides no other"""
    admitted = "admitted"
    """ready batches with admitted_at, by message_sent_at (else admitted_at)"""
    submitting = "submitting"
    """batches, by intent_at"""
    watched = "watched"
    """in_progress and canceling batches, by created_at"""
    ended = "ended"
    """batches, by message_sent_at (else ended_at)"""
    incomplete = "incomplete"
    """ended batches whose results lacked answers, by collect_at"""


class Place(NamedTuple):
    """The partition key and the sort key of the sparse index. A partition is a kind of open work, or `waiting_in` a job."""

    shelf: str
    due: str


def waiting_in(job_id: str) -> str:
    """The partition of a job's waiting batches, by priority, then tag."""
    return f"{OpenWork.waiting}#{job_id}"


def instant(moment: datetime) -> str:
    """`2026-11-22T00:31:15.000000Z`: UTC in a fixed width, so that texts sort as the times do."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def before_team(team: str) -> str:
    """Sorts right before all held jobs of a team, and after those of any other that sorts before it."""
    return f"{_short(team)}/"


def behind_team(team: str) -> str:
    """Sorts right behind all held jobs of a team."""
    return f"{_short(team)}{_AFTER_SLASH}"


def behind_line(team: str) -> str:
    """Sorts behind those of a team that wait in line, and before the others of it that are held."""
    return f"{before_team(team)}{_BEHIND_LINE}"


def before_group(team: str, group: str) -> str:
    """Sorts right before those of a team that ask together, and among all that ask behind any other before them."""
    return f"{before_team(team)}{group}/"


def behind_group(team: str, group: str) -> str:
    """Sorts right behind them."""
    return f"{before_team(team)}{group}{_AFTER_SLASH}"


def _short(team: str) -> str:
    """DynamoDB takes 1,024 bytes of a sort key ("Quotas in Amazon DynamoDB"), and a folder may have nearly as many."""
    return team if len(team.encode()) <= _TEAM_BYTES else hashlib.sha256(team.encode()).hexdigest()


def place_of_job(job: Job) -> Place | None:
    at = instant(job.updated_at)
    match job.state:
        case JobState.planning:
            return Place(OpenWork.planning, instant(job.lease_until) if job.lease_until else at)
        case JobState.held | JobState.running if job.cancel_requested:
            return Place(OpenWork.canceling, f"{at}|{job.id}")
        case JobState.held:
            return _place_of_held(job)
        case JobState.running:
            return Place(OpenWork.running, f"{job.priority}|{instant(job.created_at)}")
        case JobState.finishing:
            return Place(OpenWork.finishing, at)
        case _:
            return Place(OpenWork.untold, f"{instant(job.finished_at or job.updated_at)}|{job.id}") if job.untold else None


def _place_of_held(job: Job) -> Place:
    since, team = instant(job.held_at or job.updated_at), team_of(job.input.key)
    # No two that wait for money are the same: who goes on behind one of them passes over no other.
    if job.needs == APPROVAL:
        return Place(OpenWork.asking, f"{before_group(team, job.question.group if job.question else '')}{since}|{job.id}")
    if job.needs in (LIMIT, PRICE):
        return Place(OpenWork.limited, f"{since}|{job.id}")
    if job.needs == PLACE:
        return Place(OpenWork.held, f"{before_team(team)}{_IN_LINE}{instant(job.created_at)}|{job.id}")
    return Place(OpenWork.held, f"{before_team(team)}{job.arrivals:012d}/{since}")


def place_of_job_behind(batch: Batch) -> Place:
    """Where a running job belongs whose record is not at hand: its batch has its priority, and no earlier time."""
    return Place(OpenWork.running, f"{batch.priority}|{instant(batch.start_tag)}")


def place_of_batch(batch: Batch) -> Place | None:
    """A missing time falls back to the batch's tag, which it always has: an odd record is looked at, never lost."""
    match batch.state:
        case BatchState.ready if batch.admitted_at is None:
            shelf = waiting_in(batch.job_id) if batch.waiting else OpenWork.waiting
            return Place(shelf, f"{batch.priority}|{instant(batch.start_tag)}")
        case BatchState.ready:
            return Place(OpenWork.admitted, instant(batch.message_sent_at or batch.admitted_at or batch.start_tag))
        case BatchState.submitting:
            return Place(OpenWork.submitting, instant(batch.intent_at or batch.start_tag))
        case BatchState.in_progress | BatchState.canceling:
            return Place(OpenWork.watched, instant(batch.created_at or batch.start_tag))
        case BatchState.ended:
            work = OpenWork.ended if batch.collect_at is None else OpenWork.incomplete
            return Place(work, instant(batch.collect_at or batch.message_sent_at or batch.ended_at or batch.start_tag))
        case BatchState.collected:
            return None
