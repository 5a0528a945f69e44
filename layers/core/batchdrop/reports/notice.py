"""What subscribers are told of a job: a text for people, a document for programs, attributes for filters.

A mail may be forwarded to anybody, and a file may have been named by anybody: it names the file, counts its rows and their
labels. It never quotes a row, the API or a reason, and has no link but that of the S3 console, which asks whoever follows it to
sign in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.answer_counts import AnswerCounts
from batchdrop.domain.open_work import APPROVAL, RECIPE
from batchdrop.domain.record import Record
from batchdrop.domain.records import Job, JobState
from batchdrop.domain.retries import ANSWER_AWAITED, RECIPE_AWAITED
from batchdrop.money.amounts import dollars
from batchdrop.reports import sentences
from batchdrop.reports.next_step import console_url
from batchdrop.reports.status import estimate_of, usd_of_micro
from batchdrop.reports.visible import unlinked

_SUBJECT_CHARS = 99
# Of a name in it: as many as a job id has.
_NAME_CHARS = 33
_LABEL_CHARS = 40
_LABELS = 5
_NAMED = 10


class Notice(Record, frozen=True, kw_only=True):
    subject: str
    """Printable ASCII, at most 99 characters."""
    text: str
    document: dict[str, object]
    attributes: dict[str, str]
    """None of them is empty."""


def document_of(job: Job) -> dict[str, object]:
    """As in `docs/events.schema.json`. Without the code of a question: who approves reads it where the answers are."""
    return {
        "version": 1,
        "job_id": job.id,
        "state": job.state,
        "word": sentences.word_of(job),
        "message": _sentence(job),
        "needs": job.needs if job.state is JobState.held else None,
        "team": keys.team_of(job.input.key),
        "bucket": job.input.bucket,
        "folder": keys.outbox_folder(job.input.key, job.id),
        "input": {"key": job.input.key, "version_id": job.input.version_id},
        **({"reference": job.reference} if job.reference else {}),
        "recipe": job.recipe and job.recipe.key,
        "counts": msgspec.to_builtins(job.counts),
        "cost_usd": usd_of_micro(job.spent),
        "estimate": estimate_of(job),
    }


def of_end(job: Job, region: str = "") -> Notice:
    """`job`: as it is once it has ended."""
    return _notice(job, _subject(job), (_sentence(job), "", *_lines(job, region)))


def of_ends(jobs: Sequence[Job], region: str = "") -> Notice:
    """Of several files of one folder that ended alike, in one tick. The document is that of the first."""
    first, word = jobs[0], sentences.word_of(jobs[0])
    said = f"{len(jobs):,} files of one folder: {word}. Each has a folder of its own below outbox/, with the reason."
    names = [f"File:   {unlinked(sentences.name_of_job(job))}" for job in jobs[:_NAMED]]
    more = [f"And {len(jobs) - _NAMED:,} more."] if len(jobs) > _NAMED else []
    return _notice(first, f"{_capital(word)}: {len(jobs):,} files", (said, "", *names, *more, *_places(first, region)))


def of_question(jobs: Sequence[Job], tried: AnswerCounts | None = None, region: str = "") -> Notice:
    """Of files of one folder that wait for the same, the one that asks for all of them first. `tried`: of its tried rows."""
    first = jobs[0]
    count = len(first.group.covers) if first.group is not None and first.group.covers else len(jobs)
    files = [f"Files:  {count:,} of this folder wait for the same."] if count > 1 else []
    lines = (_sentence(first), "", *_lines(first, region), *files, *_tried(tried), *_answer(first))
    subject = _line("Waiting for you: ", first, f", {_asked(first)}", named=f"{count:,} files" if count > 1 else "")
    return _notice(first, subject, lines)


def _notice(job: Job, subject: str, lines: Sequence[str]) -> Notice:
    return Notice(subject=subject, text="\n".join((*lines, "")), document=document_of(job), attributes=_attributes(job))


def _attributes(job: Job) -> dict[str, str]:
    found = {"folder": keys.team_of(job.input.key), "state": str(job.state), "recipe": job.recipe.key if job.recipe else ""}
    return {name: text for name, text in found.items() if text}


def _sentence(job: Job) -> str:
    """By its numbers alone: a reason may quote the file, or the API."""
    match job.state:
        case JobState.held:
            return _waiting(job)
        case JobState.rejected if not job.batches_total:
            return "Rejected: nothing was sent and nothing was paid; status.json has the reason."
        case JobState.rejected:
            return "Rejected: none of the rows could be sent; failed.jsonl has the reason for each."
        case JobState.canceled:
            return sentences.canceled(job)
        case _:
            return sentences.done(job)


def _waiting(job: Job) -> str:
    if job.needs == RECIPE:
        return "Nothing was sent or paid: a recipe.yaml is missing, or is to be corrected; status.json says which."
    if job.needs != APPROVAL or job.question is None:
        return "Nothing more is sent: a price that operators set is missing, or cannot be used; status.json says which."
    cost, rows = sentences.cost_range(job.question), f"{job.question.rows:,}"
    paid = f" {dollars(job.spent)} was paid so far." if job.spent else " Nothing was paid so far."
    if job.question.for_pilot:
        return f"To see what the file will cost, {rows} rows of it are tried first, for {cost}.{paid}"
    tried = f"{job.tried:,} of {job.counts.total:,} rows were tried. " if job.tried else ""
    return f"{tried}The {'other ' if tried else ''}{rows} rows will cost {cost}.{paid}"


def _lines(job: Job, region: str) -> list[str]:
    return [f"File:   {unlinked(sentences.name_of_job(job))}", *_places(job, region)]


def _places(job: Job, region: str) -> list[str]:
    folder = keys.outbox_folder(job.input.key, job.id)
    url = console_url(job.input.bucket, f"{folder}report.html", region)
    return [f"Folder: {unlinked(folder)}", *([f"Look:   {url}"] if url else []), f"Job:    {job.id}"]


def _tried(counts: AnswerCounts | None) -> list[str]:
    """Of each answer column, its most frequent labels. They are the model's words, and a row may have talked it into any."""
    found = [values for values in (counts.values.values() if counts is not None else ()) if values]
    lines = []
    for values in found:
        most = sorted(values.items(), key=lambda one: -one[1])
        said = [f"{rows:,} {unlinked(label)[:_LABEL_CHARS]}" for label, rows in most[:_LABELS]]
        others = sum(rows for _, rows in most[_LABELS:])
        lines.append(f"Tried:  {', '.join([*said, *([f'{others:,} other'] if others else [])])}")
    return lines


