"""What the model said, held against what the recipe asked for. Runs in `collect`; knows no recipe, only the form it left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from batchdrop.formats import rawjson
from batchdrop.formats.invalid_line import shown
from batchdrop.recipes.form import AnswerForm

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

# Excel cuts a cell at 32,767 characters.
_MAX_TEXT_CHARS = 32_000
_FENCE = "```"
_LIST_SEPARATOR = "; "
_MAX_DEPTH = 30
REASONS = ("truncated", "refused", "empty", "paused", "tool_use", "not_json", "off_schema", "unreadable")
"""Why an answer cannot be used: the error types of its row, and what a recipe may have sent again."""


class Answer(NamedTuple):
    """What becomes of one succeeded result."""

    output: bytes | None
    """A JSON object of the answer columns; None if the answer cannot be used."""
    error_type: str = ""
    """One of REASONS; "" if it can be used."""
    message: str = ""
    """A sentence for the person who wrote the recipe: what happened and what to do. Holds no text of the row or the answer."""
    text: str = ""
    """What it said, cut at 32,000 characters."""


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


class _Usage(msgspec.Struct, gc=False):
    output_tokens: int | None = None


class _Details(msgspec.Struct, gc=False):
    category: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: list[_Block] = []
    stop_reason: str | None = None
    stop_details: _Details | None = None
    usage: _Usage | None = None


class _Result(msgspec.Struct, gc=False):
    message: _Message


_result = msgspec.json.Decoder(_Result).decode
_texts = msgspec.json.Decoder(dict[str, str]).decode
_raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text_of = msgspec.json.Decoder(str).decode
_json = msgspec.json.Decoder().decode
_encode = msgspec.json.encode

_UNREADABLE = (
    "unreadable",
    "The API's answer is not in the form that it documents: what came stands in _batchdrop.result of failed.jsonl.",
)
_WITHOUT_SENSE = (msgspec.MsgspecError, ValueError, RecursionError)


class Answers:
    """Reads the answers of one job. Loads jsonschema-rs if the form has a schema."""

    def __init__(self, form: AnswerForm) -> None:
        self._columns = form.columns
        self._schema: dict[str, Any] | None = None
        self._validator: Draft202012Validator | None = None
        if form.schema is not None:
            from batchdrop.recipes.validation import validator_of  # noqa: PLC0415 - loads jsonschema-rs

            self._schema = msgspec.json.decode(form.schema)
            self._validator = validator_of(self._schema)

    def read(self, result: bytes) -> Answer:
        """`result` is the API's `result` of a line that succeeded. Never raises, whatever its bytes are."""
        message = _message(result)
        if message is None:
            return Answer(None, *_UNREADABLE)
        # In pieces where a citation or a search stands between them; what is joined reads on.
        text = "".join([block.text for block in message.content if block.type == "text" and block.text])
        if stopped := _stopped(message, text):
            return Answer(None, *stopped, text[:_MAX_TEXT_CHARS])
        if self._schema is None or self._validator is None:
            return Answer(_encode({self._columns[0]: text}), text=text[:_MAX_TEXT_CHARS])
        return self._typed(text, self._schema, self._validator)

    def _typed(self, text: str, schema: dict[str, Any], validator: Draft202012Validator) -> Answer:
        said = text[:_MAX_TEXT_CHARS]
        try:
            value = _json(_unfenced(text))
        except _WITHOUT_SENSE:
            return Answer(
                None,
                "not_json",
                "The answer is not the JSON that the recipe's output asks for. Drop the row again, or ask for a simpler one.",
                said,
            )
        try:
            if not validator.is_valid(value):
                value = _with_own_words(value, schema, schema.get("$defs", {}) | schema.get("definitions", {}), 0)
                # Asked only now: finding the error takes as long as all the rest of an answer that has none.
                if (error := next(iter(validator.iter_errors(value)), None)) is not None:
                    return Answer(None, "off_schema", _off_schema(error), said)
            output = _encode({name: value[name] for name in self._columns if name in value})
        except _WITHOUT_SENSE:
            return Answer(None, "off_schema", "The answer could not be checked by the recipe's schema.", said)
        # As in `lines_in`: the generated constructor takes twice as long.
        return tuple.__new__(Answer, (output, "", "", said))


