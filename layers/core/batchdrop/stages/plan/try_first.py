"""The pilot of a job: a batch of some of its rows, which is sent before anybody is asked about the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from typing import NamedTuple

import msgspec

from batchdrop.domain.money import Sizes, added
from batchdrop.domain.records import FEWEST_TRIED, PILOT_ROWS, Batch, BatchState, Job, Sample, Span
from batchdrop.formats.batch_body import FRAME_BYTES, SEPARATOR_BYTES, request_bytes
from batchdrop.formats.file_source import sent_bytes
from batchdrop.formats.input_line import REQUESTS, Row
from batchdrop.formats.lines import read_lines
from batchdrop.formats.rendered_line import check_rendered
from batchdrop.jobs.budget import Budget
from batchdrop.money.estimate import estimate, unpriced
from batchdrop.money.price_list import PriceList
from batchdrop.money.sizing import Sizer
from batchdrop.ports import Objects
from batchdrop.recipes.caching import AUTO

MOST_BYTES = 64_000_000
"""Of the requests that are tried, their files included: a row may have 32 MB."""
# Of a job's waiting batches the warm-up comes first, and then the pilot.
_BEFORE_ALL = timedelta(microseconds=1)


class _Tried(NamedTuple):
    sample: Sample
    params_bytes: int
    sizes: Sizes


ENOUGH_TO_CACHE = 1_000
"""Rows from which on `cache: auto` tries some although nobody has to be asked: with fewer, the wait costs more than it saves."""


class TryFirst(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    budget: Budget

    def warm_up(self, job: Job, drawn: Iterable[Sample], now: datetime) -> Batch | None:
        """A batch of the first row that was drawn. Raises ObjectGone."""
        rows = self._read(job, drawn, self.budget.prices.current(now).value, now)
        return _batch(job, rows[:1], attempt=0) if rows else None

    def __call__(self, job: Job, drawn: Iterable[Sample], now: datetime, mates: Sequence[Job], *, aside: int = 0) -> Batch | None:
        """A batch of the rows that were drawn. None: enough is known of files like it, or soon will be.

        As many as may be sent without asking. If those are too few, the job asks for the pilot, unless there are `mates`, whose
        rows are being tried now. `aside`: so many of the first that were drawn go before it. Raises ObjectGone.
        """
        learned = job.learned.rows if job.learned is not None and job.cache != AUTO else 0
        if learned + sum(mate.tried for mate in mates) >= PILOT_ROWS:
            return None
        prices = self.budget.prices.current(now).value
        rows = self._read(job, drawn, prices, now)[aside:]
        if not rows:
            return None
        left = self.budget.unasked_left(job, now)
        affordable = _affordable(rows, prices, now, left)
        if affordable < min(FEWEST_TRIED, len(rows)):
            if mates:
                return None
            affordable = len(rows)
        return _batch(job, rows[:affordable], attempt=1)

    def _read(self, job: Job, drawn: Iterable[Sample], prices: PriceList, now: datetime) -> list[_Tried]:
        """In the order in which they were drawn, as many as fit."""
        check = check_rendered if job.recipe else REQUESTS.check
        source = job.source or job.input
        rows: list[_Tried] = []
        room = MOST_BYTES
        for sample in drawn:
            with self.objects.read(source, sample.start, sample.end) as stream:
                line = next(read_lines(stream, start=sample.start, first_line=sample.line))
            row = check(line)
            if isinstance(row, Row):
                size = sent_bytes(row.params)
                room -= size
                if room < 0 and rows:
                    break
                sizer = Sizer(prices, now)
                sizer.add(row)
                rows.append(_Tried(sample, size, sizer.take()))
        return rows


def warms_up(job: Job, rows: int) -> bool:
    """Whether one row goes first, and writes the cache. A file that is its own pilot is sent at once, as is one with a cache of
    five minutes: it has gone by when the others are sent.
    """
    return job.cache in ("1h", AUTO) and rows > PILOT_ROWS


def _batch(job: Job, rows: list[_Tried], *, attempt: int) -> Batch:
    """Of rows all over the file."""
    taken = sorted(rows, key=lambda row: row.sample.line)
    samples = tuple(row.sample for row in taken)
    first, last = samples[0], samples[-1]
    return Batch(
        job_id=job.id,
        first_line=0,
        last_line=last.line,
        attempt=attempt,
        state=BatchState.ready,
        span=Span(object=job.source or job.input, start=first.start, end=last.end, first_line=first.line),
        requests=len(taken),
        prefixes=(),
        body_bytes=_body_bytes(taken),
        priority=job.priority,
        start_tag=job.created_at - (2 - attempt) * _BEFORE_ALL,
        sizes=reduce(added, (row.sizes for row in taken), {}),
        tries=samples,
    )


def _affordable(rows: list[_Tried], prices: PriceList, now: datetime, left: int | None) -> int:
    """How many of the first cost no more than what is left, at worst. Without a price nobody can tell, and the job waits."""
    if left is None or unpriced((row.sizes for row in rows), prices, now):
        return len(rows)
    for number, row in enumerate(rows):
        left -= estimate(row.sizes, prices, now, None).worst
        if left < 0:
            return number
    return len(rows)


def _body_bytes(rows: list[_Tried]) -> int:
    return FRAME_BYTES - SEPARATOR_BYTES + sum(SEPARATOR_BYTES + request_bytes(row.params_bytes, row.sample.line) for row in rows)
