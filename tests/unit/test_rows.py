"""What a line has to be to be sent, and what becomes of one that is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchdrop.domain.records import RowStatus
from batchdrop.formats import rows
from batchdrop.formats.lines import CUT_BYTES, Line
from batchdrop.formats.rows import (
    BODY_CLOSE,
    BODY_OPEN,
    SEPARATOR,
    Invalid,
    Row,
    body_size,
    custom_id_digest,
    failed_line,
    parse,
    render,
    result_line,
)

GOOD = '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'


def line(data: bytes | str, number: int = 7, *, cut: bool = False) -> Line:
    """In text GOOD stands for good params, OPEN for the same without the closing brace, LONG for a long name."""
    if isinstance(data, str):
        data = data.replace("GOOD", GOOD).replace("OPEN", GOOD[:-1]).replace("LONG", "x" * 900).encode()
    return Line(number, 100, 101 + len(data), data, cut)


def with_params(**changes: str | None) -> str:
    """A row whose params differ from a good one; values are JSON text, None leaves one out."""
    params = {"model": '"m"', "max_tokens": "5", "messages": '[{"role":"user","content":"hi"}]'} | changes
    members = ",".join(f'"{key}":{value}' for key, value in params.items() if value is not None)
    return f'{{"custom_id":"a","params":{{{members}}}}}'


def failed(source: Line | Invalid | bytes, custom_id: bytes | None = None, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"number": 7, "status": RowStatus.errored, "error_type": "api_error", "message": "no", "attempts": 2}
    return failed_line(source, custom_id=custom_id, **(fields | changes))


def strict(data: bytes) -> Any:
    """What a parser makes of it that refuses everything doubtful."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), "a key is there twice"
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
    row = parse(source)
    assert isinstance(row, Row)
    assert (row.line, row.custom_id, row.max_tokens, row.model) == (7, b'"a"', 5, "m")
    assert row.params in source.data
    assert json.loads(row.params) == json.loads(source.data)["params"]


@pytest.mark.parametrize("custom_id", ['"a b"', '"ä\u2028"', '"' + "x" * 500 + '"', '"\\ud83d\\ude42"', '" "', '"a\\"b"'])
def test_a_custom_id_is_kept_as_written(custom_id: str) -> None:
    row = parse(line(f'{{"custom_id":{custom_id},"params":{GOOD}}}'))
    assert isinstance(row, Row)
    assert row.custom_id == custom_id.encode()


def test_a_row_without_custom_id() -> None:
    row = parse(line(f'{{"params":{GOOD}}}'))
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
    (with_params(messages='["hi"]'), "invalid_messages", "no object"),
    (with_params(messages='[{"role":"user"},null]'), "invalid_messages", "no object"),
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
    invalid = parse(source)
    assert isinstance(invalid, Invalid)
    assert (invalid.type, invalid.line, invalid.data) == (kind, 7, source.data)
    assert words in invalid.message
    assert len(invalid.message) < 400
    assert invalid.is_object == (kind not in NO_OBJECT)
    assert rows._quick(source) is None


def test_a_line_over_the_bound() -> None:
    invalid = parse(Line(7, 100, 300_000_101, b"{}", True))
    assert isinstance(invalid, Invalid)
    assert (invalid.type, invalid.is_object) == ("line_too_long", False)
    assert "300,000,001 bytes" in invalid.message


# ---------------------------------------------------------------- any line at all

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6
)
BLOCK = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=8)}, optional={"cache_control": JSON})
MESSAGE = st.fixed_dictionaries(
    {"role": st.text(max_size=4), "content": st.text(max_size=8) | st.lists(BLOCK, max_size=2) | JSON}
)
PARAMS = st.fixed_dictionaries(
    {
        "model": st.text(min_size=1, max_size=9),
        "max_tokens": st.integers(1, 10**6),
        "messages": st.lists(MESSAGE, min_size=1, max_size=3),
    },
    optional={
        "system": st.text(max_size=5) | JSON,
        "temperature": st.floats(0, 1),
        "tools": JSON,
        "x": JSON,
        "stream": st.just(False),
    },
)
ROW = st.fixed_dictionaries({"params": PARAMS}, optional={"custom_id": st.text(min_size=1, max_size=9), "_batchdrop": JSON})
SPELLING: st.SearchStrategy[Callable[[Any], str]] = st.sampled_from(
    [
        lambda value: json.dumps(value, separators=(",", ":")),
        lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        lambda value: json.dumps(value, separators=("\t, ", "  :")),
    ]
)


