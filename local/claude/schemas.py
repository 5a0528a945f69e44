"""What the API refuses of a JSON schema in ``output_config.format``.

Source: Claude API documentation, "Structured outputs", October 2026. The two quoted texts were seen in issues of clients
(req_llm#302, memorize-everything#93); the others follow their style. Whether a grammar is too large to compile is not emulated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from local.claude.jsontypes import Json

_PLACE = "output_config.format.schema"
_MOST_OPTIONAL = 24
_MOST_UNIONS = 16
_KNOWN_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_BOUNDS = {
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength"),
    "array": ("maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems"),
    "object": ("minProperties", "maxProperties", "patternProperties", "propertyNames", "dependentRequired"),
}
_NOT_SIMPLE = re.compile(r"\\[1-9bBk]|\(\?[=!<]")
_LARGE_REPEAT = re.compile(r"\{(\d*),?(\d*)\}")
_LARGE = 1_000
_MOST_VISITS = 10_000  # references to references can make a small schema endless


class _Refused(Exception):
    pass


def fault(schema: Json) -> str | None:
    """The API's complaint about a schema; None if it takes it."""
    if not isinstance(schema, dict):
        return f"{_PLACE}: Input should be an object"
    try:
        walk = _Walk(schema)
        walk.visit(schema, ())
    except _Refused as refused:
        return f"{_PLACE}: {refused}"
    if walk.optional > _MOST_OPTIONAL:
        return f"{_PLACE}: Schemas contains too many optional parameters ({walk.optional}), maximum is {_MOST_OPTIONAL}"
    if walk.unions > _MOST_UNIONS:
        return f"{_PLACE}: Schemas contains too many parameters with union types ({walk.unions}), maximum is {_MOST_UNIONS}"
    return None


class _Walk:
    def __init__(self, root: dict[str, Json]) -> None:
        self.root = root
        self.optional = 0
        self.unions = 0
        self.visits = 0

    def visit(self, schema: Json, above: tuple[str, ...]) -> None:
        """``above``: the references on the way to here; meeting one again is a schema that holds itself."""
        self.visits += 1
        if self.visits > _MOST_VISITS:
            raise _Refused("The schema is too complex")
        if not isinstance(schema, dict):
            raise _Refused("Input should be an object")
        pointer = schema.get("$ref")
        if pointer is not None:
            self._follow(pointer, above)
        for word in ("oneOf", "not", "if", "then", "else"):
            if word in schema:
                raise _Refused(f"'{word}' is not supported")
        kinds = _kinds(schema)
        self.unions += len(kinds) > 1
        for kind in kinds:
            _check(kind, schema)
        _check_values(schema)
        self._parts(schema, above)

    def _parts(self, schema: dict[str, Json], above: tuple[str, ...]) -> None:
        alternatives = schema.get("anyOf")
        if isinstance(alternatives, list):
            self.unions += 1
        for name in ("anyOf", "allOf"):
            for part in _listed(schema.get(name)):
                if name == "allOf" and isinstance(part, dict) and "$ref" in part:
                    raise _Refused("'allOf' with '$ref' is not supported")
                self.visit(part, above)
        properties = schema.get("properties")
        if isinstance(properties, dict):
            required = _listed(schema.get("required"))
            self.optional += sum(name not in required for name in properties)
            for part in properties.values():
                self.visit(part, above)
        if "items" in schema:
            self.visit(schema["items"], above)

    def _follow(self, pointer: Json, above: tuple[str, ...]) -> None:
        if not isinstance(pointer, str) or not pointer.startswith("#"):
            raise _Refused("external '$ref' is not supported")
        if pointer == "#" or pointer in above:
            raise _Refused("recursive schemas are not supported")
        place: Json = self.root
        for step in pointer[1:].strip("/").split("/"):
            place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, dict) else None
        if place is None:
            raise _Refused(f"'$ref' {pointer[:80]} leads nowhere")
        self.visit(place, (*above, pointer))


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _kinds(schema: dict[str, Json]) -> list[str]:
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind] if kind is not None else []
    for one in kinds:
        if one not in _KNOWN_TYPES:
            raise _Refused(f"type {str(one)[:80]!r} is not supported")
    return [str(one) for one in kinds]


def _check(kind: str, schema: dict[str, Json]) -> None:
    for name in _BOUNDS.get(kind, ()):
        if name in schema:
            raise _Refused(f"For '{kind}' type, property '{name}' is not supported")
    if kind == "object" and schema.get("additionalProperties") is not False:
        raise _Refused("For 'object' type, 'additionalProperties' must be explicitly set to false")
    if kind == "array" and schema.get("minItems", 0) not in (0, 1):
        raise _Refused("For 'array' type, 'minItems' values other than 0 or 1 are not supported")


def _check_values(schema: dict[str, Json]) -> None:
    if any(isinstance(value, dict | list) for value in _listed(schema.get("enum"))):
        raise _Refused("'enum' values must be primitives")
    form = schema.get("format")
    if form is not None and form not in _FORMATS:
        raise _Refused(f"format {str(form)[:80]!r} is not supported")
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and (_NOT_SIMPLE.search(pattern) or any(_large_repeats(pattern))):
        raise _Refused("'pattern' holds something other than a simple expression")


def _large_repeats(pattern: str) -> Iterator[bool]:
    for least, most in _LARGE_REPEAT.findall(pattern):
        yield any(number and int(number[:9]) >= _LARGE for number in (least, most))
