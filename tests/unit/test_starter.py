"""The recipe beside a file that has none can be used as it is, whatever the file's columns are called."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchdrop.recipes.reading import MAX_BYTES, read_recipe
from batchdrop.recipes.rendering import Renderer, columns_used
from batchdrop.recipes.starter import SCHEMA, starter


def used(text: bytes) -> tuple[str, ...]:
    return columns_used(read_recipe(text, "recipe.yaml").recipe)


def test_a_starter() -> None:
    rows = [{"id": "17", "stars": "4", "Review text": "Best headphones I have owned.", "shop": "Ulm"}]
    text = starter(["id", "stars", "Review text", "shop"], rows).decode()
    assert text.splitlines()[0] == f"# yaml-language-server: $schema=./{SCHEMA}"
    assert '\n  Review text: {{ row["Review text"] }}\n' in text
    assert "\n#   {{ stars }}\n" in text
    read = read_recipe(text.encode(), "recipe.yaml").recipe
    renderer = Renderer(read, list(rows[0]))
    renderer.check(rows[0])
    assert json.loads(renderer.render(rows[0]))["messages"] == [
        {
            "role": "user",
            "content": "Say in one sentence what this is about.\n\nReview text: Best headphones I have owned.",
        }
    ]


def test_the_output_in_the_comment_can_be_used() -> None:
    lines = starter(["text"]).decode().splitlines()
    begin = lines.index("# output:")
    text = "\n".join([*lines[:begin], *(line.removeprefix("# ") for line in lines[begin:])])
    assert read_recipe(text.encode(), "recipe.yaml").recipe.output == {
        "label": ["positive", "negative", "neutral"],
        "explanation": "string",
    }


def test_which_columns_it_asks_with() -> None:
    assert used(starter(["id", "text"], [{"id": "1", "text": "short"}])) == ("text",)
    assert used(starter(["id", "title", "text"], [{"id": "1", "title": "A b c", "text": "d e f"}])) == ("title", "text")
    assert used(starter(["id", "text"])) == ("id",)
    assert used(starter([])) == ("text",)
    assert used(starter(["", " "], [{"": "x"}])) == ("text",)


@pytest.mark.parametrize(
    "name",
    [
        *(
            'a"b',
            "a'b",
            "a\nb",
            "a\r\nb",
            "a\tb",
            "{{ x }}",
            "{% if %}",
            "{#",
            "#",
            "a: b",
            "- a",
            "|",
            "&a",
            "*a",
            "!!x",
            "%",
            "\\",
        ),
        *(
            '"] }}{{ evil }}',
            "row",
            "for",
            "loop",
            "none",
            "é",
            "a\u2028b",
            "a\x85b",
            "\ufeffa",
            "a\u202eb",
            "\x00",
            "\x1b[31m",
            "名前",
        ),
        *("a\xa0b", "\u200b", "x" * 200, "😀", "...", "---"),
    ],
)
def test_hostile_names_are_only_names(name: str) -> None:
    row = {name: "Some words of text", "z": "1"}
    text = starter([name, "z"], [row])
    read = read_recipe(text, "recipe.yaml").recipe
    assert columns_used(read) == (name,)
    assert read.params == {}
    renderer = Renderer(read, list(row))
    renderer.check(row)
    assert json.loads(renderer.render(row))["messages"][0]["content"].endswith(": Some words of text")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(st.characters(), max_size=30), max_size=50, unique=True))
def test_any_columns_make_a_recipe(columns: list[str]) -> None:
    text = starter(columns, [dict.fromkeys(columns, "several words of text")])
    assert len(text) <= MAX_BYTES
    found = used(text)
    assert set(found) <= {*columns, "text"}
    assert len(text.splitlines()[0]) < 100
