"""`report.html`: what `status.json` says, for the eye, and the answers. One file that loads nothing and runs nothing.

A page opened from a private bucket cannot follow links into it, so it holds what people need. Data stands in the text of elements
only, escaped by the template's name; what is in an attribute is ours, or a percent-encoded key. The policy in its head allows its
own style and nothing else. Bounded: 20 rows, ten answers of a column and ten reasons, whatever the job is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.answer_counts import OTHER, AnswerCounts, Told
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.records import Job, JobState
from batchdrop.domain.retries import goes_again, may_be_paid
from batchdrop.money.amounts import dollars
from batchdrop.reports import sentences
from batchdrop.reports.html import middle, rendered
from batchdrop.reports.next_step import Left, console_url, next_step
from batchdrop.reports.remedies import remedy
from batchdrop.reports.samples import Sample

_MOST_VALUES = 10
_MOST_BATCHES = 20
# Of fewer rows nobody knows what 1,000 would cost.
_ENOUGH = 100
_SHORT = 16
_LONG = 40
"""Characters."""
_TONES = {"done": "ok", "no answers": "bad", "rejected": "bad", "stopped": "warn", "waiting": "warn", "waiting for you": "warn"}
_WHAT = {
    "complete.csv": "your whole table, with the answers of earlier jobs and of this one",
    "results.csv": "every row of your table with the answers",
    "failed.csv": "the rows without an answer and why, for people: what can be put in again",
    "results.jsonl": "the answers as the API gave them, for programs",
    "failed.jsonl": "the rows without an answer and why, for programs",
}
_FAILED = ("failed.csv", "failed.jsonl")


class Outcome(msgspec.Struct):
    """What the page shows of a manifest."""

    answers: _Answers
    failures: list[_Failures]
    batches: list[_Batch]
    files: dict[str, _File]
    cost: _Cost
    cache: _Cache | None = None
    expected: _Expected | None = None

    @property
    def left(self) -> Left:
        """Of some reasons it is only known how many there are."""
        others = any(one.status == OTHER for one in self.failures)
        told = [one for one in self.failures if one.status != OTHER]
        paid = any(may_be_paid(one.status, one.error) for one in told)
        again = {goes_again(one.status, one.error) for one in told if not may_be_paid(one.status, one.error)}
        return Left(passes=True in again or others, stays=False in again or others, is_guess=True not in again, may_be_paid=paid)


class _Answers(msgspec.Struct):
    values: dict[str, dict[str, int] | None] = {}
    lengths: list[int] = []


class _Failures(msgspec.Struct):
    status: str
    error: str
    rows: int
    lines: list[int]
    message: str = ""
    """Of a manifest of an earlier version: of the first row."""
    messages: tuple[Told, ...] = ()

    def reasons(self) -> list[str]:
        of_first = (Told(message=self.message, rows=1),) if self.message and self.status != OTHER else ()
        return sentences.reasons(self.rows, self.messages or of_first)


class _Batch(msgspec.Struct):
    requests: int
    created_at: datetime | None = None
    ended_at: datetime | None = None


class _File(msgspec.Struct):
    lines: int
    size: int


class _Cost(msgspec.Struct):
    usd: float | None = None
    real_time_usd: float | None = None


class _Cache(msgspec.Struct):
    hit_share: float | None = None
    saved_usd: float | None = None


class _Expected(msgspec.Struct):
    accuracy: float | None = None
    confusion: dict[str, dict[str, int]] = {}


class Details(NamedTuple):
    """What the page shows besides the job's record."""

    samples: Sequence[Sample] = ()
    outcome: Outcome | None = None
    documents: Mapping[int, str] = {}
    """Of a folder that was started: which document a row is, by its number, as far as that is known."""


NOTHING_MORE = Details()
_decode = msgspec.json.Decoder(Outcome).decode


def read_outcome(manifest: bytes) -> Outcome:
    """Raises msgspec.DecodeError, as of a manifest of an earlier version."""
    return _decode(manifest)


