"""What is said about a line is short, whatever is in the line: the messages are stored, and read back line by line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchdrop.formats.failed_line import MAX_MESSAGE_CHARS
from batchdrop.formats.input_line import REQUESTS, Row
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from batchdrop.stages.plan.check import checked
from batchdrop.stages.plan.seen_ids import IdSet

_BIG = 30_000_000
_PARAMS = b'"model": "m", "max_tokens": 5, "messages": [{}]'
# Where the big field stands.
_STRINGS = {
    "unknown field": b'{"%b": 1, "params": {' + _PARAMS + b"}}",
    "field twice": b'{"%b": 1, "%b": 1, "params": {' + _PARAMS + b"}}",
    "field of params twice": b'{"params": {"%b": 1, "%b": 1, ' + _PARAMS + b"}}",
    "custom_id": b'{"custom_id": ["%b"], "params": {' + _PARAMS + b"}}",
    "params": b'{"params": "%b"}',
    "model": b'{"params": {"model": {"a": "%b"}, "max_tokens": 5, "messages": [{}]}}',
    "max_tokens": b'{"params": {"model": "m", "max_tokens": "%b", "messages": [{}]}}',
    "messages": b'{"params": {"model": "m", "max_tokens": 5, "messages": "%b"}}',
    "a message": b'{"params": {"model": "m", "max_tokens": 5, "messages": ["%b"]}}',
    "stream": b'{"params": {"stream": "%b", ' + _PARAMS + b"}}",
    "not an object": b'"%b"',
    "not JSON": b"%b",
    "half a pair": b'{"custom_id": "%b\\ud800", "params": {' + _PARAMS + b"}}",
    "not UTF-8": b'{"custom_id": "%b\xff", "params": {' + _PARAMS + b"}}",
    "NaN": b'{"custom_id": "%b", "params": NaN}',
}
_NUMBERS = {
    "custom_id": b'{"custom_id": %b, "params": {' + _PARAMS + b"}}",
    "max_tokens": b'{"params": {"model": "m", "max_tokens": %b, "messages": [{}]}}',
    "exponent": b'{"params": {"temperature": 1e%b, ' + _PARAMS + b"}}",
    "not an object": b"%b",
}


def _lines() -> Iterator[tuple[str, bytes]]:
    letters, digits = b"x" * _BIG, b"1" * _BIG
    for where, frame in _STRINGS.items():
        yield where, frame.replace(b"%b", letters[: _BIG // frame.count(b"%b")])
    for where, frame in _NUMBERS.items():
        yield f"number, {where}", frame.replace(b"%b", digits)
    yield "unknown field in quotes", _STRINGS["unknown field"].replace(b"%b", b'\\"' * (_BIG // 2))
    yield "nested", b"[" * _BIG


def test_a_message_never_quotes_a_field_at_length() -> None:
    seen: set[str] = set()
    for name, data in _lines():
        row = REQUESTS.check(Line(1, 0, len(data), data, cut=False))
        assert isinstance(row, InvalidLine), name
        assert len(row.message) < MAX_MESSAGE_CHARS, name
        seen.add(row.type)
    assert seen >= {
        "duplicate_key",
        "invalid_custom_id",
        "invalid_max_tokens",
        "invalid_messages",
        "invalid_model",
        "invalid_params",
        "lone_surrogate",
        "not_a_number",
        "not_an_object",
        "not_json",
        "not_utf8",
        "number_out_of_range",
        "too_deep",
        "unknown_field",
        "unsupported_parameter",
    }


@pytest.mark.parametrize("piece", [b"x", b'\\"'], ids=["letters", "quotes"])
def test_nor_does_that_of_a_repeated_custom_id(piece: bytes, tmp_path: Path) -> None:
    data = b'{"custom_id": "%b", "params": {%b}}' % (piece * (_BIG // len(piece)), _PARAMS)
    lines = [Line(number, 0, len(data), data, cut=False) for number in (1, 2)]
    with closing(IdSet(tmp_path / "ids")) as seen:
        (_, first), (_, second) = checked(lines, seen).unique()
    assert isinstance(first, Row)
    assert isinstance(second, InvalidLine)
    assert second.type == "duplicate_custom_id"
    assert len(second.message) < MAX_MESSAGE_CHARS
