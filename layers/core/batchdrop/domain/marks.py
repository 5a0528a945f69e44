"""What the indexes of jobs have still to show: a mark for each change of a job that somebody sees there.

A mark is written in the transaction of the change, so none is lost, and is a kind of open work until an index shows it. It only
names the job: what is shown is read then.
"""

from __future__ import annotations

from batchdrop.domain.record import Record
from batchdrop.domain.records import Job, JobState

MARKED = "marked"
"""The partition of the sparse index that holds the marks, by job id, then revision."""


class Mark(Record, frozen=True, kw_only=True):
    job_id: str
    revision: int
    """Of the job, by that change: no other mark of the job has it, so a mark can be removed without a look."""

    @property
    def due(self) -> str:
        return f"{self.job_id}|{self.revision:012d}"


def mark_of(before: Job | None, after: Job) -> Mark | None:
    """None if an index shows nothing of this change. `after`: with the revision that is stored."""
    if before is not None and _shown(before) == _shown(after):
        return None
    return Mark(job_id=after.id, revision=after.revision)


def _shown(job: Job) -> tuple[object, ...]:
    state = JobState.running if job.state is JobState.finishing else job.state
    return (state, job.needs, job.reason, job.question, job.group) if state is JobState.held else (state,)
