"""Which held jobs look for a recipe again: those of a team that one has arrived for, and those that have waited too long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from batchdrop.domain.keys import team_of
from batchdrop.domain.open_work import OpenWork, before_team
from batchdrop.domain.records import Arrivals, Job
from batchdrop.domain.retries import RECIPE_AWAITED
from batchdrop.ports import Ledger

RECIPE = "recipe"
"""`Job.needs` of a job that waits for one."""


def to_wake(ledger: Ledger, arrivals: Arrivals, now: datetime, *, limit: int) -> Iterator[Job]:
    """Held jobs of one team, as far as the index shows them; `limit` bounds what is read.

    In the index those that have seen the fewest arrivals come first, and of these the longest held. So the first that is not to
    be woken is the last that is looked at, however many wait.
    """
    for job in ledger.list_open_jobs(OpenWork.held, behind=before_team(arrivals.team), limit=limit):
        if team_of(job.input.key) != arrivals.team or not is_due(job, arrivals, now):
            return
        yield job


def is_due(job: Job, arrivals: Arrivals, now: datetime) -> bool:
    return job.needs == RECIPE and (job.arrivals != arrivals.count or waited_long(job, now))


def waited_long(job: Job, now: datetime) -> bool:
    """Whether a job that finds no recipe now ends."""
    return job.held_at is not None and now >= job.held_at + RECIPE_AWAITED
