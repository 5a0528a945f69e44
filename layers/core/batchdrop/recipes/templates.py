"""Which templates a recipe may have: a small part of Jinja's language, checked tag by tag before the engine sees any of it.

A template is written by whoever may write a recipe, and rendered for every row. What is not on the lists below cannot be written:
no function, no macro, no variable of its own, nothing that reads a file, nothing by which a text grows with the square of a row.
Minijinja counts steps and copied text as fuel, but not everything (comparing, printing a list), and an expression of some 10,000
operators ends the process by its recursion: the lists, and the number of words in a tag, keep both out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from batchdrop.formats.invalid_line import shown
from batchdrop.recipes.faults import RecipeFault

FILTERS = ("upper", "lower", "capitalize", "title", "trim", "replace", "length", "count", "default", "d", "first", "last", "join")
"""Of text and lists."""
NUMBER_FILTERS = ("int", "float", "round", "abs", "string")
TESTS = ("defined", "undefined", "none", "string", "number", "mapping", "sequence")
STATEMENTS = ("if", "elif", "else", "endif", "for", "endfor")
MAX_WORDS = 200
"""Of one tag."""

_ALL_FILTERS = FILTERS + NUMBER_FILTERS
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", *STATEMENTS})
_CONSTANTS = frozenset({"true", "false", "none", "True", "False", "None"})
_COMPARISONS = frozenset({"==", "!=", "<", ">", "<=", ">="})
_OPERATORS = frozenset({*_COMPARISONS, ".", ",", "|", "(", ")", "[", "]", "~", "+", "-", "/", "//", "%", ":", "="})
# In the order in which they are tried. A string may hold what would end a tag.
_WORD = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')"""
    r"|(?P<number>\d[\d_]*(?:\.\d+)?)|(?P<name>[^\W\d]\w*)|(?P<operator>//|\*\*|[=!<>]=|[^\s\w])",
    re.DOTALL,
)
_SPACE = re.compile(r"\s*")
_OPENING = re.compile(r"\{\{|\{%|\{#")
_CLOSING = {"{{": re.compile(r"[-+]?\}\}"), "{%": re.compile(r"[-+]?%\}")}
_IDENTIFIER = re.compile(r"[^\W\d]\w*")

type Path = tuple[str | int, ...]


class Word(NamedTuple):
    kind: str
    """`string`, `number`, `name`, `operator`."""
    text: str


class Tag(NamedTuple):
    """`{{ ... }}` or `{% ... %}`. `start` and `end` are offsets in the template, `line` counts from 1."""

    opening: str
    start: int
    end: int
    line: int
    words: tuple[Word, ...]
    trims: bool
    """Whether it takes away the space around it (`{{-`)."""


class Template(NamedTuple):
    """A template that may be used. `field` is where it stands in the recipe."""

    source: str
    field: Path
    tags: tuple[Tag, ...]
    comments: bool

    def place(self, line: int) -> Path:
        return (*self.field, line)


class Use(NamedTuple):
    """A column that a template names. `optional`: only asked whether it is there, or given a default."""

    column: str
    line: int
    optional: bool


def is_variable(column: str) -> bool:
    """Whether a template can name the column as it is; else it writes `row["..."]`."""
    return bool(_IDENTIFIER.fullmatch(column)) and column not in _RESERVED


_RESERVED = _KEYWORDS | _CONSTANTS | {"row", "loop", "self", "recursive"}


def expression(column: str) -> str:
    """How a template names the column."""
    if is_variable(column):
        return f"{{{{ {column} }}}}"
    return f'{{{{ row["{"".join(map(_escaped, column))}"] }}}}'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() or char > "\uffff" else f"\\u{ord(char):04x}"


def parse(source: str, field: Path) -> Template:
    """Raises RecipeFault unless the template is one of the language above. One newline at the end is not part of it."""
    source = source.removesuffix("\n")
    tags: list[Tag] = []
    comments = False
    position = 0
    while opening := _OPENING.search(source, position):
        if opening[0] == "{#":
            comments = True
            position = source.find("#}", opening.end()) + 2
            if position < 2:
                raise _not_closed(source, opening.start(), field)
            continue
        tag = _tag(source, opening, field)
        tags.append(tag)
        position = tag.end
    _check_closed(source, tags, field)
    return Template(source, field, tuple(tags), comments)


def uses(template: Template) -> Iterator[Use]:
    """The columns that it names. A variable of a loop may be among them, if it is called like none; see `free`."""
    for tag in template.tags:
        yield from _uses(tag)


def members(template: Template) -> Iterator[str]:
    """The columns that it names behind `row`."""
    for tag in template.tags:
        for index, word in _names(tag):
            if word == _ROW and (member := _member(tag.words, index)):
                yield member[0]


