"""CSV in every spelling: how it is written, where its records end, and what is said when it is broken."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.formats import csv_table
from batchdrop.formats.csv_table import CsvRecord, Dialect, records, separator_of, sniff
from batchdrop.formats.table_fault import TableFault


def dialect_of(data: bytes, encoding: str | None = None, separator: str | None = None, name: str = "x.csv") -> Dialect:
    return sniff(data, complete=True, encoding=encoding, separator=separator, name=name)


def rows_from(data: bytes, dialect: Dialect, start: int, row: int) -> list[CsvRecord]:
    return list(records(io.BytesIO(data[start:]), dialect, start=start, row=row))


def read(data: bytes, encoding: str | None = None, separator: str | None = None, name: str = "x.csv") -> list[CsvRecord]:
    dialect = dialect_of(data, encoding, separator, name)
    return rows_from(data, dialect, dialect.first_offset, dialect.next_row)


def cells(data: bytes, **how: str) -> list[list[str]]:
    return [record.cells for record in read(data, **how)]


def fault(data: bytes, **how: str) -> str:
    with pytest.raises(TableFault) as raised:
        read(data, **how)
    assert raised.value.message.endswith((".", "?"))
    return raised.value.message


# The cases of npm's csv-spectrum, each with data of ours: name, file, records with the header.
SPECTRUM = [
    ("comma_in_quotes", b'name,place\nMia,"Rome, Via Appia"\n', [["name", "place"], ["Mia", "Rome, Via Appia"]]),
    ("empty", b'x,y,z\n7,"",""\n4,5,6\n', [["x", "y", "z"], ["7", "", ""], ["4", "5", "6"]]),
    ("empty_crlf", b'x,y,z\r\n7,"",""\r\n4,5,6\r\n', [["x", "y", "z"], ["7", "", ""], ["4", "5", "6"]]),
    ("escaped_quotes", b'x,y\n1,"say ""go"" now"\n2,plain\n', [["x", "y"], ["1", 'say "go" now'], ["2", "plain"]]),
    ("json", b'key,val\n1,"{""kind"": ""point"", ""at"": [7, 8]}"\n', [["key", "val"], ["1", '{"kind": "point", "at": [7, 8]}']]),
    ("location_coordinates", b'id,where\n9,"(52.5,\n 13.4)"\n', [["id", "where"], ["9", "(52.5,\n 13.4)"]]),
    ("newlines", b'x,y,z\n1,2,3\n"two\nlines",5,6\n', [["x", "y", "z"], ["1", "2", "3"], ["two\nlines", "5", "6"]]),
    ("newlines_crlf", b'x,y\r\n1,2\r\n"two\r\nlines",5\r\n', [["x", "y"], ["1", "2"], ["two\r\nlines", "5"]]),
    ("quotes_and_newlines", b'x,y\n1,"so ""two\nlines"""\n', [["x", "y"], ["1", 'so "two\nlines"']]),
    ("simple", b"x,y,z\n4,5,6\n", [["x", "y", "z"], ["4", "5", "6"]]),
    ("simple_crlf", b"x,y,z\r\n4,5,6\r\n", [["x", "y", "z"], ["4", "5", "6"]]),
    ("utf8", "x,y\n4,ʤ\n5,日本\n".encode(), [["x", "y"], ["4", "ʤ"], ["5", "日本"]]),
]


@pytest.mark.parametrize(("data", "expected"), [case[1:] for case in SPECTRUM], ids=[case[0] for case in SPECTRUM])
def test_the_cases_of_csv_spectrum(data: bytes, expected: list[list[str]]) -> None:
    for encoded in (data, b"\xef\xbb\xbf" + data, b"\xff\xfe" + data.decode().encode("utf-16-le")):
        dialect = dialect_of(encoded)
        assert [list(dialect.columns), *cells(encoded)] == expected
        assert dialect.newline == ("\r\n" if b"\r\n" in data else "\n")


