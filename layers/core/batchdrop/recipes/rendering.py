"""From a row to the JSON of its request's `params`.

Everything that is the same for all rows is encoded once. What a template renders to is put between as one JSON string, so that no
text of a row can add a message, a role, a cache mark or a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import minijinja
import msgspec

from batchdrop.formats.file_source import places
from batchdrop.formats.input_line import REQUESTS
from batchdrop.formats.invalid_line import InvalidLine, shown
from batchdrop.formats.lines import Line
from batchdrop.recipes import templates
from batchdrop.recipes.caching import AUTO, head_of, mark_shared
from batchdrop.recipes.faults import RecipeFault, RowFault
from batchdrop.recipes.recipe import Recipe
from batchdrop.recipes.templates import Path, Template, Use

MAX_BYTES = 4_000_000
"""Of what the templates of a row render to, and of the fields they use: about what the largest context window (a million tokens)
holds."""

BY_MODEL = ("model", "max_tokens", "thinking", "output_config")
"""The params that hang together with the model: those that may be others when a row is asked again."""

# Minijinja takes one unit of fuel for a step and one for 64 bytes that it copies. A row may be copied eight times; a template of
# some thousand steps renders whatever the row.
_FUEL = 10_000
_BYTES_PER_FUEL = 8
_SHOWN_COLUMNS = 12
# A byte that is in no JSON stands for what a template renders to, until the constant parts are cut there.
_SLOT = msgspec.Raw(b"\xff")
_NAME = "template"
# Beyond this minijinja takes an integer as a float, and digits are lost.
_MAX_INTEGER = 1 << 63

_encode = msgspec.json.Encoder().encode

type Row = Mapping[str, Any]


class _Slot(NamedTuple):
    """A text."""

    render: Callable[[Row], str]
    template: Template
    may_be_blank: bool
    head: int = 0
    """Characters at the beginning of its text that stand before it as a block of their own."""

    @property
    def templates(self) -> tuple[Template, ...]:
        return (self.template,)

    def piece(self, row: Row) -> bytes:
        text = self.render(row)
        if self.head:
            text = text[self.head :]
        if not self.may_be_blank and (not text or text.isspace()):
            behind = " behind what all rows share" if self.head else ""
            raise RowFault("empty_prompt", f"{_where(self.template)} comes out empty for this row{behind}. Complete the row.")
        return _as_json(text)


class _Files(NamedTuple):
    """The blocks of all documents and images, with the names that their templates come to. Those without a name are left out."""

    named: tuple[tuple[str, Callable[[Row], str], Template], ...]

    @property
    def templates(self) -> tuple[Template, ...]:
        return tuple(template for _, _, template in self.named)

    def piece(self, row: Row) -> bytes:
        names = [(kind, render(row).strip()) for kind, render, _ in self.named]
        blocks = [b'{"type":"%b","source":%b}' % (kind.encode(), _as_json(name)) for kind, name in names if name]
        if not blocks:
            raise RowFault("no_file_named", "The row names no file, and the recipe asks about one. Complete the row.")
        return b",".join(blocks)


class _BadValue(Exception):
    """A template prints what is no value of a row."""


class Renderer:
    """Renders the rows of one file by one recipe.

    `columns`: those of the file, or the fields of its first row. `api_schema`: JSON of the schema that answers must have, or
    None. `extra`: the params that `thinking` comes to with this model. Raises RecipeFault for a template that cannot be used.
    """

    def __init__(
        self,
        recipe: Recipe,
        columns: Sequence[str],
        *,
        api_schema: bytes | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._recipe = recipe
        self.columns = columns
        self._slots: list[_Slot | _Files] = []
        params = self._params(api_schema, extra or {})
        self.by_model = {name: _encode(params[name]) for name in BY_MODEL if name in params}
        """The JSON of each of BY_MODEL that is sent."""
        self.shared = self._mark_shared(params)
        """With a cache: JSON of a request of no more than what all rows share."""
        encoded = _encode(params)
        self._constant = encoded.split(b"\xff")
        self.names_files = bool(recipe.documents or recipe.images or places(b'"x"'.join(self._constant)))
        """Requests name files that are looked at before they are sent."""
        self._free = {template: _free(template) for slot in self._slots for template in slot.templates}
        self._used = tuple(dict.fromkeys(use.column for free in self._free.values() for use in free))
        self._whole = any(map(templates.uses_whole_row, self._free))

    def render(self, row: Row) -> bytes:
        """The JSON of `params`. Raises RowFault."""
        self._check_not_empty(row)
        pieces = [self._constant[0]]
        size = 0
        for slot, after in zip(self._slots, self._constant[1:], strict=True):
            piece = slot.piece(row)
            size += len(piece)
            if size > MAX_BYTES:
                raise _too_long()
            pieces += (piece, after)
        return b"".join(pieces)

    def check(self, first_row: Row | None) -> None:
        """Whether the recipe fits the file: its columns, and its first row rendered. Raises RecipeFault."""
        self._check_columns(first_row or {})
        self._check_request(b'"x"'.join(self._constant))
        if first_row is None:
            return
        try:
            self.render(first_row)
        except RowFault as fault:
            if fault.type in ("template_error", "missing_field"):
                raise RecipeFault(f"The first row cannot be rendered. {fault.message}", field=self._field()) from None

    # ------------------------------------------------------------ what is checked

    def _check_columns(self, first_row: Row) -> None:
        for name in ("id", "expected"):
            column = getattr(self._recipe, name)
            if column is not None and column not in self.columns:
                raise self._no_column(column, (name,), first_row)
        for template, uses in self._free.items():
            for use in uses:
                if not use.optional and use.column not in self.columns:
                    raise self._no_column(use.column, template.place(use.line), first_row)
        if not self._used and not self._whole:
            raise RecipeFault(
                f"No column is used, so every row would ask the same{self._remedy(first_row)}.", field=self._field()
            )

    def _remedy(self, first_row: Row) -> str:
        text = b"".join(self._constant).decode()
        for column in self.columns:
            if single := next((name for name in (f"{{{column}}}", f"{{ {column} }}") if name in text), None):
                return f". `{shown(single)}` needs two braces: `{shown(templates.expression(column))}`"
        column = _longest(self.columns, first_row) or next(iter(self.columns), "text")
        return f": write {shown(templates.expression(column))} where the row's text belongs"

    def _no_column(self, column: str, field: Path, first_row: Row) -> RecipeFault:
        listed = ", ".join(map(shown, self.columns[:_SHOWN_COLUMNS]))
        more = f" and {len(self.columns) - _SHOWN_COLUMNS} more" if len(self.columns) > _SHOWN_COLUMNS else ""
        near = _nearest(column, self.columns, first_row)
        hint = f" Did you mean {shown(near)}?" if near else ""
        if len(self.columns) == 1 and (between := next((char for char in ",;|\t" if char in self.columns[0]), None)):
            word = "tab" if between == "\t" else f'"{between}"'
            hint = f" If these are several columns, write `separator: {word}`."
        return RecipeFault(f'asks for the column "{shown(column)}"; the file has {listed}{more}.{hint}', field=field)

    def _check_request(self, params: bytes) -> None:
        """What is known of any request that the API would refuse: the rule for lines that are requests."""
        data = b'{"params":%b}' % params
        found = REQUESTS.check(Line(number=1, start=0, end=len(data), data=data, cut=False))
        if isinstance(found, InvalidLine):
            raise RecipeFault(found.message, field=("params",))

    def _check_not_empty(self, row: Row) -> None:
        used = row if self._whole else self._used
        for column in used:
            value = row.get(column)
            if value.strip() if isinstance(value, str) else value not in (None, [], {}):
                return
        if used:
            raise _empty(list(used), row)

    def _field(self) -> Path:
        return ("prompt",) if self._recipe.prompt is not None else ("messages",)

    # ------------------------------------------------------------ the constant part

    def _params(self, api_schema: bytes | None, extra: Mapping[str, object]) -> dict[str, object]:
        recipe = self._recipe
        params: dict[str, object] = {"model": recipe.model, "max_tokens": recipe.max_tokens}
        if recipe.system is not None:
            params["system"] = self._content(recipe.system, ("system",), may_be_blank=True)
        params["messages"] = self._messages()
        for name in ("stop_sequences", "metadata", "inference_geo", "tools", "tool_choice"):
            value = getattr(recipe, name)
            if value is not None:
                if name == "metadata":
                    _refuse_templates(value, (name,))
                params[name] = value
        for part in (recipe.params, extra):
            params.update({name: _merged(params.get(name), value) for name, value in part.items()})
        if api_schema is not None:
            output_format = {"type": "json_schema", "schema": msgspec.Raw(api_schema)}
            params["output_config"] = _merged(params.get("output_config"), {"format": output_format})
        return params

    def _mark_shared(self, params: dict[str, object]) -> bytes:
        """Raises RecipeFault."""
        ttl = self._recipe.cache
        if ttl in (None, "off") or not self._slots:
            return b""
        first = self._slots[0]
        head = head_of(first.template) if isinstance(first, _Slot) else ""
        shared = mark_shared(params, ttl, _SLOT, head)
        if shared is None and ttl == AUTO:
            return b""
        if shared is None:
            raise RecipeFault(
                f"`cache: {ttl}` has nothing to keep: every prompt begins with the row's own text. Put what is the same for all "
                "rows first, such as in `system`.",
                field=("cache",),
            )
        if isinstance(first, _Slot) and head.strip():
            self._slots[0] = first._replace(head=len(head), may_be_blank=False)
        return _encode(shared)

    def _messages(self) -> list[dict[str, object]]:
        files = self._file_blocks()
        if self._recipe.prompt is not None:
            return [{"role": "user", "content": _behind(files, self._slot(self._recipe.prompt, ("prompt",)))}]
        made: list[dict[str, object]] = []
        for index, message in enumerate(self._recipe.messages or ()):
            content = self._content(message.content, ("messages", index, "content"))
            if message.role == "user":
                content, files = _behind(files, content), []
            made.append({"role": message.role, "content": content})
        return made

    def _file_blocks(self) -> list[object]:
        """A place for all of them, before the text about them (Anthropic, "PDF support" and "Vision", best practices)."""
        named: list[tuple[str, Callable[[Row], str], Template]] = []
        for field, kind in (("documents", "document"), ("images", "image")):
            for index, name in enumerate(getattr(self._recipe, field)):
                template = templates.parse(name, (field, index))
                named.append((kind, _quick(template, self.columns) or _Engine(template, self.columns).render, template))
        if not named:
            return []
        self._slots.append(_Files(tuple(named)))
        return [_SLOT]

    def _content(self, content: str | list[dict[str, Any]], field: Path, *, may_be_blank: bool = False) -> object:
        if isinstance(content, str):
            return self._slot(content, field, may_be_blank=may_be_blank)
        return [self._block(block, (*field, index)) for index, block in enumerate(content)]

    def _block(self, block: dict[str, Any], field: Path) -> dict[str, object]:
        rest = {name: value for name, value in block.items() if name != "text"}
        _refuse_templates(rest, field)
        if not isinstance(block.get("text"), str):
            return block
        return {name: self._slot(value, (*field, name)) if name == "text" else value for name, value in block.items()}

    def _slot(self, text: str, field: Path, *, may_be_blank: bool = False) -> object:
        template = templates.parse(text, field)
        if not template.tags and not template.comments:
            return template.source
        render = _quick(template, self.columns) or _Engine(template, self.columns).render
        self._slots.append(_Slot(render, template, may_be_blank))
        return _SLOT


def _behind(files: list[object], content: object) -> object:
    if not files:
        return content
    return [*files, *(content if isinstance(content, list) else [{"type": "text", "text": content}])]


def columns_used(recipe: Recipe) -> tuple[str, ...]:
    """The columns that the recipe's templates name, in the order in which they stand there. Raises RecipeFault."""
    found = [use.column for template in _all_templates(recipe) for use in _free(template)]
    return tuple(dict.fromkeys(found))


