"""The JSON Schema by which an editor knows the fields of a recipe."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec

from batchdrop.recipes.recipe import Recipe
from batchdrop.recipes.starter import SCHEMA


@cache
def editor_schema() -> str:
    """The schema of the types, without `null`: a field that is not needed is left out."""
    (top,), definitions = msgspec.json.schema_components([Recipe], ref_template="#/$defs/{name}")
    recipe = definitions.pop(top["$ref"].rpartition("/")[2])
    recipe["properties"] = {name: _without_null(value) for name, value in recipe["properties"].items()}
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        **recipe,
        "oneOf": [{"required": ["prompt"]}, {"required": ["messages"]}],
        "$defs": definitions,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _without_null(value: dict[str, Any]) -> dict[str, Any]:
    kept = {name: part for name, part in value.items() if name != "anyOf" and (name, part) != ("default", None)}
    kinds = [kind for kind in value.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**kept, **kinds[0]}
    return {**kept, "anyOf": kinds} if kinds else kept
