"""The small rules behind the answers, without a server."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.claude import answers, fitting, markers, params, sentiment, tokens


def answer(prompt: str, **fields: Any) -> str:
    turn = params.Turn("user", prompt)
    return answers.compose(params.Params("claude-haiku-4-5", [turn], 1000, **fields)).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I love it! Excellent.", "positive"),
        ("Terrible; it broke.", "negative"),
        ("It isn't good", "negative"),
        ("It isn\u2019t bad.", "positive"),
        ("Good sound, bad battery", "neutral"),
        ("A chair with four legs", "neutral"),
        ("", "neutral"),
    ],
)
def test_sentiment(text: str, expected: str) -> None:
    assert sentiment.judge(text) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Classify this review as positive, negative or neutral: I love it", "positive"),
        ("What is the sentiment, Positive or Negative?\n\nText: awful", "Negative"),
        ("Is it one of spam or ham?\nfree spam for all", "spam"),
        ("<review>Bad.</review> Label it positive, negative, or mixed.", "negative"),
        ("Choose red, green or blue as JSON.\nThe sky is blue", '{"label":"blue"}'),
        ("Just talk to me. And more.", "In short: Just talk to me."),
    ],
)
def test_answers_follow_the_instruction(prompt: str, expected: str) -> None:
    assert answer(prompt) == expected


def test_the_instruction_may_be_in_the_system_prompt() -> None:
    assert answer("I love it", system="Label the text as positive, negative or neutral.") == "positive"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Translate into German: Good morning.", "Guten Morgen."),
        ("Translate into Arabic:\nYour order has been shipped.", "تم شحن طلبك."),
        ("Translate to French: A lamp with a switch", "[fr] A lamp with a switch"),
        ("Write a product description.\n\nName: Alba lamp\nColor: brass", "Meet Alba lamp: color brass."),
        ("Label this ticket: billing, technical or other.\nThe app crashes after the login", "technical"),
        ("Label this ticket as billing, technical or other.\nHello", "other"),
    ],
)
def test_texts_and_labels_are_plausible(prompt: str, expected: str) -> None:
    assert answer(prompt) == expected


def test_a_thing_is_described_by_its_fields() -> None:
    schema: Any = {"type": "object", "properties": {"title": {"type": "string"}, "description": {"type": "string"}}}
    assert json.loads(
        answer(
            "Write a shop page.\nName: Alba lamp\nColor: brass\nHeight: 40 cm",
            output_config=msgspec.Raw(json.dumps({"format": {"type": "json_schema", "schema": schema}}).encode()),
        )
    ) == {"title": "Alba lamp", "description": "Meet Alba lamp: color brass, height 40 cm."}


def test_fields_are_guessed_from_their_names_and_the_text() -> None:
    schema: Any = {
        "type": "object",
        "properties": {
            "category": {"enum": ["billing", "shipping", "other"]},
            "urgent": {"type": "boolean"},
            "order_number": {"type": "integer"},
            "language": {"type": "string"},
            "rating": {"type": "integer"},
            "email": {"type": "string"},
            "amount": {"type": "number"},
        },
    }
    subject = "My parcel 10452 never arrived, answer me today: ann@example.org. Terrible."
    assert fitting.fit(schema, subject) == {
        "category": "shipping",
        "urgent": True,
        "order_number": 10452,
        "language": "en",
        "rating": 1,
        "email": "ann@example.org",
        "amount": 10452,
    }


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
ITEM = {"description": TEXT, "quantity": {"type": "integer"}, "price": NUMBER, "amount": NUMBER}
INVOICE: Any = {
    "type": "object",
    "properties": {
        "supplier": TEXT,
        "invoice_number": TEXT,
        "date": {"type": "string", "format": "date"},
        "language": TEXT,
        "currency": {"enum": ["EUR", "GBP"]},
        "vat": NUMBER,
        "total": NUMBER,
        "due": {"type": "string", "format": "date"},
        "items": {"type": "array", "items": {"type": "object", "properties": ITEM}},
    },
}


def test_an_invoice_is_read_by_its_labels_and_its_table() -> None:
    said = (
        "Papierhaus Süd\nRechnung\nRechnungsnummer: 55 213\nRechnungsdatum: 5.9.2026\nBezeichnung Menge Preis Betrag\n"
        "Karton A4, 500 Blatt 12 1.041,90 12.502,80\nUmschläge C5, Karton3 4,75 14,25\n"
        "MwSt. 19 %: 2 378,24 EUR\nGesamtbetrag: 14.895,29 EUR\n"
    )
    assert fitting.fit(INVOICE, said, document=True) == {
        "supplier": "Papierhaus Süd",
        "invoice_number": "55 213",
        "date": "2026-09-05",
        "language": "de",
        "currency": "EUR",
        "vat": 2378.24,
        "total": 14895.29,
        "due": "2026-01-01",  # it says nothing of that
        "items": [
            {"description": "Karton A4, 500 Blatt", "quantity": 12, "price": 1041.9, "amount": 12502.8},
            {"description": "Umschläge C5, Karton", "quantity": 3, "price": 4.75, "amount": 14.25},
        ],
    }


@pytest.mark.parametrize(
    ("said", "number"), [("1,440.00", 1440.0), ("1.440,5", 1440.5), ("1 440", 1440), ("-1'440.00", -1440.0), ("1,440", 1440)]
)
def test_an_amount_is_the_same_in_every_language(said: str, number: float) -> None:
    assert fitting.fit(INVOICE, f"Total: {said} EUR", document=True)["total"] == number  # type: ignore[index, call-overload]


@settings(deadline=None)
@given(st.text(max_size=300), st.lists(st.floats(allow_nan=False, allow_infinity=False, width=16), max_size=4))
def test_whatever_a_document_says_its_answer_fits(text: str, numbers: list[float]) -> None:
    said = f"{text}\n{text} {' '.join(map(str, numbers))}\nTotal: {text}\nDate: {text}"
    jsonschema.validate(fitting.fit(INVOICE, said, document=True), INVOICE)


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}, "b": {"type": ["null", "integer"]}}},
    {"type": "array", "items": {"type": "string", "format": "date"}, "minItems": 2},
    {"anyOf": [{"const": 5}, {"type": "null"}]},
    {"$ref": "#/$defs/x", "$defs": {"x": {"type": "number", "maximum": -4}}},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "boolean"}}}, {"properties": {"b": {"type": "null"}}}]},
    {"type": "string", "minLength": 200},
    {"enum": ["x", 1, None]},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_fitted_value_satisfies_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(fitting.fit(schema, "Some text."), schema)


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema: Any = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert isinstance(fitting.fit(schema, "x"), dict)


@pytest.mark.parametrize("schema", [None, 5, {"type": "banana"}, {"$ref": "#/nowhere"}, {"type": ["null"]}])
def test_what_is_no_schema_gets_null(schema: Any) -> None:
    assert fitting.fit(schema, "x") is None


@settings(deadline=None)
@given(st.text(max_size=500))
def test_any_prompt_has_one_answer(prompt: str) -> None:
    assert answer(prompt) == answer(prompt)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(1, 5))
def test_any_params_can_be_searched_for_markers(raw: bytes, attempt: int) -> None:
    assert isinstance(markers.read(raw, attempt), markers.Marks)


def test_a_longer_prefix_reads_the_shorter_one_and_writes_the_rest() -> None:
    entries: dict[str, float] = {}
    short = params.Block("text", "a" * 400, params.CacheControl("ephemeral"))
    long = params.Block("text", "b" * 800, params.CacheControl("ephemeral", "1h"))
    cache = tokens.Cache(entries, 1000.0, 0)
    one = params.Params("claude-haiku-4-5", [params.Turn("user", [short])], 10)
    two = params.Params("claude-haiku-4-5", [params.Turn("user", [short, long])], 10)
    assert cache.use(one).written_5m == 103
    usage = cache.use(two)
    assert (usage.read, usage.written_1h, usage.plain) == (103, 200, 0)
    assert tokens.Cache(entries, 1000.0 + 3600, 0).use(two).read == 0