def outcome_of(counts: AnswerCounts) -> Outcome:
    """Of the rows that were tried, before there is a manifest."""
    failures = [
        _Failures(*kind.partition(" ")[::2], rows=one.rows, lines=list(one.lines), messages=one.told())
        for kind, one in counts.failures.items()
    ]
    answers = _Answers(values=counts.by_column(), lengths=list(counts.lengths))
    return Outcome(answers=answers, failures=failures, batches=[], files={}, cost=_Cost())


def page(job: Job, now: datetime, notice: str = "", *, region: str = "", details: Details = NOTHING_MORE) -> bytes:
    """HTML in UTF-8. Raises minijinja.TemplateError for what the template does not expect."""
    return rendered("report.html", _context(job, now, notice, region, details))


def _context(job: Job, now: datetime, notice: str, region: str, details: Details) -> dict[str, Any]:
    folder = keys.outbox_folder(job.input.key, job.id)
    outcome = details.outcome
    step = next_step(job, region, left=outcome.left if outcome is not None and job.finished_at else None)
    word = sentences.word_of(job)
    counts = job.counts
    tone = _TONES.get(word, "run")
    return {
        "name": middle(sentences.name_of_job(job)),
        "folder": folder,
        "s3": f"s3://{job.input.bucket}/{folder}",
        "word": word,
        "tone": "warn" if tone == "ok" and counts.succeeded < counts.total else tone,
        "sentence": sentences.state_of(job, notice),
        "next": {"text": step.text, "command": step.command or "", "url": step.console_url or ""},
        "progress": _progress(job) if job.state is JobState.running and not job.trying else None,
        "agreement": _agreement(outcome.expected) if outcome is not None and outcome.expected is not None else None,
        "answers": _answers(outcome) if outcome is not None else [],
        "samples": _samples(details.samples, counts.total),
        "failures": [_failure(one, job, details.documents) for one in outcome.failures] if outcome is not None else [],
        "cost": _cost(job, outcome),
        "cached": _cached(outcome.cache) if outcome is not None and outcome.cache is not None else "",
        "files": _files(job, folder, region, outcome) if outcome is not None and job.finished_at else [],
        "lengths": _lengths(outcome.answers.lengths if outcome is not None else []),
        "times": _times(outcome.batches if outcome is not None else []),
        "recipe": _recipe(job),
        "as_of": f"{now.astimezone(UTC):%-d %B %Y, %H:%M} UTC",
        "job": job.id,
    }


def _recipe(job: Job) -> str:
    if job.recipe is None:
        return ""
    return f"{job.recipe.key} (version {job.recipe.version_id})" if job.recipe.version_id else job.recipe.key


def _percent(part: float, whole: float) -> int:
    return round(100 * part / whole) if whole else 0


def _progress(job: Job) -> dict[str, Any]:
    total, answered = job.counts.total, job.counts.succeeded
    without = job.counts.finished - answered
    # They are counted as answered or not with the rows around them.
    tried = max(0, job.tried - job.counts.finished)
    done = f"{answered:,} answered, {without:,} without an answer, " + (f"{tried:,} tried, " if tried else "")
    return {
        "label": f"{done}{max(0, total - answered - without - tried):,} open",
        "answered": _percent(answered, total),
        "without": _percent(without, total),
    }


def _agreement(expected: _Expected) -> dict[str, Any]:
    right = "" if expected.accuracy is None else f"{expected.accuracy * 100:.3g} % as expected"
    labels = list(expected.confusion)[:_MOST_VALUES]
    given = list(dict.fromkeys([*labels, *(label for row in expected.confusion.values() for label in row)]))[: _MOST_VALUES + 2]
    return {
        "title": right or "Answers and what was expected",
        "given": [label or "no answer" for label in given],
        "rows": [
            {
                "label": label,
                "cells": [{"rows": f"{expected.confusion[label].get(each, 0):,}", "right": each == label} for each in given],
            }
            for label in labels
        ],
    }


