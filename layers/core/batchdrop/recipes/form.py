"""`work/<job id>/form.json`: what the stages behind `plan` need to know of a job with a recipe.

`plan` writes it once, when the recipe is pinned and the file's columns are known. `collect` checks answers by it, and both
`collect` and `finish` write tables by it. Nobody behind `plan` reads a recipe.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from batchdrop.domain.record import Record


class Kind(StrEnum):
    """What the rows came from."""

    jsonl = "jsonl"
    csv = "csv"
    xlsx = "xlsx"


class Table(Record, frozen=True, kw_only=True):
    """How the table was written, and so how `results.csv` is."""

    kind: Kind
    columns: tuple[str, ...]
    """Of the header, in order. Of JSONL: every field that a row has, in order of first appearance."""
    separator: str = ","
    newline: str = "\r\n"
    raw: bool = False
    """Cells that look like formulas are left as they are (`csv: raw` in the recipe)."""


class AnswerForm(Record, frozen=True, kw_only=True):
    """What an answer has to be, and which columns it becomes."""

    columns: tuple[str, ...] = ("answer",)
    """The answer columns, in order. Without a schema there is one, and it holds the text."""
    schema: str | None = None
    """The whole JSON Schema as JSON, bounds included that the API does not take. None: an answer is plain text."""
    choices: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """By top-level field: the words of the recipe, to which an answer is put back whatever its case."""
    retry_reasons: tuple[str, ...] = ()
    """Error types of unusable answers that the recipe sends again (`truncated`, `refused`, ...)."""


class Form(Record, frozen=True, kw_only=True):
    """All of it. `recipe_key`, `recipe_version`: which recipe was pinned."""

    recipe_key: str
    recipe_version: str | None = None
    table: Table
    answer: AnswerForm
    expected: str | None = None
    """The column that holds the right answer of a row."""
    expected_field: str | None = None
    """The answer column that is compared with it."""
    retry_changes: dict[str, dict[str, str | None]] = msgspec.field(default_factory=dict)
    """By reason (`AnswerForm.retry_reasons`): the JSON of each param that is another one then, None for one that is left out."""
    attempts: int | None = None
    """How often a row is sent at most, if the recipe says so."""


_decode = msgspec.json.Decoder(Form).decode


def encode_form(form: Form) -> bytes:
    return msgspec.json.encode(form)


def decode_form(data: bytes) -> Form:
    """Raises msgspec.ValidationError."""
    return _decode(data)


# ---------------------------------------------------------------- the columns of the tables
# Whoever writes the pieces of the tables writes the cells in this order. `formats.table_fault` knows the names when a file is
# dropped again.


def results_columns(form: Form) -> tuple[str, ...]:
    """Of `results.csv`: own columns, answer columns, then what became of the row."""
    return (*form.table.columns, *form.answer.columns, "batchdrop_row", "batchdrop_status", "batchdrop_error", "batchdrop_usd")


def failed_columns(form: Form) -> tuple[str, ...]:
    """Of `failed.csv`, which can be dropped again."""
    return (
        *form.table.columns,
        "batchdrop_job",
        "batchdrop_row",
        "batchdrop_status",
        "batchdrop_error",
        "batchdrop_answer",
    )