@pytest.mark.parametrize(
    ("data", "separator", "columns"),
    [
        (b"id,text\n1,a\n", ",", 2),
        (b"id;price;text\n1;2,50;a, b, c\n2;3,50;d\n", ";", 3),
        (b"id\ttext\n1\ta, b; c\n", "\t", 2),
        (b"id|text|x\n1|a|b\n", "|", 3),
        # A comma within the header, and in every row.
        (b"id;name, first;city\n1;Li, Yu;Rome\n", ";", 3),
        (b'"id";"a,b"\n"1";"c"\n', ";", 2),
        # Some rows lack cells at the end.
        (b"a,b,c\n" + b"1,2,3\n" * 20 + b"1,2\n" * 3, ",", 3),
        (b"id,a;b\n1,x\n2,y;z\n", ",", 2),
        (b"id,text", ",", 2),
        (b"a,b;c,d\n", ",", 3),
        # One column, where no character separates.
        (b"text\nHello, you\na;b|c\td\n", "", 1),
        (b"Remarks, if any\nfine\nso so\n", "", 1),
        (b"text\n", "", 1),
        # As wide either way: all records keep that width under one only.
        (b'a;b,c\n1;"x"\n' + b'1;"y, z"\n' * 5, ";", 2),
    ],
)
def test_the_separator_is_found_by_trial(data: bytes, separator: str, columns: int) -> None:
    for encoded in (data, b"\xfe\xff" + data.decode().encode("utf-16-be")):
        found = dialect_of(encoded)
        assert (found.separator, len(found.columns)) == (separator, columns)
        assert found.written_separator == (separator or ",")


def test_more_than_the_tried_records_change_nothing() -> None:
    data = b"a,b;c;d\n" + b"1,2\n" * 200
    assert dialect_of(data + b"1;2;3\n" * 500).separator == ","


def test_what_the_file_or_the_recipe_says_comes_first() -> None:
    assert dialect_of(b"a\tb,c,d\n1\t2,3,4\n", name="x.TSV").separator == "\t"
    assert dialect_of(b"a,b\n1,2\n", name="x.tsv").separator == ","
    assert dialect_of(b"sep=|\r\na,b|c\r\n1,2|3\r\n").columns == ("a,b", "c")
    assert dialect_of(b"a,b;c\n1,2;3\n", separator="semicolon").columns == ("a,b", "c")
    assert dialect_of(b"sep=|\na,b|c\n", separator=",").columns == ("a", "b|c")
    assert dialect_of(b"sep=,b\na,c\n").columns == ("sep=", "b")
    assert cells(b"\xef\xbb\xbfSEP=;\na;b\n1;2\n") == [["1", "2"]]
    # Excel does not count that line.
    assert [record.row for record in read(b"sep=;\na;b\n1;2\n")] == [2]


@pytest.mark.parametrize("word", ["", "ab", '"', "x", "1", " ", "\n", "tabs", "\0"])
def test_a_separator_that_is_none(word: str) -> None:
    with pytest.raises(TableFault, match="cannot separate"):
        separator_of(word)


def test_encodings() -> None:
    text = "id;größe\n1;ö\n"
    assert cells(text.encode("cp1252"), encoding="windows-1252") == [["1", "ö"]]
    assert cells(text.encode("utf-16-le"), encoding="UTF-16") == [["1", "ö"]]
    assert cells(text.encode("utf-16-be"), encoding="utf-16-be") == [["1", "ö"]]
    assert cells("a|b\nソ|表\n".encode("cp932"), encoding="cp932") == [["ソ", "表"]]
    # A byte order mark knows better than a recipe.
    assert cells(text.encode("utf-8-sig"), encoding="windows-1252") == [["1", "ö"]]
    assert cells(text.encode("utf-16"), encoding="windows-1252") == [["1", "ö"]]


@pytest.mark.parametrize(
    "name",
    [
        "hex",
        "zlib",
        "idna",
        "utf-7",
        "iso2022_jp",
        "cp037",
        "rot13",
        "../x",
        "a" * 200,
        "",
        "utf-32",
        "\0",
        "bz2",
        "raw_unicode_escape",
    ],
)
def test_an_encoding_that_is_none(name: str) -> None:
    with pytest.raises(TableFault, match="is not an encoding") as raised:
        sniff(b"a,b\n", complete=True, encoding=name or " ", separator=None, name="x.csv")
    assert len(raised.value.message) < 250


def test_the_nearest_encoding_is_named() -> None:
    assert "Did you mean windows-1252?" in fault(b"a,b\n", encoding="window-1252")