def _answers(outcome: Outcome) -> list[dict[str, Any]]:
    """A column of which nearly every answer is another one has no distribution."""
    shown = []
    for column, values in outcome.answers.values.items():
        rows = sum(values.values()) if values else 0
        if not values or (rows < 2 * len(values) and len(values) > 2):
            continue
        ordered = sorted(values.items(), key=_by_number if all(map(_is_integer, values)) else lambda value: -value[1])
        listed = [{"text": text or "(empty)", **_share(found, rows)} for text, found in ordered[:_MOST_VALUES]]
        if others := ordered[_MOST_VALUES:]:
            listed.append({"text": f"({len(others)} others)", **_share(sum(found for _, found in others), rows)})
        shown.append({"name": column, "values": listed})
    return shown


def _is_integer(text: str) -> bool:
    """Such as a grade."""
    return len(text) <= _SHORT and text.isascii() and text.removeprefix("-").isdigit()


def _by_number(value: tuple[str, int]) -> int:
    return int(value[0])


def _share(rows: int, total: int) -> dict[str, Any]:
    return {"rows": f"{rows:,}", "percent": _percent(rows, total)}


def _samples(samples: Sequence[Sample], total: int) -> dict[str, Any]:
    answers = list(dict.fromkeys(name for one in samples for name in one.output)) or (["answer"] if samples else [])
    own = list(dict.fromkeys(name for one in samples for name in one.row))[:6]
    rows = [{"line": f"{one.line:,}", "cells": [*_answer_cells(one, answers), *_own_cells(one, own)]} for one in samples]
    what = "The row as it" if len(rows) == total == 1 else f"{len(rows)} of the rows, as they"
    return {"title": f"{what} came back", "columns": [*answers, *own], "rows": rows}


def _answer_cells(sample: Sample, columns: Sequence[str]) -> list[dict[str, object]]:
    """They come first, and so are seen on a phone."""
    texts = [sample.output.get(name, "") for name in columns]
    if not sample.output:
        texts[0] = f"none: {sample.error}"
    return [_cell(name, text, "answer") for name, text in zip(columns, texts, strict=True)]


def _own_cells(sample: Sample, columns: Sequence[str]) -> list[dict[str, object]]:
    return [_cell(name, sample.row.get(name, "")) for name in columns]


def _cell(column: str, text: str, *looks: str) -> dict[str, object]:
    """A label or a date stays on one line, also beside a long text, which has room for some words in a line."""
    size = ("short",) if len(text) <= _SHORT else ("text",) if len(text) > _LONG else ()
    return {"column": column, "text": text, "looks": " ".join((*looks, *size))}


def _failure(failures: _Failures, job: Job, documents: Mapping[int, str]) -> dict[str, Any]:
    more = failures.rows - len(failures.lines)
    lines = [f"{middle(documents[line])} (row {line:,})" if line in documents else f"{line:,}" for line in failures.lines]
    return {
        "rows": f"{failures.rows:,}",
        "noun": "row" if failures.rows == 1 else "rows",
        "why": failures.reasons(),
        "remedy": _remedy(failures, job),
        "lines": f"{', '.join(lines)} and {more:,} more" if more else ", ".join(lines),
    }


def _remedy(failures: _Failures, job: Job) -> str:
    if successor := sentences.successor_of(job):
        return f"Nothing: job {successor} has them."
    again = goes_again(failures.status, failures.error) and not may_be_paid(failures.status, failures.error)
    if again and sentences.is_retried(job):
        return "Nothing: they are asked again."
    return remedy(failures.status, failures.error, sentences.failed_file(job), documents=is_start(job.input))