def _all_templates(recipe: Recipe) -> Iterable[Template]:
    for content, field in _contents(recipe):
        if isinstance(content, str):
            yield templates.parse(content, field)
        else:
            for index, block in enumerate(content):
                if isinstance(block.get("text"), str):
                    yield templates.parse(block["text"], (*field, index, "text"))
    for files in ("documents", "images"):
        for index, name in enumerate(getattr(recipe, files)):
            yield templates.parse(name, (files, index))


def _contents(recipe: Recipe) -> Iterable[tuple[str | list[dict[str, Any]], Path]]:
    if recipe.system is not None:
        yield recipe.system, ("system",)
    if recipe.prompt is not None:
        yield recipe.prompt, ("prompt",)
    for index, message in enumerate(recipe.messages or ()):
        yield message.content, ("messages", index, "content")


def _free(template: Template) -> tuple[Use, ...]:
    """The columns that it names, without the variables of its loops."""
    found = tuple(templates.uses(template))
    if not any(tag.words[0].text == "for" for tag in template.tags if tag.opening == "{%"):
        return found
    environment = _environment()
    try:
        free = environment.undeclared_variables_in_str(template.source)
    except minijinja.TemplateError:  # `_Engine` finds the words for it
        return ()
    members = set(templates.members(template))
    return tuple(use for use in found if use.column in free or use.column in members)


