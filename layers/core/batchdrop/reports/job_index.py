"""`index.json`: the jobs of a team, or all: what waits, what runs, what the month has cost. Fields may be added, never renamed.

It is its own memory: the newest jobs are kept in it, and changed ones are merged into them. What has ended is counted once: a job
stays for some time after it was merged, also among more newer ones than are kept, so that a mark which is seen twice finds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from batchdrop.domain import ids, keys
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.money import MICRO
from batchdrop.domain.open_work import LIMIT, PRICE
from batchdrop.domain.record import Record
from batchdrop.domain.records import Job, JobState
from batchdrop.reports import sentences
from batchdrop.reports.next_step import next_step

MOST_JOBS = 500
MOST_OPEN = 10_000
"""Open ones beyond: some 300 bytes each."""
_STAYS = timedelta(minutes=15)
_MONTHS = 2
_MESSAGE_CHARS = 400
_MOST_USD = 10**12
WAITING = "waiting for you"
_ENDED = frozenset({JobState.done, JobState.rejected, JobState.canceled})


class Entry(Record, frozen=True, kw_only=True):
    """One job."""

    job_id: str
    state: JobState
    word: str
    """The state in the word that people use."""
    file: str
    """Below the inbox."""
    documents_of: str = ""
    """Of a job of documents: their folder, which is what people call it."""
    folder: str
    """Of its answers."""
    reference: str = ""
    """Of who dropped it: the metadata of the file, if it has any."""
    message: str = ""
    """Of a job that waits: what for."""
    command: str = ""
    """Of a job that waits for a person or an operator: what answers it, if a command does."""
    for_operator: bool = False
    """It waits for a price, or for a limit that may be raised for it."""
    rows: int
    without_answer: int | None = None
    """None: it has not ended."""
    usd: Decimal
    merged_at: datetime
    revision: int

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED


class Month(Record, frozen=True, kw_only=True):
    """The jobs that have ended, of those that were dropped in a month, UTC."""

    jobs: int = 0
    rows: int = 0
    usd: Decimal = Decimal()

    def with_job(self, entry: Entry) -> Month:
        return Month(jobs=self.jobs + 1, rows=self.rows + entry.rows, usd=self.usd + entry.usd)


class JobIndex(Record, frozen=True, kw_only=True):
    folder: str
    bucket: str
    updated_at: datetime
    waiting: int
    """For a person."""
    for_operator: int = 0
    """Waiting for an operator, or until a limit renews."""
    running: int
    """Or waiting in line, or read at the moment."""
    months: dict[str, Month]
    """The last two, by `2026-11`."""
    jobs: tuple[Entry, ...]
    """The newest first: those that are open, up to 10,000, and of the others as many as are among the newest 500."""


_decode = msgspec.json.Decoder(JobIndex).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def read_index(document: bytes) -> JobIndex | None:
    """None: it cannot be read, and is begun anew."""
    try:
        index = _decode(document)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return index if _is_ours(index) else None


def _is_ours(index: JobIndex) -> bool:
    """Whoever may write answers may write anything here: what cannot be sorted or added up would be so for ever."""
    sums = [*(month.usd for month in index.months.values()), *(entry.usd for entry in index.jobs)]
    return all(usd.is_finite() and -_MOST_USD < usd < _MOST_USD for usd in sums) and all(
        ids.is_job_id(entry.job_id) and entry.merged_at.tzinfo for entry in index.jobs
    )


def write_index(index: JobIndex) -> bytes:
    return msgspec.json.format(_encode(index), indent=1) + b"\n"


def merged(was: JobIndex | None, folder: str, bucket: str, changed: Iterable[Job], now: datetime) -> JobIndex:
    """`changed`: jobs as they are stored, at least one of which has a mark."""
    entries = {entry.job_id: entry for entry in was.jobs} if was is not None else {}
    months = dict(was.months) if was is not None else {}
    for job in changed:
        before = entries.get(job.id)
        if before is not None and before.revision > job.revision:
            continue
        entries[job.id] = entry = _entry(job, now)
        if entry.has_ended and not (before is not None and before.has_ended):
            month = f"{ids.uploaded_at(job.id):%Y-%m}"
            months[month] = months.get(month, Month()).with_job(entry)
    newest = sorted(entries.values(), key=lambda entry: entry.job_id, reverse=True)
    kept = tuple(_kept(newest, now))
    waiting = sum(entry.word == WAITING for entry in kept)
    for_operator = sum(entry.for_operator for entry in kept)
    return JobIndex(
        folder=folder,
        bucket=bucket,
        updated_at=now.astimezone(UTC).replace(microsecond=0),
        waiting=waiting,
        for_operator=for_operator,
        running=sum(not entry.has_ended for entry in kept) - waiting - for_operator,
        months={month: months[month] for month in sorted(months)[-_MONTHS:]},
        jobs=kept,
    )


def _kept(newest: Iterable[Entry], now: datetime) -> Iterable[Entry]:
    are_open = 0
    for place, entry in enumerate(newest):
        are_open += not entry.has_ended
        may_stay = entry.merged_at > now - _STAYS if entry.has_ended else are_open <= MOST_OPEN
        if place < MOST_JOBS or may_stay:
            yield entry


def _entry(job: Job, now: datetime) -> Entry:
    word = sentences.word_of(job)
    entry = Entry(
        job_id=job.id,
        state=job.state,
        word=word,
        file=job.input.key.removeprefix(keys.INBOX),
        documents_of=f"{keys.folder_of(job.input.key)}/" if is_start(job.input) else "",
        folder=keys.outbox_folder(job.input.key, job.id),
        reference=job.reference,
        rows=job.counts.total,
        usd=Decimal(job.spent) / MICRO,
        merged_at=now,
        revision=job.revision,
    )
    if job.state is JobState.held:
        # Those of a mate are told within minutes: nobody has to do anything.
        for_operator = job.needs in (LIMIT, PRICE) and not job.mate
        command = next_step(job).command if word == WAITING or job.needs == LIMIT else None
        message = sentences.state_of(job)[:_MESSAGE_CHARS]
        return replace(entry, message=message, command=command or "", for_operator=for_operator)
    return replace(entry, without_answer=entry.rows - job.counts.succeeded) if entry.has_ended else entry
