"""One input line: is it a request, and what becomes of it.

`parse` decides twice. `_quick` knows what nearly every row looks like and gives up at the slightest doubt; `_judge` is the rule,
one check after the other, and finds the words for what is wrong. Where `_quick` gives a row, `_judge` gives the same one.
"""

from __future__ import annotations

import hashlib
import re
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from batchdrop.domain.records import RowStatus
from batchdrop.formats import rawjson
from batchdrop.formats.lines import MAX_LINE_BYTES, Line

BODY_OPEN = b'{"requests":['
BODY_CLOSE = b"]}"
SEPARATOR = b","
# Raw text of a line that is not JSON, and of an error message, in `failed.jsonl`.
MAX_RAW_CHARS = 1_000
MAX_MESSAGE_CHARS = 2_000

_NOTE = "_batchdrop"
_FIELDS = frozenset({"custom_id", "params", _NOTE})
_REQUIRED = ("model", "max_tokens", "messages")
_PARAMS = frozenset(
    {
        *_REQUIRED,
        "metadata",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
# Parameters that a batch refuses, with the values that are harmless all the same. Source: Anthropic, "Batch processing", what can
# be batched (`max_tokens: 0` is there too and has a check of its own). `null` is the same as leaving a parameter out.
_REFUSED: dict[str, tuple[frozenset[bytes], str]] = {
    "stream": (frozenset({b"false", b"null"}), "answers of a batch are never streamed"),
    "speed": (frozenset({b'"standard"', b"null"}), "fast mode is not available in a batch"),
    "store": (frozenset({b"false", b"null"}), "a batch does not store responses"),
}
_FRAME = len(b'{"custom_id":"","params":}')
_PARAMS_FRAME = len(b'{"params":}')
_ID_FRAME = len(b'"custom_id":,')
_NOTE_FRAME = len(b'"_batchdrop":,')
_SHORTEST_REPEAT = len(b',"params":0')
# No model gives that many; and a sum of a batch's stays within 64 bits.
_MAX_MAX_TOKENS = 999_999_999
_CUSTOM_ID_HASH_BYTES = 16
_INFINITE = re.compile(rb"-?(?:NaN|Infinity)")
_BYTE = re.compile(r"\(byte (\d+)\)")


class _AnyObject(msgspec.Struct):
    """Decoding into it checks that there is an object and keeps nothing."""


class _Ordinary(msgspec.Struct, forbid_unknown_fields=True):
    params: msgspec.Raw
    custom_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    note: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name=_NOTE)


_ordinary = msgspec.json.Decoder(_Ordinary).decode
_whole = msgspec.json.Decoder(int).decode
_text = msgspec.json.Decoder(str).decode
_objects = msgspec.json.Decoder(list[_AnyObject]).decode
# Messages of text, text blocks, and blocks with one object of strings (`cache_control`, an image's `source`).
_plain_messages = msgspec.json.Decoder(list[dict[str, str | list[dict[str, str | dict[str, str]]]]]).decode
# Above this a row's messages are not decoded into text to see that they are only text.
_PLAIN_BYTES = 1 << 20


class Row(NamedTuple):
    """A line that can be sent."""

    line: int
    custom_id: bytes | None
    """The user's own: the JSON string as written, quotes included. None if there is none."""
    params: bytes
    """As written, byte for byte."""
    max_tokens: int
    model: str


class Invalid(NamedTuple):
    """A line that is never sent."""

    line: int
    type: str
    """What is wrong, in snake_case."""
    message: str
    """What is wrong, where, and what to do about it; for the person who wrote the line."""
    data: bytes
    is_object: bool
    """The line is a JSON object that any parser can read."""


class _Fault(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


# ---------------------------------------------------------------- reading a line


def parse(line: Line) -> Row | Invalid:
    """Decides about one line that is not blank. Never raises, whatever the bytes are."""
    return _quick(line) or _judge(line)


def _quick(line: Line) -> Row | None:
    """The row, if the line is an ordinary one; None says nothing. Three scans of the line, and no text built from it.

    Each condition is one of `_judge`'s, at its cheapest: types and syntax by decoding, repeated keys by counting bytes (see
    `rawjson.surely_unique`), numbers and nesting only where there is more than strings.
    """
    data = line.data
    if line.cut or rawjson.bad_utf8(data) is not None:
        return None
    try:
        found = _ordinary(data)
        custom_id = b"" if found.custom_id is msgspec.UNSET else bytes(found.custom_id)
        spare = len(data) - _PARAMS_FRAME - len(found.params) - (len(custom_id) + _ID_FRAME if custom_id else 0)
        if found.note is not msgspec.UNSET:
            spare -= len(found.note) + _NOTE_FRAME
            if not _is_sound(bytes(found.note)):
                return None
        # A second custom_id, params or _batchdrop would take more bytes than this.
        if spare >= _SHORTEST_REPEAT or (custom_id and (len(custom_id) == 2 or not custom_id.startswith(b'"'))):
            return None
        params = rawjson.fields(found.params)
        messages = params["messages"]
        model = _text(params["model"])
        max_tokens = _whole(params["max_tokens"])
        if (
            not model
            or not 1 <= max_tokens <= _MAX_MAX_TOKENS
            or not rawjson.surely_unique(params, len(found.params))
            or not (_is_plain(messages) or (_objects(messages) and _is_sound(bytes(messages))))
            or (len(params) > len(_REQUIRED) and not _are_sound(params))
        ):
            return None
    except (msgspec.DecodeError, RecursionError, KeyError):
        return None
    return Row(line.number, custom_id or None, bytes(found.params), max_tokens, model)


def _are_sound(params: dict[str, msgspec.Raw]) -> bool:
    """Whether the optional params need no closer look."""
    optional = params.keys() - _REQUIRED
    return optional.isdisjoint(_REFUSED) and all(_is_sound(bytes(params[name])) for name in optional)


def _is_plain(messages: msgspec.Raw) -> bool:
    """Whether messages hold strings only, and so no number and no nesting; False says nothing, as for an empty array."""
    try:
        return len(messages) <= _PLAIN_BYTES and bool(_plain_messages(messages))
    except msgspec.ValidationError:
        return False


def _is_sound(value: bytes) -> bool:
    return value[:1] == b'"' or (rawjson.depth(value) == 0 and rawjson.bad_number(value) is None)


def _judge(line: Line) -> Row | Invalid:
    data = line.data
    is_object = False
    try:
        _check_length(line)
        _check_json(data)
        is_object = True
        return _row(line.number, data)
    except _Fault as fault:
        return Invalid(line.number, fault.kind, fault.message, data, is_object)


def _check_length(line: Line) -> None:
    if line.cut:
        raise _Fault(
            "line_too_long",
            f"The line has {line.end - line.start:,} bytes; a request may have {MAX_LINE_BYTES:,}. Split the request.",
        )


def _check_json(data: bytes) -> None:
    """Raises _Fault unless the data is a JSON object that every parser reads, and reads alike."""
    bad = rawjson.bad_utf8(data)
    if bad is not None:
        raise _Fault("not_utf8", f"Byte {bad + 1} of the line is not UTF-8. Save the file as UTF-8.")
    try:
        rawjson.fields(data)
    except msgspec.ValidationError:
        raise _not_an_object(data) from None
    except msgspec.DecodeError as error:
        raise _bad_syntax(data, str(error)) from None
    except RecursionError:
        raise _too_deep() from None
    if rawjson.depth(data) > rawjson.MAX_DEPTH:
        raise _too_deep()
    number = rawjson.bad_number(data)
    if number is not None:
        shown = number.decode() if len(number) <= 40 else f"{number[:20].decode()}... of {len(number):,} characters"
        raise _Fault(
            "number_out_of_range",
            f"The number {shown} is beyond what JSON parsers accept (1.8e308, {rawjson.MAX_NUMBER_CHARS:,} characters). "
            "Write it as a string or make it smaller.",
        )


def _not_an_object(data: bytes) -> _Fault:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return _bad_syntax(data, str(error))
    except RecursionError:
        return _too_deep()
    return _Fault(
        "not_an_object", 'The line is JSON but not an object. Write one request per line: {"custom_id": ..., "params": {...}}.'
    )


def _too_deep() -> _Fault:
    return _Fault("too_deep", f"Arrays and objects are nested more than {rawjson.MAX_DEPTH} deep. Flatten them.")


def _bad_syntax(data: bytes, reason: str) -> _Fault:
    if any(word in reason for word in ("surrogate", "truncated", "escape")) and rawjson.has_lone_surrogate(data):
        return _Fault(
            "lone_surrogate", "A \\u escape names half of a surrogate pair, which is no character. Write both or neither."
        )
    place = _BYTE.search(reason)
    # msgspec stops at the `I` of `-Infinity`.
    if place and (_INFINITE.match(data, int(place[1])) or _INFINITE.match(data, max(int(place[1]) - 1, 0))):
        return _Fault("not_a_number", "NaN and Infinity are not JSON. Use null or leave the field out.")
    where = f" at byte {int(place[1]) + 1}" if place else ""
    what = reason.removeprefix("JSON is malformed: ").partition(" (byte")[0]
    if not place:
        what = "the line ends too early"
    return _Fault("not_json", f"The line is not JSON: {what}{where}. Write one JSON object per line.")


def _row(number: int, data: bytes) -> Row:
    """The row in a sound JSON object. Raises _Fault."""
    _check_unique(data, "")
    found = rawjson.fields(data)
    for name in found.keys() - _FIELDS:
        raise _unknown_field(name)
    custom_id = _custom_id(found)
    if "params" not in found:
        raise _Fault("missing_params", "The field params is missing. It holds the request: model, max_tokens, messages.")
    params = bytes(found["params"])
    if params[:1] != b"{":
        raise _Fault("invalid_params", f"params is {_kind(params)}; it has to be an object with model, max_tokens, messages.")
    _check_unique(params, "params.")
    values = {name: bytes(value) for name, value in rawjson.fields(params).items()}
    for name in _REQUIRED:
        if name not in values:
            raise _Fault(f"missing_{name}", f"The field params.{name} is missing. Every request needs it.")
    model = _model(values["model"])
    max_tokens = _max_tokens(values["max_tokens"])
    _check_messages(values["messages"])
    for name, (harmless, reason) in _REFUSED.items():
        if name in values and values[name] not in harmless:
            raise _Fault("unsupported_parameter", f"params.{name} is refused in a batch: {reason}. Leave it out.")
    return Row(number, custom_id, params, max_tokens, model)


def _check_unique(data: bytes, where: str) -> None:
    key = rawjson.repeated_key(data)
    if key is not None:
        raise _Fault("duplicate_key", f"The field {where}{_shown(key)} is there twice. Keep one of them.")


def _unknown_field(name: str) -> _Fault:
    if name in _PARAMS:
        return _Fault("unknown_field", f"The field {name} belongs inside params, beside model and messages. Move it there.")
    near = get_close_matches(name[:MAX_RAW_CHARS], ("custom_id", "params"), n=1)
    hint = f"Did you mean {near[0]}?" if near else "A line has custom_id and params only; remove it."
    return _Fault("unknown_field", f"The field {_shown(name)} is not known. {hint}")


def _custom_id(found: dict[str, msgspec.Raw]) -> bytes | None:
    if "custom_id" not in found:
        return None
    value = bytes(found["custom_id"])
    if value[:1] != b'"':
        raise _Fault(
            "invalid_custom_id", f"custom_id is {_kind(value)}; it has to be a string. Put it in quotes or leave it out."
        )
    if value == b'""':
        raise _Fault("invalid_custom_id", "custom_id is empty. Give the row a name or leave the field out.")
    return value


def _model(value: bytes) -> str:
    if value[:1] != b'"':
        raise _Fault("invalid_model", f"params.model is {_kind(value)}; it has to be a string such as claude-haiku-4-5.")
    model = _text(value)
    if not model:
        raise _Fault("invalid_model", "params.model is empty. Name a model, such as claude-haiku-4-5.")
    return model


def _max_tokens(value: bytes) -> int:
    try:
        count = _whole(value)
    except msgspec.ValidationError:
        count = 0
    if not 1 <= count <= _MAX_MAX_TOKENS:
        shown = value.decode() if value[:1] not in b'"[{' and len(value) <= 20 else _kind(value)
        raise _Fault(
            "invalid_max_tokens", f"params.max_tokens is {shown}; it has to be a whole number, 1 or more, without quotes."
        )
    return count


def _check_messages(value: bytes) -> None:
    if value[:1] != b"[":
        raise _Fault("invalid_messages", f"params.messages is {_kind(value)}; it has to be an array of messages.")
    try:
        count = len(_objects(value))
    except msgspec.ValidationError:
        raise _Fault(
            "invalid_messages",
            'params.messages holds something that is no object. Each message is {"role": ..., "content": ...}.',
        ) from None
    if not count:
        raise _Fault("invalid_messages", "params.messages is empty. A request needs at least one message.")


_KINDS = {b'"': "a string", b"{": "an object", b"[": "an array", b"t": "true", b"f": "false", b"n": "null"}


def _kind(value: bytes) -> str:
    return _KINDS.get(value[:1], "a number")


def _shown(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:77]}..."


def custom_id_digest(custom_id: bytes) -> bytes:
    """16 bytes that stand for the text of a custom id (`Row.custom_id`), however it is spelled in JSON."""
    text = custom_id[1:-1] if b"\\" not in custom_id else _text(custom_id).encode()
    return hashlib.blake2b(text, digest_size=_CUSTOM_ID_HASH_BYTES).digest()


# ---------------------------------------------------------------- writing a line


def render(row: Row, custom_id: str) -> bytes:
    """The row as one request of a body: `BODY_OPEN`, requests with `SEPARATOR` between them, `BODY_CLOSE`.

    `custom_id` is ours (see `ids`): plain ASCII that needs no escape.
    """
    return b'{"custom_id":"%b","params":%b}' % (custom_id.encode(), row.params)


def body_size(params_len: int, custom_id_len: int) -> int:
    """Bytes of one rendered request, its separator not counted."""
    return _FRAME + params_len + custom_id_len


def result_line(row_custom_id: bytes | None, line: int, attempts: int, result: bytes) -> bytes:
    """A line of `results.jsonl`, no spaces between our tokens: `{"custom_id":...,"line":12,"attempts":1,"result":{...}}`."""
    return b'{"custom_id":%b,"line":%d,"attempts":%d,"result":%b}\n' % (row_custom_id or _own_id(line), line, attempts, result)


def failed_line(
    source: Line | Invalid | bytes,
    *,
    custom_id: bytes | None,
    number: int,
    status: RowStatus,
    error_type: str,
    message: str,
    attempts: int,
) -> bytes:
    """A line of `failed.jsonl`: the original with a `_batchdrop` field, ready to be dropped again.

    `custom_id` is `Row.custom_id` of a valid row (which saves a closer look), None for a row without one and for an invalid line.
    A field `_batchdrop` of an earlier run is replaced; a missing custom_id becomes `line-<n>`, so that answers of a second run
    can still be joined. A line that is not a JSON object is kept as text in `_batchdrop.raw`, up to 1,000 characters.
    """
    data = source if isinstance(source, bytes) else source.data
    note: dict[str, object] = {
        "line": number,
        "status": status.value,
        "error": {"type": error_type, "message": _printable(message[:MAX_MESSAGE_CHARS])},
        "attempts": attempts,
    }
    if custom_id is not None and b"_batchdrop" not in data and b"\\u" not in data:
        return b'%b,"_batchdrop":%b}\n' % (data.rstrip()[:-1], msgspec.json.encode(note))
    if not _is_object(source):
        return msgspec.json.encode({_NOTE: {**note, "raw": _raw_text(data)}}) + b"\n"
    members = [(member.key, data[member.start : member.end]) for member in rawjson.members(data)]
    kept = [text for key, text in members if key != _NOTE]
    if not kept and members:
        # A line of an earlier failed.jsonl that was no object: its text is the original line.
        note |= _earlier_raw(data)
    elif all(key != "custom_id" for key, _ in members):
        kept.insert(0, b'"custom_id":' + (custom_id or _own_id(number)))
    kept.append(b'"_batchdrop":' + msgspec.json.encode(note))
    return b"{%b}\n" % b",".join(kept)


def _own_id(line: int) -> bytes:
    return b'"line-%d"' % line


def _is_object(source: Line | Invalid | bytes) -> bool:
    if isinstance(source, Invalid):
        return source.is_object
    if isinstance(source, Line) and source.cut:
        return False
    try:
        _check_json(source if isinstance(source, bytes) else source.data)
    except _Fault:
        return False
    return True


def _raw_text(data: bytes) -> str:
    # No character takes more than four bytes.
    return data[: 4 * MAX_RAW_CHARS].decode(errors="backslashreplace")[:MAX_RAW_CHARS]


def _printable(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8."""
    return text.encode(errors="backslashreplace").decode()


class _Raw(msgspec.Struct):
    raw: str


class _Noted(msgspec.Struct):
    note: _Raw = msgspec.field(name=_NOTE)


def _earlier_raw(data: bytes) -> dict[str, object]:
    try:
        return {"raw": msgspec.json.decode(data, type=_Noted).note.raw[:MAX_RAW_CHARS]}
    except msgspec.ValidationError:
        return {}
