"""A guess is a number whatever a request says, and takes no longer than reading it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.formats.input_line import REQUESTS, Row
from batchdrop.money.token_guess import GUESS_HIGH, GUESS_LOW, Look, guess_tokens, look, most_of
from tests.input_lines import JSON, PARAMS, SPELLING, damaged, line

OLDER, NEWER = "claude-opus-4-5", "claude-opus-5-5"
STORY = "The harbour was quiet when the first boats came back, and nobody on the quay said a word about the storm. "
PROSE = "".join(f"{number}. {STORY}" for number in range(20))


def params(text: str, model: str = OLDER, *, ensure_ascii: bool = False, **more: Any) -> bytes:
    body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=ensure_ascii).encode()


def guess(text: str, model: str = OLDER, **more: Any) -> int:
    return guess_tokens(params(text, model, **more), model)


def blocks(*content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def pdf(objects: bytes) -> dict[str, Any]:
    data = b"%PDF-1.7\n" + objects + b"\nstream\n" + bytes(range(256)) * 20
    return {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(data).decode()}


@given(PARAMS, SPELLING, st.text(max_size=20))
def test_any_request_has_a_guess(value: Any, spell: Callable[[Any], str], model: str) -> None:
    found = look(spell(value).encode(errors="surrogatepass"), model)
    assert found.tokens > 0


@given(damaged(), st.text(max_size=20))
def test_every_row_that_is_sent_has_a_guess(data: bytes, model: str) -> None:
    row = REQUESTS.check(line(data))
    if isinstance(row, Row):
        assert look(row.params, row.model).tokens > 0
    # Nothing else is looked at, but nothing else fails either.
    assert look(data, model).tokens > 0


@given(JSON)
def test_any_json_has_a_guess(value: Any) -> None:
    assert guess_tokens(json.dumps(value).encode(), NEWER) > 0


@given(st.binary(max_size=300))
def test_any_bytes_have_a_guess(data: bytes) -> None:
    assert guess_tokens(data, NEWER) > 0


PLAIN = st.text(st.characters(exclude_characters='"\\', exclude_categories=("Cc", "Cs")))


@given(PLAIN, PLAIN)
def test_more_text_is_never_fewer_tokens(text: str, more: str) -> None:
    assert guess(text + more) >= guess(text)


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "letters": lambda size: params("a" * size),
    "signs": lambda size: params("#" * size),
    "escapes": lambda size: params("\\" * (size // 2)),
    "coded": lambda size: params("ж" * (size // 6), ensure_ascii=True),
    "wide": lambda size: params("漢" * (size // 3)),
    "types and spaces": lambda size: b'{"source":1,"tools":2,"type"' + b" " * size,
    "many types": lambda size: b'{"source":1,"a":"b","c":"d","e":"f","g":"h"' + b',"type" ' * (size // 8),
    "data without an end": lambda size: b'{"source":1,"a":"b","c":"d","e":"f","g":"h","type":"image","data":"' + b"A" * size,
    "many data without an end": lambda size: b'{"source":1,"type":"image"' + b',"data":"AAAA\n' * (size // 14),
    "pages without an end": lambda size: params("", messages=blocks({"type": "document", "source": pdf(b"/Type" + b" " * size)})),
    "many pages without an end": lambda size: params("", messages=blocks({"type": "document", "source": pdf(b"/Type " * size)})),
    "many places": lambda size: b'{"max_tokens":1,"a_b":2,"inference_geo"  ' + b',"inference_geo"  ' * (size // 18),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_ten_times_the_bytes_take_ten_times_as_long(name: str) -> None:
    def seconds(size: int) -> float:
        data = HOSTILE[name](size)
        taken = []
        for _ in range(3):
            began = time.process_time()
            look(data, NEWER)
            taken.append(time.process_time() - began)
        return min(taken)

    # A square would take a hundred times as long: 3 seconds and more.
    assert seconds(2_000_000) < 40 * seconds(200_000) + 0.02


def test_newer_models_take_a_third_more() -> None:
    assert guess(PROSE, NEWER) / guess(PROSE, OLDER) == pytest.approx(1.3, rel=0.02)


@pytest.mark.parametrize(
    ("model", "newer"),
    [
        ("claude-3-5-sonnet-20241022", False),
        ("claude-opus-4-20250514", False),
        ("claude-haiku-4-5-20251001", False),
        ("claude-sonnet-4-6", False),
        ("claude-opus-4-7", True),
        ("claude-sonnet-5", True),
        ("claude-haiku-5-5", True),
        ("claude-fable-5-2", True),
        ("claude-next", True),
        ("", True),
        ("x" * 200 + "-4-5", True),
    ],
)
def test_which_models_are_newer(model: str, newer: bool) -> None:
    # The name is part of the request too, so the request is always the same.
    data = params(PROSE)
    assert guess_tokens(data, model) == guess_tokens(data, NEWER if newer else OLDER)


@pytest.mark.parametrize(
    "text", [PROSE, "Съешь ещё этих мягких булок. " * 60, "すべての人間は自由である。" * 60, "ä, ö, ü und ß " * 60]
)
def test_escapes_are_counted_as_what_they_mean(text: str) -> None:
    assert guess(text, ensure_ascii=True) == pytest.approx(guess(text), rel=0.25)


def test_line_breaks_and_quotes_take_no_more_than_a_sign() -> None:
    lines = PROSE.replace(". ", ".\n")
    assert guess(lines) == pytest.approx(guess(PROSE), rel=0.15)


def test_blocks_and_turns_take_little_of_their_own() -> None:
    one, turns = guess(PROSE * 10), guess("", messages=[{"role": "user", "content": PROSE}] * 10)
    assert one < turns < 1.1 * one


def test_tools_take_what_their_system_prompt_takes() -> None:
    tool = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    assert 500 < guess("Hi", tools=[tool]) - guess("Hi") < 700


@pytest.mark.parametrize(("model", "tokens"), [(OLDER, 1_568), (NEWER, 4_784)])
@pytest.mark.parametrize("encoded", [100, 1_000_000])
def test_an_image_takes_its_most_however_many_bytes_it_has(model: str, tokens: int, encoded: int) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo/" * (encoded // 12)}
    image = {"type": "image", "source": source}
    words = {"type": "text", "text": "What is this?"}
    with_image = guess("", model, messages=blocks(image, words))
    assert tokens < with_image - guess("What is this?", model) < tokens + 80
    twice = guess("", model, messages=blocks(image, image, words))
    assert tokens < twice - with_image < tokens + 80


def pages(*sources: dict[str, Any]) -> float:
    """How many the documents are counted as."""
    documents = [{"type": "document", "source": source} for source in sources]
    found = guess("", messages=blocks(*documents, {"type": "text", "text": "Hi"})) - guess("Hi")
    return round(found / (3_000 + 1_568), 1)


PAGES = b"1 0 obj <</Type /Pages /Kids [2 0 R]>> endobj "


@pytest.mark.parametrize("page", [b"<</Type /Page>>", b"<</Type/Page/Parent 1 0 R>>", b"<<\n/Type\r\n/Page\n/Parent 1 0 R>>"])
@pytest.mark.parametrize("number", [1, 34, 600])
def test_a_document_takes_the_pages_that_it_shows(page: bytes, number: int) -> None:
    assert pages(pdf(PAGES + page * number)) == pytest.approx(number, abs=0.1)


def test_a_request_takes_no_more_pages_than_it_may_have() -> None:
    assert pages(*[pdf(b"/Type /Page " * 400)] * 2) == pytest.approx(600, abs=0.1)


@pytest.mark.parametrize(
    "source",
    [
        pdf(PAGES + b"5 0 obj <</Type /ObjStm>>"),
        {"type": "url", "url": "https://example.com/a.pdf"},
        {"type": "file", "file_id": "file_1"},
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x" * 10_000 + "A"},
    ],
)
def test_a_document_that_shows_no_pages_takes_ten(source: dict[str, Any]) -> None:
    assert pages(source) == pytest.approx(10, abs=0.1)
    assert pages(source, pdf(b"/Type /Page " * 3)) == pytest.approx(13, abs=0.1)


def test_an_image_by_its_address_or_file_counts_too() -> None:
    for source in ({"type": "url", "url": "https://example.com/a.png"}, {"type": "file", "file_id": "file_1"}):
        assert guess("", messages=blocks({"type": "image", "source": source})) > 1_568


def test_base64_in_a_text_is_text() -> None:
    assert guess('{"type":"image","source":{"data":"' + "iVBORw0KGgo/" * 1_000 + '"}}') > 2_000


@pytest.mark.parametrize("spelling", ["{}", " {}", "\n{}"])
def test_what_is_asked_beside_the_text(spelling: str) -> None:
    plain = params("Hello")[:-1]
    us = plain + b',"inference_geo":' + spelling.format('"us"').encode() + b"}"
    assert look(us, OLDER)[1:] == (True, False)
    assert look(plain + b',"inference_geo":"global"}', OLDER)[1:] == (False, False)
    caches: dict[str, Any] = {"system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]}
    assert look(params("Hello", **caches), OLDER)[1:] == (False, True)
    assert look(params('"cache_control": "inference_geo":"us"'), OLDER)[1:] == (False, False)


def test_the_most_of_a_guess_is_its_high_band() -> None:
    assert most_of(1_000) == round(1_000 * GUESS_HIGH)
    assert 0 < GUESS_LOW < 1 < GUESS_HIGH
    assert look(params("Hi"), OLDER) == Look(guess("Hi"), us=False, caches=False)
