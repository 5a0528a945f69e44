"""Names in the bucket: what is work, where its recipe may be, where its answers go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain import keys
from batchdrop.domain.keys import MAX_KEY_BYTES, MAX_RECIPE_LEVELS

JOB = "20261122T003115Z-aaaaaaaaaaaaaaaa"

segments = st.lists(st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), max_size=12), max_size=30)


@pytest.mark.parametrize(
    ("key", "work"),
    [
        ("inbox/reviews.csv", True),
        ("inbox/a/b c.jsonl.gz", True),
        ("inbox/a/recipe.yaml.csv", True),
        ("inbox/a/my recipe.yaml", True),
        ("inbox/a/.hidden.csv", True),
        ("inbox/a/", False),
        ("outbox/a.csv", False),
        ("inbox/recipe.yaml", False),
        ("inbox/a/recipe.yml", False),
        ("inbox/a/.DS_Store", False),
        ("inbox/a/~$reviews.xlsx", False),
        ("inbox/a/~$letter.docx", False),
        ("inbox/Thumbs.db", False),
        ("inbox/a/thumbs.db", False),
        ("inbox/a/Desktop.ini", False),
        ("inbox/a/._reviews.csv", False),
    ],
)
def test_what_is_work(key: str, *, work: bool) -> None:
    assert keys.is_input(key) is work


@pytest.mark.parametrize(
    ("key", "team"),
    [
        ("inbox/a/b/c.csv", "a"),
        ("inbox/a/c.csv", "a"),
        ("inbox/c.csv", ""),
        ("inbox/a", ""),
        ("inbox/Ünï 1/recipe.yaml", "Ünï 1"),
    ],
)
def test_teams(key: str, team: str) -> None:
    assert keys.team_of(key) == team


def test_the_nearest_recipe_comes_first() -> None:
    assert keys.recipe_keys("inbox/team/a/b.csv") == [
        "inbox/team/a/recipe.yaml",
        "inbox/team/a/recipe.yml",
        "inbox/team/recipe.yaml",
        "inbox/team/recipe.yml",
    ]
    assert keys.recipe_keys("inbox/b.csv") == ["inbox/recipe.yaml", "inbox/recipe.yml"]


def test_no_more_than_so_many_folders_are_looked_through() -> None:
    deep = "inbox/" + "".join(f"{depth}/" for depth in range(1, 21))
    found = keys.recipe_keys(f"{deep}a.csv")
    assert len(found) == 2 * MAX_RECIPE_LEVELS
    assert found[0] == f"{deep}recipe.yaml"
    assert found[-1] == "inbox/1/2/3/4/5/recipe.yml"


@given(segments)
def test_no_recipe_of_another_team_is_looked_for(path: list[str]) -> None:
    key = "inbox/" + "".join(f"{name}/" for name in path) + "a.csv"
    found = keys.recipe_keys(key)
    assert len(found) <= 2 * MAX_RECIPE_LEVELS
    for recipe in found:
        assert keys.is_recipe(recipe)
        assert keys.team_of(recipe) == keys.team_of(key)
        assert key.startswith(recipe.rsplit("/", 1)[0] + "/")
        assert (recipe.count("/") == 1) == (not path)


def test_a_recipe_that_s3_could_not_hold_is_not_looked_for() -> None:
    folder = f"inbox/team/{'x' * (MAX_KEY_BYTES - len('inbox/team//a.csv'))}/"
    assert keys.recipe_keys(f"{folder}a.csv") == ["inbox/team/recipe.yaml", "inbox/team/recipe.yml"]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("a/reviews.jsonl", "a/reviews"),
        ("a/reviews.jsonl.gz", "a/reviews"),
        ("reviews.gz", "reviews"),
        ("a/reviews.csv", "a/reviews"),
        ("a/reviews.csv.gz", "a/reviews"),
        ("a/Reviews.TSV", "a/Reviews"),
        ("reviews.xlsx", "reviews"),
        ("reviews.csv.jsonl", "reviews.csv"),
        ("reviews.txt", "reviews.txt"),
        ("a/.csv", "a/.csv"),
        ("a/.jsonl.gz", "a/.jsonl"),
        ("a/.gz", "a/.gz"),
    ],
)
def test_where_answers_go(name: str, folder: str) -> None:
    assert keys.outbox_folder(f"inbox/{name}", JOB) == f"outbox/{folder}/{JOB}/"
