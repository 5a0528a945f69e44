"""From the bytes of a recipe to what it says, and from a fault in it to a sentence with a place.

YAML 1.2, core schema: `yes`, `off`, `12:30` and `2026-01-01` are text. A recipe is read from the parser's events and built as
they come: tags, anchors, aliases and merge keys end it before anything is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from batchdrop.domain.deadlines import BadDeadline, due_at
from batchdrop.formats.csv_table import separator_of
from batchdrop.formats.invalid_line import shown
from batchdrop.formats.table_fault import TableFault
from batchdrop.formats.text_encoding import codec_of
from batchdrop.recipes.caching import check_marks
from batchdrop.recipes.faults import RecipeFault
from batchdrop.recipes.recipe import (
    FIELDS,
    HEADERS,
    SENT,
    Cache,
    Changes,
    Limits,
    Message,
    Priority,
    Recipe,
    Retry,
    Retryable,
    Thinking,
    changes_of,
)

MAX_BYTES = 65_536
"""Of a recipe. The longest schemas and prompts that people write are a tenth of it."""
MAX_LEVELS = 20

type Path = tuple[str | int, ...]
type Place = Callable[[Path], int | None]

_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
_BASED = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "thinking": get_args(Thinking.__value__),
    "priority": get_args(Priority.__value__),
    "retry": get_args(Retryable.__value__),
    "role": ("user", "assistant", "system"),
    "csv": ("raw",),
    "cache": get_args(Cache.__value__),
}
_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "a mapping (lines of `name: value`)",
}
_EXPECTED = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+?)`(?: - at |$)", re.DOTALL)
_AT = re.compile(r" - at `\$([^`]*)`$")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_TEMPLATE = re.compile(r"(?:^|[:-]\s+)\{[{%]|\{\{")
_IN_BRACES = re.compile(r"\{\{[^{}\"]+\}\}")
_FILES = ("documents", "images")
_SEPARATOR = re.compile("[\x85\u2028\u2029]")
_COLON = re.compile(r":(?:\s|$)")
_KEY = re.compile(r"^\s*([\w-]+)\s*:")
# Around a word that stands without straight ones. An apostrophe may end a word.
_CURLED = re.compile("^[\u201c\u201d\u201e\u2018\u201a\u00ab]|[\u201c\u201d\u00bb]$")
_WITH_QUOTES = ("prompt", "system", "messages", "params")
_GLUED = re.compile(r"^\s*([A-Za-z_]\w*):([^\s:/][^:]*)$")


class _Entry(NamedTuple):
    """Where a value stands; lines count from 0. `text`: the first line of a scalar's text, if its lines are lines of the file."""

    line: int
    text: int | None


class ReadRecipe(NamedTuple):
    recipe: Recipe
    place: Place
    """The line, from 1, of what a path leads to, or of the nearest thing above it. A number below a text is one of its lines."""
    name: str

    def worded(self, fault: RecipeFault) -> str:
        return worded(fault, self.name, self.place)


def worded(fault: RecipeFault, name: str, place: Place) -> str:
    """The fault as a sentence of its own, such as `recipe.yaml, line 4: ...`. Faults of `read_recipe` are that already."""
    if fault.message.startswith((f"{name}:", f"{name},")):
        return fault.message
    line = fault.line or place(fault.field)
    where = f"{name}, line {line}" if line else name
    return f"{where}, {fault.message}" if fault.message.startswith("asks for ") else f"{where}: {fault.message}"


def read_recipe(data: bytes, name: str) -> ReadRecipe:
    """Raises RecipeFault, whose message is a whole sentence that begins with the name and the line."""
    document = _Document()
    try:
        return ReadRecipe(_typed(document.read(_text(data))), document.place, name)
    except RecipeFault as fault:
        line = fault.line or document.place(fault.field)
        raise RecipeFault(worded(fault, name, document.place), field=fault.field, line=line) from None


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise RecipeFault(f"The recipe is {len(data):,} bytes long; {MAX_BYTES:,} are allowed. Shorten it.")
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecipeFault("The recipe is not UTF-8. Save it as UTF-8 and put it in again.", line=line) from None
    if not text.strip():
        raise _empty()
    # In YAML 1.1, and so to this parser, they end a line; in 1.2 they do not.
    if found := _SEPARATOR.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise RecipeFault(
            f"An invisible line separator (U+{ord(found[0]):04X}) stands here: put a new line in its place.", line=line
        )
    return text


