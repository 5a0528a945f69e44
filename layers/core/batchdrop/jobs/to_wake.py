"""Which held jobs look for a recipe again: those of a team that one has arrived for, and those that have waited too long.

Most wait for one. Those that wait for money have one, which may have been improved since.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from batchdrop.domain.keys import team_of
from batchdrop.domain.open_work import RECIPE, OpenWork, before_team, behind_line
from batchdrop.domain.records import Arrivals, Job
from batchdrop.domain.retries import RECIPE_AWAITED
from batchdrop.ports import Ledger

# A message that was lost is sent again after this.
_TOLD_AGAIN = timedelta(minutes=3)


def to_wake(ledger: Ledger, arrivals: Arrivals, now: datetime, *, limit: int) -> Iterator[Job]:
    """Held jobs of one team, as far as the index shows them; `limit` bounds what is read.

    In the index those that have seen the fewest arrivals come first, and of these the longest held. So the first that is not to
    be woken is the last that is looked at, however many wait.
    """
    for job in ledger.list_open_jobs(OpenWork.held, behind=behind_line(arrivals.team), limit=limit):
        if team_of(job.input.key) != arrivals.team or not is_due(job, arrivals, now):
            return
        yield job


def is_due(job: Job, arrivals: Arrivals, now: datetime) -> bool:
    return job.needs == RECIPE and (job.arrivals != arrivals.count or waited_long(job, now))


def waited_long(job: Job, now: datetime) -> bool:
    """Whether a job that finds no recipe now ends."""
    return job.held_at is not None and now >= job.held_at + RECIPE_AWAITED


def to_tell(ledger: Ledger, arrivals: Arrivals, now: datetime, *, limit: int) -> Iterator[Job]:
    """Jobs of one team that wait for money, and whose recipe may have been improved, as far as the index shows them.

    `limit` bounds what is read of each kind of waiting: where it is for a limit, of all teams, those that have waited longest.
    """
    for work, behind in ((OpenWork.asking, before_team(arrivals.team)), (OpenWork.limited, "")):
        for job in ledger.list_open_jobs(work, behind=behind, limit=limit):
            if team_of(job.input.key) == arrivals.team and may_be_outdated(job, arrivals, now):
                yield job


def may_be_outdated(job: Job, arrivals: Arrivals, now: datetime) -> bool:
    """Whether a job that waits for money is to look for a newer recipe, and was not told so a moment ago."""
    told = job.message_sent_at is not None and now < job.message_sent_at + _TOLD_AGAIN
    return job.recipe is not None and job.arrivals != arrivals.count and not told
