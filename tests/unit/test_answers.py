"""What the model said, held against what the recipe asked for."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import batchdrop
from batchdrop.recipes.answers import REASONS, Answer, Answers, cells
from batchdrop.recipes.form import AnswerForm
from batchdrop.recipes.output import compile_output

THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
SECTION = {
    "label": ["Positive", "Negative"],
    "topics": [["Price", "Quality"]],
    "score": {"type": "integer", "minimum": 1, "maximum": 5},
}
GOOD = {"label": "Positive", "topics": ["Price"], "score": 3}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def result(*content: object, stop: object = "end_turn", **message: object) -> bytes:
    return json.dumps(
        {
            "type": "succeeded",
            "message": {"content": list(content), "stop_reason": stop, "usage": {"output_tokens": 50}} | message,
        }
    ).encode()


def plain(data: bytes) -> Answer:
    return Answers(AnswerForm()).read(data)


def typed(said: object, section: object = SECTION) -> Answer:
    return Answers(compile_output(section).answer).read(
        result(THINKING, text(said if isinstance(said, str) else json.dumps(said)))
    )


def output(answer: Answer) -> Any:
    assert (answer.error_type, answer.message) == ("", "")
    assert answer.output is not None
    return json.loads(answer.output)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([text("yes")], "yes"),
        ([THINKING, text("yes")], "yes"),
        ([text("It is "), {"type": "server_tool_use", "input": {}}, text("so.")], "It is so."),
        ([{"type": "of_tomorrow", "text": {"not": "text"}}, text("yes")], "yes"),
        ([text("yes"), {"type": "text", "text": None}, 7, None], "yes"),
        ([{"type": "text", "text": "\u2028\U0001f600", "citations": [{"cited_text": "no"}]}], "\u2028\U0001f600"),
    ],
)
def test_text_is_read_wherever_it_stands(content: list[object], said: str) -> None:
    assert output(plain(result(*content))) == {"answer": said}


def test_the_column_has_the_name_of_the_recipe() -> None:
    answer = Answers(compile_output({"translation": "text"}).answer).read(result(text('{"a": 1}')))
    assert output(answer) == {"translation": '{"a": 1}'}


@pytest.mark.parametrize("stop", ["end_turn", "stop_sequence", "a_word_of_tomorrow", None, 7])
def test_an_answer_that_ended_is_one(stop: object) -> None:
    assert output(plain(result(text("yes"), stop=stop))) == {"answer": "yes"}


def test_half_a_character_is_shown_as_one_that_is_unknown() -> None:
    assert plain(b'{"message": {"content": [{"type": "text", "text": "a\\ud800"}]}}').output == '{"answer":"a\ufffd"}'.encode()


@pytest.mark.parametrize(
    ("data", "error_type", "words"),
    [
        (result(text("half an ans"), stop="max_tokens"), "truncated", "at 50 tokens. Raise `max_tokens`"),
        (result(THINKING, stop="max_tokens"), "truncated", "while thinking"),
        (result(text("x"), stop="max_tokens", usage=None), "truncated", "was cut off. Raise"),
        (result(text("x"), stop="model_context_window_exceeded"), "truncated", "context window"),
        (result(stop="refusal"), "refused", "Look at the row"),
        (result(text("I can"), stop="refusal", stop_details={"category": "cyber"}), "refused", "(cyber)"),
        (result(stop="refusal", stop_details={"category": "reasoning_extraction"}), "refused", "short explanation"),
        (result(), "empty", "without any text"),
        (result(THINKING, text(" \n")), "empty", "without any text"),
        (result(text("so far"), stop="pause_turn"), "paused", "`tools`"),
        (result({"type": "tool_use", "name": "x", "input": {}}, stop="tool_use"), "tool_use", "`tools`"),
        (result(text("Let me look."), {"type": "tool_use", "name": "x", "input": {}}, stop="tool_use"), "tool_use", "`output`"),
        (b"", "unreadable", "_batchdrop.result"),
        (b'{"type": "succeeded"}', "unreadable", "_batchdrop.result"),
        (b'{"message": {"content": "text"}}', "unreadable", "_batchdrop.result"),
        (b'{"message": ' + b"[" * 100_000, "unreadable", "_batchdrop.result"),
        (b'{"message": {"content": [], "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}}", "empty", "without any text"),
    ],
)
def test_what_is_no_whole_answer_says_why(data: bytes, error_type: str, words: str) -> None:
    answer = plain(data)
    assert (answer.output, answer.error_type) == (None, error_type)
    assert words in answer.message
    assert answer.message.endswith(".")


def test_what_it_said_is_kept_and_cut() -> None:
    assert plain(result(text("half an ans"), stop="max_tokens")).text == "half an ans"
    long = plain(result(text("x" * 5_000_000), stop="max_tokens"))
    assert len(long.text) == 32_000
    assert len(output(plain(result(text("x" * 5_000_000))))["answer"]) == 5_000_000


def test_a_typed_answer_becomes_columns_in_their_order() -> None:
    answer = typed({"score": 3, "topics": ["Price"], "label": "Positive"})
    assert list(output(answer)) == ["label", "topics", "score"]


def test_choices_come_back_in_the_recipes_own_words() -> None:
    assert output(typed({"label": " positive ", "topics": ["PRICE", "quality"], "score": 3})) == {
        "label": "Positive",
        "topics": ["Price", "Quality"],
        "score": 3,
    }


def test_choices_within_a_schema_too() -> None:
    section = {
        "schema": {
            "properties": {
                "parts": {
                    "items": {
                        "properties": {"kind": {"$ref": "#/$defs/kind"}, "size": {"anyOf": [{"enum": ["L"]}, {"type": "null"}]}}
                    }
                }
            },
            "$defs": {"kind": {"enum": ["Tür", "STRASSE"]}},
        }
    }
    assert output(typed({"parts": [{"kind": "tür", "size": "l"}, {"kind": "straße", "size": None}]}, section)) == {
        "parts": [{"kind": "Tür", "size": "L"}, {"kind": "STRASSE", "size": None}]
    }


@pytest.mark.parametrize(
    ("said", "error_type", "words"),
    [
        ("It is positive.", "not_json", "not the JSON"),
        ('{"label": "Positive", ', "not_json", "not the JSON"),
        ('{"label": "\\ud800"}', "not_json", "not the JSON"),
        ("[" * 5_000, "not_json", "not the JSON"),
        ('{"label": "Positive", "topics": [], "score": 1e999}', "not_json", "not the JSON"),
        ("[]", "off_schema", "another type"),
        (GOOD | {"label": "mixed"}, "off_schema", "field `label` is none of the choices"),
        (GOOD | {"topics": ["mixed"]}, "off_schema", "field `topics.0` is none of the choices"),
        (GOOD | {"score": 9}, "off_schema", "field `score` is above the maximum of 5"),
        (GOOD | {"score": 0}, "off_schema", "field `score` is below the minimum of 1"),
        (GOOD | {"score": "3"}, "off_schema", "field `score` is of another type"),
        (GOOD | {"more": 1}, "off_schema", "a field that is not in the schema"),
        ({"label": "Positive"}, "off_schema", "lacks a field"),
    ],
)
def test_an_answer_that_does_not_fit_names_the_field(said: object, error_type: str, words: str) -> None:
    answer = typed(said)
    assert (answer.output, answer.error_type) == (None, error_type)
    assert words in answer.message
    assert "mixed" not in answer.message
    assert answer.text


def test_formats_and_patterns_are_checked() -> None:
    section = {"day": {"type": "string", "format": "date"}, "code": {"type": "string", "pattern": "^[A-Z]+$"}}
    assert output(typed({"day": "2026-11-24", "code": "AB"}, section))
    assert "`day` does not have its format" in typed({"day": "24.11.2026", "code": "AB"}, section).message
    assert "`code` does not match its pattern" in typed({"day": "2026-11-24", "code": "ab"}, section).message


def test_a_pattern_takes_no_time() -> None:
    section = {"a": {"type": "string", "pattern": "^(a+)+$"}}
    assert typed({"a": "a" * 100_000 + "b"}, section).error_type == "off_schema"


def test_a_fence_around_the_whole_answer_is_passed_over() -> None:
    assert output(typed(f"```json\n{json.dumps(GOOD)}\n```")) == GOOD
    assert typed(f"Here it is:\n```json\n{json.dumps(GOOD)}\n```").error_type == "not_json"
    assert typed("```").error_type == "not_json"


def test_plain_text_loads_no_json_schema() -> None:
    code = (
        "import sys; from batchdrop.recipes import answers, form; answers.Answers(form.AnswerForm()); "
        "print('jsonschema_rs' in sys.modules)"
    )
    path = {"PYTHONPATH": str(Path(batchdrop.__path__[0]).parent)}
    assert run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("a", "a"),
        ("ä\n\U0001f600", "ä\n\U0001f600"),
        (1, "1"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ([], ""),
        (["a", "b"], "a; b"),
        ([1, 2.5, True], "1; 2.5; true"),
        (["a;b"], '["a;b"]'),
        (["a", ""], '["a",""]'),
        (["a", None], '["a",null]'),
        ([["a"]], '[["a"]]'),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_a_cell(value: object, cell: str) -> None:
    assert cells(json.dumps({"x": value}, separators=(",", ":")).encode(), ("x",)) == [cell]


def test_cells_are_in_the_order_of_the_columns_and_numbers_as_written() -> None:
    assert cells(b'{"b":1.50,"a":12345678901234567890}', ("a", "b", "c")) == ["12345678901234567890", "1.50", ""]


_anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["text", "end_turn", "refusal"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["message", "content", "type", "text", "stop_reason", "usage", "stop_details"]), inner, max_size=5
        )
    ),
    max_leaves=15,
)
_readers = [Answers(AnswerForm()), Answers(compile_output(SECTION).answer)]


@pytest.mark.parametrize("reader", _readers)
@given(data=st.one_of(st.binary(max_size=200), _anything.map(lambda value: json.dumps(value).encode())))
def test_whatever_comes_is_judged(reader: Answers, data: bytes) -> None:
    answer = reader.read(data)
    assert (answer.output is None) is bool(answer.error_type) is bool(answer.message)
    assert answer.error_type in ("", *REASONS)


@given(
    said=st.one_of(
        st.text(max_size=60),
        _anything.map(json.dumps),
        st.fixed_dictionaries({}, optional=dict.fromkeys(SECTION, _anything)).map(json.dumps),
    )
)
def test_whatever_is_said_fits_the_schema_or_is_refused(said: str) -> None:
    answer = typed(said)
    if answer.output is not None:
        assert set(json.loads(answer.output)) == set(SECTION)
        assert output(typed(answer.output.decode())) == output(answer)


_columns = {
    "string": st.text(max_size=9),
    "integer": st.integers(-(10**30), 10**30),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
}


@given(st.dictionaries(st.from_regex(r"\A[a-z]{1,5}\Z"), st.sampled_from(list(_columns)), min_size=1, max_size=5), st.data())
def test_an_answer_that_fits_comes_through(section: dict[str, str], data: st.DataObject) -> None:
    value = {name: data.draw(_columns[kind]) for name, kind in section.items()}
    answer = typed(json.dumps(value), section)
    assert output(answer) == value
    assert answer.output is not None
    row = cells(answer.output, tuple(section))
    written = io.StringIO(newline="")
    csv.writer(written).writerow(row)
    assert next(csv.reader(io.StringIO(written.getvalue(), newline=""))) == row
