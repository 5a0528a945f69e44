"""CONTRIBUTING's checklist for a new stage, held against the stages that exist, and its first test, run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from local.paths import ROOT
from local.stages import STAGES
from tests.docs.pages import section, table_rows

_PAGE = ROOT / "CONTRIBUTING.md"
_CHECKLIST = [row[0].strip("`") for row in table_rows(section(_PAGE, "A new stage"))]
# Of one stage alone: the laptop's schedule calls poll, as EventBridge Scheduler does.
_OWN = {"poll": {"local/system.py"}}
_WHERE = ("functions/**/*.py", "layers/core/**/*.py", "local/**/*.py", "tests/events/*.json", "*.yaml", "*.toml")


def _named(stage: str, path: Path) -> bool:
    """By its file, or by what the code and the template call it."""
    if re.match(rf"(functions|layers|tests/events)/(.+/)?{stage}[/.-]", str(path.relative_to(ROOT))):
        return True
    title = stage.capitalize()
    wiring = rf"\b({title}(Function|Role|Settings)|bootstrap\.{stage}|stages\.{stage})\b"
    return re.search(wiring, path.read_text()) is not None


def _listed(stage: str) -> dict[str, set[Path]]:
    """The files that each row of the checklist stands for."""
    return {row: set(ROOT.glob(row.replace("<stage>", stage))) for row in _CHECKLIST}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_in_every_file_of_the_checklist(stage: str) -> None:
    missing = []
    for row, files in _listed(stage).items():
        # Tests call a stage by its bare name, which elsewhere is an ordinary word.
        word = rf"\b{stage}\b" if row.startswith("tests/") else r"(?!)"
        if not any(_named(stage, path) or re.search(word, path.read_text()) for path in files):
            missing.append(row)
    assert missing == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_in_no_other_file(stage: str) -> None:
    listed = set().union(*_listed(stage).values())
    found = {path for pattern in _WHERE for path in ROOT.glob(pattern) if path not in listed and _named(stage, path)}
    assert {str(path.relative_to(ROOT)) for path in found} == _OWN.get(stage, set())


def test_the_stages_are_listed_nowhere() -> None:
    """`local.stages` finds them: a list beside it would be forgotten."""
    files = (path for folder in ("layers", "functions", "local", "tests", "bench") for path in (ROOT / folder).rglob("*.py"))
    lines = ((path, line) for path in files for line in path.read_text().splitlines())
    assert [str(path) for path, line in lines if all(re.search(rf"\b{stage}\b", line) for stage in STAGES)] == []


def test_the_first_test_passes() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    written: dict[str, Any] = {}
    exec(code, written)
    (test,) = (found for name, found in written.items() if name.startswith("test_"))
    test()