@given(ROW, SPELLING)
def test_every_good_row_is_sent_byte_for_byte(value: dict[str, Any], spell: Callable[[Any], str]) -> None:
    data = spell(value).encode()
    row = parse(line(data))
    assert isinstance(row, Row)
    spelled = spell(value["params"]).encode()
    assert row.params == spelled
    sent = json.loads(render(row, "token-1-7"))
    assert sent == {"custom_id": "token-1-7", "params": json.loads(spelled)}
    assert len(render(row, "token-1-7")) == body_size(len(row.params), len("token-1-7"))
    assert (row.custom_id is None) == ("custom_id" not in value)
    if row.custom_id is not None:
        assert json.loads(row.custom_id) == json.loads(data)["custom_id"]


NOISE = st.sampled_from(
    [
        b"", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b"e999", b"NaN", b"\xff", b"\xed\xa0\x80", b"\\ud800",
        b"null",
        b'"params":1,', b'"custom_id":"b",', b'"model":"n",', b" ", b"\n", b"\x00", b"true", b"1e400", b'"x":', b"\xc3\xa4",
    ]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good row with a few bytes replaced, removed or added."""
    data = draw(SPELLING)(draw(ROW)).encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        data = data[:start] + draw(NOISE) + data[start + draw(st.integers(0, 3)) :]
    return data


@given(st.binary(max_size=40) | damaged() | JSON.map(json.dumps).map(str.encode), st.booleans())
@example(b"", False)
@example(b'{"params":"\\u', False)
@example(b'{"params":{"model":"m","messages":[{}],"max_tokens":' + b"9" * 5000 + b"}}", False)
def test_any_bytes_are_a_row_or_invalid_and_a_row_is_safe_to_send(data: bytes, cut: bool) -> None:
    source = line(data, cut=cut)
    row = parse(source)
    quick = rows._quick(source)
    assert quick is None or quick == rows._judge(source)
    if isinstance(row, Invalid):
        assert re.fullmatch("[a-z_0-9]+", row.type)
        return
    whole = strict(b'{"requests":[' + render(row, "id") + b"]}")
    params = whole["requests"][0]["params"]
    assert params["model"] == row.model
    assert params["max_tokens"] == row.max_tokens
    assert strict(data).keys() <= {"custom_id", "params", "_batchdrop"}


@given(st.binary(max_size=40) | damaged() | ROW.map(json.dumps).map(str.encode), st.text(max_size=20))
def test_a_failed_line_dropped_again_fares_as_the_original(data: bytes, message: str) -> None:
    source = line(data)
    before = parse(source)
    custom_id = before.custom_id if isinstance(before, Row) else None
    out = failed(source, custom_id, message=message)
    assert out.endswith(b"\n")
    assert b"\n" not in out[:-1] or b"\n" in data
    value = json.loads(out)
    assert value["_batchdrop"]["line"] == 7
    assert value["_batchdrop"]["error"]["message"] == message.encode(errors="backslashreplace").decode()
    after = parse(line(out[:-1]))
    assert isinstance(after, Row) == isinstance(before, Row)
    if isinstance(before, Row) and isinstance(after, Row):
        assert after.params == before.params
        assert after.custom_id == (before.custom_id or b'"line-7"')
        # From the bytes alone it is the same, however it came about.
        assert json.loads(failed(source, None, message=message)) == value
    if isinstance(before, Invalid):
        assert failed(before, None, message=message) == out
        assert isinstance(after, Invalid)
        assert after.type == (before.type if before.is_object else "missing_params")
    again = failed(line(out[:-1]), after.custom_id if isinstance(after, Row) else None, message=message)
    assert json.loads(again) == value


# ---------------------------------------------------------------- lines of failed.jsonl


def test_a_failed_row_keeps_its_bytes() -> None:
    data = b'{"custom_id": "a", "params": {"x" : 1.50}} '
    assert failed(data, b'"a"') == (
        b'{"custom_id": "a", "params": {"x" : 1.50},"_batchdrop":{"line":7,"status":"errored",'
        b'"error":{"type":"api_error","message":"no"},"attempts":2}}\n'
    )


def test_a_failed_row_without_custom_id_gets_one() -> None:
    assert failed(b'{"params": {"x" : 1.50}}').startswith(b'{"custom_id":"line-7","params": {"x" : 1.50},"_batchdrop":{')
    assert failed(b"{}").startswith(b'{"custom_id":"line-7","_batchdrop":{')


def test_an_older_note_is_replaced_however_it_is_spelled() -> None:
    for key in ("_batchdrop", "\\u005fbatchdrop", "_b\\u0061tchdrop"):
        out = failed(b'{"custom_id":"a","%b":{"line":1},"params":{}}' % key.encode(), b'"a"')
        assert out.startswith(b'{"custom_id":"a","params":{},"_batchdrop":{"line":7,')
        assert out.count(b"batchdrop") == 1


def test_a_bad_custom_id_and_repeated_keys_stay_for_their_owner_to_see() -> None:
    assert failed(b'{"custom_id":5,"params":{},"params":[]}').startswith(b'{"custom_id":5,"params":{},"params":[],"_batchdrop"')


@pytest.mark.parametrize(
    ("data", "raw"),
    [
        (b"plain \xff text", "plain \\xff text"),
        ("ä\u2028".encode(), "ä\u2028"),
        (b"x" * 5_000, "x" * 1_000),
        (b"a" + "🙂".encode() * 2_000, "a" + "🙂" * 999),
        (b'{"a":1e999}', '{"a":1e999}'),
        (b'{"a":"\\ud800"}', '{"a":"\\ud800"}'),
        (b"[" * 100_000 + b"]" * 100_000, "[" * 1_000),
    ],
)
def test_a_line_that_is_no_object_is_kept_as_text(data: bytes, raw: str) -> None:
    assert list(json.loads(failed(data))) == ["_batchdrop"]
    assert json.loads(failed(data))["_batchdrop"]["raw"] == raw


def test_a_cut_line_is_text_even_if_its_beginning_is_an_object() -> None:
    source = line(b"{}" + b" " * (CUT_BYTES - 2), cut=True)
    assert json.loads(failed(source))["_batchdrop"]["raw"] == source.data.decode()


def test_a_long_message_is_cut() -> None:
    assert len(json.loads(failed(b"{}", message="x" * 9_000))["_batchdrop"]["error"]["message"]) == rows.MAX_MESSAGE_CHARS


# ---------------------------------------------------------------- ids, bodies, results


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_a_digest_stands_for_the_text_of_an_id(one: str, other: str) -> None:
    def digest(text: str, *, ascii_only: bool) -> bytes:
        return custom_id_digest(json.dumps(text, ensure_ascii=ascii_only).encode())

    assert digest(one, ascii_only=True) == digest(one, ascii_only=False)
    assert (digest(one, ascii_only=True) == digest(other, ascii_only=False)) == (one == other)
    assert len(digest(one, ascii_only=True)) == 16


def test_two_spellings_are_one_id() -> None:
    assert custom_id_digest(b'"a"') == custom_id_digest(b'"\\u0061"') != custom_id_digest(b'"A"')


def test_a_body_is_what_the_api_expects() -> None:
    row = Row(1, None, GOOD.encode(), 5, "m")
    body = BODY_OPEN + SEPARATOR.join([render(row, "a"), render(row, "b")]) + BODY_CLOSE
    assert json.loads(body) == {"requests": [{"custom_id": name, "params": json.loads(GOOD)} for name in "ab"]}


def test_a_result_line() -> None:
    assert (
        result_line(b'"\\u0061"', 12, 1, b'{"type": "x"}')
        == b'{"custom_id":"\\u0061","line":12,"attempts":1,"result":{"type": "x"}}\n'
    )
    assert result_line(None, 12, 2, b"{}") == b'{"custom_id":"line-12","line":12,"attempts":2,"result":{}}\n'
