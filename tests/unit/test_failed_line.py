"""Lines of `failed.jsonl`: the original, why it failed, and fit to be dropped again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.records import RowStatus
from batchdrop.formats.failed_line import MAX_MESSAGE_CHARS, failed_line, number_of_failed, read_failure
from batchdrop.formats.input_line import REQUESTS, Row, is_object
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import CUT_BYTES, Line
from tests.input_lines import ROW, damaged, line


def failed(source: Line | bytes, custom_id: bytes | None = None, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"status": RowStatus.errored, "error_type": "api_error", "message": "no", "attempts": 2}
    row = source if isinstance(source, Line) else line(source)
    return failed_line(row, job_id="job", custom_id=custom_id, **(fields | changes))


@given(st.binary(max_size=40) | damaged() | ROW.map(json.dumps).map(str.encode), st.text(max_size=20))
def test_a_failed_line_dropped_again_fares_as_the_original(data: bytes, message: str) -> None:
    source = line(data)
    before = REQUESTS.check(source)
    custom_id = before.custom_id if isinstance(before, Row) else None
    out = failed(source, custom_id, message=message)
    assert out.endswith(b"\n")
    assert b"\n" not in out[:-1] or b"\n" in data
    value = json.loads(out)
    assert value["_batchdrop"]["line"] == 7
    assert value["_batchdrop"]["error"]["message"] == message.encode(errors="backslashreplace").decode()
    after = REQUESTS.check(line(out[:-1]))
    assert isinstance(after, Row) == isinstance(before, Row)
    if isinstance(before, Row) and isinstance(after, Row):
        assert after.params == before.params
        assert after.custom_id == (before.custom_id or b'"line-7"')
        # From the bytes alone it is the same, however it came about.
        assert json.loads(failed(source, None, message=message)) == value
    if isinstance(before, InvalidLine):
        assert isinstance(after, InvalidLine)
        assert after.type == (before.type if is_object(source) else "missing_params")
    again = failed(line(out[:-1]), after.custom_id if isinstance(after, Row) else None, message=message)
    assert json.loads(again) == value


def test_a_failed_row_keeps_its_bytes() -> None:
    data = b'{"custom_id": "a", "params": {"x" : 1.50}} '
    assert failed(data, b'"a"') == (
        b'{"custom_id": "a", "params": {"x" : 1.50},"_batchdrop":{"job_id":"job","line":7,"status":"errored",'
        b'"error":{"type":"api_error","message":"no"},"attempts":2}}\n'
    )


def test_a_failed_row_without_custom_id_gets_one() -> None:
    assert failed(b'{"params": {"x" : 1.50}}').startswith(b'{"custom_id":"line-7","params": {"x" : 1.50},"_batchdrop":{')
    assert failed(b"{}").startswith(b'{"custom_id":"line-7","_batchdrop":{')


def test_an_older_note_is_replaced_however_it_is_spelled() -> None:
    for key in ("_batchdrop", "\\u005fbatchdrop", "_b\\u0061tchdrop"):
        out = failed(b'{"custom_id":"a","%b":{"line":1},"params":{}}' % key.encode(), b'"a"')
        assert out.startswith(b'{"custom_id":"a","params":{},"_batchdrop":{"job_id":"job","line":7,')
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
def test_a_line_that_is_not_an_object_is_kept_as_text(data: bytes, raw: str) -> None:
    assert list(json.loads(failed(data))) == ["_batchdrop"]
    assert json.loads(failed(data))["_batchdrop"]["raw"] == raw


def test_a_cut_line_is_text_even_if_its_beginning_is_an_object() -> None:
    source = line(b"{}" + b" " * (CUT_BYTES - 2), cut=True)
    assert json.loads(failed(source))["_batchdrop"]["raw"] == source.data.decode()


def test_a_long_message_is_cut() -> None:
    assert len(json.loads(failed(b"{}", message="x" * 9_000))["_batchdrop"]["error"]["message"]) == MAX_MESSAGE_CHARS


@pytest.mark.parametrize("data", [b'{"custom_id":"a","params":{}}', b"not json"])
def test_what_is_written_can_be_read(data: bytes) -> None:
    written = failed(data, status=RowStatus.expired, error_type="expired")
    failure = read_failure(written)
    assert (failure.line, failure.status, failure.error.type, failure.attempts) == (7, RowStatus.expired, "expired", 2)
    assert number_of_failed(written) == 7