def uses_whole_row(template: Template) -> bool:
    """Whether `row` is used as a whole, or with a name that only a row tells."""
    return any(word == _ROW and not _member(tag.words, index) for tag in template.tags for index, word in _names(tag))


def plain(template: Template) -> list[tuple[str, str]] | None:
    """Each column with the text before it, and at last the text after all of them (with column ""), or None unless the template
    is nothing but text and columns. It renders to these texts one after the other, as long as the columns hold text."""
    if template.comments:
        return None
    pieces: list[tuple[str, str]] = []
    position = 0
    for tag in template.tags:
        column = _lone_column(tag)
        if column is None:
            return None
        pieces.append((template.source[position : tag.start], column))
        position = tag.end
    return [*pieces, (template.source[position:], "")]


_ROW = Word("name", "row")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def _lone_column(tag: Tag) -> str | None:
    if tag.opening != "{{" or tag.trims:
        return None
    if len(tag.words) == 1 and tag.words[0].kind == "name" and tag.words[0].text not in _RESERVED:
        return tag.words[0].text
    if tag.words and tag.words[0] == _ROW and (member := _member(tag.words, 0)) and member[1] == len(tag.words):
        return member[0]
    return None


def _member(words: Sequence[Word], index: int) -> tuple[str, int] | None:
    """The column after `row`, and the index behind it."""
    rest = words[index + 1 : index + 4]
    match [word.text for word in rest], [word.kind for word in rest]:
        case [".", name, *_], [_, "name", *_]:
            return name, index + 3
        case ["[", quoted, "]"], [_, "string", _] if (text := _unquoted(quoted)) is not None:
            return text, index + 4
        case _:
            return None


def _unquoted(quoted: str) -> str | None:
    """The text of a string; None where it has an escape of a kind that only the engine knows."""
    inner = quoted[1:-1]
    if all(len(found) > 1 or found in "nrt\\\"'" for found in _ESCAPE.findall(inner)):
        return _ESCAPE.sub(
            lambda found: chr(int(found[1][1:], 16)) if len(found[1]) > 1 else _ESCAPES.get(found[1], found[1]), inner
        )
    return None


def _names(tag: Tag) -> Iterator[tuple[int, Word]]:
    """The variables of a tag, each with its index."""
    for index, word in enumerate(tag.words):
        if word.kind != "name" or word.text in _KEYWORDS or word.text in _CONSTANTS:
            continue
        before = _before(tag.words, index)
        if before in (".", "|", "is") or (before == "not" and _before(tag.words, index - 1) == "is"):
            continue
        if index + 1 < len(tag.words) and tag.words[index + 1].text == "=":
            continue
        yield index, word


def _uses(tag: Tag) -> Iterator[Use]:
    for index, word in _names(tag):
        if word.text == "loop":
            continue
        column, after = word.text, index + 1
        if word.text == "row":
            member = _member(tag.words, index)
            if member is None:
                continue
            column, after = member
        yield Use(column, tag.line, optional=_is_optional(tag.words[after : after + 3]))


def _is_optional(following: Sequence[Word]) -> bool:
    match [word.text for word in following]:
        case ["|", "default" | "d", *_] | ["is", "defined" | "undefined", *_] | ["is", "not", "defined" | "undefined"]:
            return True
        case _:
            return False


# ---------------------------------------------------------------- the check


def _tag(source: str, opening: re.Match[str], field: Path) -> Tag:
    """The tag that opens here. Ends at the first fault, so that the time is that of one pass."""
    kind = opening[0]
    closing = _CLOSING[kind]
    line = source.count("\n", 0, opening.start()) + 1
    position = opening.end()
    trims = source[position : position + 1] in ("-", "+")
    if trims:
        position += 1
    words: list[Word] = []
    while True:
        position = _end(_SPACE.match(source, position))
        if end := closing.match(source, position):
            break
        found = _WORD.match(source, position)
        if found is None or found.lastgroup is None:
            raise _not_closed(source, opening.start(), field)
        words.append(Word(found.lastgroup, found[0]))
        position = found.end()
        if len(words) > MAX_WORDS:
            raise RecipeFault(f"A tag has more than {MAX_WORDS} words: make it shorter.", field=(*field, line))
    tag = Tag(kind, opening.start(), end.end(), line, tuple(words), trims or len(end[0]) > 2)
    try:
        _check(tag)
    except RecipeFault as fault:
        message = f"`{shown(source[tag.start : tag.end])}`: {fault.message}"
        raise RecipeFault(message, field=(*field, line)) from None
    return tag


