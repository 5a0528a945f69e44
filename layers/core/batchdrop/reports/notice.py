"""What subscribers are told when a job has ended: a text for people, a document for programs, attributes for filters.

A mail may be forwarded to anybody, and a file may have been named by anybody: it names the file and counts its rows. It never
quotes a row, an answer or the API, and has no link but that of the S3 console, which asks whoever follows it to sign in.
"""

from __future__ import annotations

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.record import Record
from batchdrop.domain.records import Job, JobState
from batchdrop.reports import sentences
from batchdrop.reports.next_step import console_url
from batchdrop.reports.status import usd_of_micro
from batchdrop.reports.visible import unlinked

_NAME_CHARS = 32


class Notice(Record, frozen=True, kw_only=True):
    subject: str
    """Printable ASCII, at most 99 characters."""
    text: str
    document: dict[str, object]
    attributes: dict[str, str]
    """None of them is empty."""


def of_end(job: Job, region: str = "") -> Notice:
    """`job`: as it is once it has ended."""
    folder = keys.outbox_folder(job.input.key, job.id)
    sentence = _sentence(job)
    return Notice(
        subject=_subject(job),
        text="\n".join((sentence, "", *_lines(job, folder, region), "")),
        document={
            "job_id": job.id,
            "state": job.state,
            "word": sentences.word_of(job),
            "message": sentence,
            "bucket": job.input.bucket,
            "folder": folder,
            "input": {"key": job.input.key, "version_id": job.input.version_id},
            **({"reference": job.reference} if job.reference else {}),
            "recipe": job.recipe and job.recipe.key,
            "counts": msgspec.to_builtins(job.counts),
            "cost_usd": usd_of_micro(job.spent),
        },
        attributes=_attributes(job),
    )


def _attributes(job: Job) -> dict[str, str]:
    found = {"folder": keys.team_of(job.input.key), "state": str(job.state), "recipe": job.recipe.key if job.recipe else ""}
    return {name: text for name, text in found.items() if text}


def _sentence(job: Job) -> str:
    """By its numbers alone: a reason may quote the file, or the API."""
    match job.state:
        case JobState.rejected:
            return "Rejected: none of the rows could be sent; failed.jsonl has the reason for each."
        case JobState.canceled:
            return sentences.canceled(job)
        case _:
            return sentences.done(job)


def _lines(job: Job, folder: str, region: str) -> list[str]:
    url = console_url(job.input.bucket, f"{folder}report.html", region)
    return [
        f"File:   {unlinked(keys.name_of(job.input.key))}",
        f"Folder: {unlinked(folder)}",
        *([f"Look:   {url}"] if url else []),
        f"Job:    {job.id}",
    ]


def _subject(job: Job) -> str:
    """The file's name stands in it where a mail's header can hold it, else the job's id."""
    name = keys.name_of(job.input.key)
    if not (name.isascii() and name.isprintable()):
        name = job.id
    elif len(name) > _NAME_CHARS:
        name = f"{name[: _NAME_CHARS // 2]}...{name[-_NAME_CHARS // 2 + 3 :]}"
    word = sentences.word_of(job)
    total, without = job.counts.total, job.counts.total - job.counts.succeeded
    rows = f"all {total:,} rows have an answer" if not without else f"{without:,} of {total:,} rows without an answer"
    return f"{word[:1].upper()}{word[1:]}: {unlinked(name)}, {rows}"
