"""A line of `results.jsonl`: `{"custom_id":...,"line":12,"attempts":1,"cost_usd":0.000123,"result":{...}}`.

With a recipe the row's own fields (`row`) and its answer columns (`output`) stand before `cost_usd`, which is null if unknown.
Behind `attempts` stands `"of":{"job_id","line"}`, if the job completes the table of an earlier one and the row is one of those.
A row that has the answer of another one with the same request names its line behind `attempts`: `"copied_from":3`.
"""

from __future__ import annotations

import re

import msgspec

from batchdrop.domain.record import Record
from batchdrop.formats import rawjson
from batchdrop.formats.input_line import own_custom_id
from batchdrop.formats.named_row import NamedRow, of_member

UNKNOWN_COST = msgspec.Raw(b"null")


class _Result(msgspec.Struct, frozen=True):
    type: str


class ResultLine(msgspec.Struct, frozen=True):
    """What a reader needs to know about an answered row; the answer itself is not decoded."""

    custom_id: msgspec.Raw
    line: int
    attempts: int
    result: _Result
    copied_from: int | None = None


class AnsweredRow(msgspec.Struct, frozen=True, gc=False):
    """What a table shows of an answered row of a job with a recipe."""

    line: int
    row: dict[str, object]
    output: msgspec.Raw
    cost_usd: msgspec.Raw = UNKNOWN_COST


class _Numbered(Record, frozen=True):
    line: int


_decode = msgspec.json.Decoder(ResultLine).decode
_answered_rows = msgspec.json.Decoder(AnsweredRow).decode_lines
_answered_row = msgspec.json.Decoder(AnsweredRow).decode
_numbered = msgspec.json.Decoder(_Numbered).decode
_fields = msgspec.json.Decoder(dict[str, object]).decode
# As both functions below begin a line. What follows holds the API's result, which need not be JSON that msgspec takes.
_head = re.compile(
    rb'\{"custom_id":("(?:[^"\\]++|\\.)*+"),"line":([0-9]++),"attempts":([0-9]++),(?:"copied_from":([0-9]++),)?'
).match
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def result_line(
    custom_id: bytes | None,
    line: int,
    attempts: int,
    cost_usd: bytes,
    result: bytes,
    named: NamedRow | None = None,
    copied_from: int | None = None,
) -> bytes:
    """`custom_id` is the user's own, `result` the API's, both as written; `cost_usd` a number or null."""
    return b'{"custom_id":%b,"line":%d,"attempts":%d,%b%b"cost_usd":%b,"result":%b}\n' % (
        own_custom_id(line) if custom_id is None else custom_id,
        line,
        attempts,
        _of(named),
        _copied(copied_from),
        cost_usd,
        result,
    )


def answered_row_line(
    custom_id: bytes | None,
    line: int,
    attempts: int,
    row: bytes,
    output: bytes,
    cost_usd: bytes,
    result: bytes,
    named: NamedRow | None = None,
    copied_from: int | None = None,
) -> bytes:
    """The same for a job with a recipe: `row` holds the own fields, `output` the answer columns, both JSON objects."""
    return b'{"custom_id":%b,"line":%d,"attempts":%d,%b%b"row":%b,"output":%b,"cost_usd":%b,"result":%b}\n' % (
        own_custom_id(line) if custom_id is None else custom_id,
        line,
        attempts,
        _of(named),
        _copied(copied_from),
        row,
        output,
        cost_usd,
        result,
    )


def _of(named: NamedRow | None) -> bytes:
    return b"" if named is None else of_member(named) + b","


def read_result_line(data: bytes) -> ResultLine:
    """Raises msgspec.DecodeError, ValueError, LookupError, RecursionError for a line that is not of ours."""
    try:
        return _decode(data)
    except _REFUSED:
        head = _head(data)
        if head is None:
            raise
    kind = msgspec.json.decode(rawjson.values(rawjson.values(data)["result"])["type"], type=str)
    return ResultLine(msgspec.Raw(head[1]), int(head[2]), int(head[3]), _Result(kind), int(head[4]) if head[4] else None)


def api_result_in(data: bytes) -> bytes:
    """The API's result as it was written."""
    return rawjson.values(data)["result"]


def read_answered_rows(lines: bytes) -> list[AnsweredRow]:
    """Of whole lines. One call for all of them takes half the time."""
    try:
        return _answered_rows(lines)
    except _REFUSED:
        return [_read_answered_row(line) for line in lines.split(b"\n") if line]


def number_of_result(data: bytes) -> int:
    """The line number alone."""
    head = _head(data)
    return int(head[2]) if head else _numbered(data).line


def _copied(source: int | None) -> bytes:
    return b"" if source is None else b'"copied_from":%d,' % source


def _read_answered_row(line: bytes) -> AnsweredRow:
    try:
        return _answered_row(line)
    except _REFUSED:
        members = rawjson.values(line)
        cost_usd = msgspec.Raw(members.get("cost_usd", bytes(UNKNOWN_COST)))
        return AnsweredRow(int(members["line"]), _fields(members["row"]), msgspec.Raw(members["output"]), cost_usd)
