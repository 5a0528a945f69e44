"""A line of `work/<job>/rows-<recipe>.jsonl`: a row that a recipe has made a request of, or the reason why it could not.

`{"custom_id":...,"params":{...},"row":{own fields}}`, or `{"invalid":{"type","message"},"row":{...}}`. The number of a line is
that of its row in the file it came from, as the spreadsheet or the editor counts it; where that has no row (a header, an empty
line), the line is blank. To whoever reads requests such a line is one: it has `custom_id` and `params` where they belong.

A row that names one of an earlier job (`named_row`) begins with that: `{"of":{"job_id","line"},...`. A row that is asked again
may have other params, and `"refused":true` if the model has refused it before.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from batchdrop.domain.record import Record
from batchdrop.formats.batch_body import unmarked
from batchdrop.formats.input_line import Row, too_long
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from batchdrop.formats.named_row import NamedRow, of_member

BLANK = b"\n"
"""Where the file has no row."""


class _Why(Record, frozen=True):
    type: str
    message: str


class _Rendered(msgspec.Struct):
    custom_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    invalid: _Why | None = None


class _OfModel(msgspec.Struct):
    model: str
    max_tokens: int


class _Again(msgspec.Struct, omit_defaults=True, kw_only=True):
    of: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, msgspec.Raw]
    custom_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    row: msgspec.Raw = msgspec.Raw(b"{}")
    refused: bool = False


class _WithRow(msgspec.Struct):
    custom_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    row: msgspec.Raw = msgspec.Raw(b"{}")
    raw: str | None = None


_rendered = msgspec.json.Decoder(_Rendered).decode
_of_model = msgspec.json.Decoder(_OfModel).decode
_again = msgspec.json.Decoder(_Again).decode
_with_row = msgspec.json.Decoder(_WithRow).decode


def rendered_line(custom_id: bytes | None, params: bytes, row: bytes, named: NamedRow | None = None) -> bytes:
    """`custom_id` is a JSON string, quotes included; `row` an object with the row's own fields."""
    if custom_id is None:
        return b'{%b"params":%b,"row":%b}\n' % (_of(named), params, row)
    return b'{%b"custom_id":%b,"params":%b,"row":%b}\n' % (_of(named), custom_id, params, row)


def unrendered_line(invalid: InvalidLine, row: bytes, raw: str | None = None, named: NamedRow | None = None) -> bytes:
    """`raw`: the text of what is not even a row, cut by the caller."""
    why = msgspec.json.encode(_Why(type=invalid.type, message=invalid.message))
    if raw is not None:
        return b'{%b"invalid":%b,"row":{},"raw":%b}\n' % (_of(named), why, msgspec.json.encode(raw))
    return b'{%b"invalid":%b,"row":%b}\n' % (_of(named), why, row)


def _of(named: NamedRow | None) -> bytes:
    return b"" if named is None else of_member(named) + b","


def asked_again(line: bytes, changes: Mapping[str, str | None], *, refused: bool) -> bytes | None:
    """The line with other params. None: it was refused before, and is so again. `changes`: as in `Form.retry_changes`.

    Another model has a cache of its own, into which each of these few rows would write, at a higher price than it reads: they
    carry no mark.
    """
    found = _again(line)
    if refused and found.refused:
        return None
    if not changes and not refused:
        return line
    kept = {name: unmarked(value) for name, value in found.params.items()} if "model" in changes else found.params
    params = kept | {name: msgspec.Raw(value.encode()) for name, value in changes.items() if value is not None}
    sent = {name: value for name, value in params.items() if changes.get(name, "") is not None}
    again = _Again(of=found.of, params=sent, custom_id=found.custom_id, row=found.row, refused=found.refused or refused)
    return msgspec.json.encode(again)


def check_rendered(line: Line) -> Row | InvalidLine:
    """What `RequestReader.check` is for requests: decides about a line of our own, which is sound but for its length."""
    if line.cut:
        return too_long(line)
    found = _rendered(line.data)
    if found.invalid is not None or found.params is msgspec.UNSET:
        why = found.invalid or _Why(type="not_rendered", message="")
        return InvalidLine(line=line.number, type=why.type, message=why.message)
    of = _of_model(found.params)
    custom_id = None if found.custom_id is msgspec.UNSET else bytes(found.custom_id)
    return Row(line.number, custom_id, bytes(found.params), of.max_tokens, of.model)


def answered_fields(line: bytes) -> tuple[bytes | None, bytes]:
    """The custom id and the row's own fields, of a line that was sent or stands for one that cannot be read."""
    found = _with_row(line)
    return None if found.custom_id is msgspec.UNSET else bytes(found.custom_id), bytes(found.row)


def own_fields(line: bytes) -> tuple[bytes, str | None]:
    """The row's own fields as a JSON object, and the text of a line that was none. `{}` where the line cannot be read."""
    try:
        found = _with_row(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b"{}", None
    return bytes(found.row), found.raw
