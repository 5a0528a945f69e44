"""What a line has to be to be sent, and what becomes of one that is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchdrop.formats import input_line
from batchdrop.formats.input_line import REQUESTS, Row, custom_id_digest, is_object
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from tests.input_lines import GOOD, JSON, ROW, SPELLING, body_of, damaged, line, with_params


def strict(data: bytes) -> Any:
    """What a parser makes of it that refuses everything doubtful."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), "a key appears twice"
        return dict(pairs)

    def finite(text: str) -> float:
        assert abs(float(text)) <= 1.8e308, text
        return float(text)

    def refuse(text: str) -> None:
        raise AssertionError(text)

    value = json.loads(data.decode(), parse_float=finite, parse_constant=refuse, object_pairs_hook=once)
    # A lone surrogate is no text.
    json.dumps(value, ensure_ascii=False).encode()
    return value


# ---------------------------------------------------------------- good rows


@pytest.mark.parametrize(
    "text",
    [
        '{"custom_id":"a","params":GOOD}',
        '{"custom_id": "a", "params": GOOD}',
        ' { "params" : GOOD , "custom_id" : "a" } ',
        '{"custom_id":"a","params":GOOD,"_batchdrop":{"line":3,"raw":[1]}}',
        '{"custom_id":"a","par\\u0061ms":GOOD}',
        with_params(stream="false", store="null", speed='"standard"'),
        with_params(messages='[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]'),
        with_params(tools='[{"input_schema":{"a":{"b":[1,2.5,1e3]}}}]', temperature="0.5", thinking="null"),
        with_params(system='"' + "[" * 500 + '"', metadata='{"user_id":"1e999"}'),
        with_params(messages='[{"role":"user","content":"' + "[" * 500 + '"}]'),
        with_params(anything_new="1"),
        with_params(model='"\\u006d"'),
    ],
)
def test_a_good_row(text: str) -> None:
    source = line(text)
    row = REQUESTS.check(source)
    assert isinstance(row, Row)
    assert (row.line, row.custom_id, row.max_tokens, row.model) == (7, b'"a"', 5, "m")
    assert row.params in source.data
    assert json.loads(row.params) == json.loads(source.data)["params"]


@pytest.mark.parametrize("custom_id", ['"a b"', '"ä\u2028"', '"' + "x" * 500 + '"', '"\\ud83d\\ude42"', '" "', '"a\\"b"'])
def test_a_custom_id_is_kept_as_written(custom_id: str) -> None:
    row = REQUESTS.check(line(f'{{"custom_id":{custom_id},"params":{GOOD}}}'))
    assert isinstance(row, Row)
    assert row.custom_id == custom_id.encode()


def test_a_row_without_custom_id() -> None:
    row = REQUESTS.check(line(f'{{"params":{GOOD}}}'))
    assert isinstance(row, Row)
    assert row.custom_id is None


# ---------------------------------------------------------------- bad rows

