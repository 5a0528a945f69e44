"""A line of `complete.jsonl`: a row of a table that retries have completed, by the number that it has in the first job's file.

One with an answer is its line of `results.jsonl`; one without begins with its number, `{"line":12,"status":...,"error":...}`,
and has what `failed.jsonl` says of it, with a recipe also `row` and `"output":null`. `job_id` names the job that its end is from,
if that is not the first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from batchdrop.domain.records import RowStatus
from batchdrop.formats import rawjson
from batchdrop.formats.failed_line import NOTHING, FailedRow, number_of_failed
from batchdrop.formats.input_line import NOTE, own_custom_id
from batchdrop.formats.result_line import AnsweredRow, read_answered_rows

_UNANSWERED = b'{"line":'
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
# As `result_line` begins a line of a job that completes a table.
_placed = re.compile(
    rb'\{"custom_id":(' + _STRING + rb'),"line":([0-9]++),"attempts":([0-9]++),"of":\{"job_id":"[^"\\]*+","line":([0-9]++)\},'
    rb'(?:"copied_from":[0-9]++,)?'
).match
_number = re.compile(rb'\{(?:"custom_id":' + _STRING + rb',)?"line":([0-9]++)').match
# Of the job's own file: lines of another one say nothing in the whole table.
_OURS = frozenset({"job", "job_id", "line", "of", "copied_from"})


class PlacedRow(NamedTuple):
    """A row of a job, where it belongs in the whole table."""

    row: int
    """Its number there."""
    line: int
    """Its number in the job's own file."""
    text: bytes
    """Its line of `complete.jsonl`."""


class _Of(msgspec.Struct, frozen=True):
    line: int


class _Note(msgspec.Struct, frozen=True):
    line: int
    of: _Of | None = None


class _Error(msgspec.Struct, frozen=True):
    message: str = ""


class _Unanswered(msgspec.Struct, frozen=True):
    line: int
    status: RowStatus
    error: _Error = _Error()
    row: dict[str, object] = {}
    answer: str = ""
    cost_usd: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_note = msgspec.json.Decoder(_Note).decode
_unanswered = msgspec.json.Decoder(_Unanswered).decode


def placed_result(data: bytes, job_id: str) -> PlacedRow | None:
    """From a line of the job's own `results.jsonl`; None if it does not say which row it is."""
    found = _placed(data)
    if found is None:
        return None
    line, row = int(found[2]), int(found[4])
    custom_id = own_custom_id(row) if found[1] == own_custom_id(line) else found[1]
    head = b'{"custom_id":%b,"line":%d,"attempts":%b,"job_id":"%b",' % (custom_id, row, found[3], job_id.encode())
    return PlacedRow(row, line, head + data[found.end() :] + b"\n")


def placed_failure(data: bytes, job_id: str, *, rendered: bool) -> PlacedRow | None:
    """From a line of the job's own `failed.jsonl`. `rendered`: the job has a recipe."""
    note = _note(rawjson.values(data)[NOTE])
    if note.of is None:
        return None
    return PlacedRow(note.of.line, note.line, _without_answer(data, note.of.line, job_id, rendered=rendered))


def first_failure(data: bytes, *, rendered: bool) -> bytes:
    """The line, from the first job's `failed.jsonl`."""
    return _without_answer(data, number_of_failed(data), "", rendered=rendered)


def number_of_whole(data: bytes) -> int:
    """The row's number, from a line of `complete.jsonl`. Raises ValueError for what is none."""
    found = _number(data)
    if found is None:
        raise ValueError("not a line of complete.jsonl")
    return int(found[1])


def has_answer(data: bytes) -> bool:
    """Of a line of `complete.jsonl`."""
    return not data.startswith(_UNANSWERED)


def newest(was: bytes, line: bytes) -> bytes:
    """The line of a row of which there are two, the later one last; `was` may be empty."""
    # An answer that is there is worth more than none.
    return line if not was or has_answer(line) or not has_answer(was) else was


def read_whole(data: bytes) -> AnsweredRow | FailedRow:
    """A line of `complete.jsonl` of jobs with a recipe, as their tables show it."""
    if has_answer(data):
        return read_answered_rows(data)[0]
    found = _unanswered(data)
    cost_usd = NOTHING if found.cost_usd is msgspec.UNSET else bytes(found.cost_usd)
    return FailedRow(found.line, found.row, found.status, found.error.message, found.answer, cost_usd)


def _without_answer(data: bytes, row: int, job_id: str, *, rendered: bool) -> bytes:
    members = {member.key: (member, data[member.start : member.end]) for member in rawjson.members(data)}
    note = members.pop(NOTE)[0]
    told = data[note.value : note.end]
    parts = [b'"line":%d' % row, *([b'"job_id":"%b"' % job_id.encode()] if job_id else [])]
    parts += [told[member.start : member.end] for member in rawjson.members(told) if member.key not in _OURS]
    if rendered:
        parts += [b'"row":{%b}' % b",".join(text for _, text in members.values()), b'"output":null']
    elif "custom_id" in members:
        parts.append(members["custom_id"][1])
    return b"{%b}\n" % b",".join(parts)
