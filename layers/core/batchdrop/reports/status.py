"""`status.json`: where a job stands, at every change. Fields may be added, never renamed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from batchdrop.domain.records import Job, JobState
from batchdrop.reports import sentences

# "Most batches finish in less than 1 hour" and "expire after 24 hours" (Anthropic, "Batch processing").
USUAL_TIME = timedelta(hours=1)
LONGEST_TIME = timedelta(hours=24)


def stamp(time: datetime | None) -> str | None:
    """ISO 8601, UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


def expected_end(job: Job, now: datetime) -> datetime | None:
    """An hour after planning, which is usual; then the 24 hours after which the API gives up. After that, nobody knows.

    Nobody knows either while the job waits for a person.
    """
    if job.state not in (JobState.planning, JobState.running, JobState.finishing):
        return job.finished_at
    start = job.planned_at or job.created_at
    return next((start + time for time in (USUAL_TIME, LONGEST_TIME) if now < start + time), None)


def status(job: Job, now: datetime, notice: str = "") -> bytes:
    return pretty(
        {
            "job_id": job.id,
            "state": job.state,
            "needs": job.needs or None,
            "message": sentences.state_of(job, notice),
            "counts": job.counts,
            "cost": None,
            "batches": {
                "open": job.batches_total - job.batches_ended,
                "ended": job.batches_ended,
                "collected": job.batches_collected,
                "total": job.batches_total,
            },
            "input": {"bucket": job.input.bucket, "key": job.input.key, "version_id": job.input.version_id},
            "updated_at": stamp(now),
            "expected_end": stamp(expected_end(job, now)),
        }
    )


def pretty(document: Mapping[str, object]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
