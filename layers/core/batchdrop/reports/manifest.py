"""`manifest.json`: the outcome of a job, written last. Fields may be added, never renamed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from batchdrop.domain.answer_counts import Agreement, AnswerCounts, Failures
from batchdrop.domain.call_headers import headers_of
from batchdrop.domain.money import Bill
from batchdrop.domain.record import Record
from batchdrop.domain.records import Approval, Batch, Job, JobState, ObjectRef, Part, Usage
from batchdrop.money.amounts import FEMTO_DIGITS, usd
from batchdrop.money.price_list import for_batch
from batchdrop.reports import sentences
from batchdrop.reports.status import about_copies, about_deadline, estimate_of, pretty, stamp, usd_of_micro


class OutputFile(Record, frozen=True):
    lines: int
    size: int
    checksum: str
    """`<algorithm>:<hex>`: sha256, or crc64nvme where the file was put together from copied pieces."""


class Whole(Record, frozen=True, kw_only=True):
    """The whole table of an earlier job, whose rows this job's rows are."""

    rows: int | None = None
    """None: there is no such table, and `note` says why."""
    answered: int | None = None
    jobs: tuple[str, ...] = ()
    """Whose answers are in it, the job whose rows they are first."""
    parts: tuple[str, ...] = ()
    """Of a table that is too large for one file: the keys of those that it is in, later ones before earlier ones."""
    note: str = ""


class Cost(Record, frozen=True):
    """What an audit reads of it. `usd`: a number, or null."""

    usd: msgspec.Raw
    unpriced: dict[str, int]
    unmetered: dict[str, int]


class Manifest(Record, frozen=True):
    """What an audit reads of it."""

    job_id: str
    state: JobState
    counts: dict[str, int]
    files: dict[str, OutputFile]
    cost: Cost | None = None
    complete: Whole | None = None


COUNTED_BEFORE = "an_earlier_version"
"""Under this name `unmetered` counts the rows of batches that were collected by a version that knew no prices."""
_decode = msgspec.json.Decoder(Manifest).decode


def add_usage(totals: dict[str, Usage], more: Mapping[str, Usage]) -> None:
    for model, usage in more.items():
        totals[model] = totals.get(model, Usage()) + usage


def manifest(
    job: Job,
    batches: Iterable[Batch],
    files: Mapping[str, OutputFile],
    now: datetime,
    more: Mapping[str, object] | None = None,
    *,
    whole: Whole | None = None,
) -> bytes:
    """Memory: one entry per batch of the job (about 200 bytes). `more`: what else there is to tell, or to tell otherwise."""
    usage: dict[str, Usage] = {}
    bill = Bill()
    answers = AnswerCounts()
    listed = []
    for batch in batches:
        add_usage(usage, batch.usage)
        bill += _bill_of(batch)
        answers += batch.answer_counts or AnswerCounts()
        if batch.requests:
            listed.append(
                {
                    "id": batch.api_id,
                    "requests": batch.requests,
                    "attempt": batch.times_sent,
                    "first_line": batch.tries[0].line if batch.tries else batch.first_line,
                    "last_line": batch.last_line,
                    "created_at": stamp(batch.created_at),
                    "ended_at": stamp(batch.ended_at),
                }
            )
    return pretty(
        {
            "job_id": job.id,
            "state": job.outcome or job.state,
            "message": " ".join(part for part in (_message(job, files), whole.note if whole else "") if part),
            **({"reference": job.reference} if job.reference else {}),
            "input": {
                "bucket": job.input.bucket,
                "key": job.input.key,
                "version_id": job.input.version_id,
                "etag": job.input.etag,
                "size": job.input.size,
                "lines": job.lines,
            },
            "headers": headers_of(job).as_sent(),
            "counts": job.counts,
            **({} if job.recipe is None else _about_recipe(job, job.recipe, answers)),
            **({} if whole is None else {"complete": whole}),
            **about_copies(job),
            **about_deadline(job),
            "answers": {"values": answers.by_column(), "lengths": answers.lengths},
            "failures": [_failures(kind, rows) for kind, rows in answers.failures.items()],
            "usage": usage,
            **_about_cache(usage, bill, job.about_cache),
            "cost": _cost(bill, job),
            "approvals": [_approval(one) for one in job.approvals],
            "batches": listed,
            "timings": {
                "created_at": stamp(job.created_at),
                "planned_at": stamp(job.planned_at),
                "finished_at": stamp(now),
                "seconds": round((now - job.created_at).total_seconds()),
            },
            "files": dict(files),
            **(more or {}),
        }
    )