def _answer(job: Job) -> list[str]:
    """How it goes on, and until when it waits."""
    if job.needs == RECIPE:
        return [
            f"Go on:  put recipe.yaml into {unlinked(_folder_of(job.input.key))}",
            *_until(job, RECIPE_AWAITED.days, "Not there by then, the file is rejected."),
        ]
    if job.needs != APPROVAL or job.question is None:
        return ["Go on:  an operator corrects prices.json or limits.json below config/."]
    group = job.group
    one = f"{job.id}-{job.question.code}"
    last = f"all-{group.code}" if group is not None and group.code else one
    below = unlinked(_folder_of(keys.command_key("approve", job.input.key, last)))
    return [
        *([f"Go on:  batchdrop approve {one}"] if last == one else []),
        f"Go on:  in the S3 console, folder {below}, Create folder, name {last}",
        *_until(job, ANSWER_AWAITED.days, "Not answered by then, it is stopped, and nothing more is paid."),
    ]


def _until(job: Job, days: int, otherwise: str) -> list[str]:
    if job.held_at is None:
        return []
    end = datetime.fromtimestamp(job.held_at.timestamp() + days * 86_400, UTC)
    return [f"Until:  {end:%Y-%m-%d %H:%M} UTC. {otherwise}"]


def _folder_of(key: str) -> str:
    return key.rpartition("/")[0] + "/"


def _asked(job: Job) -> str:
    if job.needs == RECIPE:
        return "a recipe is needed"
    if job.needs != APPROVAL or job.question is None:
        return "a price is needed"
    asked = job.group if job.group is not None and job.group.code else job.question
    return f"{sentences.cost_range(asked)} for {asked.rows:,} rows"


def _subject(job: Job) -> str:
    word, total, without = _capital(sentences.word_of(job)), job.counts.total, job.counts.total - job.counts.succeeded
    rows = f"all {total:,} rows have an answer" if not without else f"{without:,} of {total:,} rows without an answer"
    return _line(f"{word}: ", job, f", {rows if total else 'nothing was sent'}")


def _line(before: str, job: Job, behind: str, named: str = "") -> str:
    """What the name of a job's file leaves whole, however long that is."""
    room = _SUBJECT_CHARS - len(before) - len(behind)
    return f"{before}{named or _name(job, min(room, _NAME_CHARS))}{behind}"


def _name(job: Job, room: int) -> str:
    """The file's, where a mail's header can hold it, else the job's id; of a long one the first and the last characters."""
    name = unlinked(sentences.name_of_job(job))
    if not name or not name.isascii():
        name = job.id
    head, tail = room // 2, (room + 1) // 2 - len("... ")
    # A space before the rest, so that no mail program makes a link of it.
    return name if len(name) <= room else f"{name[:head]}... {name[-tail:]}"


def _capital(word: str) -> str:
    return f"{word[:1].upper()}{word[1:]}"
