"""Check the lines of a file: each becomes a row that can be sent, or the reason why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from batchdrop.domain.call_headers import gone_in
from batchdrop.domain.model_list import ModelList
from batchdrop.domain.model_names import ModelFault, model_fault
from batchdrop.formats.input_line import REQUESTS, RequestReader, Row, custom_id_digest
from batchdrop.formats.invalid_line import InvalidLine, shown
from batchdrop.formats.lines import Line
from batchdrop.stages.plan.seen_ids import IdSet

# Rows are looked up in the id set this many at a time: enough to pay for the call, little to hold.
_CHUNK_BYTES = 4_000_000
_CHUNK_ROWS = 4_000
# A file names few models. Those of one that names many are looked up each time.
_REMEMBERED_MODELS = 1_000
_REMEMBERED_CHARS = 100


class RowCheck:
    """Decides about the lines of one job: under its API version, and with the models that there are `now`."""

    def __init__(self, api_version: str, listed: ModelList | None, now: datetime) -> None:
        self._check = RequestReader(gone_in(api_version)).check
        self._listed = listed
        self._now = now
        self._faults: dict[str, ModelFault | None] = {}

    def __call__(self, line: Line) -> Row | InvalidLine:
        row = self._check(line)
        if isinstance(row, InvalidLine):
            return row
        fault = self._faults[row.model] if row.model in self._faults else self._look_up(row.model)
        if fault is None:
            return row
        return InvalidLine(line=row.line, type=fault.type, message=f"params.model: {fault.message}")

    def _look_up(self, model: str) -> ModelFault | None:
        fault = model_fault(model, self._listed, self._now)
        if len(model) <= _REMEMBERED_CHARS and len(self._faults) < _REMEMBERED_MODELS:
            self._faults[model] = fault
        return fault


def in_chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    chunk: list[Line] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line.data)
        if size >= _CHUNK_BYTES or len(chunk) >= _CHUNK_ROWS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def checked(
    chunk: list[Line],
    seen: IdSet,
    broken: InvalidLine | None = None,
    check: Callable[[Line], Row | InvalidLine] = REQUESTS.check,
) -> Checked:
    """The rows of a chunk without its blank lines.

    `broken`: what is wrong with the chunk's last line, if a damaged gzip stream breaks off there. Raises OutOfDisk.
    """
    rows = [(line, check(line)) for line in chunk if line.data]
    if broken is not None and rows:
        rows[-1] = (rows[-1][0], broken)
    named = [row for _, row in rows if isinstance(row, Row) and row.custom_id is not None]
    there = seen.add_all([custom_id_digest(row.custom_id) for row in named if row.custom_id])
    return Checked(rows, {row.line for row, again in zip(named, there, strict=True) if again})


class Checked(NamedTuple):
    rows: list[tuple[Line, Row | InvalidLine]]
    repeated: set[int]
    """Lines of rows with a custom id that was there before."""

    def unique(self) -> Iterator[tuple[Line, Row | InvalidLine]]:
        """A row that repeats a custom id is invalid: its answer could not be told from that of the first."""
        if not self.repeated:
            yield from self.rows
            return
        for line, row in self.rows:
            yield line, _repeated(row) if isinstance(row, Row) and row.line in self.repeated else row


def _repeated(row: Row) -> InvalidLine:
    name = (row.custom_id or b"").decode()
    return InvalidLine(
        line=row.line,
        type="duplicate_custom_id",
        message=f"custom_id {shown(name)} appears more than once in this file; only the first row with it is sent. "
        "Give every row its own, or leave the field out.",
    )