# ---------------------------------------------------------------- from YAML to plain values


class _Document:
    """One recipe while it is read: plain values on one side, the lines where they stand on the other."""

    def __init__(self) -> None:
        self._entries: dict[Path, _Entry] = {}
        self._lines: list[str] = []
        self._events: Iterator[Any] = iter(())

    def place(self, field: Path) -> int | None:
        for end in range(len(field), 0, -1):
            entry = self._entries.get(field[:end])
            if entry is None:
                continue
            rest = field[end:]
            if rest and isinstance(rest[0], int) and entry.text is not None:
                return entry.text + rest[0]
            return entry.line + 1
        return None

    def read(self, text: str) -> dict[str, Any]:
        self._lines = text.splitlines()
        try:
            self._events = YAML(pure=True).parse(text)
            value = self._document()
        except MarkedYAMLError as error:
            raise self._bad_yaml(error) from None
        except (YAMLError, ValueError, IndexError, AssertionError):  # the last three: what ruamel's scanner trips over
            raise self._unreadable() from None
        if not isinstance(value, dict):
            what = "a list" if isinstance(value, list) else "a text"
            raise RecipeFault(
                f"A recipe has lines of `name: value`, such as `model: claude-haiku-5-5`, and this is {what}.", line=1
            )
        return value

    def _document(self) -> object:
        value: object = None
        documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise RecipeFault("A line with `---` begins a second recipe: leave it out.", line=event.start_mark.line + 1)
                first = next(self._events)
                value = self._value(first, ())
                if value is None:
                    raise _empty()
        if not documents:
            raise _empty()
        return value

    def _value(self, event: Any, path: Path) -> object:  # noqa: ANN401 - ruamel has no types
        self._check(event, path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return _scalar(event, path)

    def _mapping(self, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(key := next(self._events), MappingEndEvent):
            line = key.start_mark.line
            if isinstance(key, CollectionStartEvent):
                raise self._key_is_no_text(line)
            self._check(key, path)
            name = _characters(str(key.value), line)
            if name in found:
                first = self._entries[(*path, name)].line + 1
                raise RecipeFault(f"`{shown(name)}` is there twice, first in line {first}: leave one out.", line=line + 1)
            if name == "<<":
                raise RecipeFault("`<<` (a merge key) is not allowed in a recipe: write the lines out.", line=line + 1)
            event = next(self._events)
            self._entries[(*path, name)] = _Entry(line, _first_line(event))
            found[name] = self._value(event, (*path, name))
        return found

    def _sequence(self, path: Path) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            here = (*path, len(found))
            self._entries[here] = _Entry(event.start_mark.line, _first_line(event))
            found.append(self._value(event, here))
        return found

    def _check(self, event: Any, path: Path) -> None:  # noqa: ANN401
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
            raise RecipeFault(
                "Anchors and aliases (& and *) are not allowed in a recipe: write it out, or put it in quotes.", line=line
            )
        if getattr(event, "tag", None) is not None:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            raise RecipeFault(f"The tag {shown(tag)} is not allowed in a recipe: leave it out, or use quotes.", line=line)
        if len(path) >= MAX_LEVELS and isinstance(event, CollectionStartEvent):
            raise RecipeFault(f"There are more than {MAX_LEVELS} levels: make it flatter.", line=line)

    # ------------------------------------------------------------ what goes wrong

    def _line(self, number: int) -> str:
        return self._lines[number] if 0 <= number < len(self._lines) else ""

    def _key_is_no_text(self, line: int) -> RecipeFault:
        if "{{" in self._line(line):
            return self._template_in_the_open(line)
        return RecipeFault("The name of a field is a text, and here it is a list or a mapping.", line=line + 1)

    def _template_in_the_open(self, line: int) -> RecipeFault:
        key = _KEY.match(self._line(line))
        name = key[1] if key else "prompt"
        if name in _FILES:
            said = _IN_BRACES.search(self._line(line))
            template = shown(said[0]) if said else "{{ path }}"
            return RecipeFault(
                f"`{name}` needs quotes around a text with {{{{ }}}}, since to YAML a brace begins a mapping. "
                f'Write `{name}: ["{template}"]`.',
                line=line + 1,
            )
        return RecipeFault(
            f"`{name}` needs quotes around a text with {{{{ }}}}, since to YAML a brace begins a mapping. "
            f"Write `{name}: |` and the text indented below it.",
            line=line + 1,
        )

    def _bad_yaml(self, error: MarkedYAMLError) -> RecipeFault:
        problem = str(error.problem or error.context or "it cannot be read")
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark is not None else 0
        if "\\t" in problem or self._line(line).startswith("\t"):
            return RecipeFault("A tab stands where YAML takes spaces only: indent with spaces.", line=line + 1)
        if "unexpected end of stream" in problem and error.context_mark is not None:
            return RecipeFault("A quote that opens here is never closed.", line=error.context_mark.line + 1)
        if glued := self._glued(line, error.context_mark.line if error.context_mark is not None else line):
            return glued
        if "mapping values are not allowed" in problem:
            if len(_COLON.findall(self._line(line))) < 2:
                return RecipeFault("This line is indented further than the field above it: align them.", line=line + 1)
            key = _KEY.match(self._line(line))
            name = key[1] if key else "prompt"
            return RecipeFault(
                f"A second colon stands in the text of `{name}` (mapping values are not allowed here). "
                f"Write `{name}: |` and the text indented below it, or put it in quotes.",
                line=line + 1,
            )
        return self._no_yaml(line, problem)

    def _no_yaml(self, line: int, problem: str) -> RecipeFault:
        if _TEMPLATE.search(self._line(line)):
            return self._template_in_the_open(line)
        if (key := _KEY.match(self._line(line))) and key[1] == "separator":
            return RecipeFault(
                "`separator` takes a word here: write `separator: comma` (or semicolon, tab, pipe).", line=line + 1
            )
        return RecipeFault(f"This is no YAML: {shown(problem)}. Look at the line and the one above it.", line=line + 1)

    def _glued(self, line: int, other: int) -> RecipeFault | None:
        """A field without a space after its colon, at the line that YAML stumbles over or just before it."""
        for at in (line, line - 1, other):
            glued = _GLUED.match(self._line(at))
            if glued and glued.start(1) == len(self._line(line)) - len(self._line(line).lstrip()):
                said = shown(f"{glued[1]}: {glued[2].strip()}")
                return RecipeFault(f"A space is missing after the colon: write `{said}`.", line=at + 1)
        return None

    def _unreadable(self) -> RecipeFault:
        for number, line in enumerate(self._lines):
            if any(char < " " and char != "\t" for char in line) or re.search("[\x7f-\x84\x86-\x9f\ufffe\uffff]", line):
                return RecipeFault("A character stands here that no text has (a control character): remove it.", line=number + 1)
        return RecipeFault("This is no YAML. Compare it with the recipes in the examples.")


def _empty() -> RecipeFault:
    return RecipeFault("The recipe is empty: write at least `model:` and `prompt:`.")


def _first_line(event: Any) -> int | None:  # noqa: ANN401
    if not isinstance(event, ScalarEvent):
        return None
    line: int = event.start_mark.line
    return line + 1 if event.style == "|" else None


def _scalar(event: Any, path: Path) -> object:  # noqa: ANN401
    line = event.start_mark.line
    text = _characters(str(event.value), line)
    if event.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _CURLED.search(text) and path and path[0] not in _WITH_QUOTES:
        raise RecipeFault(f'Typographic quotes stand at `{shown(text)}`: use straight ones (") or none.', line=line + 1)
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return _finite(float(text), path, line)
    return text


def _finite(number: float, path: Path, line: int) -> float:
    if number in (float("inf"), float("-inf")):
        raise RecipeFault(f"`{shown(str(path[-1]))}` is a number that is too large." if path else "Too large.", line=line + 1)
    return number


def _characters(text: str, line: int) -> str:
    """The text, with a character that JSON spells as two escapes (a surrogate pair) put together."""
    if not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        message = "An escape is half of a character (a surrogate): write the character itself."
        raise RecipeFault(message, line=line + 1) from None


# ---------------------------------------------------------------- from plain values to a recipe


def _typed(found: dict[str, Any]) -> Recipe:
    for name in found:
        if name not in FIELDS:
            raise _unknown(name, FIELDS, ())
    try:
        recipe = msgspec.convert(found, Recipe)
    except msgspec.ValidationError as error:
        raise _bad_value(str(error), found) from None
    for name in _FILES:
        if found.get(name) == []:
            raise RecipeFault(f'`{name}` names no file: leave it out, or write `{name}: ["{{{{ path }}}}"]`.', field=(name,))
    _check_table(recipe)
    _check_prompt(recipe)
    _check_params(recipe)
    check_marks(recipe)
    _check_retry(recipe)
    _check_deadline(recipe)
    return recipe


def _check_table(recipe: Recipe) -> None:
    for name, read in (("encoding", codec_of), ("separator", separator_of)):
        try:
            if (value := getattr(recipe, name)) is not None:
                read(value)
        except TableFault as fault:
            raise RecipeFault(fault.message, field=(name,)) from None


def _check_prompt(recipe: Recipe) -> None:
    if recipe.prompt is not None and recipe.messages is not None:
        raise RecipeFault("`prompt` and `messages` are both there: a recipe has one of them.", field=("messages",))
    if recipe.prompt is None and not recipe.messages:
        raise RecipeFault("`prompt` is missing: it says what is asked about each row.", field=("messages",))
    named = "documents" if recipe.documents else "images"
    if (recipe.documents or recipe.images) and not (
        recipe.prompt or any(message.role == "user" for message in recipe.messages or ())
    ):
        raise RecipeFault(f"`{named}` go with a message of the user, and there is none.", field=(named,))
    if recipe.prompt is not None and not recipe.prompt.strip():
        raise RecipeFault("`prompt` is empty: write what is asked about each row.", field=("prompt",))


def _check_params(recipe: Recipe) -> None:
    for name, value in recipe.params.items():
        if name in SENT:
            raise RecipeFault(
                f"`{name}` has a place of its own: write it beside `model`, not below `params`.", field=("params", name)
            )
        if name in HEADERS:
            raise RecipeFault(f"`{name}` is no parameter: write `{HEADERS[name]}` beside `model`.", field=("params", name))
        if name == "thinking" and recipe.thinking is not None:
            raise RecipeFault(
                "`thinking` is there twice, beside `model` and below `params`: leave one out.", field=("params", name)
            )
        if name == "output_config" and isinstance(value, dict) and "format" in value and recipe.output is not None:
            raise RecipeFault(
                "`output` and `output_config.format` both say what the answer looks like: leave one out.", field=("params", name)
            )


def _check_retry(recipe: Recipe) -> None:
    if recipe.attempts == 1 and changes_of(recipe):
        raise RecipeFault(
            "`retry` asks rows again, and `attempts: 1` sends each row once: write `attempts: 2`, or leave `retry` out.",
            field=("attempts",),
        )
    for reason, changes in changes_of(recipe).items():
        if changes.thinking is not None and "thinking" in recipe.params:
            raise RecipeFault(
                "`thinking` is there twice, here and below `params`: leave one out.", field=("retry", reason, "thinking")
            )


def _check_deadline(recipe: Recipe) -> None:
    if recipe.deadline is None:
        return
    try:
        due_at(recipe.deadline, datetime(2026, 1, 1, tzinfo=UTC))  # whichever day
    except BadDeadline as fault:
        raise RecipeFault(f"`deadline: {shown(recipe.deadline)}`: {fault}", field=("deadline",)) from None


def _unknown(name: str, known: frozenset[str] | tuple[str, ...], path: Path) -> RecipeFault:
    near = get_close_matches(name[:100], known, 1)
    field = (*path, name)
    if near:
        return RecipeFault(f"`{shown(name)}`: did you mean `{near[0]}`?", field=field)
    if path:
        return RecipeFault(f"`{shown(name)}` is not known here; there are {', '.join(sorted(known))}.", field=field)
    return RecipeFault(
        f"A recipe has no field `{shown(name)}`. A parameter of the Messages API that is not listed goes below `params`.",
        field=field,
    )


def _bad_value(message: str, found: dict[str, Any]) -> RecipeFault:
    field = _path(message)
    name = next((part for part in reversed(field) if isinstance(part, str)), "")
    if unknown := _UNKNOWN.match(message):
        known = Retry if field == ("retry",) else {"limits": Limits, "retry": Changes}.get(str(field[0]), Message)
        return _unknown(unknown[1], known.__struct_fields__, field)
    if missing := _MISSING.match(message):
        return RecipeFault(f"`{missing[1]}` is missing{_missing_hint(missing[1])}.", field=field)
    if name in _CHOICES and (not (expected := _EXPECTED.match(message)) or expected[1].startswith("str")):
        return _no_choice(name, field, _at(found, field))
    if expected := _EXPECTED.match(message):
        return RecipeFault(_wrong_type(name, expected[1], expected[2], _at(found, field)), field=field)
    return RecipeFault(f"`{name}`: {_range(message, name)}", field=field)


def _path(message: str) -> Path:
    at = _AT.search(message)
    steps = _STEP.findall(at[1]) if at else []
    return tuple(name or int(index) for name, index in steps)


def _at(found: object, path: Path) -> object:
    for step in path:
        found = found[step]  # type: ignore[index] # the path is msgspec's, through these very values
    return found


def _missing_hint(name: str) -> str:
    return ": write the model that answers, such as `model: claude-haiku-5-5`" if name == "model" else ""


def _no_choice(name: str, field: Path, value: object) -> RecipeFault:
    words = _CHOICES[name]
    can = f"`{words[0]}`" if len(words) == 1 else f"{', '.join(f'`{word}`' for word in words[:-1])} or `{words[-1]}`"
    if value is True or (isinstance(value, str) and value.lower() in ("yes", "y")):
        hint = "Write `on`, or an effort: `low`, `medium`, `high`, `xhigh` or `max`." if name == "thinking" else f"Write {can}."
    elif value is False or (isinstance(value, str) and value.lower() in ("no", "n", "none")):
        hint = f"Write {'`off`' if name == 'thinking' else can}."
    else:
        near = get_close_matches(value.lower()[:100], words, 1) if isinstance(value, str) else []
        hint = f"Did you mean `{near[0]}`?" if near else f"Write {can}."
    said = str(value).lower() if isinstance(value, bool) else str(value)
    what = f"`{shown(said)}` is not allowed here" if isinstance(value, str | int | float) else "it is one word"
    return RecipeFault(f"`{name}`: {what}. {hint}", field=field)


def _wrong_type(name: str, expected: str, got: str, value: object) -> str:
    kinds = [_KINDS.get(kind.strip(), kind.strip()) for kind in expected.split("|") if kind.strip() != "null"]
    wanted = " or ".join(dict.fromkeys(kinds))
    if got == "null":
        return f"`{name}` is empty: it takes {wanted}."
    hint = ""
    if name == "deadline" and got == "int":
        hint = f" Write `{name}: {value}h` for hours from the release."
    elif got in ("int", "float", "bool") and "text" in kinds:
        hint = " Put it in quotes."
    elif got == "str" and not {"a list", "a mapping (lines of `name: value`)"} & set(kinds):
        hint = (
            " Write `true` or `false`."
            if "true or false" in kinds
            else " Write it in digits alone, without quotes or separators."
        )
    elif got == "str" and "a list" in kinds:
        hint = f" Write `{name}: [{_as_item(name, value)}]`."
    return f"`{name}` is {wanted}, and this is {_KINDS.get(got, got)}.{hint}"


def _as_item(name: str, value: object) -> str:
    near = get_close_matches(str(value).lower()[:100], _CHOICES.get(name, ()), 1)
    if near or name in _CHOICES:
        return near[0] if near else "first, second"
    text = shown(str(value))
    return "first, second" if '"' in text or "\\" in text else f'"{text}"'


def _range(message: str, name: str) -> str:
    if name == "attempts":
        return "a whole number from 1 to 99."
    if name.endswith("_usd"):
        return "an amount in dollars, such as 2.50."
    if ">= 1" in message and "length" not in message:
        return "a whole number, 1 or more."
    return "it is empty." if "length" in message else "this value cannot be used."