def _failures(kind: str, rows: Failures) -> dict[str, object]:
    """Rows without an answer for reasons of one kind; `lines`: the first of them. `message` is true of all of them."""
    status, _, error = kind.partition(" ")
    message = " ".join(sentences.reasons(rows.rows, rows.told()))
    return {
        "status": status,
        "error": error,
        "message": message,
        "messages": rows.told(),
        "rows": rows.rows,
        "lines": rows.lines,
    }


def _bill_of(batch: Batch) -> Bill:
    if batch.bill is not None:
        return batch.bill
    requests = sum(usage.requests for usage in batch.usage.values())
    return Bill(unmetered={COUNTED_BEFORE: requests}) if requests else Bill()


def _approval(yes: Approval) -> dict[str, object]:
    """S3 names no person: who may write there, and CloudTrail's data events, tell who it was."""
    return {
        "code": yes.code,
        "amount_usd": usd_of_micro(yes.amount),
        "key": yes.key,
        "version_id": yes.version_id,
        "at": stamp(yes.at),
        "source_ip": yes.source_ip,
    }


def _cost(bill: Bill, job: Job) -> dict[str, object]:
    """Sums are null where nothing of them is known: what costs something is never told as 0."""
    unknown = not bill.usd and (bill.unpriced or bill.unmetered)
    sums = {"usd": bill.usd, "real_time_usd": bill.real_time_usd, "uncached_real_time_usd": bill.uncached_usd}
    return {
        **{name: None if unknown else _number(int(amount.scaleb(FEMTO_DIGITS))) for name, amount in sums.items()},
        "estimate_usd": estimate_of(job),
        "unpriced": bill.unpriced,
        "unmetered": bill.unmetered,
        "prices": bill.prices,
    }


def _about_cache(usage: Mapping[str, Usage], bill: Bill, why: str) -> dict[str, object]:
    """Nothing where no prompt was cached, and nobody has asked whether that pays. Of what was marked, `hit_share` was read;
    `saved_usd` is negative if caching cost more than it saved, and null where nobody knows.
    """
    written = sum(of.cache_write_tokens for of in usage.values())
    read = sum(of.cache_read_tokens for of in usage.values())
    decided = {"decision": why} if why else {}
    if not written + read:
        return {"cache": decided} if decided else {}
    saved = for_batch(int((bill.uncached_usd - bill.real_time_usd).scaleb(FEMTO_DIGITS)))
    return {
        "cache": {
            **decided,
            "hit_share": round(read / (written + read), 4),
            "written_tokens": written,
            "read_tokens": read,
            "saved_usd": None if bill.unpriced or bill.unmetered else _number(saved),
        }
    }


def _number(femto: int) -> msgspec.Raw:
    """Dollars, exact: neither rounded to a double nor with an exponent."""
    return msgspec.Raw(usd(femto).encode())


def lacks_tables(job: Job, files: Container[str]) -> bool:
    """Whether a job with a recipe ends without its tables. `files`: those that it has."""
    return job.recipe is not None and job.counts.total > 0 and "results.csv" not in files


def _message(job: Job, files: Container[str]) -> str:
    message = sentences.done(job) if job.overdue else job.reason or sentences.done(job)
    return f"{message} {sentences.NO_TABLES}" if lacks_tables(job, files) else message


def _about_recipe(job: Job, recipe: ObjectRef, answers: AnswerCounts) -> dict[str, object]:
    """`unusable`: answers that were paid for, by the reason why they cannot be used. `expected`: an eval, if there is one."""
    return {
        "recipe": {"key": recipe.key, "version_id": recipe.version_id, "etag": recipe.etag},
        "repeated_ids": job.repeated,
        "unusable": answers.reasons,
        "expected": _figures(answers.agreement) if answers.agreement else None,
    }


def output_file(parts: Iterable[Part], checksum: str) -> OutputFile:
    lines = size = 0
    for part in parts:
        lines += part.lines
        size += part.size
    return OutputFile(lines=lines, size=size, checksum=checksum)


def read_manifest(data: bytes) -> Manifest:
    return _decode(data)


def _figures(agreement: Agreement) -> dict[str, Any]:
    from batchdrop.recipes.expected import figures  # noqa: PLC0415 - only an eval has them

    return figures(agreement)
