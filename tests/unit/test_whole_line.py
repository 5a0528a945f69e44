"""Lines of `complete.jsonl`, and what rows say about where they are from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.records import Names, RowStatus
from batchdrop.formats.failed_line import FailedRow, failed_line, failed_row_line
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from batchdrop.formats.named_row import NamedRow, named_by_cells, named_by_note, named_by_rendered, noticed
from batchdrop.formats.rendered_line import asked_again, rendered_line, unrendered_line
from batchdrop.formats.result_line import AnsweredRow, answered_row_line, number_of_result, read_result_line, result_line
from batchdrop.formats.whole_line import first_failure, has_answer, number_of_whole, placed_failure, placed_result, read_whole
from tests.input_lines import line

FIRST, SECOND = "20261122T003115Z-2y5hpcy5adeaers7", "20261122T003715Z-zchqsz573lrj3chg"
NAMED = NamedRow(FIRST, 12)
WHY: dict[str, Any] = {"status": RowStatus.errored, "error_type": "truncated", "message": "cut off", "attempts": 2}
ODD = b'{"type":"succeeded","message":{"n":1e999,"line":5}}'


def rendered(row: bytes) -> Line:
    return line(rendered_line(None, b"{}", row, NAMED).rstrip())


@pytest.mark.parametrize("copied_from", [None, 3])
@pytest.mark.parametrize("result", [b'{"type": "succeeded"}', ODD])
def test_an_answer_finds_its_place(result: bytes, copied_from: int | None) -> None:
    own = result_line(b'"a \\" b"', 7, 2, b"0.5", result, NAMED, copied_from)
    assert (number_of_result(own), read_result_line(own).line) == (7, 7)
    placed = placed_result(own.rstrip(b"\n"), SECOND)
    assert placed is not None
    assert placed[:2] == (12, 7)
    assert placed.text == b'{"custom_id":"a \\" b","line":12,"attempts":2,"job_id":"%b","cost_usd":0.5,"result":%b}\n' % (
        SECOND.encode(), result,
    )  # fmt: skip
    assert (number_of_whole(placed.text), number_of_result(placed.text), has_answer(placed.text)) == (12, 12, True)


def test_an_answer_without_a_custom_id_has_the_one_of_its_place() -> None:
    placed = placed_result(result_line(None, 7, 1, b"0", b"{}", NAMED).rstrip(b"\n"), SECOND)
    assert placed is not None
    assert json.loads(placed.text)["custom_id"] == "line-12"


def test_an_answer_that_names_no_row_has_no_place() -> None:
    assert placed_result(result_line(b'"a"', 7, 1, b"0", b'{"of":{"job_id":"x","line":3}}'), SECOND) is None


def test_a_failed_row_finds_its_place() -> None:
    own = failed_row_line(
        rendered(b'{"text": "x", "_b": 1}'), job_id=SECOND, cost_usd=b"0.5", result=ODD, answer="so", named=NAMED, **WHY
    )
    placed = placed_failure(own.rstrip(b"\n"), SECOND, rendered=True)
    assert placed is not None
    assert placed[:2] == (12, 7)
    value = json.loads(placed.text)
    assert value | {"result": ""} == {
        "line": 12, "job_id": SECOND, "status": "errored", "error": {"type": "truncated", "message": "cut off"}, "attempts": 2,
        "cost_usd": 0.5, "answer": "so", "result": "", "row": {"text": "x", "_b": 1}, "output": None,
    }  # fmt: skip
    assert (number_of_whole(placed.text), has_answer(placed.text)) == (12, False)
    assert read_whole(placed.text) == FailedRow(12, {"text": "x", "_b": 1}, RowStatus.errored, "cut off", "so", b"0.5")


def test_a_failed_request_keeps_its_custom_id_in_its_place() -> None:
    own = failed_line(line(b'{"custom_id":"a","params":{"x":1}}'), job_id=SECOND, custom_id=b'"a"', named=NAMED, **WHY)
    placed = placed_failure(own.rstrip(b"\n"), SECOND, rendered=False)
    assert placed is not None
    assert json.loads(placed.text) == {
        "line": 12, "job_id": SECOND, "status": "errored", "error": {"type": "truncated", "message": "cut off"}, "attempts": 2,
        "custom_id": "a",
    }  # fmt: skip


def test_a_failed_row_of_the_first_file_is_where_it_was() -> None:
    own = failed_row_line(rendered(b'{"text": "x"}'), job_id=FIRST, **WHY)
    assert json.loads(first_failure(own.rstrip(b"\n"), rendered=True))["line"] == 7


def test_an_answered_row_is_read_as_its_table_shows_it() -> None:
    own = answered_row_line(None, 7, 1, b'{"text": "x"}', b'{"label": "good"}', b"0.5", ODD, NAMED)
    placed = placed_result(own.rstrip(b"\n"), SECOND)
    assert placed is not None
    found = read_whole(placed.text.rstrip(b"\n"))
    assert isinstance(found, AnsweredRow)
    assert (found.line, found.row, bytes(found.output), bytes(found.cost_usd)) == (
        12,
        {"text": "x"},
        b'{"label": "good"}',
        b"0.5",
    )


def test_a_rendered_line_tells_what_its_row_names() -> None:
    sent = rendered_line(b'"a"', b'{"model":"m","max_tokens":1}', b"{}", NAMED)
    again = asked_again(sent.rstrip(), {"max_tokens": "5"}, refused=True)
    invalid = unrendered_line(InvalidLine(line=1, type="t", message="m"), b"{}", named=NAMED)
    assert [named_by_rendered(one or b"") for one in (sent, again, invalid)] == [NAMED] * 3
    # What stands in a row is data.
    assert named_by_rendered(rendered_line(None, b"{}", b'{"of":{"job_id":"%b","line":1}}' % FIRST.encode())) is None


@pytest.mark.parametrize(
    ("note", "named"),
    [
        ({"job": FIRST, "line": 3}, NamedRow(FIRST, 3)),
        ({"job_id": FIRST, "line": 3}, NamedRow(FIRST, 3)),
        ({"job": SECOND, "line": 3, "of": {"job_id": FIRST, "line": 9}}, NamedRow(FIRST, 9)),
        ({"line": 3}, None),
        ({"job": "../other", "line": 3}, None),
        ({"job": FIRST, "line": 0}, None),
        ({"job": FIRST, "line": "3"}, None),
        ({"job": FIRST, "line": 10**12}, None),
        ({"job": FIRST, "line": 3, "of": {}}, None),
        ("x", None),
        ([], None),
    ],
)
def test_a_note_names_a_row(note: object, named: NamedRow | None) -> None:
    assert named_by_note(json.dumps({"_batchdrop": note, "text": "x"}).encode()) == named


@given(st.binary(max_size=60))
def test_whatever_a_line_is_it_names_a_row_or_none(data: bytes) -> None:
    for text in (data, b'{"_batchdrop":%b}' % data, b'{"_batchdrop":{"job":"%b","line":%b}}' % (FIRST.encode(), data)):
        found = named_by_note(text)
        assert found is None or (found.job == FIRST and found.row > 0)


@given(st.text(max_size=20), st.text(alphabet="0123456789 .-\u0663x", max_size=15))
def test_whatever_cells_hold_they_name_a_row_or_none(job: str, row: str) -> None:
    assert named_by_cells(job, row) is None
    found = named_by_cells(FIRST, row)
    assert found is None or found == NamedRow(FIRST, int(float(row)))


@pytest.mark.parametrize(("cell", "row"), [("3.0", 3), (" 12.0", 12), ("3.5", None), ("3.00", None), (".0", None)])
def test_whole_numbers_are_read_as_pandas_writes_a_column_with_gaps(cell: str, row: int | None) -> None:
    assert named_by_cells(FIRST, cell) == (None if row is None else NamedRow(FIRST, row))


def test_what_rows_name_is_noticed() -> None:
    names = Names()
    for named in (NamedRow(FIRST, 5), NamedRow(FIRST, 3)):
        names = noticed(names, named)
    assert names == Names(job=FIRST, last_row=5)
    assert noticed(names, None) == Names(job=FIRST, last_row=5, unnamed=True)
    assert noticed(names, NamedRow(SECOND, 9)) == Names(job=FIRST, last_row=5, several=True)
    assert noticed(Names(), None) == Names(unnamed=True)
