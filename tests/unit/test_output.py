"""The `output:` section: what is sent, what is checked, and what is refused before anything is paid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchdrop.recipes.faults import RecipeFault
from batchdrop.recipes.form import AnswerForm
from batchdrop.recipes.output import FORMATS, MAX_COLUMNS, Output, check_columns, compile_output


def sent(section: object) -> Any:
    schema = compile_output(section).api_schema
    assert schema is not None
    return json.loads(schema)


def checked(section: object) -> Any:
    schema = compile_output(section).answer.schema
    assert schema is not None
    return json.loads(schema)


def fault(section: object) -> RecipeFault:
    with pytest.raises(RecipeFault) as caught:
        compile_output(section)
    assert caught.value.field[0] == "output"
    assert caught.value.message.endswith((".", "?"))
    return caught.value


def full(**properties: Any) -> dict[str, Any]:
    return {"schema": {"type": "object", "properties": properties, "required": list(properties)}}


def test_without_a_section_an_answer_is_text() -> None:
    assert compile_output(None) == Output(answer=AnswerForm(columns=("answer",)))


def test_the_recipe_of_the_first_page() -> None:
    section = {"label": ["positive", "negative", "neutral"], "explanation": "string"}
    schema = {
        "type": "object",
        "properties": {
            "label": {"type": "string", "enum": ["positive", "negative", "neutral"]},
            "explanation": {"type": "string"},
        },
        "required": ["label", "explanation"],
        "additionalProperties": False,
    }
    output = compile_output(section)
    assert sent(section) == checked(section) == schema
    assert output.answer.columns == ("label", "explanation")
    assert output.answer.choices == {"label": ("positive", "negative", "neutral")}
    assert output.warnings == ()


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("string", {"type": "string"}),
        ("number", {"type": "number"}),
        ("integer", {"type": "integer"}),
        ("boolean", {"type": "boolean"}),
        ([1, 2, 3], {"type": "integer", "enum": [1, 2, 3]}),
        ([0.5, 1], {"type": "number", "enum": [0.5, 1]}),
        ([["a", "b"]], {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}),
        ({"list": ["a", "b"]}, {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}),
        ({"list": "number"}, {"type": "array", "items": {"type": "number"}}),
        ({"type": ["string", "null"], "description": "or nothing"}, {"type": ["string", "null"], "description": "or nothing"}),
    ],
)
def test_what_a_column_can_hold(value: object, schema: object) -> None:
    assert sent({"column": value})["properties"]["column"] == schema
    assert checked({"column": value})["properties"]["column"] == schema


def test_a_column_may_be_called_like_a_word_of_the_recipe() -> None:
    assert compile_output({"list": {"list": "string"}, "schema": "string", "type": ["a"]}).answer.columns == (
        "list",
        "schema",
        "type",
    )


def test_the_choices_of_a_list_are_known() -> None:
    assert compile_output({"topics": [["Price", "Quality"]]}).answer.choices == {"topics": ("Price", "Quality")}


def test_a_single_column_of_text_names_the_plain_answer() -> None:
    output = compile_output({"translation": "text"})
    assert output.api_schema is None
    assert output.answer == AnswerForm(columns=("translation",))


def test_bounds_are_checked_and_not_sent() -> None:
    section = full(
        score={"type": "integer", "minimum": 1, "maximum": 5}, tags={"items": {"type": "string", "maxLength": 9}, "maxItems": 3}
    )
    assert sent(section)["properties"] == {"score": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}
    assert checked(section)["properties"]["score"] == {"type": "integer", "minimum": 1, "maximum": 5}
    assert checked(section)["properties"]["tags"]["maxItems"] == 3
    (warning,) = compile_output(section).warnings
    assert "`maxItems`, `maxLength`, `maximum`, `minimum`" in warning


@pytest.mark.parametrize("least", [0, 1])
def test_an_array_may_have_to_have_an_entry(least: int) -> None:
    assert sent(full(a={"items": {"type": "string"}, "minItems": least}))["properties"]["a"]["minItems"] == least


def test_what_the_api_takes_stays() -> None:
    kept = {"type": "string", "pattern": "^[A-Z]{2}$", "default": "DE", "title": "t", "description": "d"}
    section = full(
        a=kept, b={"$ref": "#/$defs/b"}, c={"$ref": "#/definitions/c"}, d={"const": 1}, e={"anyOf": [kept, {"type": "null"}]}
    )
    section["schema"] |= {
        "$defs": {"b": {"$ref": "#/definitions/c"}},
        "definitions": {"c": {"type": "string"}},
        "$schema": "https://x.y/z",
    }
    schema = sent(section)
    assert schema["properties"] == section["schema"]["properties"]
    assert schema["$defs"] == {"b": {"$ref": "#/definitions/c"}}
    assert "$schema" not in schema


@pytest.mark.parametrize("format_", FORMATS)
def test_formats_that_the_api_knows_stay(format_: str) -> None:
    assert sent(full(a={"type": "string", "format": format_}))["properties"]["a"]["format"] == format_


def test_no_object_takes_other_properties() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "string"}}}
    schema = sent(full(a=inner, b={"items": inner}, c={"anyOf": [inner, {"type": "null"}]}))
    assert schema["additionalProperties"] is False
    assert schema["properties"]["a"]["additionalProperties"] is False
    assert schema["properties"]["b"]["items"]["additionalProperties"] is False
    assert schema["properties"]["c"]["anyOf"][0]["additionalProperties"] is False


def test_a_large_repeat_is_checked_only() -> None:
    section = full(a={"type": "string", "pattern": "^a{1,5000}$"})
    assert sent(section)["properties"]["a"] == {"type": "string"}
    assert checked(section)["properties"]["a"]["pattern"] == "^a{1,5000}$"


@pytest.mark.parametrize(
    ("section", "field", "words"),
    [
        ("text", (), "Leave it out"),
        ([], (), "names the columns"),
        ({}, (), "names the columns"),
        ({"a": "strng"}, ("a",), "Did you mean `string`"),
        ({"a": "bool"}, ("a",), "Did you mean `boolean`"),
        ({"a": None}, ("a",), "a column holds"),
        ({"a": "text", "b": "string"}, ("a",), "write `string`"),
        ({"a": []}, ("a",), "nothing to choose from"),
        ({"a": ["string"]}, ("a",), "`{list: string}`"),
        ({"a": [True, "x"]}, ("a",), "in quotes"),
        ({"a": ["x", None]}, ("a",), "in quotes"),
        ({"a": ["x", 1]}, ("a",), "in quotes"),
        ({"a": ["x", "y", "X "]}, ("a", 2), "`x` and `X ` are one choice"),
        ({"a": [["x", "X"]]}, ("a", 0, 1), "one choice"),
        ({"a": {"list": ["x", "X"]}}, ("a", "list", 1), "one choice"),
        ({"a": {"list": "strin"}}, ("a", "list"), "Did you mean `string`"),
        ({"a": {"list": ["string"]}}, ("a", "list"), "`{list: string}`"),
        ({"a": {"list": [["x"]]}}, ("a", "list"), "not lists"),
        ({"a": {"list": {"list": "string"}}}, ("a", "list", "list"), "not lists"),
        ({"a": [["x", 1]]}, ("a", 0), "in quotes"),
        ({"a": ["x", " "]}, ("a", 1), "empty text"),
        ({"a": ["x", {"y": "z"}]}, ("a", 1), "not a list or a mapping"),
        ({"a": {"type": "strin"}}, ("a", "type"), "Did you mean `string`"),
        ({"a": float("nan")}, ("a",), "no place"),
        ({"a": "\ud800"}, ("a",), "lone surrogate"),
        ({1: "string"}, (), "in quotes"),
        ({"a\nb": "string"}, ("a\nb",), "one line"),
        ({"": "string"}, ("",), "one line"),
        ({"a": "string", "A": "string"}, ("A",), "rename one"),
        ({"Batchdrop_row": "string"}, ("Batchdrop_row",), "call it `row`"),
        ({f"c{number}": "string" for number in range(MAX_COLUMNS + 1)}, (), "100 are allowed"),
        ({"a": ["x" * 70_000]}, (), "bytes"),
        ({"schema": {"type": "array"}}, ("schema",), "object with `properties`"),
        ({"schema": {"properties": {}}}, ("schema", "properties"), "no columns"),
        ({"schema": {"properties": {"a": {"type": "string"}}}, "b": "string"}, ("b",), "move `b`"),
    ],
)
def test_what_is_wrong_has_a_place_and_a_remedy(section: object, field: tuple[str | int, ...], words: str) -> None:
    found = fault(section)
    assert (found.field, words in found.message) == (("output", *field), True), found.message


@pytest.mark.parametrize(
    ("schema", "field", "words"),
    [
        ({"type": "strin"}, ("type",), "Did you mean `string`"),
        ({"typ": "string"}, ("typ",), "Did you mean `type`"),
        ({}, (), "add a `type`"),
        (True, (), "say what the value is"),
        ({"type": "string", "minLength": "x"}, ("minLength",), "not valid"),
        ({"type": "string", "pattern": "("}, ("pattern",), "regular expression"),
        ({"type": "string", "pattern": r"(?=a)b"}, ("pattern",), "simplify"),
        ({"type": "string", "pattern": r"\bword\b"}, ("pattern",), "simplify"),
        ({"type": "string", "pattern": r"(a)\1"}, ("pattern",), "simplify"),
        ({"type": "string", "format": "datetime"}, ("format",), "did you mean `date-time`"),
        ({"type": "string", "format": "iri"}, ("format",), "did you mean `uri`"),
        ({"oneOf": [{"type": "string"}]}, ("oneOf",), "write `anyOf`"),
        (
            {"type": "object", "properties": {"x": {"type": "string"}}, "patternProperties": {}},
            ("patternProperties",),
            "name the properties",
        ),
        (
            {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": True},
            ("additionalProperties",),
            "leave",
        ),
        ({"type": "object"}, (), "name at least one"),
        ({"properties": {"x": {"type": "string"}}, "required": ["y"]}, ("required",), "`y` is required"),
        ({"$ref": "https://example.com/schema.json"}, ("$ref",), "nothing is fetched"),
        ({"$ref": "#/$defs/none"}, ("$ref",), "not in `$defs`"),
        ({"$ref": "#"}, ("$ref",), "no recursion"),
        ({"allOf": [{"$ref": "#/$defs/loop"}]}, ("allOf",), "no `$ref` within"),
        ({"enum": [["a"]]}, ("enum", 0), "not a list"),
        ({"enum": ["Yes", "yes"]}, ("enum", 1), "one choice"),
        ({"type": "string", "$defs": {}}, ("$defs",), "at the top"),
        ({"anyOf": [{"type": "string"}, {"type": "strin"}]}, ("anyOf", 1, "type"), "Did you mean"),
    ],
)
def test_what_the_dialect_has_not(schema: object, field: tuple[str | int, ...], words: str) -> None:
    section = {"schema": {"properties": {"a": schema}, "$defs": {"loop": {"type": "string"}}}}
    found = fault(section)
    assert (found.field, words in found.message) == (("output", "schema", "properties", "a", *field), True), found.message


def test_recursion_is_found_over_several_definitions() -> None:
    definitions: dict[str, object] = {
        "one": {"properties": {"x": {"$ref": "#/$defs/two"}}},
        "two": {"items": {"$ref": "#/$defs/three"}},
        "three": {"anyOf": [{"$ref": "#/$defs/one"}, {"type": "null"}]},
        "leaf": {"type": "string"},
        "twig": {"items": {"$ref": "#/$defs/leaf"}},
    }
    found = fault({"schema": {"properties": {"a": {"$ref": "#/$defs/twig"}}, "$defs": definitions}})
    assert found.field[:3] == ("output", "schema", "$defs")
    assert found.field[3] in {"one", "two", "three"}


def test_optional_properties_and_unions_are_counted() -> None:
    optional = {f"c{number}": {"type": "string"} for number in range(25)}
    assert "25 properties are optional" in fault({"schema": {"properties": optional}}).message
    compile_output({"schema": {"properties": optional, "required": ["c0"]}})
    unions: dict[str, dict[str, Any]] = {f"c{number}": {"type": ["string", "null"]} for number in range(17)}
    assert "17 `anyOf`" in fault(unions).message
    unions["c0"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert "17 `anyOf`" in fault(unions).message
    del unions["c1"]
    compile_output(unions)


def test_nesting_is_bounded() -> None:
    deep: object = "string"
    for _ in range(5_000):
        deep = [deep]
    assert "levels" in fault({"a": deep}).message


@pytest.mark.parametrize(
    "name", ["reasoning", "thinking", "trace", "reasoning_trace", "modelThinking", "chain of thought", "Thoughts"]
)
def test_asking_for_the_reasoning_is_warned_about(name: str) -> None:
    (warning,) = compile_output({name: "string", "label": ["a", "b"]}).warnings
    assert f"`{name}`" in warning
    assert "short explanation" in warning


@pytest.mark.parametrize("name", ["explanation", "traceability", "reason", "rethinking"])
def test_other_names_are_not(name: str) -> None:
    assert compile_output({name: "string"}).warnings == ()


def test_a_large_schema_is_warned_about() -> None:
    (warning,) = compile_output({"a": [f"choice number {number}" for number in range(400)]}).warnings
    assert "only a real request tells" in warning


@pytest.mark.parametrize(
    ("section", "columns", "field", "proposal"),
    [
        ({"label": ["a", "b"]}, ("id", "Label"), ("output", "label"), "`label_answer`"),
        ({"label": ["a", "b"]}, ("label", "label_answer", "answer_label"), ("output", "label"), "`label_2`"),
        (None, ("answer",), ("output",), "`output: {claude_answer: text}`"),
        (full(label={"type": "string"}), ("label",), ("output", "schema", "properties", "label"), "`label_answer`"),
    ],
)
def test_an_answer_never_takes_the_place_of_an_own_column(section: object, columns: Any, field: object, proposal: str) -> None:
    with pytest.raises(RecipeFault) as caught:
        check_columns(compile_output(section), columns)
    assert caught.value.field == field
    assert proposal in caught.value.message


def test_a_results_csv_that_is_dropped_again_is_known_by_our_columns() -> None:
    with pytest.raises(RecipeFault) as caught:
        check_columns(compile_output({"label": ["a", "b"]}), ("id", "label"), again=True)
    assert "It looks like a results.csv: drop the original table or failed.csv instead." in caught.value.message


def test_columns_that_differ_are_fine() -> None:
    check_columns(compile_output({"label": ["a", "b"]}), ("id", "labels", "batchdrop_row"))


_words = st.sampled_from(
    [
        *(
            "type",
            "properties",
            "items",
            "enum",
            "const",
            "anyOf",
            "allOf",
            "$ref",
            "$defs",
            "required",
            "additionalProperties",
            "pattern",
        ),
        *(
            "minimum",
            "maxItems",
            "format",
            "schema",
            "list",
            "string",
            "object",
            "array",
            "null",
            "#/$defs/a",
            "a",
            "oneOf",
            "default",
        ),
        *("#", "(", "^a$", "date", "number", "contains", "not", "$id", "$schema", "http://[", "minItems", "uniqueItems"),
    ]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)


@given(st.one_of(_values, st.builds(lambda properties: {"schema": {"type": "object", "properties": properties}}, _values)))
def test_whatever_stands_there_is_compiled_or_refused(section: object) -> None:
    try:
        output = compile_output(section)
    except RecipeFault as caught:
        found = caught
    else:
        assert output.answer.columns
        assert (output.api_schema is None) is (output.answer.schema is None)
        return
    assert found.field[:1] == ("output",)


_leaf: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(dict, type=st.sampled_from(["string", "number", "boolean", "null"])),
    st.builds(dict, type=st.just("integer"), minimum=st.integers(-9, 9), multipleOf=st.integers(1, 3)),
    st.builds(dict, type=st.just("string"), maxLength=st.integers(0, 9), pattern=st.sampled_from(["^a", "a{2000}", "[0-9]+"])),
    st.builds(dict, enum=st.lists(st.integers(-99, 99), min_size=1, max_size=3, unique=True)),
    st.builds(dict, type=st.just(["string", "null"]), format=st.sampled_from(FORMATS)),
)
_schemas: st.SearchStrategy[dict[str, Any]] = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.builds(dict, items=inner, minItems=st.integers(0, 3), uniqueItems=st.booleans()),
        st.builds(dict, anyOf=st.lists(inner, min_size=1, max_size=3)),
        st.builds(dict, properties=st.dictionaries(st.sampled_from("abcdef"), inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    yield schema
    for part in (
        *schema.get("properties", {}).values(),
        *schema.get("anyOf", ()),
        *([schema["items"]] if "items" in schema else []),
    ):
        yield from nodes(part)


@given(st.dictionaries(st.sampled_from("xyz"), _schemas, min_size=1, max_size=3))
def test_what_is_sent_is_within_the_dialect(section: dict[str, Any]) -> None:
    try:
        compile_output(section)
    except RecipeFault as found:
        assume("the API takes" not in found.message)
    for schema, node in zip(nodes(sent(section)), nodes(checked(section)), strict=True):
        assert not schema.keys() & {"minimum", "multipleOf", "maxLength", "uniqueItems"}
        assert schema.get("minItems", 0) in (0, 1)
        assert "{2000}" not in schema.get("pattern", "")
        assert ("properties" in schema) is (schema.get("additionalProperties") is False)
        assert schema.keys() <= node.keys()


def test_bounds_of_a_number_are_warned_of_with_what_the_api_keeps_to() -> None:
    (warning,) = compile_output({"urgency": {"type": "integer", "minimum": 1, "maximum": 5}}).warnings
    assert "Write a scale as `[1, 2, 3, 4, 5]`: then the answer is one of these." in warning
    assert compile_output({"urgency": [1, 2, 3, 4, 5]}).warnings == ()
