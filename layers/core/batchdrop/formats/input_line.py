"""One line of an input file: is it a request, and which of its bytes are sent.

`RequestReader` is the only place that knows where `params` and `custom_id` are in a line. Its check decides twice: `_quick` knows
what nearly every row looks like and gives up at the slightest doubt; `_judge` is the rule, one check after the other, and finds
the words for what is wrong. Where `_quick` gives a row, `_judge` gives the same one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Set
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from batchdrop.domain.call_headers import BETA, SAMPLING_GONE_IN, VERSION
from batchdrop.formats import rawjson
from batchdrop.formats.invalid_line import InvalidLine, shown
from batchdrop.formats.lines import MAX_LINE_BYTES, Line

NOTE = "_batchdrop"
"""What `failed.jsonl` adds to a line. A line that is dropped again may keep it; it is not sent."""

_FIELDS = frozenset({"custom_id", "params", NOTE})
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
    "stream": (frozenset({b"false", b"null"}), "batch results are never streamed"),
    "speed": (frozenset({b'"standard"', b"null"}), "fast mode is not available in a batch"),
    "store": (frozenset({b"false", b"null"}), "a batch does not store responses"),
    "betas": (frozenset({b"null"}), f"betas hold for a whole file, which names them in its metadata {BETA}"),
}
_PARAMS_FRAME = len(b'{"params":}')
_ID_FRAME = len(b'"custom_id":,')
_NOTE_FRAME = len(b'"_batchdrop":,')
_SHORTEST_REPEAT = len(b',"params":0')
# No model generates that many, and the sum over a batch stays within 64 bits.
MAX_MAX_TOKENS = 999_999_999
# Far beyond any request, and little to hold: decoded, a member takes some 200 bytes and an empty message 50, so that a line of
# nothing else would take up to 0.9 GB.
_MOST_FIELDS = 100
_MOST_PARAMS = 200
# Anthropic, "Messages": a request has at most 100,000 messages.
_MOST_MESSAGES = 100_000
# What is decoded before it is counted, to some 40 MB. A shorter line cannot hold more: a member takes five bytes with its comma.
_MOST_COMMAS = 200_000
_DENSE_BYTES = 5 * _MOST_COMMAS
_CUSTOM_ID_HASH_BYTES = 16
# Of an unknown field that may be a misspelled one: comparing takes time that grows with its length.
_MAX_NAME_CHARS = 1_000
_INFINITE = re.compile(rb"-?(?:NaN|Infinity)")
_BYTE = re.compile(r"\(byte (\d+)\)")
# An id that comes first is found without reading the rest of the line.
_first_id = re.compile(rb'\{"custom_id": ?("[^"\\]*+")').match


class _AnyObject(msgspec.Struct):
    """Decoding into it checks that the value is an object, and keeps nothing of it."""


class _Params(msgspec.Struct):
    params: msgspec.Raw = msgspec.Raw(b"{}")


class _CustomId(msgspec.Struct):
    custom_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Ordinary(msgspec.Struct, forbid_unknown_fields=True):
    params: msgspec.Raw
    custom_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    note: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name=NOTE)


_params_of_lines = msgspec.json.Decoder(_Params).decode_lines
_params = msgspec.json.Decoder(_Params).decode
_custom_id = msgspec.json.Decoder(_CustomId).decode
_ordinary = msgspec.json.Decoder(_Ordinary).decode
_whole = msgspec.json.Decoder(int).decode
_text = msgspec.json.Decoder(str).decode
_object = msgspec.json.Decoder(_AnyObject).decode
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


class _Fault(Exception):
    def __init__(self, type: str, message: str) -> None:  # noqa: A002 - the word used for every error of a row
        super().__init__(message)
        self.type = type
        self.message = message


class RequestReader:
    """Reads lines that are requests as the API documents them: `{"custom_id": ..., "params": {...}}`.

    `check` decides about a line. The other methods take lines that have passed it, and do not check them again. Lines of another
    kind need a reader of their own, with the same methods.

    `gone`: parameters that are errors under the API version of the job (`call_headers.gone_in`).
    """

    def __init__(self, gone: frozenset[str] = frozenset()) -> None:
        self._gone = gone
        self._refused = gone | _REFUSED.keys()

    def check(self, line: Line) -> Row | InvalidLine:
        """Decides about a line that is not blank. Never raises, whatever its bytes are."""
        return _quick(line, self._refused) or _judge(line, self._gone)

    @staticmethod
    def params(line: bytes) -> msgspec.Raw:
        """The `params`, byte for byte, as a buffer. `{}` where there is none."""
        return _params(line).params

    @staticmethod
    def params_of_lines(lines: bytes) -> list[msgspec.Raw]:
        """The `params` of every line in a block. One call for all of them takes half the time."""
        return [found.params for found in _params_of_lines(lines)]

    @staticmethod
    def custom_id(line: bytes) -> bytes | None:
        """The user's own `custom_id` as written, quotes included, or None."""
        if first := _first_id(line):
            return first[1]
        found = _custom_id(line).custom_id
        return None if found is msgspec.UNSET else bytes(found)