def test_bytes_that_are_no_text_are_not_guessed() -> None:
    good = b"id,text\n" + b"1,a\n" * 10
    message = fault(good + b"2,sch\xf6n\n")
    assert message.startswith("Byte 0xF6 at row 12 (offset 53) is not UTF-8.")
    assert "`encoding: windows-1252`" in message
    # Also far behind what was tried, in the middle of a record, and after quoted newlines.
    far = b'id,text\n1,"a\nb"\n' + b"1,a\n" * 100_000
    assert "Byte 0xFF at row 100003 " in fault(far + b"1,\xff\n")
    assert "is not CP1252" in fault(b"a,b\n1,\x81\n", encoding="windows-1252")
    # Half a character at the end, half a pair in UTF-16.
    assert "Byte 0xC3 at row 2" in fault(b"a,b\n1,\xc3")
    wide = "a,b\n1,2\n".encode("utf-16-le")
    assert "Byte 0x31 at row 3 (offset 18) is not UTF-16-LE" in fault(b"\xff\xfe" + wide + b"1")
    assert "at row 3 (offset 18)" in fault(b"\xff\xfe" + wide + b"\x00\xd8" + wide)


def test_files_that_are_no_text() -> None:
    assert ".xlsx" in fault(b"PK\x03\x04\x14\x00")
    assert "NUL" in fault("id,text\n1,a\n".encode("utf-16-le"))
    assert cells(b"a,b\n1,x\0y\n") == [["1", "x\0y"]]


def test_an_unclosed_quote_names_the_opening_one() -> None:
    message = fault(b'a,b\n1,"x\ny"\n2,"open\n3,x\n4,y\n')
    assert "opened in row 3 (which begins at byte 12)" in message
    assert "text follows a closing quote" in fault(b'a,b\n1,"open\n2,"x"\n')
    assert "In row 2 " in fault(b'a,b\n1,"say \\"go\\" now"\n')
    assert "row 1" in fault(b'a,"b\n1,2\n')


def test_an_open_quote_at_the_end_of_the_head_is_none() -> None:
    data = b'a,b\n1,"x\n' + b"long\n" * 100 + b'"\n'
    found = sniff(data[:50], complete=False, encoding=None, separator=None, name="x.csv")
    assert (found.columns, found.first_offset) == (("a", "b"), 4)
    with pytest.raises(TableFault, match="header is too long"):
        sniff(b'a,"' + b"x\n" * 20, complete=False, encoding=None, separator=None, name="x.csv")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"a,,c", "Column B of the header (row 1) has no name"),
        (b"a, ,", "Columns B, C of the header (row 1) have no name"),
        (b"," * 9 + b"x", "Columns A, B, C, D, E and 4 more"),
        (b"a,b,a", 'Column "a" is in the header (row 1) more than once'),
        (b"a,batchdrop_x", 'Column "batchdrop_x" has a name that is Batchdrop\'s own'),
        (b"batchdrop_row,batchdrop_job", "only columns that Batchdrop adds"),
        (b"\n\na,a", "(row 3)"),
        (b"", "The file is empty"),
        (b"\n\n", "The file is empty"),
        (b"x" * 500 + b"," + b"x" * 500, '"' + "x" * 77 + '..."'),
        (b",".join(b"%d" % number for number in range(16_385)), "16,385 columns"),
    ],
)
def test_headers_that_cannot_be_used(header: bytes, words: str) -> None:
    assert words in fault(header + b"\n")


def test_a_file_that_was_dropped_again() -> None:
    found = dialect_of(b"id,batchdrop_job,batchdrop_row,batchdrop_status,batchdrop_error,batchdrop_answer,batchdrop_usd\n")
    assert found.own == ("id",)
    assert len(found.columns) == 7


def test_rows_that_do_not_fit_the_header() -> None:
    found = read(b"a,b,c\n1,2\n1,2,3,,\n1,2,3,4\n\n,,\n1,2,3\n", separator=",")
    assert [record.cells for record in found] == [["1", "2", ""], ["1", "2", "3"], ["1", "2", "3", "4"], [], [], ["1", "2", "3"]]
    assert [record.row for record in found] == [2, 3, 4, 5, 6, 7]
    assert [bool(record.fault) for record in found] == [False, False, True, False, False, False]
    assert found[2].fault.startswith("Row 4 has 4 cells, the header 3.")


