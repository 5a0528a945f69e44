"""What a page shows of a command's output is what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local import drops
from tests.docs import outputs, recipe_page
from tests.docs.pages import PAGES, ROOT, name_of

_SHOWING = [page for page in PAGES if outputs.SHOWN.search(page.read_text())]
_FENCE = re.compile(r"^ *```(\w*)\n(?:.*\n)*?^ *```$", re.MULTILINE)
# Commands to run, drawings, code, which `test_contributing` runs, and recipes, which `test_recipes` reads.
_NO_OUTPUT = {"sh", "text", "python", "yaml"}


def test_pages_show_outputs() -> None:
    assert [name_of(page) for page in _SHOWING] == [
        "README.md",
        "docs/cost.md",
        "docs/local-development.md",
        "examples/README.md",
        *(f"examples/{name}/README.md" for name in drops.names()),
    ]


@pytest.mark.parametrize("page", _SHOWING, ids=name_of)
def test_outputs_are_up_to_date(page: Path) -> None:
    assert page.read_text() == outputs.filled(page.read_text()), f"{name_of(page)} shows an old output: run make docs"


def test_the_files_of_a_recipe_are_up_to_date() -> None:
    text = recipe_page.PAGE.read_text()
    shown = [match["name"] for match in recipe_page.FILE.finditer(text)]
    assert {recipe_page.RECIPE, recipe_page.TABLE, "results.csv", "failed.csv", "results.jsonl", "failed.jsonl"} == set(shown)
    assert text == recipe_page.filled(text), "docs/recipes.md shows old files: run make docs"


def test_the_answers_that_are_read_are_left_to_the_tests_that_read_them() -> None:
    page = ROOT / "docs" / "reading.md"
    assert page.read_text() == outputs.written(page), "its files are those of tests/interop/reading_page.py"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_output_is_written_by_hand(page: Path) -> None:
    """A block is a command, a drawing, code that a test runs, or made by `make docs`."""
    rest = recipe_page.FILE.sub("", outputs.COPIED.sub("", outputs.SHOWN.sub("", page.read_text())))
    assert [kind for kind in _FENCE.findall(rest) if kind not in _NO_OUTPUT] == []
    assert not re.search("<!-- (output|from)", rest), "this marker is not between two blocks"
