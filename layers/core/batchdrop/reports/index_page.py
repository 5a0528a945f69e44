"""`index.html`: what `index.json` says, for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from batchdrop.domain import ids, keys
from batchdrop.domain.money import MICRO
from batchdrop.money.amounts import dollars
from batchdrop.reports.html import middle, rendered
from batchdrop.reports.job_index import MOST_JOBS, MOST_OPEN, WAITING, Entry, JobIndex, Month
from batchdrop.reports.next_step import console_url

_MOST_WAITING = 50
_TONES = {"done": "ok", "no answers": "bad", "rejected": "bad", "stopped": "warn", "waiting": "warn", WAITING: "warn"}


def index_page(index: JobIndex, *, region: str = "", month_limit: int | None = None) -> bytes:
    """HTML in UTF-8. `month_limit`: of all jobs together, in micro-dollars. Raises minijinja.TemplateError."""
    waits = [entry for entry in reversed(index.jobs) if entry.word == WAITING]
    held = [entry for entry in reversed(index.jobs) if entry.for_operator]
    # Operators read the index of all.
    sections = [_waiting(index, "Waiting for you", waits, region), _waiting(index, "Waiting for an operator", held, region)]
    of_all = index.folder == keys.OUTBOX
    return rendered(
        "index.html",
        {
            "title": "All jobs" if of_all else f"Jobs in {index.folder.removeprefix(keys.OUTBOX)}",
            "folder": "" if of_all else index.folder.removeprefix(keys.OUTBOX),
            "sentence": _now(index),
            "month": _month(index, month_limit),
            "waiting": [section for section in (sections[::-1] if of_all else sections) if section["rows"]],
            "jobs": [_row(index, entry, region) for entry in index.jobs[:MOST_JOBS]],
            "listed": f"The newest {MOST_JOBS:,} jobs" if len(index.jobs) > MOST_JOBS else "Newest first",
            "as_of": _moment(index.updated_at),
        },
    )


def _waiting(index: JobIndex, title: str, entries: Sequence[Entry], region: str) -> dict[str, Any]:
    more = len(entries) - _MOST_WAITING
    return {
        "title": title,
        "rows": [_row(index, entry, region) for entry in entries[:_MOST_WAITING]],
        "more": f"{more:,} more: see index.json." if more > 0 else "",
    }


def _now(index: JobIndex) -> str:
    waits = "No job waits for you" if not index.waiting else f"{_jobs(index.waiting)} {_do('wait', index.waiting)} for you"
    if index.for_operator:
        waits += f", {index.for_operator:,} {_do('wait', index.for_operator)} for an operator"
    runs = "none runs" if not index.running else f"{index.running:,} {_do('run', index.running)}"
    if sum(not entry.has_ended for entry in index.jobs) < MOST_OPEN:
        return f"{waits}, {runs}."
    return f"{waits}, {runs}. Older ones may be open too: no more than the newest {MOST_OPEN:,} are counted."


def _month(index: JobIndex, limit: int | None) -> str:
    month = index.months.get(f"{index.updated_at:%Y-%m}", Month())
    spent = dollars(round(month.usd * MICRO))
    of = "" if limit is None else f" of this month's limit of {dollars(limit)}"
    rows = "1 row" if month.rows == 1 else f"{month.rows:,} rows"
    return f"Dropped in {index.updated_at:%B %Y} and ended: {_jobs(month.jobs)}, {rows}, {spent}{of}."


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number:,} jobs"


def _do(what: str, number: int) -> str:
    return f"{what}s" if number == 1 else what


def _row(index: JobIndex, entry: Entry, region: str) -> dict[str, Any]:
    tone = _TONES.get(entry.word, "run")
    return {
        "dropped": _moment(ids.uploaded_at(entry.job_id)),
        "file": middle(entry.documents_of or entry.file),
        "url": console_url(index.bucket, entry.folder, region) or "",
        "word": entry.word,
        "tone": "warn" if tone == "ok" and entry.without_answer else tone,
        "message": entry.message,
        "command": entry.command,
        "rows": f"{entry.rows:,}" if entry.rows else "",
        "without": f"{entry.without_answer:,}" if entry.rows and entry.without_answer is not None else "",
        "cost": _dollars(entry.usd) if entry.usd or entry.has_ended else "",
    }


def _dollars(usd: Decimal) -> str:
    return dollars(round(usd * MICRO))


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC"
