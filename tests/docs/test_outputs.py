"""What a page shows of a command's output is what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import outputs
from tests.docs.pages import PAGES, name_of

_SHOWING = [page for page in PAGES if outputs.SHOWN.search(page.read_text())]
_FENCE = re.compile(r"^ *```(\w*)\n(?:.*\n)*?^ *```$", re.MULTILINE)
# Commands to run, drawings, and code, which `test_contributing` runs.
_NO_OUTPUT = {"sh", "text", "python"}


def test_pages_show_outputs() -> None:
    assert [name_of(page) for page in _SHOWING] == ["README.md", "docs/local-development.md"]


@pytest.mark.parametrize("page", _SHOWING, ids=name_of)
def test_outputs_are_up_to_date(page: Path) -> None:
    assert page.read_text() == outputs.filled(page.read_text()), f"{name_of(page)} shows an old output: run make docs"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_output_is_written_by_hand(page: Path) -> None:
    """A block is a command, a drawing, code that a test runs, or made by `make docs`."""
    rest = outputs.SHOWN.sub("", page.read_text())
    assert [kind for kind in _FENCE.findall(rest) if kind not in _NO_OUTPUT] == []
    assert "<!-- output -->" not in rest, "this marker is not between two blocks"
