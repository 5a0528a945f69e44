"""Rows to batches: where one span ends and the next begins."""

from __future__ import annotations

from typing import NamedTuple

from batchdrop.domain.money import Sizes
from batchdrop.formats.batch_body import FRAME_BYTES, SEPARATOR_BYTES, request_bytes
from batchdrop.formats.file_source import sent_bytes
from batchdrop.formats.input_line import Row
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from batchdrop.formats.same_request import SameRequests
from batchdrop.jobs.answer_size import longest_answer, most_answers
from batchdrop.money.sizing import Sizer


class Limits(NamedTuple):
    """What one batch may be. A row or line that is over a limit alone still forms a batch of its own."""

    max_requests: int
    max_body_bytes: int
    max_answer_bytes: int
    """Worst-case size of the results: what the collector's disk holds."""
    max_span_bytes: int = 1_000_000_000
    """Input from the first line to the end of the last. The collector reads it again: a second or ten for 1 GB."""
    max_span_lines: int = 1_000_000
    """Line numbers from the first to the last, gaps included. The collector's index of them takes some 10 MB for 1 million."""

    @classmethod
    def of_a_stack(cls, *, max_requests: int, max_body_bytes: int, spool_bytes: int) -> Limits:
        """`spool_bytes`: disk of the collector."""
        return cls(max_requests, max_body_bytes, max_answer_bytes=most_answers(spool_bytes))


class Cut(NamedTuple):
    """A finished batch: bytes [start, end) of the input and what is in them."""

    start: int
    end: int
    first_line: int
    last_line: int
    requests: int
    invalid: int
    body_bytes: int
    """Exact size of the request body; 0 without requests."""
    sizes: Sizes
    """What its requests are expected to take."""
    copies: int = 0
    """Rows that have the request of another one, and are not sent."""


class Cutter:
    """Takes lines in order and gives a Cut whenever the next line does not fit any more.

    It sees every row of a file, so it counts in attributes instead of making a record of each step.

    `dedupe`: rows with the request of another one of their batch are no requests of it. A batch has no more rows for that, as
    each of them is to be written by the collector.
    """

    def __init__(self, limits: Limits, sizer: Sizer, *, dedupe: bool = False) -> None:
        self._limits = limits
        self._sizer = sizer
        self._dedupe = dedupe
        self._same = SameRequests() if dedupe else None
        self._lines = 0
        self._start = self._end = self._first_line = self._last_line = 0
        self._requests = self._copies = self._invalid = self._body = self._answer = 0

    def take(self, line: Line, row: Row | InvalidLine) -> Cut | None:
        """Adds a line that is not blank. Returns the batch before it, if that is now finished."""
        body = answer = 0
        if isinstance(row, Row):
            body = request_bytes(sent_bytes(row.params), line.number)
            answer = longest_answer(row.max_tokens)
        finished = None if self._lines and self._fits(line, body, answer) else self.finish()
        if not self._lines:
            self._start, self._first_line = line.start, line.number
        self._lines += 1
        self._end, self._last_line = line.end, line.number
        if isinstance(row, Row):
            self._answer += answer
            if self._same is not None and self._same.answered_by(row.line, row.params) is not None:
                self._copies += 1
            else:
                self._sizer.add(row)
                self._body += body + (SEPARATOR_BYTES if self._requests else FRAME_BYTES)
                self._requests += 1
        else:
            self._invalid += 1
        return finished

    def finish(self) -> Cut | None:
        """The last batch, or None if there were no lines since the last Cut."""
        if not self._lines:
            return None
        finished = Cut(
            self._start,
            self._end,
            self._first_line,
            self._last_line,
            self._requests,
            self._invalid,
            self._body,
            self._sizer.take(),
            self._copies,
        )
        self._lines = self._requests = self._copies = self._invalid = self._body = self._answer = 0
        self._same = SameRequests() if self._dedupe else None
        return finished

    def _fits(self, line: Line, body: int, answer: int) -> bool:
        """Whether a line with a request of `body` bytes (0: without one) still belongs to this batch."""
        limits = self._limits
        return (
            line.end - self._start <= limits.max_span_bytes
            and line.number - self._first_line < limits.max_span_lines
            and (
                not body
                or (
                    self._requests + self._copies < limits.max_requests
                    and self._body + body + (SEPARATOR_BYTES if self._requests else FRAME_BYTES) <= limits.max_body_bytes
                    and self._answer + answer <= limits.max_answer_bytes
                )
            )
        )
