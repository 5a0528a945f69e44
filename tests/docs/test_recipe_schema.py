"""Editors know what a recipe may hold, and nothing else."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from batchdrop.recipes.editor_schema import editor_schema
from batchdrop.recipes.recipe import Recipe
from batchdrop.recipes.starter import SCHEMA
from tests.docs import recipe_schema

_GOOD = {"model": "m", "prompt": "{{ a }}", "thinking": "off", "output": {"label": ["a", "b"]}, "params": {"x": 1}}


def test_the_schema_is_up_to_date() -> None:
    assert recipe_schema.FILE.read_text() == editor_schema(), "the fields of a recipe have changed: run make recipe-schema"


def test_every_field_has_a_description() -> None:
    schema = json.loads(editor_schema())
    assert schema["$id"] == SCHEMA
    assert set(schema["properties"]) == set(Recipe.__struct_fields__)
    assert all(value["description"] for value in schema["properties"].values())


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"system": [{"type": "text", "text": "x"}]}, True),
        ({"promt": "x"}, False),
        ({"thinking": "yes"}, False),
        ({"attempts": 100}, False),
        ({"messages": [{"role": "user", "content": "x"}]}, False),
        ({"system": None}, False),
    ],
)
def test_what_an_editor_says(change: dict[str, object], valid: bool) -> None:
    assert jsonschema_rs.is_valid(json.loads(editor_schema()), {**_GOOD, **change}) is valid
