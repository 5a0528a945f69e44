"""What the page of comparisons says is what was measured, of the versions that are pinned."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.others import batchdrop, costs, environments, report, trials
from bench.others.driver import line_of


@pytest.fixture(scope="module")
def found() -> Any:
    return json.loads(report.RESULTS.read_text())


def test_figures_on_the_page_come_from_the_results(found: Any) -> None:
    text = report.PAGE.read_text()
    assert report.filled(text, found) == text
    assert set(report.blocks(text)) == set(report.BLOCKS)


def test_the_results_are_of_the_pinned_versions(found: Any) -> None:
    assert found["versions"] == {tool: environments.pinned(tool) for tool in environments.TOOLS}
    assert all("anthropic" in versions for versions in found["versions"].values())


def test_no_name_or_path_of_a_machine_is_in_them(found: Any) -> None:
    assert not re.search(r'"/|/home|/root|/tmp|/work', json.dumps(found))


def test_batchdrop_does_today_what_was_stored(found: Any) -> None:
    stored, now = found["behaviour"]["batchdrop"], batchdrop.behaviour(200)
    assert {name: one["twice"] for name, one in now.items() if "twice" in one} == {
        name: one["twice"] for name, one in stored.items() if "twice" in one
    }
    assert now["failing"]["reasons"] == now["failing"]["fail"] == 2
    assert now["failing"]["in_order"] == stored["failing"]["in_order"]


def test_the_costs_are_of_all_tools_in_one_run(found: Any) -> None:
    tools = found["costs"]["tools"]
    assert set(tools) == {"batchdrop", *environments.TOOLS}
    assert tools["sdk"] == {unit: {"median": 1, "min": 1, "max": 1} for unit in ("cpu", "peak")}


def test_a_ratio_is_of_one_round_and_a_run_that_did_not_end_has_none() -> None:
    loop, slow = {"cpu": 2.0, "peak": 10.0}, {"cpu": 4.0, "peak": 30.0}
    rounds: list[dict[str, dict[str, float] | None]] = [
        {"sdk": loop, "slow": slow, "lost": loop},
        {"sdk": slow, "slow": slow, "lost": None},
    ]
    assert costs.ratios("slow", rounds) == {
        "cpu": {"median": 1.5, "min": 1.0, "max": 2.0},
        "peak": {"median": 2.0, "min": 1.0, "max": 3.0},
    }
    assert costs.ratios("lost", rounds) is None


def test_one_row_in_a_hundred_fails(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in trials.write_rows(tmp_path / "rows", 300, failing=True).read_text().splitlines()]
    marked = ["[[error:" in row["params"]["messages"][0]["content"] for row in rows]
    assert [number for number, mark in enumerate(marked) if mark] == [0, 100, 200]
    assert {len(json.dumps(row)) // 100 for row in rows} <= {9, 10, 11}


def test_the_line_in_an_id() -> None:
    assert line_of("request-12") == 12
    assert line_of("unknown") is None
