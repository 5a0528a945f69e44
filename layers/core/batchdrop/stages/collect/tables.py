"""The pieces of `results.csv` and `failed.csv`, made of those of `results.jsonl` and `failed.jsonl`.

The last attempt of a range writes them, from pieces that hold every row of it: no table is ever merged by parsing one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import repeat
from typing import NamedTuple, cast

from batchdrop.domain.records import ObjectRef, Part, RowStatus
from batchdrop.formats.cells import csv_line, text_of
from batchdrop.formats.failed_line import FailedRow, read_failed_row
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_blocks, read_lines
from batchdrop.formats.result_line import AnsweredRow, read_answered_rows
from batchdrop.ports import Objects
from batchdrop.recipes.answers import cells
from batchdrop.recipes.form import Form, Kind
from batchdrop.stages.collect.pieces import PartWriter, part_writer

_SUCCEEDED = RowStatus.succeeded.value


class TablePieces(NamedTuple):
    table: Part | None
    failed: Part | None
    """None where the rows did not come from a table: `failed.jsonl` is what can be dropped again."""


def write_tables(
    objects: Objects, form: Form, job_id: str, pieces: tuple[Part | None, Part | None], keys: tuple[ObjectRef, ObjectRef]
) -> TablePieces:
    """`pieces`: of `results.jsonl` and `failed.jsonl`. `keys`: where those of the two tables go. Raises ObjectGone."""
    tables = _Tables(form, job_id)
    with ExitStack() as stack:
        table = stack.enter_context(part_writer(objects, keys[0]))
        failed = stack.enter_context(part_writer(objects, keys[1])) if form.table.kind is not Kind.jsonl else None
        unanswered = _unanswered(stack, objects, keys[0], pieces[1])
        following = next(unanswered, None)
        for row in _answered(stack, objects, keys[0], pieces[0]):
            while following is not None and following.line < row.line:
                tables.write(table, failed, following)
                following = next(unanswered, None)
            tables.write(table, failed, row)
        while following is not None:
            tables.write(table, failed, following)
            following = next(unanswered, None)
        return TablePieces(table.close(), failed.close() if failed else None)


def _answered(stack: ExitStack, objects: Objects, bucket: ObjectRef, piece: Part | None) -> Iterator[AnsweredRow]:
    if piece is None:
        return iter(())
    stream = stack.enter_context(objects.read(ObjectRef(bucket=bucket.bucket, key=piece.key)))
    blocks = read_blocks(stream, max_line=MAX_OUTPUT_LINE_BYTES)
    return (row for block in blocks for row in read_answered_rows(block.data))


def _unanswered(stack: ExitStack, objects: Objects, bucket: ObjectRef, piece: Part | None) -> Iterator[FailedRow]:
    if piece is None:
        return iter(())
    stream = stack.enter_context(objects.read(ObjectRef(bucket=bucket.bucket, key=piece.key)))
    return (read_failed_row(line.data) for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES))


class _Tables:
    def __init__(self, form: Form, job_id: str) -> None:
        self._own = form.table.columns
        # As every cell of a CSV file and of a workbook is written into `row`.
        self._only_texts = form.table.kind is not Kind.jsonl
        self._answers = form.answer.columns
        self._separator = form.table.separator
        self._newline = form.table.newline
        self._raw = form.table.raw
        self._job_id = job_id

    def write(self, table: PartWriter, failed: PartWriter | None, row: AnsweredRow | FailedRow) -> None:
        number = row.line
        own = self._own_cells(row.row)
        if isinstance(row, AnsweredRow):
            table.write(
                number,
                self._line([*own, *cells(row.output, self._answers), str(number), _SUCCEEDED, "", _cost(bytes(row.cost_usd))]),
            )
            return
        no_answers = [""] * len(self._answers)
        table.write(number, self._line([*own, *no_answers, str(number), row.status, row.message, _cost(row.cost_usd)]))
        if failed is not None:
            job, of = row.named or (self._job_id, number)
            failed.write(number, self._line([*own, job, str(of), row.status, row.message, row.answer]))

    def _own_cells(self, fields: Mapping[str, object]) -> list[str]:
        found = map(fields.get, self._own, repeat(""))
        return cast("list[str]", list(found)) if self._only_texts else list(map(text_of, found))

    def _line(self, cells_of_row: list[str]) -> bytes:
        return csv_line(cells_of_row, self._separator, self._newline, raw=self._raw)


def _cost(usd: bytes) -> str:
    """Nothing if nobody knows it."""
    return "" if usd == b"null" else usd.decode()
