"""A JSON value that fits a JSON schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from local.claude import guesses
from local.claude.forms import Form
from local.claude.jsontypes import Json

_NUMBERS = ("number", "integer")
_DEEPEST = 12  # a schema that refers to itself ends here

_BY_FORMAT = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fit(schema: Json, subject: str, asked: str = "", *, document: bool = False) -> Json:
    """A value for ``schema`` about the text ``subject``: what is guessed for the name of each field, as far as it may be.

    ``asked`` is the instruction. What it does not understand it leaves out; a schema that is not one gets None. Of a ``document``
    fields are read where it has labels for them, and lists of objects in the lines of its table.
    """
    return _Fitter(schema, subject, asked, Form(subject if document else "")).value(schema, 0)


class _Fitter:
    def __init__(self, root: Json, subject: str, asked: str, form: Form) -> None:
        self.root = root
        self.subject = subject
        self.asked = asked
        self.form = form

    def value(self, schema: Json, depth: int, name: str = "") -> Json:
        """``name``: that of the field it is for."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return None
        if "const" in schema:
            return schema["const"]
        options = schema.get("enum")
        if isinstance(options, list) and options:
            return guesses.choice(options, self.subject, self.asked)
        others = self._others(schema)
        if others:
            return self.value(others[0], depth + 1, name)
        parts = schema.get("allOf")
        return self._typed(_merged([schema, *parts]) if isinstance(parts, list) else schema, depth, name)

    def _others(self, schema: dict[str, Json]) -> list[Json]:
        """The schemas that may stand for this one: what it refers to, or its alternatives."""
        pointer = schema.get("$ref")
        if isinstance(pointer, str):
            return [self._referred(pointer)]
        for union in ("anyOf", "oneOf"):
            alternatives = schema.get(union)
            if isinstance(alternatives, list) and alternatives:
                return alternatives
        return []

    def _referred(self, pointer: str) -> Json:
        place = self.root
        for step in pointer.removeprefix("#").strip("/").split("/"):
            if step:
                place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, dict) else None
        return place

    def _typed(self, schema: dict[str, Json], depth: int, name: str) -> Json:
        makers: dict[str, Callable[[], Json]] = {
            "string": lambda: self._string(schema, name),
            "integer": lambda: int(self._number(schema, name)),
            "number": lambda: self._number(schema, name),
            "boolean": lambda: guesses.boolean(name, self.subject),
            "null": lambda: None,
            "array": lambda: self._array(schema, depth, name),
            "object": lambda: self._object(schema, depth),
        }
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        return makers[kind]() if isinstance(kind, str) and kind in makers else None

    def _array(self, schema: dict[str, Json], depth: int, name: str) -> list[Json]:
        if lines := self._lines(schema.get("items"), depth):
            return lines[: _whole(schema.get("maxItems"), len(lines))]
        least = max(1, _whole(schema.get("minItems"), 1))
        count = min(least, _whole(schema.get("maxItems"), least))
        return [self.value(schema.get("items", {"type": "string"}), depth + 1, name) for _ in range(count)]

    def _lines(self, schema: Json, depth: int) -> list[Json]:
        """Of the document's table: an object each, its words in the fields for text, its numbers in the others in order."""
        parts = _parts(schema.get("properties")) if isinstance(schema, dict) else []
        many = sum(part.get("type") in _NUMBERS for _, part in parts)
        return [self._line(parts, words, iter(numbers), depth) for words, numbers in self.form.lines(many)]

    def _line(
        self, parts: list[tuple[str, dict[str, Json]]], words: str, numbers: Iterator[int | float], depth: int
    ) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for name, part in parts:
            kind = part.get("type")
            if kind in _NUMBERS:
                number = next(numbers)
                found[name] = int(number) if kind == "integer" else number
            else:
                found[name] = words if part == {"type": "string"} else self.value(part, depth + 1, name)
        return found

    def _object(self, schema: dict[str, Json], depth: int) -> dict[str, Json]:
        return {name: self.value(part, depth + 1, name) for name, part in _parts(schema.get("properties"))}

    def _string(self, schema: dict[str, Json], name: str) -> str:
        form = str(schema.get("format"))
        said = self.form.date(name) if form == "date" else self.form.text(name)
        text = said or _BY_FORMAT.get(form) or guesses.text(name, self.subject)
        text = text.ljust(_whole(schema.get("minLength"), 0), ".")
        return text[: _whole(schema.get("maxLength"), len(text))]

    def _number(self, schema: dict[str, Json], name: str) -> int | float:
        said = self.form.number(name)
        guess = guesses.number(name, self.subject) if said is None else said
        low, high = schema.get("minimum"), schema.get("maximum")
        least = low if isinstance(low, int | float) else guess
        return min(max(guess, least), high if isinstance(high, int | float) else max(guess, least))


def _parts(properties: Json) -> list[tuple[str, dict[str, Json]]]:
    """The fields of an object, each with its schema."""
    return [(name, part) for name, part in properties.items() if isinstance(part, dict)] if isinstance(properties, dict) else []


def _merged(schemas: list[Json]) -> dict[str, Json]:
    merged: dict[str, Json] = {}
    for schema in schemas:
        for key, value in schema.items() if isinstance(schema, dict) else ():
            before = merged.get(key)
            if key == "properties" and isinstance(value, dict) and isinstance(before, dict):
                merged[key] = {**before, **value}
            elif key != "allOf":
                merged[key] = value
    return merged


def _whole(value: Json, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
