"""`complete.csv`, made of `complete.jsonl`: no table is ever merged by parsing one.

Its columns are those of the table as it was, then what the job adds: a recipe may have other answer columns by now.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat

import msgspec
from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import Job, ObjectRef, RowStatus
from batchdrop.formats.cells import csv_line, header_line, text_of, unguard
from batchdrop.formats.csv_table import Dialect, sniff
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_blocks
from batchdrop.formats.result_line import AnsweredRow
from batchdrop.formats.table_fault import OUR_COLUMNS, TableFault
from batchdrop.formats.whole_checkpoint import TableCheckpoint, decode_table_checkpoint, encode_checkpoint
from batchdrop.formats.whole_line import read_whole
from batchdrop.ports import Objects
from batchdrop.recipes.answers import cells
from batchdrop.recipes.form import Form
from batchdrop.stages.finish.growing import Growing

_OURS = ("batchdrop_row", "batchdrop_status", "batchdrop_error", "batchdrop_usd")
_HEAD_BYTES = 1 << 20


class WriteTable(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects

    def __call__(self, job: Job, rows: ObjectRef, was: str, form: Form, go_on: Callable[[], bool]) -> TableCheckpoint:
        """How far it has come. `rows`: `complete.jsonl`. `was`: the key of the table as it was. Raises ObjectGone."""
        start, rest = self._stored(job) or (self._begin(replace(rows, key=was, etag="", size=0), form), b"")
        if start.complete:
            return start
        line_of = _LineOf(start, raw=form.table.raw)
        key = keys.outbox_folder(job.input.key, job.id) + "complete.csv"
        with self.objects.resume(key, content_type="text/csv; charset=utf-8") as out:
            growing = Growing(out, start.file, rest)
            if not start.offset:
                growing.write(line_of.header())
            with self.objects.read(rows, start.offset) as stream:
                for block in read_blocks(stream, start=start.offset, max_line=MAX_OUTPUT_LINE_BYTES):
                    stored = growing.write(b"".join(line_of(line) for line in block.data.split(b"\n") if line))
                    time_is_up = not go_on()
                    if stored or time_is_up:
                        grown, rest = growing.suspend() if time_is_up else growing.mark()
                        reached = replace(start, offset=block.end, file=grown)
                        self._store(job, reached, rest)
                        if time_is_up:
                            return reached
        reached = replace(start, offset=rows.size, file=growing.grown, complete=True)
        self._store(job, reached, b"")
        return reached

    def _stored(self, job: Job) -> tuple[TableCheckpoint, bytes] | None:
        try:
            return decode_table_checkpoint(self.objects.get(keys.whole_table_checkpoint(job.id)))
        except ObjectGone:
            return None

    def _store(self, job: Job, checkpoint: TableCheckpoint, rest: bytes) -> None:
        self.objects.put(keys.whole_table_checkpoint(job.id), encode_checkpoint(checkpoint, rest))

    def _begin(self, was: ObjectRef, form: Form) -> TableCheckpoint:
        own = (*form.table.columns, *form.answer.columns)
        found = written_as(self.objects, was, form.table.separator)
        if found is None:
            return TableCheckpoint(columns=own, separator=form.table.separator, newline=form.table.newline)
        named = [name if form.table.raw else unguard(name) for name in found.columns if name not in OUR_COLUMNS]
        columns = tuple(dict.fromkeys((*named, *own)))
        return TableCheckpoint(columns=columns, separator=found.written_separator, newline=found.newline)


def written_as(objects: Objects, table: ObjectRef, guess: str) -> Dialect | None:
    """How a table of ours is written. None if it cannot be found out: somebody has deleted it. `guess`: its separator."""
    try:
        with objects.read(table) as stream:
            head = stream.read(_HEAD_BYTES)
    except ObjectGone:
        return None
    for separator in (guess, None):
        try:
            found = sniff(head, complete=len(head) < _HEAD_BYTES, encoding="utf-8", separator=separator, name=table.key)
        except TableFault:
            continue
        if found.columns[-len(_OURS) :] == _OURS:
            return found
    return None


class _LineOf:
    def __init__(self, how: TableCheckpoint, *, raw: bool) -> None:
        self._how = how
        self._raw = raw

    def header(self) -> bytes:
        return header_line((*self._how.columns, *_OURS), self._how.separator, self._how.newline, raw=self._raw)

    def __call__(self, line: bytes) -> bytes:
        row = read_whole(line)
        status, message = (RowStatus.succeeded, "") if isinstance(row, AnsweredRow) else (row.status, row.message)
        answers = cells(row.output, self._how.columns) if isinstance(row, AnsweredRow) else repeat("")
        # No row has an own field that is called like one of its answer columns.
        own = [
            text_of(row.row[name]) if name in row.row else answer
            for name, answer in zip(self._how.columns, answers, strict=False)
        ]
        cost = bytes(row.cost_usd)
        # Nothing if nobody knows what it has cost.
        ours = (str(row.line), status, message, "" if cost == b"null" else cost.decode())
        return csv_line([*own, *ours], self._how.separator, self._how.newline, raw=self._raw)
