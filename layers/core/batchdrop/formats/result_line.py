"""A line of `results.jsonl`: `{"custom_id":...,"line":12,"attempts":1,"result":{...}}`.

With a recipe the row's own fields (`row`) and its answer columns (`output`) stand before `result`.
"""

from __future__ import annotations

import msgspec

from batchdrop.domain.record import Record
from batchdrop.formats.input_line import own_custom_id


class _Result(msgspec.Struct, frozen=True):
    type: str


class ResultLine(msgspec.Struct, frozen=True):
    """What a reader needs to know about an answered row; the answer itself is not decoded."""

    custom_id: msgspec.Raw
    line: int
    attempts: int
    result: _Result


class AnsweredRow(msgspec.Struct, frozen=True, gc=False):
    """What a table shows of an answered row of a job with a recipe."""

    line: int
    row: dict[str, object]
    output: msgspec.Raw


class _Numbered(Record, frozen=True):
    line: int


_decode = msgspec.json.Decoder(ResultLine).decode
_answered_rows = msgspec.json.Decoder(AnsweredRow).decode_lines
_numbered = msgspec.json.Decoder(_Numbered).decode


def result_line(custom_id: bytes | None, line: int, attempts: int, result: bytes) -> bytes:
    """`custom_id` is the user's own, `result` the API's, both as written."""
    return b'{"custom_id":%b,"line":%d,"attempts":%d,"result":%b}\n' % (
        own_custom_id(line) if custom_id is None else custom_id,
        line,
        attempts,
        result,
    )


def answered_row_line(custom_id: bytes | None, line: int, attempts: int, row: bytes, output: bytes, result: bytes) -> bytes:
    """The same for a job with a recipe: `row` holds the own fields, `output` the answer columns, both JSON objects."""
    return b'{"custom_id":%b,"line":%d,"attempts":%d,"row":%b,"output":%b,"result":%b}\n' % (
        own_custom_id(line) if custom_id is None else custom_id,
        line,
        attempts,
        row,
        output,
        result,
    )


def read_result_line(data: bytes) -> ResultLine:
    return _decode(data)


def read_answered_rows(lines: bytes) -> list[AnsweredRow]:
    """Of whole lines. One call for all of them takes half the time."""
    return _answered_rows(lines)


def number_of_result(data: bytes) -> int:
    """The line number alone."""
    return _numbered(data).line
