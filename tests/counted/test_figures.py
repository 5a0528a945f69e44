"""What the pages say was measured is what `bench/results.json` says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bench import pages
from bench.report import page
from bench.targets import judge
from local.paths import ROOT

RESULTS = ROOT / "bench" / "results.json"


@pytest.fixture(scope="module")
def found() -> Any:
    return json.loads(RESULTS.read_text())


def test_the_page_of_results_is_made_of_them(found: Any) -> None:
    assert (ROOT / "bench" / "results.md").read_text() == page(found)


def test_the_results_are_of_a_whole_run(found: Any) -> None:
    assert not found["quick"]
    assert len(judge(found)) == 20


def test_no_name_or_path_of_a_machine_is_in_them(found: Any) -> None:
    text = json.dumps(found)
    assert not re.search(r'"/|/home|/root|/tmp|/work', text)


@pytest.mark.parametrize("name", pages.PAGES)
def test_figures_on_a_page_come_from_them(name: str, found: Any) -> None:
    text = (ROOT / "docs" / name).read_text()
    assert pages.filled(text, found) == text
    assert pages.blocks(text), "a page without figures needs no test"
