"""The notebook, cell after cell, against a stack."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from local.paths import ROOT
from tests.cli.live_stack import LiveStack, live_stack

_CELLS = [cell for cell in json.loads((ROOT / "examples" / "python.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]
_PAGE = ROOT / "docs" / "python.md"


@pytest.fixture(params=["", "0"])
def stack(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[LiveStack]:
    """One that asks nobody, and one that asks about everything."""
    monkeypatch.chdir(ROOT)
    with live_stack(monkeypatch, ask_above=request.param) as stack:
        yield stack


class Frame(list[dict[str, Any]]):
    """What is needed of a data frame here."""


def pandas() -> ModuleType:
    module = ModuleType("pandas")
    module.DataFrame = Frame  # type: ignore[attr-defined]
    return module


def run(cells: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for cell in cells:
        exec(compile(cell, "a cell", "exec"), found)
    return found


@pytest.mark.parametrize("installed", [True, False])
def test_its_cells_run_in_order(stack: LiveStack, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    if installed:
        monkeypatch.setitem(sys.modules, "pandas", pandas())
    found = run(["".join(cell["source"]) for cell in _CELLS])
    assert [row.line for row in found["rows"]] == list(range(2, 22))
    assert found["status"].is_complete
    assert [row.answer for row in found["more"].results()] == [{"label": "positive", "explanation": "It says so."}] * 2
    assert {job.reference for job in stack.pipeline.jobs()} == {"from a notebook", ""}
    if installed:
        assert found["frame"][0]["label"] == "positive"
        assert found["frame"][0]["batchdrop_status"] == "succeeded"


def test_it_holds_no_outputs() -> None:
    """They would be those of somebody's bucket."""
    assert [cell["outputs"] for cell in _CELLS] == [[]] * len(_CELLS)


def test_the_page_shows_what_runs(stack: LiveStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples" / "reviews")
    (shown,) = _PAGE.read_text().split("```python\n")[1:]
    found = run([shown.split("```")[0].replace('"my-bucket"', '"bucket"')])
    assert found["status"].is_complete