def _cost(job: Job, outcome: Outcome | None) -> list[dict[str, str]]:
    expected = job.expected
    paid = job.spent if outcome is None or outcome.cost.usd is None else round(outcome.cost.usd * 10**6)
    real_time = None if outcome is None or outcome.cost.real_time_usd is None else round(outcome.cost.real_time_usd * 10**6)
    if not paid and expected is None:
        return []
    told = [("all rows", 1, 1), *([("1,000 rows", 1_000, job.counts.total)] if job.counts.total >= _ENOUGH else [])]
    return [
        {
            "name": name,
            "paid": _dollars(paid * times, of),
            "estimate": "unknown" if expected is None else _range(expected.low * times // of, expected.high * times // of),
            "real_time": "unknown yet" if real_time is None else _dollars(real_time * times, of),
        }
        for name, times, of in told
    ]


def _dollars(micro: int, of: int) -> str:
    """What costs something is never told as nothing."""
    return dollars(micro // of) if micro >= of or not micro else "less than $0.000001"


def _cached(cache: _Cache) -> str:
    """Empty where no prompt was cached, or nobody knows what that saved."""
    if cache.hit_share is None or cache.saved_usd is None:
        return ""
    word = "saved" if cache.saved_usd >= 0 else "cost"
    found = f"{_percent(cache.hit_share, 1)} % of what all prompts begin with was found in it"
    return f"Prompt caching {word} {dollars(round(abs(cache.saved_usd) * 10**6))}: {found}."


def _range(low: int, high: int) -> str:
    return dollars(low) if dollars(low) == dollars(high) else f"{dollars(low)} to {dollars(high)}"


def _files(job: Job, folder: str, region: str, outcome: Outcome) -> list[dict[str, str]]:
    """Nobody is to put in rows that another job has."""
    offered = {name: what for name, what in _WHAT.items() if not (name in _FAILED and sentences.successor_of(job))}
    found = [
        {"name": name, "what": what, "size": _size(outcome.files[name].size)}
        for name, what in offered.items()
        if name in outcome.files
    ]
    found.append({"name": "manifest.json", "what": "counts, tokens, cost and checksums, for programs", "size": ""})
    return [{**file, "url": console_url(job.input.bucket, folder + file["name"], region) or ""} for file in found]


def _size(number: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "KB")):
        if number >= unit:
            return f"{number / unit:,.1f} {name}"
    return f"{number:,} bytes"


def _lengths(classes: Sequence[int]) -> dict[str, Any]:
    total, most = sum(classes), max(classes, default=0)
    shortest = next((place for place, found in enumerate(classes) if found), 0)
    rows = [
        {"tokens": _tokens(place), "rows": f"{found:,}", "percent": _percent(found, most)}
        for place, found in enumerate(classes)
        if place >= shortest
    ]
    half = next((place for place in range(len(classes)) if 2 * sum(classes[: place + 1]) >= total), 0)
    title = f"Length of the answers: half of them have at most {max(0, 2**half - 1):,} tokens, the longest up to "
    return {"title": f"{title}{max(0, 2 ** (len(classes) - 1) - 1) if classes else 0:,}", "rows": rows if total else []}


def _tokens(place: int) -> str:
    if place < 2:
        return str(place)
    return f"{2 ** (place - 1):,} to {2**place - 1:,}"


def _times(batches: Sequence[_Batch]) -> dict[str, Any]:
    spans = sorted((one.created_at, one.ended_at, one.requests) for one in batches if one.created_at and one.ended_at)
    if not spans:
        return {"title": "", "rows": []}
    start, end = spans[0][0], max(ended for _, ended, _ in spans)
    whole = max(1.0, (end - start).total_seconds())
    rows = [
        {
            "sent": f"{created.astimezone(UTC):%-d %b, %H:%M}",
            "rows": f"{requests:,}",
            "minutes": f"{(ended - created).total_seconds() / 60:,.0f}",
            "start": _percent((created - start).total_seconds(), whole),
            "share": max(1, _percent((ended - created).total_seconds(), whole)),
        }
        for created, ended, requests in spans[:_MOST_BATCHES]
    ]
    of = f"the first {_MOST_BATCHES} of {len(spans):,} times" if len(spans) > _MOST_BATCHES else "all times"
    return {"title": f"When rows were at Anthropic: {sentences.span(end - start)}, {of}", "rows": rows}
