"""What the code says about itself: the files that it names exist, and a word that was replaced stays replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, name_of

_FOLDERS = ("bench", "cli", "functions", "layers", "local", "tests")
_NAMED = re.compile(r"(?<![\w./])(?:bench|cli|docs|events|examples|functions|layers|local|requirements|tests)/[\w./-]*\w")
# A word, in any number and any case, also as a part of an identifier; and the files in which it means something else.
_REPLACED = {
    "tally|tallies": set(),
    "stretch|stretches": set(),
    "twins?": set(),
    "use[ _-]?cases?": set(),
    "verbs?": {"layers/core/batchdrop/adapters/changes.py", "tests/adapters/test_claude.py"},
}


def _modules(*folders: str) -> Iterator[Path]:
    return (path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_files_named_in_the_code_exist() -> None:
    named = {(name_of(path), found) for path in _modules("layers", "cli") for found in _NAMED.findall(path.read_text())}
    assert named
    assert sorted((path, found) for path, found in named if not (ROOT / found).exists()) == []


@pytest.mark.parametrize("word", _REPLACED)
def test_a_replaced_word_stays_replaced(word: str) -> None:
    pattern = re.compile(rf"(?<![a-z])(?i:{word})(?![a-z])")
    files = {*PAGES, *_modules(*_FOLDERS), *ROOT.glob("*.toml"), ROOT / "Makefile", ROOT / "template.yaml"} - {Path(__file__)}
    found = {name_of(path) for path in files if pattern.search(path.read_text())}
    assert found == _REPLACED[word]
