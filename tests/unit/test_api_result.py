"""Result lines as the API writes them, and as it might one day."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.errors import Incomplete
from batchdrop.formats.api_result import (
    ApiResult,
    Refusal,
    first_custom_id,
    line_number_reader,
    parse_result,
    peek_custom_id,
    result_lines,
)

A, B = "a" * 16, "b" * 16
USAGE = {
    "input_tokens": 1,
    "output_tokens": 2,
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 5,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
    "service_tier": "batch",
}


def succeeded(**message: Any) -> dict[str, Any]:
    return {
        "type": "succeeded",
        "message": {"model": "m", "content": [{"type": "text", "text": "\u2028"}], "usage": USAGE} | message,
    }


def result(value: Any, custom_id: Any = "t-1-7") -> bytes:
    return json.dumps({"custom_id": custom_id, "result": value}, ensure_ascii=False).encode()


def tokens(answer: ApiResult) -> tuple[int, ...]:
    return answer[6:11]


def test_a_succeeded_row_keeps_its_bytes_and_gives_its_usage() -> None:
    answer = parse_result(result(succeeded()) + b"\n")
    assert (answer.custom_id, answer.type, answer.model, answer.error_type) == ("t-1-7", "succeeded", "m", "")
    assert answer.result == json.dumps(succeeded(), ensure_ascii=False).encode()
    assert tokens(answer) == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 1, "output_tokens": 2}, (1, 2, 0, 0, 0)),
        ({"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 9, "cache_creation": None}, (1, 2, 9, 0, 0)),
        ({"input_tokens": 1, "output_tokens": None, "cache_read_input_tokens": None}, (1, 0, 0, 0, 0)),
        (None, (0, 0, 0, 0, 0)),
    ],
)
def test_usage_that_is_partly_there(usage: dict[str, Any] | None, expected: tuple[int, ...]) -> None:
    assert tokens(parse_result(result(succeeded(usage=usage)))) == expected


@pytest.mark.parametrize("message", [{"usage": "none"}, {"usage": {"input_tokens": 1.5}}])
def test_a_paid_answer_is_never_lost_to_an_odd_detail(message: dict[str, Any]) -> None:
    answer = parse_result(result(succeeded(**message)))
    assert (answer.type, tokens(answer)) == ("succeeded", (0, 0, 0, 0, 0))


@pytest.mark.parametrize("message", [{"usage": None}, {"usage": "none"}, {"usage": USAGE | {"input_tokens": -1}}, {"usage": {}}])
def test_without_tokens_nobody_knows_what_an_answer_costs(message: dict[str, Any]) -> None:
    assert parse_result(result(succeeded())).metered
    assert not parse_result(result(succeeded(**message))).metered


@pytest.mark.parametrize("message", [{"model": 5}, {"stop_reason": {}}, {"container": "c"}, {"content": 5}])
def test_an_odd_member_costs_no_other(message: dict[str, Any]) -> None:
    answer = parse_result(result(succeeded(**message)))
    assert (tokens(answer), answer.metered, answer.model) == ((1, 2, 3, 4, 5), True, "" if "model" in message else "m")


@pytest.mark.parametrize(("usage", "geo"), [({}, None), ({"inference_geo": "us"}, "us"), ({"inference_geo": None}, None)])
def test_where_it_ran(usage: dict[str, Any], geo: str | None) -> None:
    assert parse_result(result(succeeded(usage=USAGE | usage))).inference_geo == geo


@pytest.mark.parametrize(
    ("message", "uses", "expected"),
    [
        ({}, None, (0, ())),
        ({"container": None}, {}, (0, ())),
        ({}, {"web_search_requests": 3, "web_fetch_requests": 2}, (3, ())),
        ({}, {"web_search_requests": None, "code_execution_requests": 0}, (0, ())),
        ({"container": {"id": "c", "expires_at": "x"}}, None, (0, ("code_execution",))),
        ({"container": {"id": "c"}}, {"web_search_requests": 1, "code_execution_requests": 4}, (1, ("code_execution",))),
        ({}, {"new_tool_requests": 1, "details": {"a": 1}, "x" * 200: 1}, (0, ("new_tool", "x" * 80))),
    ],
)
def test_tools_of_the_api(message: dict[str, Any], uses: dict[str, Any] | None, expected: tuple[int, tuple[str, ...]]) -> None:
    answer = parse_result(result(succeeded(usage=USAGE | {"server_tool_use": uses}, **message)))
    assert (answer.web_searches, answer.other_tools) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": []}, Refusal(None, has_output=False)),
        ({"content": [], "stop_details": None}, Refusal(None, has_output=False)),
        ({"content": [], "stop_details": {"type": "refusal", "category": "cyber"}}, Refusal("cyber", has_output=False)),
        ({"content": [], "stop_details": {"category": None}}, Refusal(None, has_output=False)),
        ({"content": None, "stop_details": {"category": 5}}, Refusal(None, has_output=False)),
        ({"stop_details": {"category": "bio"}}, Refusal("bio", has_output=True)),
        ({"content": [{"type": "text", "text": "\ud83d"}]}, Refusal(None, has_output=True)),
    ],
)
def test_refusals(message: dict[str, Any], expected: Refusal) -> None:
    whole = succeeded(stop_reason="refusal", **message)
    line = json.dumps({"custom_id": "t-1-7", "result": whole}).encode()
    assert parse_result(line).refusal == expected
    assert parse_result(line.replace(b"[]", b"[ ]")).refusal == expected
    assert parse_result(line.replace(b"refusal", b"end_turn")).refusal is None


def test_an_errored_row_says_what_happened_two_levels_down() -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}, "request_id": None}
    answer = parse_result(result({"type": "errored", "error": error}))
    assert (answer.type, answer.error_type, answer.error_message) == ("errored", "invalid_request_error", "no")


def test_an_error_that_is_nested_once_is_understood_too() -> None:
    answer = parse_result(result({"type": "errored", "error": {"type": "api_error", "message": "x"}}))
    assert (answer.error_type, answer.error_message) == ("api_error", "x")


@pytest.mark.parametrize("kind", ["expired", "canceled", "a_new_word"])
def test_other_types_are_their_word(kind: str) -> None:
    answer = parse_result(result({"type": kind}))
    assert (answer.type, answer.error_type, answer.result) == (kind, "", json.dumps({"type": kind}).encode())


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"{}", b'{"custom_id":"a"}', b'{"custom_id":1,"result":{"type":"x"}}', b'{"custom_id":"a","result":{}}',
     b'{"custom_id":"a","result":{"type":1}}', b'{"custom_id":"a","result":{"type":"succ', b"[" * 100_000],
)  # fmt: skip
def test_nonsense_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a result line"):
        parse_result(line)


@given(st.binary(max_size=60))
def test_random_bytes_are_a_value_error(line: bytes) -> None:
    # A peek reads no farther than the id, and needs none of what follows it.
    for read in (parse_result, peek_custom_id) if b"custom_id" not in line else (parse_result,):
        with pytest.raises(ValueError, match="not a result line"):
            read(line)


@given(st.text(min_size=1, max_size=12), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans())
def test_a_peek_sees_the_id_that_a_full_look_sees(
    custom_id: str, first: bool, separators: tuple[str, str], ascii_only: bool
) -> None:
    members = [("custom_id", custom_id), ("result", {"type": "expired", "x": '"custom_id":"b"'})]
    text = json.dumps(dict(members if first else members[::-1]), separators=separators, ensure_ascii=ascii_only)
    assert peek_custom_id(text.encode()) == parse_result(text.encode()).custom_id == custom_id


def test_a_peek_at_nonsense_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not a result line"):
        peek_custom_id(b'{"custom_id":"')


@pytest.mark.parametrize(
    "line",
    [
        b'{"custom_id":"a-1-2","result":{"type":"succeeded","message":{"model":"m"}}}',
        b'{"custom_id": "a-1-2", "result": {"type": "succeeded", "message": {"model": "m"}}}\n',
        b'{"result":{"type":"succeeded","message":{"model":"m"}},"custom_id":"a-1-2"}',
        b'{"custom_id":"a-1-2","result":{"type":"succeeded","message":{"model":"m"}},"extra":{}}',
        b'{"custom_id":"a-1-2","result":{"type":"x"},"result":{"type":"succeeded","message":{"model":"m"}}}',
        b'{"custom_id":"a-1-2","result":{"type":"succeeded","message":{"model":"m"}}} ',
    ],
)
def test_the_result_is_the_one_json_value_of_that_name_wherever_it_stands(line: bytes) -> None:
    answer = parse_result(line)
    assert (answer.custom_id, answer.type, answer.model) == ("a-1-2", "succeeded", "m")
    assert json.loads(answer.result) == {"type": "succeeded", "message": {"model": "m"}}


# ---------------------------------------------------------------- streams of lines


@given(st.lists(st.sampled_from([b"{}", b'"\xe2\x80\xa8"', b'"\xc2\x85"', b"\n", b"\n\n"])), st.lists(st.integers(1, 5)))
def test_lines_are_the_same_in_any_chunks(pieces: list[bytes], sizes: list[int]) -> None:
    data = b"\n".join(pieces) + b"\n"
    chunks, rest = [], data
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    assert list(result_lines([*chunks, rest])) == [line for line in data.split(b"\n") if line]


def test_a_stream_that_ends_within_a_line_is_incomplete() -> None:
    assert list(result_lines([b'{"a":1}\n{"a"', b":2}"])) == [b'{"a":1}', b'{"a":2}']
    with pytest.raises(Incomplete, match="within a line"):
        list(result_lines([b'{"a":1}\n{"a":']))


def test_the_first_custom_id_of_a_stream() -> None:
    assert first_custom_id([b"\n", result({"type": "expired"}, "t-1-9"), b"\n", b"rubbish\n"]) == "t-1-9"
    with pytest.raises(Incomplete, match="no line"):
        first_custom_id([b"\n"])


@pytest.mark.parametrize(
    ("custom_id", "expected"),
    [
        (f"{A}-7", 7),
        (f"{A}-123456789012", 123456789012),
        (f"{B}-1-7", 7),
        (f"{B}-2-7", 0),
        (f"{B}-7", 0),
        (f"{A}-1-7", 0),
        (f"{A}-", 0),
        (f"{A}-x", 0),
        (f"{A}-7-1", 0),
        ("", 0),
    ],
)
def test_the_line_number_in_a_custom_id_with_a_known_prefix(custom_id: str, expected: int) -> None:
    number_of = line_number_reader((A, f"{B}-1"))
    members = {"custom_id": custom_id, "result": {"type": "expired"}}
    for line in (members, dict(reversed(members.items()))):
        for separators in ((",", ":"), (", ", ": ")):
            assert number_of(json.dumps(line, separators=separators).encode()) == expected


def test_half_a_character_in_the_last_line_is_no_broken_stream() -> None:
    line = b'{"result":{"type":"succeeded","message":{"model":"\\ud83d"}},"custom_id":"abc-1"}'
    assert list(result_lines([line])) == [line]
    assert peek_custom_id(line) == "abc-1"
    assert parse_result(line).model == "\ufffd"
