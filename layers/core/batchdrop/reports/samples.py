"""A few rows as they came back, for whoever decides by looking at them. Cells are cut."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from batchdrop.domain.record import Record
from batchdrop.formats.failed_line import read_failed_row
from batchdrop.formats.input_line import NOTE

MOST_ROWS = 20
MAX_CELL_CHARS = 200
_COLUMNS = 6
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, LookupError)


class Sample(Record, frozen=True, kw_only=True):
    """One row. At most six columns of either kind, each cell a text of at most 200 characters and a note of its length."""

    line: int
    row: dict[str, str]
    """Own columns; `custom_id` of a request."""
    output: dict[str, str] = msgspec.field(default_factory=dict)
    """Answer columns; empty without an answer."""
    error: str = ""
    """Why there is none."""


class _Message(msgspec.Struct):
    content: list[dict[str, object]] = msgspec.field(default_factory=list)


class _Result(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)


class _Line(msgspec.Struct):
    line: int
    custom_id: str = ""
    row: dict[str, object] | None = None
    output: dict[str, object] | None = None
    result: _Result = msgspec.field(default_factory=_Result)


_decode = msgspec.json.Decoder(_Line).decode


def read_sample(data: bytes) -> Sample | None:
    """Of a line of `results.jsonl` or `failed.jsonl`; None of one that is spelled so that only programs read it."""
    try:
        return _unanswered(data) if b'"_batchdrop"' in data and not data.startswith(b'{"custom_id":') else _answered(data)
    except _REFUSED:
        return None


def _answered(data: bytes) -> Sample:
    line = _decode(data)
    if line.row is not None:
        return Sample(line=line.line, row=_cells(line.row), output=_cells(line.output or {}))
    texts = [block["text"] for block in line.result.message.content if isinstance(block.get("text"), str)]
    return Sample(
        line=line.line, row=_cells({"custom_id": line.custom_id}), output=_cells({"answer": "\n".join(map(str, texts))})
    )


def _unanswered(data: bytes) -> Sample:
    failed = read_failed_row(data)
    own = {name: value for name, value in failed.row.items() if name not in (NOTE, "params")}
    return Sample(line=failed.line, row=_cells(own), error=cut(failed.message))


def _cells(fields: Mapping[str, object]) -> dict[str, str]:
    found = list(fields.items())[:_COLUMNS]
    return {cut(name, 80): cut(_text_of(value)) for name, value in found}


def _text_of(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def cut(text: str, chars: int = MAX_CELL_CHARS) -> str:
    """With its length, where something is left out."""
    return text if len(text) <= chars else f"{text[:chars]}... ({len(text):,} characters)"
