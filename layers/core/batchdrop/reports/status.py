"""`status.json`: where a job stands, at every change. Fields may be added, never renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from batchdrop.domain.keys import command_key
from batchdrop.domain.open_work import LIMIT
from batchdrop.domain.records import Job, JobState
from batchdrop.money.amounts import usd
from batchdrop.reports import sentences
from batchdrop.reports.next_step import Left, next_step
from batchdrop.reports.samples import Sample

# "Most batches finish in less than 1 hour" and "expire after 24 hours" (Anthropic, "Batch processing").
USUAL_TIME = timedelta(hours=1)
_FEMTO_OF_A_MICRO = 10**9
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


def status(
    job: Job,
    now: datetime,
    notice: str = "",
    *,
    region: str = "",
    samples: Sequence[Sample] = (),
    left: Left | None = None,
) -> bytes:
    """`samples`: rows that were tried, as they came back. `region`: of the bucket. `left`: as for `next_step`."""
    return pretty(
        {
            "job_id": job.id,
            "state": job.state,
            "needs": job.needs or None,
            "message": sentences.state_of(job, notice),
            "next": next_step(job, region, left=left),
            "counts": job.counts,
            "cost": {"usd": usd_of_micro(job.spent), "reserved_usd": usd_of_micro(job.used - job.spent)},
            "estimate": estimate_of(job),
            "question": _question(job),
            "samples": samples,
            "batches": {
                "open": job.batches_total - job.batches_ended,
                "ended": job.batches_ended,
                "collected": job.batches_collected,
                "total": job.batches_total,
            },
            **({"reference": job.reference} if job.reference else {}),
            "input": {"bucket": job.input.bucket, "key": job.input.key, "version_id": job.input.version_id},
            **about_copies(job),
            **about_deadline(job),
            **({"cache": job.about_cache} if job.about_cache else {}),
            "updated_at": stamp(now),
            "expected_end": stamp(expected_end(job, now)),
        }
    )


def about_copies(job: Job) -> dict[str, object]:
    """Rows that cost nothing, as another one has the same request. Nothing of a job that sends every row."""
    return {"rows_copied": job.rows_copied} if job.dedupe else {}


def about_deadline(job: Job) -> dict[str, object]:
    """Nothing of a job without one. `at`: null until it is let go. `not_answered`: rows that it has cost an answer so far."""
    if not job.deadline:
        return {}
    not_answered = job.counts.canceled if job.overdue else 0
    return {"deadline": {"recipe": job.deadline, "at": stamp(job.due_at), "not_answered": not_answered}}


def estimate_of(job: Job) -> dict[str, object] | None:
    """Of the job in all."""
    if job.expected is None:
        return None
    return {
        "low": usd_of_micro(job.expected.low),
        "high": usd_of_micro(job.expected.high),
        "known_by": sentences.known_by(job, job.expected),
    }


def usd_of_micro(amount: int) -> msgspec.Raw:
    """Dollars, exact: neither rounded to a double nor with an exponent."""
    return msgspec.Raw(usd(amount * _FEMTO_OF_A_MICRO).encode())


def _question(job: Job) -> dict[str, object] | None:
    """What is asked, and the name of the object or folder that answers it."""
    question = job.question
    if question is None:
        return None
    command = "raise" if job.needs == LIMIT else "approve"
    asked = {
        "code": question.code,
        "rows": question.rows,
        "low_usd": usd_of_micro(question.low),
        "high_usd": usd_of_micro(question.high),
        "answer": command_key(command, job.input.key, f"{job.id}-{question.code}"),
    }
    group = job.group
    if group is None or group.leader != job.id:
        return asked
    together = {
        "code": group.code,
        "files": len(group.covers),
        "rows": group.rows,
        "low_usd": usd_of_micro(group.low),
        "high_usd": usd_of_micro(group.high),
        "answer": command_key("approve", job.input.key, f"all-{group.code}"),
    }
    return asked | {"together": together}


def pretty(document: Mapping[str, object]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