# ---------------------------------------------------------------- one template


def _quick(template: Template, columns: Sequence[str]) -> Callable[[Row], str] | None:
    """The same as the engine's for rows whose fields are text, if the template is nothing but text and columns."""
    pieces = templates.plain(template)
    if pieces is None:
        return None
    *named, (tail, _) = pieces
    engine = _Engine(template, columns)

    def render(row: Row) -> str:
        texts: list[str] = []
        for before, column in named:
            value = row.get(column)
            if type(value) is not str:
                return engine.render(row)
            texts += (before, value)
        texts.append(tail)
        return "".join(texts)

    return render


class _Engine:
    """Minijinja with nothing but one template in it."""

    def __init__(self, template: Template, columns: Sequence[str]) -> None:
        self._template = template
        self._environment = _environment()
        try:
            self._environment.add_template(_NAME, template.source)
        except minijinja.TemplateError as error:
            raise _syntax(template, error, columns) from None
        # What the template does not name it does not get.
        self._needed = None if templates.uses_whole_row(template) else {use.column for use in templates.uses(template)}

    def render(self, row: Row) -> str:
        needed = row if self._needed is None else {name: row[name] for name in self._needed if name in row}
        size = sum(_size(name) + _size(value) for name, value in needed.items())
        if size > MAX_BYTES:
            raise _too_long()
        plain = {name: _plain(value) for name, value in needed.items()}
        variables = {name: value for name, value in plain.items() if templates.is_variable(name)}
        self._environment.fuel = _FUEL + size // _BYTES_PER_FUEL
        try:
            return self._environment.render_template(_NAME, **variables, row=plain)
        except minijinja.TemplateError as error:
            raise self._fault(error, row) from None
        except _BadValue:
            raise self._missing(row) from None
        except BaseException as error:
            # What Rust panics with; it has no name that could be imported.
            if type(error).__name__ != "PanicException":
                raise
            raise self._cannot(1) from None

    def _fault(self, error: minijinja.TemplateError, row: Row) -> RowFault:
        if error.kind == "OutOfFuel":
            return RowFault(
                "template_too_long",
                f"{_where(self._template)} takes too many steps for this row, or grows too much. Shorten its loops.",
            )
        if error.kind == "UndefinedError":
            return self._missing(row)
        return self._cannot(error.line or 1)

    def _cannot(self, line: int) -> RowFault:
        text = self._template.source.split("\n")[line - 1].strip()
        return RowFault(
            "template_error",
            f"`{shown(text)}` in {_where(self._template, lower=True)} cannot be computed for this row. "
            "Numbers of a table are text: write `{{ price|float }}` to compute with them.",
        )

    def _missing(self, row: Row) -> RowFault:
        gone = [use.column for use in _free(self._template) if not use.optional and use.column not in row]
        what = f'the field "{shown(gone[0])}"' if gone else "a field that the template asks for"
        return RowFault("missing_field", f"The row does not have {what}. Add it, or give it a default in the recipe.")