BAD: list[tuple[bytes | str, str, str]] = [
    # the line
    (b'{"custom_id":"\xff"}', "not_utf8", "Byte 15"),
    (with_params(system='"x"').encode().replace(b"x", b"\xed\xa0\x80"), "not_utf8", "UTF-8"),
    ('{"params":OPEN', "not_json", "ends too early"),
    ("hello", "not_json", "byte 1"),
    ("{'params':1}", "not_json", "byte 2"),
    ('{"params":GOOD}}', "not_json", "trailing"),
    ('{"params":GOOD,}', "not_json", "trailing comma"),
    ('{"params":{"a":01}}', "not_json", "number"),
    ('{"params":"\x01"}', "not_json", "byte 12"),
    ('{"params":"\\x41"}', "not_json", "escape"),
    ('[{"params":1}]', "not_an_object", "one request per line"),
    ('"text"', "not_an_object", "one request per line"),
    ("null", "not_an_object", "one request per line"),
    ("[1,", "not_json", "too early"),
    (with_params(temperature="NaN"), "not_a_number", "null"),
    (with_params(temperature="Infinity"), "not_a_number", "null"),
    (with_params(temperature="-Infinity"), "not_a_number", "null"),
    (with_params(system='"\\ud800"'), "lone_surrogate", "surrogate"),
    (with_params(system='"\\udc00 and more text"'), "lone_surrogate", "surrogate"),
    (with_params(system='"\\ud83dx and more text"'), "lone_surrogate", "surrogate"),
    ('{"\\ud800":1}', "lone_surrogate", "surrogate"),
    (with_params(metadata="[" * 100_000 + "]" * 100_000), "too_deep", "100"),
    (with_params(metadata="[" * 99 + "]" * 99), "too_deep", "100"),
    (with_params(messages='[{"content":' + "[" * 101 + "]" * 101 + "}]"), "too_deep", "100"),
    ("[" * 100_000 + "]" * 100_000, "too_deep", "100"),
    (with_params(temperature="1e999"), "number_out_of_range", "1e999"),
    (with_params(max_tokens="9" * 10_000), "number_out_of_range", "10,000 characters"),
    (with_params(metadata='{"a":[' + "9" * 10_000 + "]}"), "number_out_of_range", "10,000 characters"),
    (with_params(messages='[{"content":[{"n":1e309}]}]'), "number_out_of_range", "1e309"),
    ('{"params":GOOD,"_batchdrop":1e999}', "number_out_of_range", "1e999"),
    # its fields
    ('{"params":GOOD,"params":GOOD}', "duplicate_key", "params"),
    ('{"custom_id":"a","custom_id":"b","params":GOOD}', "duplicate_key", "custom_id"),
    ('{"custom_id":"a","custom\\u005fid":"b","params":GOOD}', "duplicate_key", "custom_id"),
    ('{"params":GOOD,"_batchdrop":1,"_batchdrop":2}', "duplicate_key", "_batchdrop"),
    ('{"params":OPEN,"model":"n"}}', "duplicate_key", "params.model"),
    ('{"params":OPEN,"x":1,"x":1}}', "duplicate_key", "params.x"),
    ('{"params":OPEN, "x": 1, "y": 2, "z": 3, "x": 1}}', "duplicate_key", "params.x"),
    ('{"customid":"a","params":GOOD}', "unknown_field", "Did you mean custom_id?"),
    ('{"param":GOOD}', "unknown_field", "Did you mean params?"),
    ('{"params":GOOD,"model":"m"}', "unknown_field", "inside params"),
    ('{"params":GOOD,"text":"m"}', "unknown_field", "The field text"),
    ('{"params":GOOD,"LONG":1}', "unknown_field", "..."),
    # custom_id
    ('{"custom_id":"","params":GOOD}', "invalid_custom_id", "empty"),
    ('{"custom_id":12,"params":GOOD}', "invalid_custom_id", "a number"),
    ('{"custom_id":{},"params":GOOD}', "invalid_custom_id", "an object"),
    ('{"custom_id":[],"params":GOOD}', "invalid_custom_id", "an array"),
    ('{"custom_id":null,"params":GOOD}', "invalid_custom_id", "null"),
    ('{"custom_id":true,"params":GOOD}', "invalid_custom_id", "true"),
    # params
    ("{}", "missing_params", "params"),
    ('{"custom_id":"a"}', "missing_params", "params"),
    ('{"_batchdrop":{"raw":"x"}}', "missing_params", "params"),
    ('{"params":[]}', "invalid_params", "an array"),
    ('{"params":"x"}', "invalid_params", "a string"),
    ('{"params":null}', "invalid_params", "null"),
    ('{"params":{}}', "missing_model", "params.model"),
    (with_params(model=None), "missing_model", "params.model"),
    (with_params(model='""'), "invalid_model", "empty"),
    (with_params(model="1"), "invalid_model", "a number"),
    (with_params(model="null"), "invalid_model", "null"),
    (with_params(max_tokens=None), "missing_max_tokens", "params.max_tokens"),
    *(
        (with_params(max_tokens=bad), "invalid_max_tokens", bad)
        for bad in ("0", "-0", "-5", "1.0", "1e2", "true", "false", "null")
    ),
    (with_params(max_tokens='"5"'), "invalid_max_tokens", "a string"),
    (with_params(max_tokens="[5]"), "invalid_max_tokens", "an array"),
    (with_params(max_tokens="1000000000"), "invalid_max_tokens", "1000000000"),
    (with_params(max_tokens="9" * 300), "invalid_max_tokens", "a number"),
    (with_params(messages=None), "missing_messages", "params.messages"),
    (with_params(messages="[]"), "invalid_messages", "empty"),
    (with_params(messages='"hi"'), "invalid_messages", "a string"),
    (with_params(messages="{}"), "invalid_messages", "an object"),
    (with_params(messages='["hi"]'), "invalid_messages", "not an object"),
    (with_params(messages='[{"role":"user"},null]'), "invalid_messages", "not an object"),
    # more than any request has
    ("{" + ",".join(f'"f{number}":1' for number in range(101)) + "}", "too_many_fields", "100 fields"),
    (with_params(**{f"p{number}": "1" for number in range(198)}), "too_many_params", "200 fields"),
    # what a batch refuses
    (with_params(stream="true"), "unsupported_parameter", "params.stream"),
    (with_params(stream="1"), "unsupported_parameter", "params.stream"),
    (with_params(speed='"fast"'), "unsupported_parameter", "params.speed"),
    (with_params(store="true"), "unsupported_parameter", "params.store"),
]

NO_OBJECT = {
    "line_too_long", "not_utf8", "not_json", "not_an_object", "not_a_number", "lone_surrogate", "too_deep", "number_out_of_range",
}  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "words"), BAD, ids=[f"{kind}-{index}" for index, (_, kind, _) in enumerate(BAD)])
def test_a_bad_row(data: bytes | str, kind: str, words: str) -> None:
    source = line(data)
    invalid = REQUESTS.check(source)
    assert isinstance(invalid, InvalidLine)
    assert (invalid.type, invalid.line) == (kind, 7)
    assert words in invalid.message
    assert len(invalid.message) < 400
    assert is_object(source) == (kind not in NO_OBJECT)
    assert input_line._quick(source) is None