def _check_closed(source: str, tags: Sequence[Tag], field: Path) -> None:
    opened: list[Tag] = []
    for tag in tags:
        name = tag.words[0].text if tag.opening == "{%" else ""
        if name in ("if", "for"):
            opened.append(tag)
        elif name.startswith("end") and (not opened or opened.pop().words[0].text != name.removeprefix("end")):
            raise RecipeFault(f"`{shown(source[tag.start : tag.end])}` closes nothing.", field=(*field, tag.line))
    if opened:
        tag = opened[-1]
        text, end = shown(source[tag.start : tag.end]), f"{{% end{tag.words[0].text} %}}"
        raise RecipeFault(f"`{text}` is opened and not closed: end it with `{end}`.", field=(*field, tag.line))


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # noqa: S101 - an empty match is one
    return match.end()


def _not_closed(source: str, start: int, field: Path) -> RecipeFault:
    line = source.count("\n", 0, start) + 1
    closing = {"{{": "}}", "{%": "%}", "{#": "#}"}[source[start : start + 2]]
    return RecipeFault(
        f"`{shown(source[start : start + 40])}` is opened and not closed: end it with `{closing}`.", field=(*field, line)
    )


def _check(tag: Tag) -> None:
    words = tag.words
    if not words:
        raise RecipeFault("there is nothing in it: name a column, or leave it out.")
    if tag.opening == "{%" and words[0].text not in STATEMENTS:
        raise _not_on("statement", words[0].text, STATEMENTS)
    brackets: list[str] = []
    for index, word in enumerate(words):
        if word.kind == "operator":
            _check_operator(words, index, brackets)
        elif word.kind == "name":
            _check_name(words, index)
        if brackets and brackets[-1] == "list" and not _may_stand_in_list(word):
            raise RecipeFault("a list holds texts and numbers only: compare with the column outside of it.")


def _may_stand_in_list(word: Word) -> bool:
    return word.kind in ("string", "number") or word.text in ("[", ",", "-") or word.text in _CONSTANTS


def _check_name(words: Sequence[Word], index: int) -> None:
    name, before = words[index].text, _before(words, index)
    if before == "|" and name not in _ALL_FILTERS:
        if name == "tojson":
            raise RecipeFault("`tojson` is not needed: a list or a mapping is written as JSON.")
        raise _not_on("filter", name, _ALL_FILTERS)
    is_test = before == "is" or (before == "not" and _before(words, index - 1) == "is")
    if is_test and name != "not" and name not in TESTS:
        raise _not_on("test", name, TESTS)
    if name in ("recursive", "self", "loop") and before != "." and (name != "loop" or _after(words, index) != "."):
        raise RecipeFault(f"`{name}` cannot be used in a recipe.")


def _check_operator(words: Sequence[Word], index: int, brackets: list[str]) -> None:
    text = words[index].text
    if text in ("'", '"'):
        raise RecipeFault("a quote is opened and not closed.")
    if text not in _OPERATORS:
        raise RecipeFault(f"`{text}` cannot be used in a recipe.")
    if text == "(":
        brackets.append(_parenthesis(words, index))
    elif text == "[":
        brackets.append("index" if _is_value(words, index - 1) else "list")
    elif text in (")", "]"):
        _close(text, brackets)
    elif text == "," and (not brackets or brackets[-1] not in ("arguments", "list")):
        raise RecipeFault("a comma stands between the words of a list or of a filter only.")
    elif text in _COMPARISONS and not (_is_constant(words, index - 1) or _is_constant(words, index + 1)):
        raise RecipeFault("a column is compared with a text or a number, not with another column.")


def _close(text: str, brackets: list[str]) -> None:
    opened = brackets.pop() if brackets else ""
    if not opened or (text == ")") != (opened in ("arguments", "group")):
        raise RecipeFault(f"`{text}` closes nothing.")


def _parenthesis(words: Sequence[Word], index: int) -> str:
    if not _is_value(words, index - 1):
        return "group"
    if words[index - 1].kind == "name" and _before(words, index - 1) == "|":
        return "arguments"
    raise RecipeFault("functions cannot be called in a recipe; there are filters, such as `{{ text|upper }}`.")


def _is_value(words: Sequence[Word], index: int) -> bool:
    """Whether a value ends here, so that a bracket behind it belongs to it."""
    if index < 0:
        return False
    word = words[index]
    if word.kind == "name":
        return word.text not in _KEYWORDS or _before(words, index) in (".", "|")
    return word.kind != "operator" or word.text in (")", "]")


def _is_constant(words: Sequence[Word], index: int) -> bool:
    if not 0 <= index < len(words):
        return False
    return words[index].kind in ("string", "number") or words[index].text in _CONSTANTS


def _before(words: Sequence[Word], index: int) -> str:
    return words[index - 1].text if index > 0 and words[index - 1].kind != "string" else ""


def _after(words: Sequence[Word], index: int) -> str:
    return words[index + 1].text if index + 1 < len(words) else ""


def _not_on(what: str, name: str, known: Sequence[str]) -> RecipeFault:
    near = get_close_matches(name[:100], known, 1)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are {', '.join(known)}."
    return RecipeFault(f"there is no {what} `{shown(name)}` in a recipe. {hint}")
