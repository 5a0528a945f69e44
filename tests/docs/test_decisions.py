"""Every decision has the same form, and the list of them names each by its title."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, name_of, section

_FOLDER = ROOT / "docs" / "decisions"
_DECISIONS = sorted(_FOLDER.glob("[0-9]*.md"))
_SECTIONS = ["Context", "Decision", "Consequences"]


def _number(page: Path) -> int:
    return int(page.name.split("-")[0])


@pytest.mark.parametrize("page", _DECISIONS, ids=name_of)
def test_the_form_of_a_decision(page: Path) -> None:
    text = page.read_text()
    assert re.match(rf"# {_number(page)}\. \S", text)
    assert re.findall(r"^##+ (.+)$", text, re.MULTILINE) == _SECTIONS
    assert all(section(page, title).strip() for title in _SECTIONS)


def test_the_list_of_decisions() -> None:
    listed = re.findall(r"^\| \[(\d+)\]\((.+?)\) \| (.+) \|$", (_FOLDER / "README.md").read_text(), re.MULTILINE)
    titles = [page.read_text().splitlines()[0].partition(". ")[2] for page in _DECISIONS]
    assert [(int(number), name, title) for number, name, title in listed] == [
        (_number(page), page.name, title) for page, title in zip(_DECISIONS, titles, strict=True)
    ]


def test_decisions_are_numbered_one_after_the_other() -> None:
    assert [_number(page) for page in _DECISIONS] == list(range(1, len(_DECISIONS) + 1))
