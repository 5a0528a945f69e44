"""A line of `failed.jsonl`: the original with a `_batchdrop` field that says why, ready to be dropped again."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from batchdrop.domain.record import Record
from batchdrop.domain.records import RowStatus
from batchdrop.domain.retries import may_be_paid
from batchdrop.formats import rawjson
from batchdrop.formats.input_line import NOTE, is_object, own_custom_id
from batchdrop.formats.lines import Line
from batchdrop.formats.named_row import NamedRow
from batchdrop.formats.rendered_line import own_fields

# How much is kept of a line that is not JSON, and of an error message.
MAX_RAW_CHARS = 1_000
MAX_MESSAGE_CHARS = 2_000
NOTHING = b"0"
"""The cost of a row that was not billed."""
# The line and its note are two levels around it.
_MAX_RESULT_DEPTH = rawjson.MAX_DEPTH - 2


class _Error(msgspec.Struct, frozen=True):
    type: str


class _Of(msgspec.Struct, frozen=True):
    job_id: str
    line: int


class Failure(msgspec.Struct, frozen=True):
    """What became of a row that was not answered."""

    line: int
    status: RowStatus
    error: _Error
    attempts: int
    of: _Of | None = None
    """The row of an earlier job that it is, if its job completes the table of that one."""
    copied_from: int | None = None

    @property
    def may_be_paid(self) -> bool:
        """See `retries.may_be_paid`."""
        return may_be_paid(self.status, self.error.type)


class FailedRow(NamedTuple):
    """What a table shows of a row of a job with a recipe that has no answer."""

    line: int
    row: dict[str, object]
    status: RowStatus
    message: str
    answer: str
    """The text of an answer that was paid for and cannot be used."""
    cost_usd: bytes
    """A number, or null."""
    named: NamedRow | None = None
    """The row of an earlier job that it is, if its job completes the table of that one."""


class RowEnd(NamedTuple):
    """How a row has ended, for another one that ends so too."""

    status: RowStatus
    error_type: str
    message: str
    attempts: int
    answer: str
    """As in FailedRow."""
    result: bytes | None
    """The API's, if there is such an answer."""


class _FullError(msgspec.Struct, frozen=True):
    type: str
    message: str = ""


class _EndNote(msgspec.Struct, frozen=True):
    status: RowStatus
    error: _FullError
    attempts: int
    answer: str = ""
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _NotedEnd(msgspec.Struct, frozen=True, rename={"note": NOTE}):
    note: _EndNote


class _RowError(msgspec.Struct, frozen=True):
    message: str = ""


class _RowNote(msgspec.Struct, frozen=True):
    line: int
    status: RowStatus
    error: _RowError
    answer: str = ""
    cost_usd: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    of: _Of | None = None


class _NotedRow(msgspec.Struct, frozen=True, rename={"note": NOTE}):
    note: _RowNote


class _Failed(msgspec.Struct, frozen=True, rename={"failure": NOTE}):
    failure: Failure


class _Numbered(Record, frozen=True):
    line: int


class _NumberedNote(msgspec.Struct, frozen=True, rename={"note": NOTE}):
    note: _Numbered


_failed = msgspec.json.Decoder(_Failed).decode
_fields = msgspec.json.Decoder(dict[str, object]).decode
_noted_end = msgspec.json.Decoder(_NotedEnd).decode
_noted_row = msgspec.json.Decoder(_NotedRow).decode
_numbered = msgspec.json.Decoder(_NumberedNote).decode


