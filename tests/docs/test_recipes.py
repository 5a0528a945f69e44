"""`docs/recipes.md` has the fields of a recipe, and each recipe that a page shows is read and rendered by the code."""

from __future__ import annotations

import re
from datetime import datetime
from typing import get_args

import msgspec
import pytest

from batchdrop.domain.answer_counts import MAX_LABELS
from batchdrop.domain.call_headers import LONG_OUTPUT
from batchdrop.domain.records import DEFAULT_API_VERSION
from batchdrop.formats import csv_table, table_fault, xlsx_package
from batchdrop.recipes import models, output, reading, recipe, rendering, templates
from batchdrop.recipes.answers import REASONS
from batchdrop.recipes.models import EFFORTS, Thinking, check_model, facts_of, thinking_params
from batchdrop.recipes.output import compile_output
from batchdrop.recipes.reading import read_recipe
from batchdrop.recipes.recipe import DEFAULT_MAX_TOKENS, Recipe, Retry, Retryable
from batchdrop.recipes.rendering import Renderer
from tests.docs import recipe_page
from tests.docs.pages import PAGES, ROOT, section, table_rows
from tests.fakes.clock import START

_PAGE = ROOT / "docs" / "recipes.md"
_LIMITS = ROOT / "docs" / "limits.md"
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = {
    "path": "a.pdf",
    "front": "a.png",
    "back": "b.png",
    "id": "7",
    "text": "Great",
    "review": "Great",
    "stars": "5",
    "name": "Lamp",
    "colour": "red",
    "notes": "",
    "customer": "Ada",
    "label": "good",
    "Customer name": "Ada",
    "tags": ["a", "b"],
    "price": "12.50",
    "language": "German",
}
_NOW: datetime = START


def _examples() -> list[str]:
    """Of all pages but those of the examples, whose recipes run with tables of their own."""
    pages = [page for page in PAGES if ROOT / "examples" not in page.parents]
    return [example for page in pages for example in _BLOCK.findall(page.read_text())]


def _whole(example: str) -> str:
    """A part of a recipe, completed."""
    lines = [] if re.search(r"^model:", example, re.MULTILINE) else ["model: claude-haiku-5-5"]
    if not re.search(r"^(prompt|messages):", example, re.MULTILINE):
        lines.append("prompt: What is this? {{ text }}")
    return "\n".join([*lines, example])


@pytest.mark.parametrize("example", _examples(), ids=lambda text: text.split("\n")[0][:40])
def test_each_example_is_a_recipe_that_can_be_used(example: str) -> None:
    read = read_recipe(_whole(example).encode(), "recipe.yaml").recipe
    made = compile_output(read.output)
    check_model(
        read.model,
        max_tokens=read.max_tokens,
        thinking=read.thinking,
        tool_choice=read.tool_choice,
        params=read.params,
        structured=made.api_schema is not None,
        long_output=read.long_output,
        now=_NOW,
        api_version=read.anthropic_version or DEFAULT_API_VERSION,
        betas=(*read.betas, *((LONG_OUTPUT,) if read.long_output else ())),
    )
    extra = thinking_params(read.model, read.thinking, max_tokens=read.max_tokens)
    renderer = Renderer(read, tuple(_ROW), api_schema=made.api_schema, extra=extra)
    renderer.check(_ROW)
    assert msgspec.json.decode(renderer.render(_ROW))["model"] == read.model


def test_every_field_is_described() -> None:
    rows = [row for row in table_rows(_PAGE.read_text()) if row[0].strip("`") in Recipe.__struct_fields__ and len(row) == 4]
    told = [row[0].strip("`") for row in rows]
    assert set(Recipe.__struct_fields__) - set(told) == set(), "docs/recipes.md has no row for them"
    assert len(told) == len(set(told))
    assert all(all(row) for row in rows)


def test_every_field_has_an_example() -> None:
    used = {name for example in _examples() for name in re.findall(r"^([a-z_]+):", example, re.MULTILINE)}
    assert sorted(set(Recipe.__struct_fields__) - used) == []


