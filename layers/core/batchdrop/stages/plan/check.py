"""Check the lines of a file: each becomes a row that can be sent, or the reason why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from batchdrop.domain.call_headers import BETA, LONG_OUTPUT, CallHeaders, gone_in
from batchdrop.domain.errors import BatchdropError
from batchdrop.domain.model_list import ModelList
from batchdrop.domain.model_names import LONG_OUTPUT_MODELS, ModelFault, model_fault, most_output, unknown
from batchdrop.formats.file_source import fault_in, may_name_files, places
from batchdrop.formats.input_line import MAX_MAX_TOKENS, REQUESTS, RequestReader, Row, custom_id_digest
from batchdrop.formats.invalid_line import InvalidLine, shown
from batchdrop.formats.lines import Line
from batchdrop.stages.plan.seen_ids import IdSet

# Rows are looked up in the id set this many at a time: enough to pay for the call, little to hold.
_CHUNK_BYTES = 4_000_000
_CHUNK_ROWS = 4_000
# A file names few models. Those of one that names many are looked up each time.
_REMEMBERED_MODELS = 1_000
_REMEMBERED_CHARS = 100
# They are told in a sentence.
_MOST_STRANGE = 5


class _Model(NamedTuple):
    fault: ModelFault | None
    most: int
    """The largest `max_tokens` that it takes."""


class NamesFiles(BatchdropError):
    """A row names files, and what is known of them has still to be put into the lines."""


NAMED_LATE = (
    "The row names a file, and the rows at the start of the input name none. Upload rows that name files as an input of their "
    "own, or put the first of them at its start."
)


class RowCheck:
    """Decides about the lines of one job: under its headers, and with the models that there are `now`.

    `filled`: what is known of the files that rows name is in the lines. `unfillable`: why it cannot be put there, or empty.
    `strange`: gains models of which nothing is known, each with the line of its first row.
    """

    def __init__(
        self,
        headers: CallHeaders,
        listed: ModelList | None,
        now: datetime,
        *,
        filled: bool = False,
        unfillable: Callable[[], str] = lambda: "",
        strange: dict[str, int] | None = None,
    ) -> None:
        self._strange = {} if strange is None else strange
        self._filled = filled
        self._unfillable = unfillable
        self._check = RequestReader(gone_in(headers.api_version)).check
        self._betas = headers.betas
        self._listed = listed
        self._now = now
        self._models: dict[str, _Model] = {}

    def __call__(self, line: Line) -> Row | InvalidLine:
        row = self._check(line)
        if isinstance(row, InvalidLine):
            return row
        model = self._models.get(row.model) or self._look_up(row.model, row.line)
        if model.fault is not None:
            return InvalidLine(line=row.line, type=model.fault.type, message=f"params.model: {model.fault.message}")
        if row.max_tokens <= model.most:
            return self._with_files(row) if may_name_files(row.params) else row
        return InvalidLine(line=row.line, type="invalid_max_tokens", message=self._too_many(row, model.most))

    def _with_files(self, row: Row) -> Row | InvalidLine:
        """Raises NamesFiles."""
        if self._filled:
            faulty = fault_in(row.params)
            return row if faulty is None else InvalidLine(line=row.line, type=faulty.fault, message=faulty.message)
        if not places(row.params):
            return row
        if why := self._unfillable():
            return InvalidLine(line=row.line, type="file_not_looked_at", message=why)
        raise NamesFiles

    def _too_many(self, row: Row, most: int) -> str:
        longer = row.model in LONG_OUTPUT_MODELS and LONG_OUTPUT not in self._betas
        or_upload = f", or upload the file with the metadata {BETA}={LONG_OUTPUT}" if longer else ""
        return f"params.max_tokens is {row.max_tokens}; {shown(row.model)} writes {most} tokens at most. Lower it{or_upload}."

    def _look_up(self, name: str, line: int) -> _Model:
        if len(self._strange) < _MOST_STRANGE and unknown(name, self._listed) is not None:
            self._strange.setdefault(shown(name), line)
        most = most_output(name, self._listed, self._betas)
        model = _Model(model_fault(name, self._listed, self._now), MAX_MAX_TOKENS if most is None else most)
        if len(name) <= _REMEMBERED_CHARS and len(self._models) < _REMEMBERED_MODELS:
            self._models[name] = model
        return model


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