def _environment() -> minijinja.Environment:
    environment = minijinja.Environment(
        undefined_behavior="strict", pycompat=False, keep_trailing_newline=True, finalizer=_printed, debug=False
    )
    for name in environment.globals:
        environment.remove_global(name)
    return environment


def _printed(value: object) -> str:
    """What a template prints: texts as they are, nothing for null, everything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return _encode(value).decode()
    except TypeError:
        raise _BadValue from None


def _plain(value: object) -> object:
    """A value as minijinja takes it without a loss."""
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _half_a_character() from None
        return value
    if isinstance(value, int) and abs(value) >= _MAX_INTEGER:
        return str(value)
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {_plain(name): _plain(part) for name, part in value.items()}
    return value


def _size(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(_size, value)) + len(value)
    if isinstance(value, dict):
        return sum(len(name) + _size(part) for name, part in value.items())
    return 8


# ---------------------------------------------------------------- small things


def _nearest(column: str, columns: Sequence[str], first_row: Row) -> str | None:
    """The column that is probably meant: by its name, else the one with the longest text."""
    folded = {name.strip().casefold()[:100]: name for name in reversed(columns)}
    if near := get_close_matches(column.strip().casefold()[:100], folded, 1):
        return folded[near[0]]
    return _longest(columns, first_row)


def _longest(columns: Sequence[str], first_row: Row) -> str | None:
    texts = {name: len(value) for name, value in first_row.items() if isinstance(value, str) and name in columns}
    return max(texts, key=lambda name: texts[name]) if texts else None


def _merged(first: object, second: object) -> object:
    return {**first, **second} if isinstance(first, dict) and isinstance(second, Mapping) else second


def _refuse_templates(value: object, field: Path) -> None:
    if isinstance(value, dict):
        for name, part in value.items():
            _refuse_templates(part, (*field, name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _refuse_templates(part, (*field, index))
    elif isinstance(value, str) and "{{" in value:
        raise RecipeFault("Columns can be used in the texts of `prompt`, `system` and `messages` only, not here.", field=field)


def _syntax(template: Template, error: minijinja.TemplateError, columns: Sequence[str]) -> RecipeFault:
    line = error.line or 1
    tag = next((tag for tag in template.tags if tag.line >= line), template.tags[-1] if template.tags else None)
    if tag is None:
        return RecipeFault("The template cannot be read.", field=template.field)
    text = template.source[tag.start : tag.end]
    column = text.strip("{}-+ \n")
    if tag.opening == "{{" and (column in columns or all(word.kind == "name" for word in tag.words)):
        return RecipeFault(
            f"`{shown(text)}`: a column whose name is not one word is written {shown(templates.expression(column))}.",
            field=template.place(tag.line),
        )
    reason = (error.detail or "").partition(" (")[0]
    return RecipeFault(f"`{shown(text)}` cannot be read{f': {shown(reason)}' if reason else ''}.", field=template.place(tag.line))


def _where(template: Template, *, lower: bool = False) -> str:
    name = template.field[0] if template.field[0] in ("system", "prompt", "documents", "images") else "messages"
    return f"`{name}` of the recipe" if lower else f"`{name}`"


def _empty(columns: Collection[str], row: Row) -> RowFault:
    *others, last = map(shown, columns)
    if not any(column in row for column in columns):
        return RowFault("empty_row", f"the row has no {f'{", ".join(others)} or {last}' if others else last}: add it")
    if not others:
        return RowFault("empty_row", f"column {last} is empty: fill it in")
    return RowFault("empty_row", f"columns {', '.join(others)} and {last} are empty: fill one in")


def _as_json(text: str) -> bytes:
    """Raises RowFault."""
    try:
        return _encode(text)
    except UnicodeEncodeError:
        raise _half_a_character() from None


def _too_long() -> RowFault:
    return RowFault("too_long", f"The row makes a request of more than {MAX_BYTES:,} bytes. Shorten it, or split it.")


def _half_a_character() -> RowFault:
    return RowFault(
        "lone_surrogate", "A text of the row holds half of a character (a lone surrogate). Write the character itself."
    )
