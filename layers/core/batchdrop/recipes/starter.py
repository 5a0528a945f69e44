"""The recipe that a file gets which has none: complete, with the file's own columns, for a person to change one line of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batchdrop.formats.invalid_line import shown
from batchdrop.recipes.templates import expression

SCHEMA = "recipe.schema.json"
"""What an editor knows the fields of a recipe by, as `editor_schema` has it: an object beside the starter."""

_MODEL = "claude-haiku-5-5"
_MOST_ASKED = 10
_MOST_NAMED = 30
_MAX_NAME_CHARS = 200

_FOR_EDITORS = f"""\
# yaml-language-server: $schema=./{SCHEMA}
#
"""
_START = f"""\
# Change the first line of the prompt to what you want to know about each row, and put this file into the folder of your table.
model: {_MODEL}
prompt: |
"""
_PROMPT = "Say in one sentence what this is about."
_FILES = """
# PDFs and texts. For images write images instead of documents.
documents: ["{{ path }}"]
"""
_OUTPUT = """
# What comes back. As it is: one column "answer" of plain text. Or name your own columns, without the # signs:
# output:
#   label: [positive, negative, neutral]
#   explanation: string
"""


def starter(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]] = (), *, prompt: str = _PROMPT, alone: bool = False
) -> bytes:
    """`rows`: a few of the file, by which the columns with text are told from numbers and names. The prompt asks with those.

    `prompt`: one line; one that uses columns by itself ("{{") is the whole prompt. `alone`: no schema lies beside it.
    """
    usable = [column for column in columns if column.strip() and len(column) <= _MAX_NAME_CHARS and _is_text(column)]
    asked = _with_text(usable, list(rows)) or usable[:1]
    lines = "".join(f"  {_label(column)}: {expression(column)}\n" for column in asked) or "  {{ text }}\n"
    if "{{" in prompt:
        asked, lines = [], ""
    others = [column for column in usable if column not in asked][:_MOST_NAMED]
    named = "".join(f"#   {expression(column)}\n" for column in others)
    more = f"\n# Other columns that the prompt may use:\n{named}" if named else ""
    between = "\n" if lines else ""
    head = _START if alone else _FOR_EDITORS + _START
    return f"{head}  {prompt}\n{between}{lines}{more}{_OUTPUT}".encode()


def starter_of_documents() -> bytes:
    """For the documents of a folder."""
    start = _START.replace("each row", "each document").replace("the folder of your table", "the folder of your documents")
    return f"{_FOR_EDITORS}{start}  {_PROMPT}\n{_FILES}{_OUTPUT}".encode()


def _is_text(column: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" or (char > "\uffff" and not char.isprintable()) for char in column)


def _with_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns in which some row has several words; else the one with the longest text."""
    texts = {column: [str(row.get(column) or "").strip() for row in rows] for column in columns}
    found = [column for column in columns if any(len(text.split()) > 2 for text in texts[column])]
    longest = {column: max(map(len, cells), default=0) for column, cells in texts.items()}
    best = max(columns, key=lambda column: longest[column], default=None)
    return found[:_MOST_ASKED] or ([best] if best is not None and longest[best] else [])


def _label(column: str) -> str:
    """The name as a line of the prompt shows it: one line, and nothing in it that a template or YAML would read."""
    text = "".join(char if char.isprintable() else " " for char in column.replace("{", "(").replace("}", ")"))
    return shown(" ".join(text.split())) or "column"
