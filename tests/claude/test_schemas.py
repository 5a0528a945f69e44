"""Which schemas of an answer the API refuses."""

from __future__ import annotations

from typing import Any

import pytest

from local.claude import schemas


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


@pytest.mark.parametrize(
    "schema",
    [
        closed(label={"enum": ["a", "b"]}, score={"type": "number"}, more={"type": ["string", "null"], "default": None}),
        {"$ref": "#/$defs/one", "$defs": {"one": closed(a={"type": "boolean"})}},
        {"$ref": "#/definitions/one", "definitions": {"one": {"type": "string", "format": "date", "pattern": "^a{2,5}$"}}},
        {"anyOf": [{"const": 1}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}]},
        {**closed(), "properties": {f"p{number}": {"type": "string"} for number in range(24)}},
        closed(one={"$ref": "#/$defs/x"}, two={"$ref": "#/$defs/x"}, **{"$": {}}) | {"$defs": {"x": {"type": "string"}}},
    ],
)
def test_schemas_that_are_taken(schema: dict[str, Any]) -> None:
    assert schemas.fault(schema) is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (5, "an object"),
        ({"type": "object", "properties": {}}, "For 'object' type, 'additionalProperties' must be explicitly set to false"),
        (closed(a={"type": "integer", "minimum": 1}), "For 'integer' type, property 'minimum' is not supported"),
        (closed(a={"type": "string", "maxLength": 5}), "property 'maxLength'"),
        (closed(a={"type": "array", "items": {"type": "string"}, "minItems": 2}), "minItems"),
        (closed(a={"type": ["object", "null"]}), "additionalProperties"),
        ({"enum": [["a"]]}, "primitives"),
        ({"type": "text"}, "'text'"),
        ({"type": "string", "format": "phone"}, "'phone'"),
        ({"type": "string", "pattern": "(?=a)"}, "pattern"),
        ({"type": "string", "pattern": "a{5000}"}, "pattern"),
        ({"oneOf": [{"type": "string"}]}, "oneOf"),
        ({"$ref": "https://example.com/x"}, "external"),
        ({"$ref": "#/$defs/no"}, "nowhere"),
        (closed(next={"$ref": "#"}), "recursive"),
        ({"$ref": "#/$defs/a", "$defs": {"a": closed(b={"$ref": "#/$defs/a"})}}, "recursive"),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "string"}}}, "allOf"),
        ({**closed(), "properties": {f"p{number}": {"type": "string"} for number in range(25)}}, "optional"),
        (closed(**{f"p{number}": {"type": ["string", "null"]} for number in range(17)}), "union"),
    ],
)
def test_schemas_that_are_refused(schema: Any, words: str) -> None:
    fault = schemas.fault(schema)
    assert fault is not None
    assert fault.startswith("output_config.format.schema: ")
    assert words in fault


def test_references_to_references_do_not_take_for_ever() -> None:
    levels = {f"l{level}": closed(**{name: {"$ref": f"#/$defs/l{level + 1}"} for name in "ab"}) for level in range(40)}
    schema: Any = {"$ref": "#/$defs/l0", "$defs": {**levels, "l40": {"type": "string"}}}
    assert schemas.fault(schema) == "output_config.format.schema: The schema is too complex"
