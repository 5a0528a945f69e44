"""What a file of rows tells before there is a recipe: its columns, and the job that its rows come from, if dropped again."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.errors import Rejected
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.formats.csv_table import Dialect, records, sniff
from batchdrop.formats.input_line import NOTE
from batchdrop.formats.table_fault import TableFault, own
from batchdrop.jobs.scratch import scratch
from batchdrop.ports import Objects
from batchdrop.recipes.form import Kind
from batchdrop.reports import sentences
from batchdrop.stages.plan.kinds import Start, first_line
from batchdrop.stages.plan.workbook import copied

_OF_JOB = "batchdrop_job"


class FirstLook(NamedTuple):
    columns: tuple[str, ...] = ()
    row: Mapping[str, object] = MappingProxyType({})
    """The first one."""
    job_id: str = ""
    """The job that its first row comes from."""
    fault: str = ""
    """What is wrong with it and a line of the recipe can mend, as a sentence."""


class _Note(msgspec.Struct):
    job: str = ""


class _Noted(msgspec.Struct, rename={"note": NOTE}):
    note: _Note = msgspec.field(default_factory=_Note)


def first_look(objects: Objects, start: Start, kind: Kind, job: Job) -> FirstLook:
    """Raises Rejected if no recipe can help, ObjectGone, Forbidden."""
    try:
        match kind:
            case Kind.jsonl:
                return _at_json(first_line(start.data))
            case Kind.csv:
                return _at_csv(start, job)
            case Kind.xlsx:
                return FirstLook() if start.packed else _at_sheet(objects, job.text or job.input)
    except TableFault as fault:
        if fault.by_recipe:
            return FirstLook(fault=fault.message)
        raise Rejected(sentences.unfit_table(keys.name_of(job.input.key), fault.message)) from fault


def _at_json(line: bytes) -> FirstLook:
    row: dict[str, object] = {}
    job_id = ""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        row = msgspec.json.decode(line, type=dict[str, object])
        row.pop(NOTE, None)
        job_id = msgspec.json.decode(line, type=_Noted).note.job
    return FirstLook(tuple(row), row, job_id)


def _at_csv(start: Start, job: Job) -> FirstLook:
    try:
        dialect = _sniffed(start.data, job, complete=start.whole)
        return _at_first_row(dialect.columns, _first_cells(start.data, dialect))
    except TableFault as fault:
        if not fault.by_recipe:
            raise
        # Names of columns are mostly plain, and help to write the recipe.
        with suppress(TableFault):
            header = start.data.partition(b"\n")[0]
            return FirstLook(_sniffed(header, job, complete=True).own, fault=fault.message)
        raise


def _sniffed(data: bytes, job: Job, *, complete: bool) -> Dialect:
    name = keys.name_of(job.input.key).removesuffix(".gz")
    return sniff(data, complete=complete, encoding=None, separator=None, name=name)


def _first_cells(data: bytes, dialect: Dialect) -> list[str]:
    rest = io.BytesIO(data[dialect.first_offset :])
    with suppress(TableFault):  # where the first row is cut off
        return next((record.cells for record in records(rest, dialect, start=dialect.first_offset, row=2) if record.cells), [])
    return []


def _at_first_row(columns: tuple[str, ...], cells: list[str]) -> FirstLook:
    row = dict(zip(columns, cells, strict=False))
    mine = own(columns)
    return FirstLook(mine, {name: row[name] for name in mine if name in row}, row.get(_OF_JOB, ""))


def _at_sheet(objects: Objects, ref: ObjectRef) -> FirstLook:
    from batchdrop.formats.xlsx_sheet import read_sheet  # noqa: PLC0415 - native code that other files do without

    with scratch() as folder:
        sheet = read_sheet(copied(objects, ref, folder / "workbook.xlsx"), sheet=None)
        return _at_first_row(sheet.columns, next((cells for _, cells in sheet.rows if cells), []))