REQUESTS = RequestReader()


def own_custom_id(line: int) -> bytes:
    """The `custom_id` that the output gives to a row without one."""
    return b'"line-%d"' % line


def custom_id_digest(custom_id: bytes) -> bytes:
    """16 bytes that stand for the text of a custom id (`Row.custom_id`), however it is spelled in JSON."""
    text = custom_id[1:-1] if b"\\" not in custom_id else _text(custom_id).encode()
    return hashlib.blake2b(text, digest_size=_CUSTOM_ID_HASH_BYTES).digest()


def is_object(line: Line) -> bool:
    """Whether the line is one JSON object that every parser reads, and reads alike."""
    return unsound(line) is None


def unsound(line: Line, *, unique: bool = False) -> InvalidLine | None:
    """Why the line is not one JSON object that every parser reads, and reads alike; None if it is. `unique`: each field once."""
    try:
        _check_length(line)
        _check_json(line.data)
        if unique and not rawjson.surely_unique(rawjson.fields(line.data), len(line.data)):
            _check_unique(line.data, "")
    except _Fault as fault:
        return InvalidLine(line=line.number, type=fault.type, message=fault.message)
    return None


# ---------------------------------------------------------------- the check


def _quick(line: Line, refused: Set[str] = _REFUSED.keys()) -> Row | None:
    """The row, if the line is an ordinary one; None says nothing. Three scans of the line, and no text built from it.

    Each condition is one of `_judge`'s, at its cheapest: types and syntax by decoding, repeated keys by counting bytes (see
    `rawjson.surely_unique`), numbers and nesting only where there is more than strings.
    """
    data = line.data
    if line.cut or rawjson.bad_utf8(data) is not None or _is_dense(data):
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
            or len(params) > _MOST_PARAMS
            or not 1 <= max_tokens <= MAX_MAX_TOKENS
            or not rawjson.surely_unique(params, len(found.params))
            or not (_is_plain(messages) or (0 < len(_objects(messages)) <= _MOST_MESSAGES and _is_sound(bytes(messages))))
            or (len(params) > len(_REQUIRED) and not _are_sound(params, refused))
        ):
            return None
    except (msgspec.DecodeError, RecursionError, KeyError):
        return None
    return Row(line.number, custom_id or None, bytes(found.params), max_tokens, model)


def _is_dense(data: bytes) -> bool:
    """Whether the data may hold so many members or elements that they must be counted before they are decoded.

    Between two of them is a comma. Text may have as many: it is then looked at once more.
    """
    return len(data) > _DENSE_BYTES and data.count(b",") > _MOST_COMMAS


def _are_sound(params: dict[str, msgspec.Raw], refused: Set[str]) -> bool:
    """Whether the optional params need no closer look."""
    optional = params.keys() - _REQUIRED
    return optional.isdisjoint(refused) and all(_is_sound(bytes(params[name])) for name in optional)