def test_every_line_end_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b'a,b\r\n1,"x\r\ny\rz\n"\r2,3\n\n\r\n4,5\r\r\n6,7'
    expected = read(data)
    assert [(record.row, record.cells) for record in expected] == [
        *((2, ["1", "x\r\ny\rz\n"]), (3, ["2", "3"]), (4, []), (5, []), (6, ["4", "5"]), (7, []), (8, ["6", "7"])),
    ]
    for size in range(1, len(data)):
        monkeypatch.setattr(csv_table, "_CHUNK_BYTES", size)
        assert read(data) == expected
        assert cells(b"\xff\xfe" + data.decode().encode("utf-16-le")) == [record.cells for record in expected]


def test_a_record_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAX_RECORD_BYTES", 1_000)
    monkeypatch.setattr(csv_table, "_LARGE_RECORD", 100)
    monkeypatch.setattr(csv_table, "_CHUNK_BYTES", 64)
    assert len(read(b"a,b\n1," + b"x" * 900 + b"\n")) == 1
    for row in (b"1," + b"x" * 2_000, b'1,"' + b"x\n" * 1_000 + b'"', b'1,"' + b"x" * 2_000):
        assert "Row 3 (which begins at byte 8) is longer than" in fault(b"a,b\n1,2\n" + row)
    monkeypatch.setattr(csv_table, "_MAX_SEPARATORS", 200)
    assert "separators" in fault(b"a,b\n1" + b"," * 300 + b"\n")


def test_memory_is_flat() -> None:
    line = b'1,"' + b"text, " * 30 + b'"\n'
    data = io.BytesIO(b"a,b\n" + line * 40_000)
    dialect = sniff(data.getvalue()[:100_000], complete=False, encoding=None, separator=None, name="x.csv")
    data.seek(dialect.first_offset)
    tracemalloc.start()
    try:
        assert sum(1 for _ in records(data, dialect, start=4, row=2)) == 40_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


PIECES = st.sampled_from(
    [b'"', b'""', b",", b";", b"\n", b"\r\n", b"\r", b"a", b"\xc3\xa4", b"\xff", b"\0", b" ", b"=", b"\xf0\x9f\x98\x80"]
)
ANY_BYTES = st.lists(PIECES | st.binary(max_size=3), max_size=40).map(b"".join)
ENCODINGS = st.sampled_from([None, "windows-1252", "utf-16-le", "utf-16-be", "cp932"])


@given(ANY_BYTES, ENCODINGS, st.sampled_from([None, ",", ";", "\t"]))
def test_any_bytes_are_records_or_a_fault(data: bytes, encoding: str | None, separator: str | None) -> None:
    try:
        dialect = dialect_of(data, encoding, separator)
        found = rows_from(data, dialect, dialect.first_offset, dialect.next_row)
    except TableFault:
        return
    ends = [dialect.first_offset, *(record.end for record in found)]
    assert ends == sorted(set(ends))
    assert ends[-1] == len(data)
    for index, record in enumerate(found):
        assert bool(record.fault) == (len(record.cells) > len(dialect.columns))
        assert len(record.cells) >= len(dialect.columns) or not record.cells
        assert rows_from(data, dialect, record.end, record.row + 1) == found[index + 1 :]


@given(
    st.lists(st.lists(st.text(st.sampled_from('a",;\n\r\t|ä日😀 '), max_size=8), min_size=2, max_size=2), max_size=6),
    st.sampled_from(["utf-8-sig", "utf-16", "utf-8"]),
)
def test_what_is_written_is_read(rows: list[list[str]], encoding: str) -> None:
    quoted = ["\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [["a", "b"], *rows])]
    data = "".join(quoted).encode(encoding)
    assert cells(data, separator=",") == [row if any(row) else [] for row in rows]


@given(ANY_BYTES, st.integers(0, 60))
def test_a_head_tells_the_same_as_the_file(data: bytes, cut: int) -> None:
    try:
        dialect = sniff(b"a,b\n" + data[:cut], complete=False, encoding=None, separator=",", name="x.csv")
    except TableFault:
        return
    assert (dialect.columns, dialect.first_offset) == (("a", "b"), 4)
