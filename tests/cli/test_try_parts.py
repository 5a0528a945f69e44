"""What `batchdrop try` is made of: the pick of rows, the search for a recipe, and text for a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop_cli.opening.local_recipe import recipe_for
from batchdrop_cli.opening.spread import spread
from batchdrop_cli.terminal import safe_json
from batchdrop_client.plain_text import plain

ROOT = Path(__file__).parents[2]


def test_rows_are_spread_over_the_file() -> None:
    assert spread(8019, 3) == [0, 4009, 8018]
    assert spread(8019, 1) == [0]
    assert spread(2, 3) == [0, 1]
    assert spread(0, 3) == spread(0, 1) == []
    assert spread(9, 2, {0, 4, 8}) == [2, 6]


@given(st.integers(0, 60), st.integers(1, 20))
def test_every_row_comes_once(total: int, rows: int) -> None:
    taken: list[int] = []
    while found := spread(total, rows, taken):
        assert len(found) == min(rows, total - len(taken))
        taken += found
    assert sorted(taken) == list(range(total))


def test_the_nearest_recipe_counts(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    file = below / "rows.csv"
    assert recipe_for(file, home=tmp_path) is None
    (tmp_path / "recipe.yaml").touch()
    assert recipe_for(file, home=tmp_path) == tmp_path / "recipe.yaml"
    (tmp_path / "a" / "recipe.yml").touch()
    assert recipe_for(file, home=tmp_path) == tmp_path / "a" / "recipe.yml"
    (below / "recipe.yaml").touch()
    assert recipe_for(file, home=tmp_path) == below / "recipe.yaml"


def test_a_recipe_above_the_repository_or_home_is_another_matter(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").touch()
    file = tmp_path / "a" / "b" / "rows.csv"
    file.parent.mkdir(parents=True)
    assert recipe_for(file, home=tmp_path / "a") is None
    assert recipe_for(file, home=Path("/nobody")) is None
    (tmp_path / "a" / ".git").mkdir()
    assert recipe_for(file, home=tmp_path) is None
    (tmp_path / "a" / "recipe.yaml").touch()
    assert recipe_for(file, home=tmp_path) == tmp_path / "a" / "recipe.yaml"


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\x9bb", "a\u202eb", "a\u2069b", "a\r\nb", "a\x00b", "a\ud800b"])
def test_a_terminal_gets_one_line_that_it_shows(text: str) -> None:
    assert plain(text).replace("[31m", "") == "a b"


def test_json_for_a_terminal_is_the_same_json() -> None:
    data = '{"a":"\u202e\x9b \u00e4"}'.encode()
    assert safe_json(data) == '{"a":"\\u202e\\u009b \u00e4"}'


def test_help_loads_nothing_that_only_trying_needs() -> None:
    heavy = {"anthropic", "boto3", "minijinja", "ruamel", "msgspec", "rich", "jsonschema_rs", "python_calamine", "asyncio"}
    code = f"import sys, batchdrop_cli.main; print(*sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "cli", capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
