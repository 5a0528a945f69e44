"""Lines of `results.jsonl`."""

from __future__ import annotations

from batchdrop.formats.result_line import number_of_result, read_result_line, result_line


def test_a_result_line() -> None:
    assert (
        result_line(b'"\\u0061"', 12, 1, b"0.000123", b'{"type": "x"}')
        == b'{"custom_id":"\\u0061","line":12,"attempts":1,"cost_usd":0.000123,"result":{"type": "x"}}\n'
    )
    assert (
        result_line(None, 12, 2, b"null", b"{}")
        == b'{"custom_id":"line-12","line":12,"attempts":2,"cost_usd":null,"result":{}}\n'
    )


def test_what_is_written_can_be_read() -> None:
    written = result_line(b'"a b"', 12, 2, b"0", b'{"type": "succeeded", "message": {"line": 5}}')
    found = read_result_line(written)
    assert (bytes(found.custom_id), found.line, found.attempts, found.result.type) == (b'"a b"', 12, 2, "succeeded")
    assert number_of_result(written) == 12
