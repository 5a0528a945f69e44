"""The `output:` section of a recipe: which columns an answer becomes, and the JSON Schema behind them.

Left out, an answer is plain text in a column `answer`. Otherwise the section maps columns to what they hold:

    label: [positive, negative]       a choice, of words or of numbers
    topics: [[price, quality]]        any number of choices; the same as `list: [price, quality]`
    explanation: string               or number, integer, boolean
    tags: {list: string}              a list of such values
    due: {type: string, format: date}      any JSON Schema for one column
    translation: text                 alone: plain text, in a column of that name

or is a full JSON Schema of an object below `schema:`.

The dialect is the API's (Anthropic, "Structured outputs", 2026-10-08). What it cannot express and nothing is lost without is not
sent but checked on the answer (`minimum`, `maxLength`, ...); what would change the meaning is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from typing import Any

import msgspec

from batchdrop.formats.invalid_line import shown
from batchdrop.recipes.faults import RecipeFault
from batchdrop.recipes.form import AnswerForm

type Path = tuple[str | int, ...]
type Schema = dict[str, Any]
type Node = tuple[Schema, Schema]
"""One schema twice: as it is sent, and as answers are checked."""

MAX_COLUMNS = 100
# Of the API: optional properties and unions (`anyOf` or several types) of a request.
MAX_OPTIONAL = 24
MAX_UNIONS = 16
# As many levels as a recipe may have, and its greatest size.
_MAX_DEPTH = 20
_MAX_BYTES = 65_536
_MAX_NAME_CHARS = 100
# The limit of the compiled grammar is not published; one schema of 7,354 bytes was refused (anthropic-sdk-python#1185).
_LARGE_BYTES = 4_000
_MAX_REPEAT = 1_000

_OWN = "batchdrop_"
_PLAIN = "text"
_WORDS = ("string", "number", "integer", "boolean")
_TYPES = (*_WORDS, "array", "object", "null")
_OTHER_WORDS = {
    "str": "string",
    "text": "string",
    "date": "string",
    "int": "integer",
    "float": "number",
    "decimal": "number",
    "bool": "boolean",
    "yes/no": "boolean",
    "list": "{list: string}",
    "array": "{list: string}",
}
FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_KEPT = frozenset({"title", "description", "default", "const"})
_SAY_NOTHING = frozenset({"$schema", "$id", "$comment", "examples", "deprecated", "readOnly", "writeOnly"})
_CHECKED_ONLY = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
        *("minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains", "minProperties", "maxProperties"),
    }
)
_REFUSED = {
    "oneOf": "write `anyOf`",
    "not": "list what is allowed instead",
    "if": "write `anyOf` with one schema for each case",
    "then": "write `anyOf` with one schema for each case",
    "else": "write `anyOf` with one schema for each case",
    "patternProperties": "name the properties, or use a list of objects with a name and a value",
    "propertyNames": "name the properties, or use a list of objects with a name and a value",
    "unevaluatedProperties": "leave it out: no other property is ever allowed",
    "dependentRequired": "write `anyOf` with one schema for each case",
    "dependentSchemas": "write `anyOf` with one schema for each case",
    "prefixItems": "use an object with a property for each place",
    "unevaluatedItems": "leave it out",
    "$dynamicRef": "write `$ref: '#/$defs/...'`",
    "$anchor": "write `$ref: '#/$defs/...'`",
}
_DEFINITIONS = ("$defs", "definitions")
# Not in the API's dialect: back-references, look-around, word boundaries.
_HARD_PATTERN = re.compile(r"\\[1-9kbB]|\(\?<?[=!]")
_REPEAT = re.compile(r"\{(\d*),?(\d*)\}")
# Names in which a model is asked for what the API may refuse as `reasoning_extraction`, and bill.
_REASONING = re.compile(r"(?:^|_)(?:reasoning|thinking|thoughts?|traces?|cot|chain_of_thought)(?:_|$)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|[\s-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What the section comes to."""

    api_schema: bytes | None = None
    """JSON, as it is sent in `output_config.format.schema`. None: plain text is asked for, and no format."""
    answer: AnswerForm = AnswerForm()
    warnings: tuple[str, ...] = ()
    place: tuple[str, ...] = ("output",)
    """The path below which the columns stand in the recipe."""


