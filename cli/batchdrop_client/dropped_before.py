"""Whether the same file was dropped before, and what became of it: a second job would be paid like the first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from batchdrop.domain import ids, keys
from batchdrop.domain.records import JobState
from batchdrop.ports import ObjectInfo
from batchdrop_client.bucket import Bucket
from batchdrop_client.ended_job import names_in
from batchdrop_client.errors import StackError
from batchdrop_client.job import Job
from batchdrop_client.job_status import JobStatus

# A stack begins within a minute. What has no status after this belongs to none, or its answers were deleted.
_BEGUN_BY = timedelta(minutes=15)


class DroppedBefore(NamedTuple):
    job: Job
    status: JobStatus
    at: datetime


def job_of(bucket: Bucket, info: ObjectInfo) -> DroppedBefore | None:
    """The job of a version of an object, if it goes on, waits, or has answers. Raises StackError.

    A recipe that came later makes another job of the same version: its id begins with the same second.
    """
    folder = keys.outbox_folder(info.ref.key, "").rstrip("/") + "/"
    own = ids.job_id(info.ref, info.written_at)
    second = own.split("-", 1)[0]
    there = {name.partition("/")[0] for name in names_in(bucket, folder + second)}
    found = {f"{second}{rest}" for rest in there if ids.is_job_id(f"{second}{rest}")}
    if not found and datetime.now(UTC) - info.written_at < _BEGUN_BY:
        found = {own}
    for name in sorted(found, key=lambda one: one != own):
        job = Job(bucket, f"{folder}{name}/", dropped=info.ref.key)
        try:
            status = job.status()
        except StackError:
            continue
        if not status.has_ended or (status.state is JobState.done and status.counts.succeeded):
            return DroppedBefore(job, status, info.written_at)
    return None
