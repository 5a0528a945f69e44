"""Rows to batches: where one span ends and the next begins."""

from __future__ import annotations

from typing import NamedTuple

from batchdrop.domain.ids import CustomId
from batchdrop.domain.lines import Line
from batchdrop.domain.rows import BODY_CLOSE, BODY_OPEN, SEPARATOR, Invalid, Row, body_size

# What a token of `max_tokens` can take in a results stream. Prose has 4 to 5 bytes a token, code and tables of spaces more;
# other scripts 3 bytes a character at about a token each; escapes double what they touch; the signature of a thinking block
# comes on top at about 1.4 times its text. 12 covers these together. Results of server tools are not bounded by `max_tokens`:
# a collector that still runs out of disk says so (OutOfDisk).
ANSWER_BYTES_PER_TOKEN = 12
# Custom id, message id, model, stop reason, usage, and the longest error message: 1 to 2 KB seen, doubled.
ANSWER_BYTES_FIXED = 4_096

_BODY_FRAME = len(BODY_OPEN) + len(BODY_CLOSE)
_TOKEN_CHARS = 16


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


class _Load(NamedTuple):
    """What a line adds to a batch."""

    requests: int
    invalid: int
    body: int
    answer: int


class Cutter:
    """Takes lines in order and gives a Cut whenever the next line does not fit any more."""

    def __init__(self, limits: Limits, *, attempt: int = 1) -> None:
        """`attempt` is part of the custom ids and so of the size of the body."""
        self._limits = limits
        self._fixed_id = len(str(CustomId("t" * _TOKEN_CHARS, attempt, 0))) - 1
        self._cut: Cut | None = None
        self._answer = 0

    def take(self, line: Line, row: Row | Invalid | None) -> Cut | None:
        """Adds a line (`row` is None for a blank one). Returns the batch before it, if that is now finished."""
        load = self._load(line, row)
        if self._cut is not None and self._fits(self._cut, line, load):
            self._cut = _grown(self._cut, line, load)
            self._answer += load.answer
            return None
        finished = self._cut
        self._cut = _grown(Cut(line.start, line.end, line.number, line.number, 0, 0, 0), line, load)
        self._answer = load.answer
        return finished

    def finish(self) -> Cut | None:
        """The last batch, or None if there were no lines since the last Cut."""
        finished, self._cut, self._answer = self._cut, None, 0
        return finished

    def _load(self, line: Line, row: Row | Invalid | None) -> _Load:
        if isinstance(row, Row):
            body = body_size(len(row.params), self._fixed_id + len(str(line.number)))
            return _Load(1, 0, body, row.max_tokens * ANSWER_BYTES_PER_TOKEN + ANSWER_BYTES_FIXED)
        return _Load(0, 0 if row is None else 1, 0, 0)

    def _fits(self, cut: Cut, line: Line, load: _Load) -> bool:
        limits = self._limits
        return (
            line.end - cut.start <= limits.max_span_bytes
            and line.number - cut.first_line < limits.max_span_lines
            and (
                not load.requests
                or (
                    cut.requests < limits.max_requests
                    and _body(cut, load) <= limits.max_body_bytes
                    and self._answer + load.answer <= limits.max_answer_bytes
                )
            )
        )


def _body(cut: Cut, load: _Load) -> int:
    if not load.requests:
        return cut.body_bytes
    return load.body + (cut.body_bytes + len(SEPARATOR) if cut.requests else _BODY_FRAME)


def _grown(cut: Cut, line: Line, load: _Load) -> Cut:
    return Cut(
        cut.start,
        line.end,
        cut.first_line,
        line.number,
        cut.requests + load.requests,
        cut.invalid + load.invalid,
        _body(cut, load),
    )