def compile_output(section: object) -> Output:
    """`section` is what stands in the recipe, None if nothing. Raises RecipeFault, whose field begins with `output`."""
    if section is None:
        return Output()
    columns = _mapping(_plain(section, ("output",)))
    if len(encoded := msgspec.json.encode(columns)) > _MAX_BYTES:
        raise _fault((), f"`output` has {len(encoded):,} bytes; {_MAX_BYTES:,} are allowed. Ask for less in one answer.")
    if isinstance(columns.get("schema"), dict):
        return _full(columns)
    if list(columns.values()) == [_PLAIN]:
        _check_names(columns, ())
        return Output(answer=AnswerForm(columns=tuple(columns)))
    _check_names(columns, ())
    schema = {name: _expanded(value, (name,)) for name, value in columns.items()}
    whole = {"type": "object", "properties": schema, "required": list(schema)}
    return _compiled(whole, ("output",), lambda path: _spelled(columns, path))


def check_columns(output: Output, columns: Iterable[str], *, again: bool = False) -> None:
    """Raises RecipeFault when an answer column is named like one of the file's own, whatever the case, and proposes a name.

    Many programs that read tables (DuckDB, databases) do not tell `Label` from `label`. `again`: the file also has columns that
    Batchdrop adds.
    """
    taken = {_folded(column): column for column in columns}
    answers = {_folded(column) for column in output.answer.columns}
    for name in output.answer.columns:
        if (own := taken.get(_folded(name))) is None:
            continue
        free = next(name for name in _proposals(name) if _folded(name) not in taken and _folded(name) not in answers)
        what = f"The file has a column `{shown(own)}` already, so the answer cannot go there"
        what += ". It looks like a results.csv: drop the original table or failed.csv instead. Else" if again else ":"
        if output.api_schema is None and output.answer.columns == ("answer",):
            raise RecipeFault(f"{what} give the answer another column with `output: {{{free}: text}}`.", field=("output",))
        raise RecipeFault(f"{what} give the answer column another name, such as `{shown(free)}`.", field=(*output.place, name))


# ---------------------------------------------------------------- the short form


def _expanded(value: object, path: Path) -> Schema:
    match value:
        case [[*choices]]:
            return {"type": "array", "items": _choice(choices, (*path, 0))}
        case [*choices]:
            return _choice(choices, path)
        case {"list": inner, **rest} if not rest:
            if len(path) > 1 or (isinstance(inner, list) and any(isinstance(part, list) for part in inner)):
                raise _fault((*path, "list"), "A list holds words or choices, not lists: write `list: [a, b]`.")
            return {"type": "array", "items": _expanded(inner, (*path, "list"))}
        case dict():
            return value
        case str() if value in _WORDS:
            return {"type": value}
        case _:
            raise _fault(path, f"`{shown(str(path[0]))}`: {_no_word(value)}")


def _spelled(columns: Mapping[str, Any], path: Path) -> Path:
    """A path in the schema of a short form, as one in the recipe."""
    if len(path) < 2:
        return ("output",)
    name, *rest = path[1:]
    match columns.get(str(name)):
        case [[*_]]:
            return ("output", name, 0, *rest[2:])
        case [*_]:
            return ("output", name, *rest[1:])
        case {"list": [*_]}:
            return ("output", name, "list", *rest[2:])
        case {"list": _}:
            return ("output", name, "list", *rest[1:])
        case _:
            return ("output", name, *rest)


def _choice(choices: Sequence[object], path: Path) -> Schema:
    if any(isinstance(choice, bool) for choice in choices) or None in choices:
        raise RecipeFault(
            "`true`, `false` and `null` are no words in YAML: put them in quotes, or write `boolean` for true or false.",
            field=("output", *path),
        )
    if list(map(str, choices)) in [[word] for word in _TYPES]:
        raise RecipeFault(
            f"`[{choices[0]}]` is a choice with one word. Write `{{list: {choices[0]}}}`, or `{choices[0]}` for one value.",
            field=("output", *path),
        )
    kinds = {_kind(choice) for choice in choices if not isinstance(choice, list | dict)}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    if len(kinds) > 1:
        raise RecipeFault("The choices are words and numbers mixed: put the numbers in quotes.", field=("output", *path))
    return {"type": next(iter(kinds), "string"), "enum": list(choices)}


