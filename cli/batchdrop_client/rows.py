"""The rows of a job that has ended, in the order of its file."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, BinaryIO

import msgspec

from batchdrop.domain.record import Record
from batchdrop.domain.records import RowStatus
from batchdrop.formats.input_line import NOTE
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop_client.errors import StackError

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, LookupError, TypeError)


class Row(Record, frozen=True, kw_only=True):
    line: int
    """Of the file; of a table, the row of the spreadsheet."""
    status: RowStatus
    custom_id: str = ""
    """Of a request, or `line-<n>`."""
    fields: dict[str, Any] = msgspec.field(default_factory=dict)
    """Its own columns; empty of a request."""
    output: dict[str, Any] = msgspec.field(default_factory=dict)
    """The answer columns; of a request its text alone, as `answer`. Empty without an answer."""
    error: str = ""
    """Why there is no answer."""
    cost_usd: Decimal | None = None
    """None: nobody knows."""
    message: dict[str, Any] | None = None
    """The API's, of an answered row."""

    @property
    def answer(self) -> Any:  # noqa: ANN401 - what the recipe asks for
        """The answer if there is one column of it, else all of them by name; None without an answer."""
        if not self.output:
            return None
        return next(iter(self.output.values())) if len(self.output) == 1 else self.output


class _Result(msgspec.Struct):
    message: dict[str, Any] | None = None


class _Answered(msgspec.Struct):
    line: int
    result: _Result
    custom_id: str = ""
    row: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    cost_usd: Decimal | None = None


class _Error(msgspec.Struct):
    message: str = ""


class _Note(msgspec.Struct):
    line: int
    status: RowStatus
    error: _Error = msgspec.field(default_factory=_Error)
    cost_usd: Decimal | None = Decimal(0)
    job_id: str = ""
    """Of a request; of a row with a recipe it is called `job`."""


def merged(answered: BinaryIO | None, failed: BinaryIO | None) -> Iterator[Row]:
    """Of results.jsonl and failed.jsonl, each of which is in order. Memory: a line of either. Raises StackError."""
    return heapq.merge(_rows(answered, _of_answered), _rows(failed, _of_failed), key=lambda row: row.line)


def _rows(stream: BinaryIO | None, read: Callable[[bytes], Row]) -> Iterator[Row]:
    if stream is None:
        return
    for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES):
        if line.data:
            try:
                yield read(line.data)
            except _UNREADABLE as error:
                raise StackError(f"Line {line.number} of the job's files cannot be read: {error}.") from None


def _of_answered(data: bytes) -> Row:
    found = _read(data, _Answered)
    message = found.result.message
    output = {"answer": _text_of(message or {})} if found.output is None else found.output
    return Row(
        line=found.line,
        status=RowStatus.succeeded,
        custom_id=found.custom_id,
        fields=found.row or {},
        output=output,
        cost_usd=found.cost_usd,
        message=message,
    )


def _of_failed(data: bytes) -> Row:
    fields = _read(data, dict[str, Any])
    note = msgspec.convert(fields.pop(NOTE), _Note)
    custom_id = fields.get("custom_id") if note.job_id else None
    return Row(
        line=note.line,
        status=note.status,
        custom_id=custom_id if isinstance(custom_id, str) else f"line-{note.line}",
        fields={} if note.job_id else fields,
        error=note.error.message,
        cost_usd=note.cost_usd,
    )


def _read[T](data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except _UNREADABLE:
        # Half of a surrogate pair, or a number that no double holds, is passed on as the API wrote it.
        return msgspec.convert(json.loads(data), kind, strict=False)


def _text_of(message: Mapping[str, Any]) -> str:
    blocks = message.get("content")
    found = [block.get("text") for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    return "".join(text for text in found if isinstance(text, str))