def test_a_line_over_the_bound() -> None:
    source = Line(7, 100, 300_000_101, b"{}", True)
    invalid = REQUESTS.check(source)
    assert isinstance(invalid, InvalidLine)
    assert (invalid.type, is_object(source)) == ("line_too_long", False)
    assert "300,000,001 bytes" in invalid.message


def crowded(members: int) -> str:
    return ",".join(f'"k{number}":0' for number in range(members))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (f'{{{crowded(300_000)},"params":GOOD}}', "too_many_fields"),
        (f"{{{','.join(['1:2'] * 300_000)}}}", "not_json"),
        (with_params(x="1", metadata=f"{{{crowded(300_000)}}}").replace('"metadata":{', "")[:-2] + "}", "too_many_params"),
        (with_params(messages=f"[{','.join(['{}'] * 100_001)}]"), "too_many_messages"),
        (with_params(messages=f"[{','.join(['[]'] * 100_001)}]"), "too_many_messages"),
    ],
)
def test_what_would_fill_the_memory_is_counted_before_it_is_decoded(data: str, kind: str) -> None:
    invalid = REQUESTS.check(line(data))
    assert isinstance(invalid, InvalidLine)
    assert invalid.type == kind


@pytest.mark.parametrize(
    "data",
    [
        with_params(messages=f"[{','.join(['{"role":"user","content":[{"type":"text","text":"a: {}"}]}'] * 100_000)}]"),
        with_params(**{f"p{number}": "1" for number in range(197)}),
        with_params(system='"' + '{ 12:30 \\"x\\": {' * 200_000 + '"'),
        with_params(tools=f'[{{"input_schema":{{{crowded(300_000)}}}}}]'),
    ],
    ids=["messages", "params", "text", "a schema"],
)
def test_as_much_as_the_api_takes_is_a_row(data: str) -> None:
    row = REQUESTS.check(line(data))
    assert isinstance(row, Row)
    assert b'"params":' + row.params in data.encode()


# ---------------------------------------------------------------- any line at all


@given(ROW, SPELLING)
def test_every_good_row_is_sent_byte_for_byte(value: dict[str, Any], spell: Callable[[Any], str]) -> None:
    data = spell(value).encode()
    row = REQUESTS.check(line(data))
    assert isinstance(row, Row)
    spelled = spell(value["params"]).encode()
    assert row.params == spelled
    assert json.loads(body_of([row])) == {"requests": [{"custom_id": f"{'p' * 16}-7", "params": json.loads(spelled)}]}
    assert (row.custom_id is None) == ("custom_id" not in value)
    assert bytes(REQUESTS.params(data)) == row.params
    assert REQUESTS.custom_id(data) == row.custom_id
    if row.custom_id is not None:
        assert json.loads(row.custom_id) == json.loads(data)["custom_id"]


@given(st.binary(max_size=40) | damaged() | JSON.map(json.dumps).map(str.encode), st.booleans())
@example(b"", False)
@example(b'{"params":"\\u', False)
@example(b'{"params":{"model":"m","messages":[{}],"max_tokens":' + b"9" * 5000 + b"}}", False)
def test_any_bytes_are_a_row_or_invalid_and_a_row_is_safe_to_send(data: bytes, cut: bool) -> None:
    source = line(data, cut=cut)
    row = REQUESTS.check(source)
    quick = input_line._quick(source)
    assert quick is None or quick == input_line._judge(source)
    if isinstance(row, InvalidLine):
        assert re.fullmatch("[a-z_0-9]+", row.type)
        return
    whole = strict(body_of([row]))
    params = whole["requests"][0]["params"]
    assert params["model"] == row.model
    assert params["max_tokens"] == row.max_tokens
    assert strict(data).keys() <= {"custom_id", "params", "_batchdrop"}


# ---------------------------------------------------------------- ids


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_a_digest_stands_for_the_text_of_an_id(one: str, other: str) -> None:
    def digest(text: str, *, ascii_only: bool) -> bytes:
        return custom_id_digest(json.dumps(text, ensure_ascii=ascii_only).encode())

    assert digest(one, ascii_only=True) == digest(one, ascii_only=False)
    assert (digest(one, ascii_only=True) == digest(other, ascii_only=False)) == (one == other)
    assert len(digest(one, ascii_only=True)) == 16


def test_two_spellings_are_one_id() -> None:
    assert custom_id_digest(b'"a"') == custom_id_digest(b'"\\u0061"') != custom_id_digest(b'"A"')


# ---------------------------------------------------------------- lines that passed the check


@given(st.lists(ROW, min_size=1, max_size=4), SPELLING)
def test_a_block_of_lines_gives_the_params_of_each(values: list[dict[str, Any]], spell: Callable[[Any], str]) -> None:
    lines = [spell(value).encode() for value in values]
    found = REQUESTS.params_of_lines(b"\n".join(lines) + b"\n")
    assert [bytes(params) for params in found] == [bytes(REQUESTS.params(one)) for one in lines]


def test_a_line_whose_source_is_gone_has_neither_params_nor_custom_id() -> None:
    assert (bytes(REQUESTS.params(b"{}")), REQUESTS.custom_id(b"{}")) == (b"{}", None)