def _is_plain(messages: msgspec.Raw) -> bool:
    """Whether messages hold strings only, and so no number and no nesting; False says nothing, as for an empty array."""
    try:
        return len(messages) <= _PLAIN_BYTES and 0 < len(_plain_messages(messages)) <= _MOST_MESSAGES
    except msgspec.ValidationError:
        return False


def _is_sound(value: bytes) -> bool:
    return value[:1] == b'"' or (rawjson.depth(value) == 0 and rawjson.bad_number(value) is None)


def _judge(line: Line, gone: frozenset[str] = frozenset()) -> Row | InvalidLine:
    try:
        _check_length(line)
        _check_json(line.data)
        return _row(line.number, line.data, gone)
    except _Fault as fault:
        return InvalidLine(line=line.number, type=fault.type, message=fault.message)


def too_long(line: Line) -> InvalidLine:
    """What is wrong with a line that is cut."""
    return InvalidLine(
        line=line.number,
        type="line_too_long",
        message=f"The line is {line.end - line.start:,} bytes long; the maximum is {MAX_LINE_BYTES:,}. Split the request.",
    )


def _check_length(line: Line) -> None:
    if line.cut:
        found = too_long(line)
        raise _Fault(found.type, found.message)


def _check_json(data: bytes) -> None:
    """Raises _Fault unless the data is a JSON object that every parser reads, and reads alike."""
    bad = rawjson.bad_utf8(data)
    if bad is not None:
        raise _Fault("not_utf8", f"Byte {bad + 1} of the line is not valid UTF-8. Save the file as UTF-8.")
    try:
        if _is_dense(data):
            _object(data)
            if rawjson.has_more_members(data, _MOST_FIELDS):
                raise _too_many_fields()
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
            f"The number {shown} exceeds what JSON parsers accept (1.8e308, or {rawjson.MAX_NUMBER_CHARS:,} characters). "
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


def _too_many_fields() -> _Fault:
    return _Fault(
        "too_many_fields",
        f"The line has more than {_MOST_FIELDS} fields; a request has only custom_id and params. Remove the others.",
    )


def _too_deep() -> _Fault:
    return _Fault("too_deep", f"Arrays and objects are nested more than {rawjson.MAX_DEPTH} levels deep. Flatten them.")


def _bad_syntax(data: bytes, reason: str) -> _Fault:
    if any(word in reason for word in ("surrogate", "truncated", "escape")) and rawjson.has_lone_surrogate(data):
        return _Fault(
            "lone_surrogate", "A \\u escape is half of a surrogate pair, which is not a character. Write both halves or neither."
        )
    place = _BYTE.search(reason)
    # msgspec stops at the `I` of `-Infinity`.
    if place and (_INFINITE.match(data, int(place[1])) or _INFINITE.match(data, max(int(place[1]) - 1, 0))):
        return _Fault("not_a_number", "NaN and Infinity are not valid JSON. Use null or leave the field out.")
    where = f" (byte {int(place[1]) + 1})" if place else ""
    what = reason.removeprefix("JSON is malformed: ").partition(" (byte")[0]
    if not place:
        what = "the line ends too early"
    return _Fault("not_json", f"The line is not valid JSON: {what}{where}. Write one JSON object per line.")


def _row(number: int, data: bytes, gone: frozenset[str]) -> Row:
    """The row in a sound JSON object. Raises _Fault."""
    _check_unique(data, "")
    found = rawjson.fields(data)
    if len(found) > _MOST_FIELDS:
        raise _too_many_fields()
    for name in found.keys() - _FIELDS:
        raise _unknown_field(name)
    custom_id = _checked_id(found)
    if "params" not in found:
        raise _Fault("missing_params", "The field params is missing. It holds the request: model, max_tokens and messages.")
    params = bytes(found["params"])
    max_tokens, model = _check_params(params, gone)
    return Row(number, custom_id, params, max_tokens, model)


