"""`status.json` and `manifest.json`: what people and programs read about a job. Fields may be added, never renamed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from batchdrop.domain.records import Batch, Job, JobState, Part, Record, Usage

# "Most batches finish in less than 1 hour" and "expire after 24 hours" (Anthropic, "Batch processing").
USUAL_TIME = timedelta(hours=1)
LONGEST_TIME = timedelta(hours=24)


class OutputFile(Record, frozen=True):
    lines: int
    size: int
    checksum: str
    """`<algorithm>:<hex>`: sha256, or crc64nvme where the file was put together from copied pieces."""


def stamp(time: datetime | None) -> str | None:
    """ISO 8601, UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith('ch') else 's'}"


def _done_sentence(job: Job) -> str:
    failed = job.counts.total - job.counts.succeeded
    start = f"Done: {job.counts.succeeded:,} of {_plural(job.counts.total, 'row')} succeeded"
    return f"{start}; the other {failed:,} are in failed.jsonl with the reason." if failed else f"{start}."


def sentence(job: Job, notice: str = "") -> str:
    """Where the job stands, for the person who dropped the file."""
    match job.state:
        case JobState.planning:
            text = "Reading and checking the file."
        case JobState.held:
            text = job.reason
        case JobState.running if job.cancel_requested:
            text = "Canceling: every row that has finished is still collected."
        case JobState.running:
            text = (
                f"{_plural(job.counts.total, 'row')} in {_plural(job.batches_total, 'batch')}: "
                f"{job.batches_ended:,} ended, {job.batches_collected:,} collected."
            )
        case JobState.finishing:
            text = "All batches have ended; the output files are being put together."
        case JobState.done:
            text = _done_sentence(job)
        case JobState.rejected:
            text = job.reason
        case JobState.canceled:
            finished = f"{job.counts.succeeded:,} of {_plural(job.counts.total, 'row')}"
            text = f"Canceled: {finished} had finished and are in results.jsonl; the rest is in failed.jsonl."
    unsent = job.state in (JobState.planning, JobState.running) and job.batches_ended < max(job.batches_total, 1)
    return " ".join(part for part in (text, notice if unsent else "", job.note) if part)


def expected_end(job: Job, now: datetime) -> datetime | None:
    """An hour after planning, which is usual; once that has passed, the 24 hours after which the API gives up."""
    if job.state not in (JobState.planning, JobState.held, JobState.running, JobState.finishing):
        return job.finished_at
    start = job.planned_at or job.created_at
    return start + (USUAL_TIME if now < start + USUAL_TIME else LONGEST_TIME)


def status(job: Job, now: datetime, notice: str = "") -> bytes:
    return _pretty(
        {
            "job_id": job.id,
            "state": job.state,
            "message": sentence(job, notice),
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


def unknown_job(job_id: str, command: str, now: datetime) -> bytes:
    return _pretty(
        {
            "job_id": job_id,
            "state": "unknown",
            "message": f"The command '{command}' was dropped for a job that does not exist here. "
            "A job id is the last folder name under outbox/, such as 20261122T003115Z-k3f9x2m7qa5bcdef.",
            "updated_at": stamp(now),
        }
    )


def add_usage(totals: dict[str, Usage], more: Mapping[str, Usage]) -> None:
    for model, usage in more.items():
        before = totals.get(model, Usage())
        totals[model] = Usage(**{name: getattr(before, name) + getattr(usage, name) for name in Usage.__struct_fields__})


def manifest(job: Job, batches: Iterable[Batch], files: Mapping[str, OutputFile], now: datetime) -> bytes:
    """The last object of a job. Memory: one line per batch of the job (about 200 bytes)."""
    usage: dict[str, Usage] = {}
    listed = []
    for batch in batches:
        add_usage(usage, batch.usage)
        if batch.requests:
            listed.append(
                {
                    "id": batch.api_id,
                    "requests": batch.requests,
                    "attempt": batch.attempt,
                    "first_line": batch.first_line,
                    "last_line": batch.last_line,
                    "created_at": stamp(batch.created_at),
                    "ended_at": stamp(batch.ended_at),
                }
            )
    return _pretty(
        {
            "job_id": job.id,
            "state": job.outcome or job.state,
            "message": job.reason or _done_sentence(job),
            "input": {
                "bucket": job.input.bucket,
                "key": job.input.key,
                "version_id": job.input.version_id,
                "etag": job.input.etag,
                "size": job.input.size,
                "lines": job.lines,
            },
            "counts": job.counts,
            "usage": usage,
            "cost": None,
            "batches": listed,
            "timings": {
                "created_at": stamp(job.created_at),
                "planned_at": stamp(job.planned_at),
                "finished_at": stamp(now),
                "seconds": round((now - job.created_at).total_seconds()),
            },
            "files": dict(files),
        }
    )


def output_file(parts: Iterable[Part], checksum: str) -> OutputFile:
    lines = size = 0
    for part in parts:
        lines += part.lines
        size += part.size
    return OutputFile(lines=lines, size=size, checksum=checksum)


def _pretty(document: Mapping[str, object]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
