"""Which row of an earlier job a row says that it is: `failed.jsonl` and `failed.csv` tell it, and may be dropped again.

Whoever writes a file may write anything there; `plan` looks whether there is such a job, in the same folder and with such a row.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from batchdrop.domain import ids
from batchdrop.domain.records import Names
from batchdrop.formats.input_line import NOTE

RENDERED = b'{"of":'
"""How a line begins that `plan` has made of a row that names one."""
# Twelve digits, as many as a custom id of ours has room for.
_MAX_ROW = 10**12 - 1
_NOTE_BYTES = NOTE.encode()


class NamedRow(NamedTuple):
    job: str
    row: int
    """As the file of that job counts it."""


class _Of(msgspec.Struct, frozen=True):
    job_id: str
    line: int


class _Note(msgspec.Struct, frozen=True):
    job: str = ""
    """Of a row of a job with a recipe."""
    job_id: str = ""
    """Of a request."""
    line: int = 0
    of: _Of | None = None
    """Of a row that was a row of an earlier job itself."""


class _Noted(msgspec.Struct, frozen=True, rename={"note": NOTE}):
    note: _Note | msgspec.UnsetType = msgspec.UNSET


class _Rendered(msgspec.Struct, frozen=True):
    of: _Of | None = None


_noted = msgspec.json.Decoder(_Noted).decode
_rendered = msgspec.json.Decoder(_Rendered).decode
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def named_by_note(line: bytes) -> NamedRow | None:
    """By the `_batchdrop` field of a line of JSON, whatever the line is."""
    if _NOTE_BYTES not in line:
        return None
    try:
        note = _noted(line).note
    except _REFUSED:
        return None
    if note is msgspec.UNSET:
        return None
    of = note.of
    return _named(note.job or note.job_id, note.line) if of is None else _named(of.job_id, of.line)


def named_by_cells(job: str, row: str) -> NamedRow | None:
    """By the cells `batchdrop_job` and `batchdrop_row`. A column of numbers with a gap becomes one of `3.0` in pandas."""
    number = row.strip().removesuffix(".0")
    return (
        _named(job.strip(), int(number)) if number.isascii() and number.isdigit() and len(number) <= len(str(_MAX_ROW)) else None
    )


def named_by_rendered(line: bytes) -> NamedRow | None:
    """By a line of our own that `plan` has made of a row."""
    if not line.startswith(RENDERED):
        return None
    of = _rendered(line).of
    return None if of is None else NamedRow(of.job_id, of.line)


def of_member(named: NamedRow) -> bytes:
    """As it stands in our own lines: the member of an object."""
    return b'"of":{"job_id":%b,"line":%d}' % (msgspec.json.encode(named.job), named.row)


def noticed(names: Names, named: NamedRow | None) -> Names:
    """With one row more."""
    if named is None:
        return names if names.unnamed else msgspec.structs.replace(names, unnamed=True)
    if not names.job:
        return msgspec.structs.replace(names, job=named.job, last_row=named.row)
    if named.job != names.job:
        return names if names.several else msgspec.structs.replace(names, several=True)
    return names if named.row <= names.last_row else msgspec.structs.replace(names, last_row=named.row)


def _named(job: str, row: int) -> NamedRow | None:
    return NamedRow(job, row) if ids.is_job_id(job) and 0 < row <= _MAX_ROW else None