def _kind(choice: object) -> str:
    return {str: "string", int: "integer"}.get(type(choice), "number")


def _no_word(value: object) -> str:
    can = f"{', '.join(_WORDS)}, a list of choices such as `[yes, no]`, or a JSON Schema"
    if not isinstance(value, str):
        return f"a column holds {can}."
    if value == _PLAIN:
        return "`text` is for an answer that is nothing but text, so for a single column; beside others write `string`."
    near = _OTHER_WORDS.get(value.lower()) or next(iter(get_close_matches(value.lower(), _WORDS, 1)), None)
    return f"`{shown(value)}` is not known here. {f'Did you mean `{near}`?' if near else f'A column holds {can}.'}"


# ---------------------------------------------------------------- the full form


def _full(columns: Mapping[str, Any]) -> Output:
    if len(columns) > 1:
        other = next(name for name in columns if name != "schema")
        raise _fault((other,), f"`schema` describes the whole answer: move `{shown(other)}` into its `properties`.")
    schema = columns["schema"]
    place = ("output", "schema")
    properties = schema.get("properties")
    if schema.get("type", "object") != "object" or not isinstance(properties, dict):
        raise RecipeFault("The schema has to be an object with `properties`: each of them becomes a column.", field=place)
    _check_names(properties, ("schema", "properties"))
    return _compiled(schema, (*place, "properties"), lambda path: (*place, *path))


def _compiled(schema: Schema, place: tuple[str, ...], spelled: Callable[[Path], Path]) -> Output:
    """`spelled` turns a path in the schema into one in the recipe."""
    # Loads jsonschema-rs.
    from batchdrop.recipes.validation import not_a_schema, not_usable  # noqa: PLC0415

    dialect = _Dialect(schema, spelled)
    dialect.check_types(schema, ())
    # First the shapes, so that whatever follows finds each keyword's value in its right one.
    if (wrong := not_a_schema(schema)) is not None:
        raise _bad_schema(wrong, spelled)
    sent, whole = dialect.compile()
    if (wrong := not_usable(whole)) is not None:
        raise _bad_schema(wrong, spelled)
    encoded = msgspec.json.encode(sent)
    return Output(
        api_schema=encoded,
        answer=AnswerForm(
            columns=tuple(whole["properties"]),
            schema=msgspec.json.encode(whole).decode(),
            choices={name: words for name, node in whole["properties"].items() if (words := _words(node))},
        ),
        warnings=tuple(_warnings(dialect, len(encoded))),
        place=place,
    )


def _bad_schema(path: Path, spelled: Callable[[Path], Path]) -> RecipeFault:
    name = next((str(part) for part in reversed(path) if isinstance(part, str)), "schema")
    if name == "pattern":
        return RecipeFault(
            "`pattern` is not a regular expression that can be used; look for brackets left open.", field=spelled(path)
        )
    return RecipeFault(f"What stands at `{shown(name)}` is not valid in a JSON Schema.", field=spelled(path))


