"""A line of `failed.jsonl`: the original with a `_batchdrop` field that says why, ready to be dropped again."""

from __future__ import annotations

import msgspec

from batchdrop.domain.records import Record, RowStatus
from batchdrop.formats import rawjson
from batchdrop.formats.input_line import NOTE, is_object, own_custom_id
from batchdrop.formats.lines import Line

# How much is kept of a line that is not JSON, and of an error message.
MAX_RAW_CHARS = 1_000
MAX_MESSAGE_CHARS = 2_000


class _Error(msgspec.Struct, frozen=True):
    type: str


class Failure(msgspec.Struct, frozen=True):
    """What became of a row that was not answered."""

    line: int
    status: RowStatus
    error: _Error
    attempts: int


class _Failed(msgspec.Struct, frozen=True, rename={"failure": NOTE}):
    failure: Failure


class _Numbered(Record, frozen=True):
    line: int


class _NumberedNote(msgspec.Struct, frozen=True, rename={"note": NOTE}):
    note: _Numbered


_failed = msgspec.json.Decoder(_Failed).decode
_numbered = msgspec.json.Decoder(_NumberedNote).decode


def failed_line(line: Line, *, custom_id: bytes | None, status: RowStatus, error_type: str, message: str, attempts: int) -> bytes:
    """`custom_id` is the user's own if the row is valid and has one; such a line is mostly not parsed again.

    The `_batchdrop` field of an earlier run is replaced. A missing custom_id becomes `line-<n>`, so that the answers of a second
    run can still be joined. A line that is not a JSON object is kept as text in `_batchdrop.raw`, up to 1,000 characters.
    """
    data = line.data
    note: dict[str, object] = {
        "line": line.number,
        "status": status.value,
        "error": {"type": error_type, "message": _printable(message[:MAX_MESSAGE_CHARS])},
        "attempts": attempts,
    }
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


def read_failure(data: bytes) -> Failure:
    return _failed(data).failure


def number_of_failed(data: bytes) -> int:
    """The line number alone."""
    return _numbered(data).note.line


def _raw_text(data: bytes) -> str:
    # No character takes more than four bytes.
    return data[: 4 * MAX_RAW_CHARS].decode(errors="backslashreplace")[:MAX_RAW_CHARS]


def _printable(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def _earlier_raw(data: bytes) -> dict[str, object]:
    note = msgspec.json.decode(data)[NOTE]
    raw = note.get("raw") if isinstance(note, dict) else None
    return {"raw": raw[:MAX_RAW_CHARS]} if isinstance(raw, str) else {}