def cells(output: bytes, columns: Sequence[str]) -> list[str]:
    """What stands in a table for each answer column, of `Answer.output`.

    Text as it is; numbers as they were written; true, false; nothing for null or a field left out. A list of plain values is
    joined with "; " if none of them holds a ";", so that it can be split again; any other list, and every object, is JSON.
    """
    try:
        # Most answers are texts and nothing else.
        texts = _texts(output)
    except msgspec.ValidationError:
        fields = _raw_fields(output)
        return [_cell(bytes(fields[name])) if name in fields else "" for name in columns]
    return [texts.get(name, "") for name in columns]


# ---------------------------------------------------------------- the message


def _message(result: bytes) -> _Message | None:
    try:
        return _result(result).message
    except msgspec.ValidationError:
        return _loosely(result)
    except _WITHOUT_SENSE:
        # A text that was cut between two halves of a character is a text all the same.
        whole = rawjson.mended(result)
        return None if whole == result else _message(whole)


def _loosely(result: bytes) -> _Message | None:
    """The same from a message of which some field is not as documented: each that is is taken."""
    try:
        message = msgspec.json.decode(result)["message"]
        content = message["content"]
        reason = message.get("stop_reason")
    except (*_WITHOUT_SENSE, LookupError, TypeError, AttributeError):
        return None
    if not isinstance(content, list):
        return None
    blocks = [_Block(block["type"], block["text"]) for block in content if _is_text(block)]
    return _Message(content=blocks, stop_reason=reason if isinstance(reason, str) else None)


def _is_text(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)


def _stopped(message: _Message, text: str) -> tuple[str, str] | None:
    """Why it is no whole answer: type and sentence."""
    if reason := _STOPS.get(message.stop_reason or ""):
        return reason(message, text)
    if text and not text.isspace():
        return None
    return "empty", "It ended without any text. Say in the prompt what to write when there is nothing to say."


def _truncated(message: _Message, text: str) -> tuple[str, str]:
    tokens = message.usage.output_tokens if message.usage is not None else None
    at = f" at {tokens:,} tokens" if tokens else ""
    if text.strip():
        return "truncated", f"The answer was cut off{at}. Raise `max_tokens`."
    return (
        "truncated",
        f"It was cut off{at} before any text, most likely while thinking. Raise `max_tokens`, or lower `thinking`.",
    )


def _too_long(_message: _Message, _text: str) -> tuple[str, str]:
    return "truncated", "The answer was cut off since the model's context window is full. Shorten the row, or take another model."


def _refused(message: _Message, _text: str) -> tuple[str, str]:
    category = message.stop_details.category if message.stop_details is not None else None
    if category == "reasoning_extraction":
        return "refused", "The model refused to write down its reasoning. Ask for a short explanation instead."
    about = f" ({shown(category)})" if category else ""
    return "refused", f"The model refused to answer{about}. Look at the row; if it is harmless, say in the prompt what it is for."


def _paused(_message: _Message, _text: str) -> tuple[str, str]:
    return (
        "paused",
        "The model paused for a tool before its answer was finished. Take `tools` out of the recipe, or let it use them less.",
    )


def _tool_use(_message: _Message, _text: str) -> tuple[str, str]:
    return (
        "tool_use",
        "It asked for a tool, and nothing runs tools in a batch: take `tools` out, and ask for fields with `output`.",
    )


# Anthropic, "Handling stop reasons". Every other one is the end of an answer.
_STOPS: dict[str, Callable[[_Message, str], tuple[str, str]]] = {
    "max_tokens": _truncated,
    "model_context_window_exceeded": _too_long,
    "refusal": _refused,
    "pause_turn": _paused,
    "tool_use": _tool_use,
}