def _check_params(params: bytes, gone: frozenset[str]) -> tuple[int, str]:
    """`max_tokens` and `model` of sound JSON that can be sent as `params`. Raises _Fault."""
    if params[:1] != b"{":
        raise _Fault("invalid_params", f"params is {_kind(params)}; it must be an object with model, max_tokens and messages.")
    if rawjson.has_more_members(params, _MOST_PARAMS):
        raise _Fault(
            "too_many_params", f"params has more than {_MOST_PARAMS} fields. Remove those that are not parameters of the API."
        )
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
            raise _Fault("unsupported_parameter", f"params.{name} is not supported in a batch: {reason}. Remove it.")
    for name in sorted(gone & values.keys()):
        raise _Fault(
            "unsupported_parameter",
            f"params.{name} is an error since API version {SAMPLING_GONE_IN}, whatever its value. Remove it, or upload the file "
            f"with the metadata {VERSION}: 2023-06-01, as older models still take it then.",
        )
    return max_tokens, model


def _check_unique(data: bytes, where: str) -> None:
    key = rawjson.repeated_key(data)
    if key is not None:
        raise _Fault("duplicate_key", f"The field {where}{shown(key)} appears twice. Keep one of them.")


def _unknown_field(name: str) -> _Fault:
    if name in _PARAMS:
        return _Fault("unknown_field", f"The field {name} belongs inside params, next to model and messages. Move it there.")
    near = get_close_matches(name[:_MAX_NAME_CHARS], ("custom_id", "params"), n=1)
    hint = f"Did you mean {near[0]}?" if near else "A line has only custom_id and params; remove it."
    return _Fault("unknown_field", f"The field {shown(name)} is unknown. {hint}")


def _checked_id(found: dict[str, msgspec.Raw]) -> bytes | None:
    if "custom_id" not in found:
        return None
    value = bytes(found["custom_id"])
    if value[:1] != b'"':
        raise _Fault("invalid_custom_id", f"custom_id is {_kind(value)}; it must be a string. Put it in quotes or leave it out.")
    if value == b'""':
        raise _Fault("invalid_custom_id", "custom_id is empty. Give the row a name or leave the field out.")
    return value


def _model(value: bytes) -> str:
    if value[:1] != b'"':
        raise _Fault("invalid_model", f"params.model is {_kind(value)}; it must be a string such as claude-haiku-4-5.")
    model = _text(value)
    if not model:
        raise _Fault("invalid_model", "params.model is empty. Name a model, such as claude-haiku-4-5.")
    return model


def _max_tokens(value: bytes) -> int:
    try:
        count = _whole(value)
    except msgspec.ValidationError:
        count = 0
    if not 1 <= count <= MAX_MAX_TOKENS:
        shown = value.decode() if value[:1] not in b'"[{' and len(value) <= 20 else _kind(value)
        raise _Fault("invalid_max_tokens", f"params.max_tokens is {shown}; it must be a whole number, 1 or more, without quotes.")
    return count


def _check_messages(value: bytes) -> None:
    if value[:1] != b"[":
        raise _Fault("invalid_messages", f"params.messages is {_kind(value)}; it must be an array of messages.")
    if rawjson.has_more_objects(value, _MOST_MESSAGES):
        raise _Fault(
            "too_many_messages",
            f"params.messages has more than {_MOST_MESSAGES:,} messages, the API's maximum. Split the request.",
        )
    try:
        count = len(_objects(value))
    except msgspec.ValidationError:
        raise _Fault(
            "invalid_messages",
            'params.messages has an element that is not an object. Each message is {"role": ..., "content": ...}.',
        ) from None
    if not count:
        raise _Fault("invalid_messages", "params.messages is empty. A request needs at least one message.")


_KINDS = {b'"': "a string", b"{": "an object", b"[": "an array", b"t": "true", b"f": "false", b"n": "null"}


def _kind(value: bytes) -> str:
    return _KINDS.get(value[:1], "a number")