def test_defaults() -> None:
    told = {row[0].strip("`"): row[2] for row in table_rows(_PAGE.read_text()) if len(row) == 4}
    assert told["max_tokens"] == f"`{DEFAULT_MAX_TOKENS}`"
    assert told["model"] == "required"
    assert told["output"] == "a column `answer` of plain text"


def test_words_of_templates() -> None:
    text = section(_PAGE, "Templates")
    assert set(re.findall(r"`(\w+)`", _line_of(text, "Filters"))) == {*templates.FILTERS, *templates.NUMBER_FILTERS}
    assert set(re.findall(r"`(\w+)`", _line_of(text, "Tests"))) == set(templates.TESTS)
    assert set(re.findall(r"`(\w+)`", _line_of(text, "Statements"))) == set(templates.STATEMENTS)


def _line_of(text: str, name: str) -> str:
    (found,) = re.findall(rf"^- \*\*{name}\*\*:(.*(?:\n  .*)*)", text, re.MULTILINE)
    return str(found)


def test_how_each_model_thinks() -> None:
    """Each model in one row: by whether it thinks unasked, and whether that can be switched off."""
    for models_told, unasked, off, efforts in _rows_of("Thinking"):
        for model in re.findall(r"`([\w-]+)`", models_told):
            facts = facts_of(model, None)
            assert facts is not None
            assert unasked == ("no" if facts.thinking is Thinking.off else "yes"), model
            assert off == ("no" if facts.off is None else "yes"), model
            told = set(re.findall(r"`(\w+)`", efforts)) or (set(EFFORTS) if efforts == "all" else set())
            assert told == set(facts.efforts), model
    told_models = {model for row in _rows_of("Thinking") for model in re.findall(r"`([\w-]+)`", row[0])}
    assert told_models == set(models._FACTS)


def _rows_of(title: str) -> list[list[str]]:
    return table_rows(section(_PAGE, title))


def test_reasons_of_unusable_answers() -> None:
    told = [row[0].strip("`") for row in _rows_of("Answers that cannot be used")]
    assert sorted(told) == sorted(REASONS)
    again = {row[0].strip("`") for row in _rows_of("Answers that cannot be used") if row[-1] == "yes"}
    assert again == set(get_args(Retryable.__value__)) - {"errored"}
    assert set(Retry.__struct_fields__) == set(get_args(Retryable.__value__))


def test_limits_of_recipes_and_tables() -> None:
    text = section(_LIMITS, "Recipes and tables")
    for words in (
        f"| a recipe | {reading.MAX_BYTES:,} bytes, {reading.MAX_LEVELS} levels |",
        f"| one tag of a template | {templates.MAX_WORDS} words |",
        f"| the texts of one rendered row | {rendering.MAX_BYTES:,} bytes |",
        f"| one record of a CSV file | {csv_table.MAX_RECORD_BYTES:,} bytes |",
        f"| columns of a table | {table_fault.MAX_COLUMNS:,}",
        f"| answer columns | {output.MAX_COLUMNS} |",
        f"| optional properties, and unions, of a schema | {output.MAX_OPTIONAL}, {output.MAX_UNIONS}",
        f"| cells of a sheet | {xlsx_package.MAX_GRID_CELLS:,}",
        f"| a sheet, and the texts of a workbook, unpacked | {xlsx_package.MAX_PART_BYTES:,} bytes each |",
        f"| labels that `expected` counts one by one | {MAX_LABELS} |",
    ):
        assert words in text


def test_the_example_is_a_whole_recipe() -> None:
    (body,) = [match["body"] for match in recipe_page.FILE.finditer(_PAGE.read_text()) if match["name"] == recipe_page.RECIPE]
    assert read_recipe(body.encode(), "recipe.yaml").recipe.output is not None
    assert set(Recipe.__struct_fields__) == recipe.FIELDS
