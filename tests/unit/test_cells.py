"""Cells that no spreadsheet takes for a formula, and that no reader takes for two."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.formats.cells import BOM, csv_line, guard, header_line, text_of, unguard

CONTROLS = [chr(code) for code in range(0x20) if chr(code) not in "\t\r\n"]
TRICKY = st.sampled_from(
    [
        "'",
        "=",
        "+",
        "-",
        "@",
        "|",
        "%",
        "\t",
        "\r",
        "\n",
        " ",
        "\ufeff",
        "\u200b",
        "\u202e",
        "\uff1d",
        '"',
        ",",
        ";",
        "1",
        ".",
        "e",
    ]
)
TEXT = st.text(TRICKY | st.characters(exclude_categories=["Cs"], exclude_characters=CONTROLS), max_size=12)
ANY_TEXT = st.text(TRICKY | st.sampled_from(CONTROLS) | st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = st.lists(st.lists(ANY_TEXT, min_size=1, max_size=4), min_size=1, max_size=4)


@pytest.mark.parametrize(
    "cell",
    [
        *("=1+1", "+A1", "-A1", "@SUM(A1)", "|cmd", "%x", "\tx", "\rx", "\nx", "-", "=", "+49 30 1234", "-5+3", "-1e5x", "- 5"),
        *("  =1", "\u00a0=1", "\ufeff=1", "\u200b\u200d=1", "\u202e\u2066=1", "\u061c=1", "\u3000=1", "\u2060=1", " \t=1"),
        *("\uff1d1", "\uff0b1", "\uff0d1", "\uff20x", "\uff5cx", "\uff05x", "\u200b\uff1d1"),
        *("'=1", "''=1", "' =1", "-1\n=2", "-\u0661"),
    ],
)
def test_what_might_be_a_formula_gets_an_apostrophe(cell: str) -> None:
    assert guard(cell) == "'" + cell
    assert unguard("'" + cell) == cell


@pytest.mark.parametrize(
    "cell",
    [
        *("", "a=b", "'a", "'", "o'clock", "<=1", "1-2", "\u00e4=", "a\tb"),
        *("-5", "+5", "-1,234.56", "-1.234,56", "-.5", "-1e5", "+1.5E-10", "-5%", "-5 %", "  -5", "007", "'-5"),
    ],
)
def test_what_is_none_stays_as_it_is(cell: str) -> None:
    assert guard(cell) == cell
    assert unguard(cell) == cell


def test_control_characters_are_shown() -> None:
    assert guard("a\0b\x1b[31m\x0b") == "a\ufffdb\ufffd[31m\ufffd"
    assert guard("\0=1") == "\ufffd=1"
    assert guard("=\0") == "'=\ufffd"


@given(TEXT)
def test_the_way_back_is_exact(cell: str) -> None:
    assert unguard(guard(cell)) == cell
    # Also when a table goes round many times.
    assert unguard(unguard(guard(guard(cell)))) == cell


@given(ANY_TEXT)
def test_nothing_guarded_begins_like_a_formula(cell: str) -> None:
    seen = guard(cell).lstrip(" \u0085\u00a0\ufeff\u200b\u200c\u200d\u2060\u202e\u2066\u061c\u3000")
    if seen.startswith(("=", "@", "|", "%", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\uff5c", "\uff05")):
        raise AssertionError(seen)
    if seen.startswith(("+", "-")):
        assert set(seen) <= set("+-0123456789.,eE% ")
    assert not set(seen) & set(CONTROLS)


@given(ROWS, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n"]))
def test_a_reader_gets_the_guarded_cells(rows: list[list[str]], separator: str, newline: str) -> None:
    data = header_line(rows[0], separator, newline) + b"".join(csv_line(row, separator, newline) for row in rows[1:])
    assert data.startswith(BOM)
    read = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator, strict=True))
    assert read == [[guard(cell) for cell in row] for row in rows]


@given(st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_a_raw_table_has_the_cells_as_they_are(cells: list[str]) -> None:
    text = csv_line(cells, ",", "\n", raw=True).decode()
    assert next(csv.reader(io.StringIO(text, newline=""), strict=True)) == cells


def test_lines_end_as_the_input_does() -> None:
    assert csv_line(["a", "b"], ";", "\r\n") == b"a;b\r\n"
    assert csv_line(["a", "b;c"], ";", "\n") == b'a;"b;c"\n'
    assert csv_line([""], ",", "\n") == b'""\n'
    assert csv_line(["\ud800"], ",", "\n") == b"?\n"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("text", "text"),
        (None, ""),
        (True, "true"),
        (17, "17"),
        (12345678901234567890123, "12345678901234567890123"),
        (0.5, "0.5"),
        (["a", 1], '["a",1]'),
        ({"a": None, "b": "\u00fc"}, '{"a":null,"b":"\u00fc"}'),
    ],
)
def test_json_values_as_cells(value: object, cell: str) -> None:
    assert text_of(value) == cell