def failed_line(
    line: Line,
    *,
    job_id: str,
    custom_id: bytes | None,
    status: RowStatus,
    error_type: str,
    message: str,
    attempts: int,
    cost_usd: bytes = NOTHING,
    named: NamedRow | None = None,
    copied_from: int | None = None,
) -> bytes:
    """`custom_id` is the user's own if the row is valid and has one; such a line is mostly not parsed again.

    The `_batchdrop` field of an earlier run is replaced. A missing custom_id becomes `line-<n>`, so that the answers of a second
    run can still be joined. A line that is not a JSON object is kept as text in `_batchdrop.raw`, up to 1,000 characters.
    `cost_usd`: a number, or null; it is told of rows that are not known to have cost nothing. `named`: the row of an earlier job
    that it is, if the job completes the table of that one. `copied_from`: the line of the row whose request and end it has.
    """
    data = line.data
    # By a `job` it would be taken for a row of a job with a recipe.
    note = {"job_id": job_id} | _note(line, status, error_type, message, attempts, named, copied_from)
    if cost_usd != NOTHING:
        note["cost_usd"] = msgspec.Raw(cost_usd)
    if custom_id is not None and b"_batchdrop" not in data and b"\\u" not in data:
        return b'%b,"_batchdrop":%b}\n' % (data.rstrip()[:-1], msgspec.json.encode(note))
    if not is_object(line):
        return msgspec.json.encode({NOTE: {**note, "raw": _raw_text(data)}}) + b"\n"
    members = [(member.key, data[member.start : member.end]) for member in rawjson.members(data)]
    kept = [text for key, text in members if key != NOTE]
    if not kept and members:
        # A line of an earlier failed.jsonl that was not an object: its text is the original line.
        note |= _earlier_raw(data)
    elif all(key != "custom_id" for key, _ in members):
        kept.insert(0, b'"custom_id":' + (custom_id or own_custom_id(line.number)))
    kept.append(b'"_batchdrop":' + msgspec.json.encode(note))
    return b"{%b}\n" % b",".join(kept)


def failed_row_line(
    line: Line,
    *,
    job_id: str,
    status: RowStatus,
    error_type: str,
    message: str,
    attempts: int,
    cost_usd: bytes = NOTHING,
    result: bytes | None = None,
    answer: str = "",
    named: NamedRow | None = None,
    copied_from: int | None = None,
) -> bytes:
    """The same for a job with a recipe: the row's own fields instead of `custom_id` and `params`.

    `result`: the API's, if the row was answered and paid for, but the answer cannot be used; `answer` is its text. What parsers
    stumble over is kept as a text, so that the line can be dropped again.
    """
    row, raw = own_fields(line.data)
    note = {"job": job_id} | _note(line, status, error_type, message, attempts, named, copied_from)
    if cost_usd != NOTHING or result is not None:
        note["cost_usd"] = msgspec.Raw(cost_usd)
    if raw is not None:
        note["raw"] = raw
    if answer:
        note["answer"] = _printable(answer)
    if result is not None:
        note["result"] = msgspec.Raw(result) if _is_sound(result) else result.decode(errors="backslashreplace")
    comma = b"" if row.strip() == b"{}" else b","
    return b'%b%b"_batchdrop":%b}\n' % (row.rstrip()[:-1], comma, msgspec.json.encode(note))


def _note(
    line: Line,
    status: RowStatus,
    error_type: str,
    message: str,
    attempts: int,
    named: NamedRow | None,
    copied_from: int | None,
) -> dict[str, object]:
    return {
        "line": line.number,
        **({} if named is None else {"of": {"job_id": named.job, "line": named.row}}),
        "status": status.value,
        "error": {"type": error_type, "message": _printable(message[:MAX_MESSAGE_CHARS])},
        "attempts": attempts,
        **_copied(copied_from),
    }


def read_failure(data: bytes) -> Failure:
    return _failed(data).failure


def read_end(data: bytes) -> RowEnd:
    note = _noted_end(data).note
    result = None if note.result is msgspec.UNSET else bytes(note.result)
    return RowEnd(note.status, note.error.type, note.error.message, note.attempts, note.answer, result)


def read_failed_row(data: bytes) -> FailedRow:
    note = _noted_row(data).note
    row = _fields(data)
    del row[NOTE]
    cost_usd = NOTHING if note.cost_usd is msgspec.UNSET else bytes(note.cost_usd)
    named = None if note.of is None else NamedRow(note.of.job_id, note.of.line)
    return FailedRow(note.line, row, note.status, note.error.message, note.answer, cost_usd, named)


def number_of_failed(data: bytes) -> int:
    """The line number alone."""
    return _numbered(data).note.line


def _copied(source: int | None) -> dict[str, object]:
    return {} if source is None else {"copied_from": source}


def _raw_text(data: bytes) -> str:
    # No character takes more than four bytes.
    return data[: 4 * MAX_RAW_CHARS].decode(errors="backslashreplace")[:MAX_RAW_CHARS]


def _printable(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def _is_sound(result: bytes) -> bool:
    try:
        msgspec.json.decode(result)
        return rawjson.depth(result) <= _MAX_RESULT_DEPTH and rawjson.bad_number(result) is None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _earlier_raw(data: bytes) -> dict[str, object]:
    note = msgspec.json.decode(data)[NOTE]
    raw = note.get("raw") if isinstance(note, dict) else None
    return {"raw": raw[:MAX_RAW_CHARS]} if isinstance(raw, str) else {}
