"""The jobs of a folder of the outbox, as the bucket alone tells: those that have not ended, and the newest others.

A listing goes by name and not by time, so all of it is looked through: a call for 1,000 objects, which are the files of about 100
jobs. A folder of more than MOST_CALLS thousand objects is not read to its end.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from batchdrop.domain import ids
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.errors import StackError
from batchdrop_client.job_status import JobStatus, parse_status

MOST_CALLS = 200
MOST_OPEN = 200
"""Of the jobs that have not ended, so many of the newest are read."""
_AT_ONCE = 10  # connections of a client (botocore, max_pool_connections)


class NewestJobs(NamedTuple):
    jobs: list[JobStatus]
    """What waits for a person first, then the newest."""
    unread: list[str]
    """The ids of those whose status.json could not be read."""
    found: int
    """Jobs in the folder."""
    is_whole: bool
    """The folder was looked through to its end."""


class _Listed(NamedTuple):
    folders: dict[str, str]
    """Of jobs, by job id."""
    ended: set[str]
    """Their ids."""
    is_whole: bool


def newest_jobs(bucket: Bucket, prefix: str, limit: int) -> NewestJobs:
    """`prefix`: below which the folders of jobs are, slash included. `limit`: of jobs that do not wait for a person.

    Raises StackError.
    """
    listed = _listed(bucket, prefix)
    # A job id begins with the time at which its file was dropped.
    newest = sorted(listed.folders, reverse=True)
    not_ended = [job for job in newest if job not in listed.ended][:MOST_OPEN]
    chosen = sorted({*newest[:limit], *not_ended}, reverse=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = dict(zip(chosen, pool.map(lambda job: _status(bucket, listed.folders[job], job), chosen), strict=True))
    statuses = [status for status in read.values() if status is not None]
    asking = [status for status in statuses if status.waits_for_a_person]
    others = [status for status in statuses if not status.waits_for_a_person]
    unread = [job for job, status in read.items() if status is None]
    return NewestJobs([*asking, *others[:limit]], unread, len(newest), listed.is_whole)


def _listed(bucket: Bucket, prefix: str) -> _Listed:
    found = _Listed({}, set(), is_whole=True)
    calls = 0
    with aws_said(bucket.name):
        for page in bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix):
            for one in page.get("Contents", []):
                folder, _, name = one["Key"].rpartition("/")
                job = folder.rsplit("/", 1)[-1]
                if not ids.is_job_id(job):
                    continue
                if name == "status.json":
                    found.folders[job] = f"{folder}/"
                elif name == "manifest.json":
                    found.ended.add(job)
            calls += 1
            if calls == MOST_CALLS and page.get("IsTruncated"):
                return found._replace(is_whole=False)
    return found


def _status(bucket: Bucket, folder: str, job: str) -> JobStatus | None:
    try:
        with aws_said(bucket.name):
            return parse_status(bucket.objects.get(f"{folder}status.json"), job)
    except StackError:
        return None