def _unfenced(text: str) -> str:
    """What a code fence holds, if there is one around the whole text; what comes out is checked by the schema as a whole."""
    if _FENCE not in text:
        return text
    bare = text.strip()
    if not (bare.startswith(_FENCE) and bare.endswith(_FENCE) and len(bare) > 2 * len(_FENCE)):
        return text
    _, _, inner = bare[: -len(_FENCE)].partition("\n")
    return inner


# ---------------------------------------------------------------- the schema


def _with_own_words(value: object, schema: object, definitions: Mapping[str, object], depth: int) -> object:
    """The value, with each choice in the recipe's own spelling: the API does not keep the case of `enum`."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return value
    for part in _alternatives(schema, definitions):
        value = _with_own_words(value, part, definitions, depth + 1)
    match value:
        case str():
            return _own_word(value, [*schema.get("enum", ()), schema.get("const")])
        case dict():
            properties = schema.get("properties", {})
            return {key: _with_own_words(part, properties.get(key), definitions, depth + 1) for key, part in value.items()}
        case list():
            return [_with_own_words(part, schema.get("items"), definitions, depth + 1) for part in value]
        case _:
            return value


def _alternatives(schema: Mapping[str, Any], definitions: Mapping[str, object]) -> Iterable[object]:
    yield from schema.get("anyOf", ())
    yield from schema.get("allOf", ())
    if reference := schema.get("$ref"):
        yield definitions.get(reference.rpartition("/")[2].replace("~1", "/").replace("~0", "~"))


def _own_word(said: str, choices: Iterable[object]) -> str:
    folded = said.strip().casefold()
    words = [choice for choice in choices if isinstance(choice, str)]
    return said if said in words else next((word for word in words if word.strip().casefold() == folded), said)


def _off_schema(error: ValidationError) -> str:
    """Which field, and what is wrong with it. The value is not quoted: it may hold the row's text."""
    place = ".".join(str(part) for part in error.instance_path)
    where = f"The answer's field `{shown(place)}`" if place else "The answer"
    what = _WRONG.get(error.kind.name, "does not fit the recipe's schema")
    limit = getattr(error.kind, "limit", None)
    return f"{where} {what.format(limit='' if limit is None else limit)}. Say so in the prompt, or loosen the schema."


_WRONG = {
    "enum": "is none of the choices",
    "const": "is not the value that the schema asks for",
    "type": "is of another type than the schema asks for",
    "required": "lacks a field that is required",
    "additionalProperties": "has a field that is not in the schema",
    "minimum": "is below the minimum of {limit}",
    "exclusiveMinimum": "is not above {limit}",
    "maximum": "is above the maximum of {limit}",
    "exclusiveMaximum": "is not below {limit}",
    "multipleOf": "is not a multiple of what the schema says",
    "minLength": "has fewer than {limit} characters",
    "maxLength": "has more than {limit} characters",
    "minItems": "has fewer than {limit} entries",
    "maxItems": "has more than {limit} entries",
    "uniqueItems": "has an entry twice",
    "pattern": "does not match its pattern",
    "format": "does not have its format",
    "anyOf": "fits none of the schema's alternatives",
}


# ---------------------------------------------------------------- tables


def _cell(value: bytes) -> str:
    match value[:1]:
        case b'"':
            return _text_of(value)
        case b"[":
            return _joined([bytes(entry) for entry in _raw_list(value)]) or ("" if value == b"[]" else value.decode())
        case b"n":
            return ""
        case _:
            return value.decode()


def _joined(entries: Sequence[bytes]) -> str:
    """Or "" if what comes out could not be split again."""
    if any(entry[:1] in (b"[", b"{", b"n") for entry in entries):
        return ""
    texts = [_cell(entry) for entry in entries]
    return "" if any(not text.strip() or ";" in text for text in texts) else _LIST_SEPARATOR.join(texts)