class _Dialect:
    """One schema in the making: what is sent and what is checked, and what is counted on the way."""

    def __init__(self, schema: Schema, spelled: Callable[[Path], Path]) -> None:
        self._schema = schema
        self._spelled = spelled
        self._definition: str | None = None
        self._references: dict[str | None, set[str]] = {}
        self.names: list[str] = []
        self.not_sent: set[str] = set()
        self.optional = 0
        self.unions = 0

    def check_types(self, value: object, path: Path) -> None:
        """The words of every `type` first: the schema of schemas has no sentence for a misspelled one."""
        if not isinstance(value, dict):
            return
        kinds = value.get("type")
        for kind in kinds if isinstance(kinds, list) else [] if kinds is None else [kinds]:
            if kind not in _TYPES:
                near = get_close_matches(str(kind), _TYPES, 1) or [_OTHER_WORDS.get(str(kind), "string")]
                raise self._fault((*path, "type"), f"`{shown(str(kind))}` is no type. Did you mean `{near[0]}`?")
        for key, part in _parts(value):
            self.check_types(part, (*path, *key))

    def compile(self) -> Node:
        node = self.node(self._schema, ())
        self._check_recursion()
        if self.optional > MAX_OPTIONAL:
            raise self._fault(
                (), f"{self.optional} properties are optional, and the API takes {MAX_OPTIONAL}: list more in `required`."
            )
        if self.unions > MAX_UNIONS:
            raise self._fault(
                (), f"There are {self.unions} `anyOf` and lists of types, and the API takes {MAX_UNIONS}: ask for less."
            )
        return node

    def _fault(self, path: Path, message: str) -> RecipeFault:
        return RecipeFault(message, field=self._spelled(path))

    def node(self, value: object, path: Path) -> Node:
        if not isinstance(value, dict):
            raise self._fault(
                path, "The API takes no schema that is `true` or `false`: say what the value is, such as `type: string`."
            )
        schema = _with_type(value)
        self.unions += isinstance(schema.get("type"), list)
        sent: Schema = {}
        whole: Schema = {}
        for keyword, given in schema.items():
            self._keyword(keyword, given, (*path, keyword), sent, whole)
        if not schema.keys() & {"type", "enum", "const", "anyOf", "allOf", "$ref"}:
            raise self._fault(path, "It is not said what the value is: add a `type`, such as `type: string`.")
        if "object" in _types(schema):
            self._object(schema, path, sent, whole)
        return sent, whole

    def _keyword(self, keyword: str, given: object, path: Path, sent: Schema, whole: Schema) -> None:
        if keyword in _SAY_NOTHING:
            return
        if reason := _REFUSED.get(keyword):
            raise self._fault(path, f"The API does not take `{keyword}`: {reason}.")
        if keyword in _CHECKED_ONLY and not (keyword == "minItems" and given in (0, 1)):
            whole[keyword] = given
            self.not_sent.add(keyword)
            return
        handler = _HANDLERS.get(keyword)
        if handler is not None:
            sent[keyword], whole[keyword] = handler(self, given, path)
        elif keyword in _KNOWN:
            sent[keyword] = whole[keyword] = given
        else:
            near = get_close_matches(keyword, _KNOWN, 1)
            hint = f"Did you mean `{near[0]}`?" if near else "Leave it out, or put what it means into `description`."
            raise self._fault(path, f"`{shown(keyword)}` means nothing in a JSON Schema here. {hint}")
        if sent[keyword] is None:
            del sent[keyword]

    def _object(self, schema: Schema, path: Path, sent: Schema, whole: Schema) -> None:
        if schema.get("additionalProperties", False) is not False:
            raise self._fault(
                (*path, "additionalProperties"),
                "The API takes no other properties than those named: leave `additionalProperties` out, or use a list of objects "
                "with a name and a value.",
            )
        properties = schema.get("properties")
        if not properties:
            raise self._fault(path, "An object has the `properties` that are named and no others: name at least one.")
        required = schema.get("required", [])
        if unknown := [name for name in required if name not in properties]:
            raise self._fault((*path, "required"), f"`{shown(unknown[0])}` is required but is not in `properties`.")
        self.optional += len(properties) - len(set(required))
        self.names += properties
        sent["additionalProperties"] = whole["additionalProperties"] = False

    def properties(self, given: Mapping[str, object], path: Path) -> Node:
        nodes = {name: self.node(node, (*path, name)) for name, node in given.items()}
        return {name: node[0] for name, node in nodes.items()}, {name: node[1] for name, node in nodes.items()}

    def definitions(self, given: Mapping[str, object], path: Path) -> Node:
        if len(path) > 1:
            raise self._fault(path, f"`{path[-1]}` can stand at the top of the schema only: move it there.")
        nodes: dict[str, Node] = {}
        for name, node in given.items():
            self._definition = f"#/{path[-1]}/{name}"
            nodes[name] = self.node(node, (*path, name))
        self._definition = None
        return {name: node[0] for name, node in nodes.items()}, {name: node[1] for name, node in nodes.items()}

    def any_of(self, given: Sequence[object], path: Path) -> tuple[list[Schema], list[Schema]]:
        self.unions += 1
        return self.all_of(given, path)

    def all_of(self, given: Sequence[object], path: Path) -> tuple[list[Schema], list[Schema]]:
        nodes = [self.node(node, (*path, index)) for index, node in enumerate(given)]
        if path[-1] == "allOf" and any("$ref" in sent for sent, _ in nodes):
            raise self._fault(path, "The API takes no `$ref` within `allOf`: write the properties out.")
        return [sent for sent, _ in nodes], [whole for _, whole in nodes]

    def ref(self, given: str, path: Path) -> tuple[str, str]:
        if given == "#":
            raise self._fault(path, "The schema refers to itself, and the API takes no recursion: write the levels out.")
        for keyword in _DEFINITIONS:
            name = given.removeprefix(f"#/{keyword}/").replace("~1", "/").replace("~0", "~")
            if given.startswith(f"#/{keyword}/") and name in self._schema.get(keyword, {}):
                self._references.setdefault(self._definition, set()).add(f"#/{keyword}/{name}")
                return given, given
        raise self._fault(
            path, f"`{shown(given)}` is not in `$defs` at the top of this schema, and nothing is fetched from elsewhere."
        )

    def enum(self, given: Sequence[object], path: Path) -> tuple[Sequence[object], Sequence[object]]:
        if not given:
            raise self._fault(path, "There is nothing to choose from: list the choices, such as `[yes, no]`.")
        seen: dict[object, int] = {}
        for index, value in enumerate(given):
            if isinstance(value, list | dict):
                raise self._fault((*path, index), "A choice is a word or a number, not a list or a mapping.")
            key = _folded(value) if isinstance(value, str) else (type(value) is bool, value)
            if key in seen:
                raise self._fault(
                    (*path, index),
                    f"`{shown(str(given[seen[key]]))}` and `{shown(str(value))}` are one choice: the API does not keep case. "
                    "Leave one out.",
                )
            if value == "" or (isinstance(value, str) and not value.strip()):
                raise self._fault((*path, index), "A choice is an empty text: give it a word, such as `none`.")
            seen[key] = index
        return given, given

    def pattern(self, given: str, path: Path) -> tuple[str | None, str]:
        if _HARD_PATTERN.search(given):
            raise self._fault(
                path,
                "The API's patterns have no back-references, look-around or `\\b`: simplify it, or say it in `description`.",
            )
        if any(int(number) > _MAX_REPEAT for found in _REPEAT.findall(given) for number in found if number):
            self.not_sent.add("pattern")
            return None, given
        return given, given

    def format(self, given: str, path: Path) -> tuple[str, str]:
        if given not in FORMATS:
            near = get_close_matches(given, FORMATS, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"it takes {', '.join(FORMATS)}."
            raise self._fault(path, f"The API does not take the format `{shown(given)}`: {hint}")
        return given, given

    def _check_recursion(self) -> None:
        """Takes away, again and again, the definitions that refer to none that is left."""
        left = {name: set(targets) for name, targets in self._references.items() if name is not None}
        while done := [name for name, targets in left.items() if not targets & left.keys()]:
            for name in done:
                del left[name]
        if left:
            *_, keyword, name = next(iter(left)).split("/", 2)
            raise self._fault(
                (keyword, name), f"`{shown(name)}` refers to itself, and the API takes no recursion: write the levels out."
            )


_HANDLERS: dict[str, Callable[[_Dialect, Any, Path], tuple[Any, Any]]] = {
    "properties": _Dialect.properties,
    "$defs": _Dialect.definitions,
    "definitions": _Dialect.definitions,
    "items": _Dialect.node,
    "anyOf": _Dialect.any_of,
    "allOf": _Dialect.all_of,
    "$ref": _Dialect.ref,
    "enum": _Dialect.enum,
    "pattern": _Dialect.pattern,
    "format": _Dialect.format,
}
_KNOWN = (*sorted(_KEPT), "type", "required", "additionalProperties", "minItems", *_HANDLERS, *sorted(_CHECKED_ONLY))


def _warnings(dialect: _Dialect, size: int) -> Iterable[str]:
    for name in dict.fromkeys(dialect.names):
        if _REASONING.search(_CAMEL.sub("_", name).lower()):
            yield (
                f"`{shown(name)}` asks for the model's reasoning: the API may refuse that (reasoning_extraction) and bill it. "
                "Ask for a short explanation instead."
            )
    if dialect.not_sent:
        words = ", ".join(f"`{word}`" for word in sorted(dialect.not_sent))
        scale = " Write a scale as `[1, 2, 3, 4, 5]`: then the answer is one of these." if "maximum" in dialect.not_sent else ""
        checked = "answers are checked for it when they come, and one that does not fit is paid for."
        yield f"The API does not take {words}: {checked}{scale}"
    if size > _LARGE_BYTES:
        yield (
            f"The schema has {size:,} bytes. The API may find it too large, and only a real request tells: "
            "try it with a few rows first."
        )


# ---------------------------------------------------------------- small things


def _fault(path: Path, message: str) -> RecipeFault:
    return RecipeFault(message, field=("output", *path))


def _mapping(section: object) -> dict[str, Any]:
    if isinstance(section, dict) and section:
        return section
    raise _fault(
        (),
        "`output` names the columns of the answer and what they hold, such as `label: [positive, negative]`. "
        "Leave it out for plain text in a column `answer`.",
    )


def _plain(value: object, path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """The same as plain dicts, lists, texts, numbers; YAML's own classes and what has no place in JSON are gone."""
    if len(path) > _MAX_DEPTH:
        raise RecipeFault(f"There are more than {_MAX_DEPTH} levels: ask for a flatter answer.", field=path[:3])
    match value:
        case dict():
            return {_name(key, path): _plain(part, (*path, _name(key, path))) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part, (*path, index)) for index, part in enumerate(value)]
        case str():
            return _text(value, path)
        case bool() | None:
            return value
        case int() if abs(value) < 1 << 63:
            return int(value)
        case float() if isfinite(value):
            return float(value)
        case _:
            raise RecipeFault("This value has no place in an answer: put it in quotes.", field=path)


def _name(key: object, path: Path) -> str:
    if not isinstance(key, str):
        raise RecipeFault(f"The name `{shown(str(key))}` is read as something else than text: put it in quotes.", field=path)
    return _text(key, path)


def _text(text: str, path: Path) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise RecipeFault("A text holds half of a character (a lone surrogate): write the character itself.", field=path)
    return str(text)


def _check_names(columns: Mapping[str, object], path: tuple[str, ...]) -> None:
    if not columns:
        raise _fault(path, "There are no columns: name at least one.")
    if len(columns) > MAX_COLUMNS:
        raise _fault(path, f"There are {len(columns)} answer columns; {MAX_COLUMNS} are allowed.")
    seen: dict[str, str] = {}
    for name in columns:
        if not name.strip() or len(name) > _MAX_NAME_CHARS or _CONTROL.search(name):
            raise _fault((*path, name), f"A column's name is one line of 1 to {_MAX_NAME_CHARS} characters.")
        if _folded(name).startswith(_OWN):
            raise _fault((*path, name), f"Names that begin with `{_OWN}` are Batchdrop's own: call it `{shown(_rest(name))}`.")
        if other := seen.get(_folded(name)):
            raise _fault((*path, name), f"`{shown(other)}` and `{shown(name)}` are the same name but for case: rename one.")
        seen[_folded(name)] = name


def _rest(name: str) -> str:
    return name.strip()[len(_OWN) :] or "answer"


def _proposals(name: str) -> Iterable[str]:
    yield from (f"{name}_answer", f"answer_{name}") if name != "answer" else ("claude_answer",)
    yield from (f"{name}_{number}" for number in range(2, 1_000_000))


def _folded(text: str) -> str:
    return text.strip().casefold()


def _types(schema: Mapping[str, Any]) -> Collection[str]:
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else kind


def _with_type(schema: Schema) -> Schema:
    """The type that its other words imply, if it has none."""
    if "type" not in schema and "properties" in schema:
        return {"type": "object"} | schema
    if "type" not in schema and "items" in schema:
        return {"type": "array"} | schema
    return schema


def _parts(schema: Schema) -> Iterable[tuple[Path, object]]:
    """The schemas within a schema whose shape is not checked yet, each with its path."""
    for keyword in ("properties", *_DEFINITIONS):
        inner = schema.get(keyword)
        if isinstance(inner, dict):
            yield from (((keyword, name), part) for name, part in inner.items())
    for keyword in ("anyOf", "allOf"):
        inner = schema.get(keyword)
        if isinstance(inner, list):
            yield from (((keyword, index), part) for index, part in enumerate(inner))
    yield ("items",), schema.get("items")


def _words(node: Schema) -> tuple[str, ...]:
    """The choices of a column, or of the entries of its list."""
    choices = node.get("enum") or (node.get("items") or {}).get("enum") or ()
    return tuple(choice for choice in choices if isinstance(choice, str))
