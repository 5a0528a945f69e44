"""Writing the results file of a batch: one line per row, in an order of the batch's own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from local.claude import intake, markers, messages, params
from local.claude.errors import ErrorBody, ErrorDetail
from local.claude.identifiers import derived
from local.claude.messages import Message
from local.claude.tokens import Cache

type Unfinished = Literal["canceled", "expired"]

_WRITTEN_AT_ONCE = 1 << 20
# Cache hits in a batch are best effort (source: Claude API documentation, "Batch processing"): this is the range reported.
HITS = (0.30, 0.98)
TOGETHER = 100  # rows of a batch that start at once


class Counts(Struct):
    """How many rows ended how; a row without a result line counts as what it would have been."""

    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class Order(Struct, kw_only=True):
    """What is to be rendered.

    ``finished`` rows were done when the batch ended, the others are ``unfinished``. ``attempts`` are those of marked rows
    only. ``created``, ``moment`` (of the end) and the cache's entries are in emulated seconds since 1970; ``answer_bytes`` and
    ``results_bytes`` make answers, or the whole file, about that long. ``cache_hits``: the share of rows that find a prefix that
    is there, the same rows whatever the batch is called; None for a share that is drawn.
    """

    batch_id: str
    body: str
    results: str
    version: str
    betas: frozenset[str]
    finished: int
    unfinished: Unfinished
    attempts: dict[int, int]
    created: float
    moment: float
    cache: dict[str, float]
    cache_minimum: int | None
    cache_hits: float | None
    answer_bytes: int
    results_bytes: int


class Rendered(Struct):
    """What rendering found: counts, the cache as it is now, and the size of the file in bytes."""

    counts: Counts
    cache: dict[str, float]
    size: int


class _Succeeded(Struct, kw_only=True):
    type: str = "succeeded"
    message: Message


class _Errored(Struct, kw_only=True):
    type: str = "errored"
    error: ErrorBody


class _Ended(Struct):
    type: str


class _Line(Struct):
    custom_id: str
    result: _Succeeded | _Errored | _Ended


def render(order: Order) -> Rendered:
    """Writes the results file of a batch and counts its outcomes."""
    renderer = _Renderer(order)
    size, pending, waiting = 0, [], 0
    with intake.mapped(Path(order.body)) as body, Path(order.results).open("wb") as file:
        for line in renderer.lines(intake.rows(body)):
            pending.append(line)
            waiting += len(line)
            if waiting >= _WRITTEN_AT_ONCE:
                size += file.write(b"".join(pending))
                pending, waiting = [], 0
        size += file.write(b"".join(pending))
    return Rendered(renderer.counts, renderer.cache.entries, size)


class _Renderer:
    def __init__(self, order: Order) -> None:
        self.order = order
        self.counts = Counts()
        drawn = random.Random(order.batch_id)
        hits, phase = (drawn.uniform(*HITS), drawn.random()) if order.cache_hits is None else (order.cache_hits, 0.5)
        self.cache = Cache(order.cache, order.created, order.cache_minimum, hits, phase)
        self.cache.visible = dict(order.cache)

    def _start(self, number: int, rows: int) -> None:
        """Rows are worked on one after the other until the end, but for the first ones, which start together."""
        self.cache.now = self.order.created + (self.order.moment - self.order.created) * number / rows
        if number == TOGETHER:
            self.cache.visible = self.cache.entries

    def lines(self, rows: list[intake.Row]) -> Iterator[bytes]:
        places = list(range(len(rows)))
        random.Random(self.order.batch_id).shuffle(places)
        done = self._done(len(rows))
        length = self.order.answer_bytes or self.order.results_bytes // len(rows)
        for number, place in enumerate(places):
            self._start(number, len(rows))
            row = rows[place]
            raw = bytes(row.params)
            marks = markers.read(raw, self.order.attempts.get(place, 1))
            result = self._result(place, raw, marks, length) if done is None or place in done else self._unfinished()
            if marks.missing and not isinstance(result, _Ended):
                continue
            line = messages.encode(_Line(row.custom_id, result)) + b"\n"
            yield line
            if marks.duplicate:
                yield line

    def _done(self, count: int) -> set[int] | None:
        """The rows that were done when the batch ended; None for all of them."""
        if self.order.finished >= count:
            return None
        return set(random.Random(f"{self.order.batch_id} done").sample(range(count), self.order.finished))

    def _unfinished(self) -> _Ended:
        if self.order.unfinished == "canceled":
            self.counts.canceled += 1
        else:
            self.counts.expired += 1
        return _Ended(self.order.unfinished)

    def _result(self, place: int, raw: bytes, marks: markers.Marks, length: int) -> _Succeeded | _Errored | _Ended:
        if marks.expire:
            self.counts.expired += 1
            return _Ended("expired")
        if marks.error is not None:
            return self._errored(place, marks.error, f"A marker in the prompt asked for this {marks.error}.")
        try:
            request = params.read(raw, version=self.order.version, betas=self.order.betas, batch=True)
        except params.InvalidParams as error:
            return self._errored(place, error.kind, error.message)
        self.counts.succeeded += 1
        message_id = f"msg_{self.order.batch_id[-22:]}{place:06d}"
        return _Succeeded(message=messages.build(request, message_id, self.cache, tier="batch", length=length, marks=marks))

    def _errored(self, place: int, kind: str, message: str) -> _Errored:
        self.counts.errored += 1
        request_id = derived("req", self.order.batch_id.encode(), str(place).encode())
        return _Errored(error=ErrorBody(error=ErrorDetail(kind, message), request_id=request_id))


__all__ = ["Counts", "Order", "Rendered", "Unfinished", "render"]
