"""Sheets as tables of texts; and workbooks that are something else, are broken, or would take all memory."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.formats import xlsx_package
from batchdrop.formats.table_fault import TableFault
from batchdrop.formats.xlsx_package import Extent, copy_sheet
from batchdrop.formats.xlsx_sheet import Sheet, read_sheet
from tests.workbooks import MAIN, cell, packed, parts, row, sheet, texts, workbook


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.xlsx"


def read(path: Path, data: bytes, name: str | None = None) -> tuple[Sheet, list[tuple[int, list[str]]]]:
    path.write_bytes(data)
    found = read_sheet(path, sheet=name)
    return found, list(found.rows)


def fault(path: Path, data: bytes, name: str | None = None) -> str:
    with pytest.raises(TableFault) as raised:
        read(path, data, name)
    assert raised.value.message.endswith(".")
    return raised.value.message


def extent(path: Path, *rows: str) -> Extent:
    path.write_bytes(workbook(*rows))
    return copy_sheet(path, None, io.BytesIO())


def test_rows_have_the_numbers_that_excel_shows(path: Path) -> None:
    found, rows = read(path, workbook(row(3, "id", "text", first="B"), row(4, 1, " x ", first="B"), row(7, None, "y", first="B")))
    assert (found.name, found.columns, found.own, found.header_row) == ("Sheet1", ("id", "text"), ("id", "text"), 3)
    assert rows == [(4, ["1", " x "]), (5, []), (6, []), (7, ["", "y"])]


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (cell("A2", "1"), "1"),
        (cell("A2", "-3.0"), "-3"),
        (cell("A2", "1E+20"), "100000000000000000000"),
        (cell("A2", "1e300"), "1e+300"),
        (cell("A2", "0.30000000000000004"), "0.3"),
        (cell("A2", "007", "str"), "007"),
        (cell("A2", "1", "b"), "TRUE"),
        (cell("A2", "0", "b"), "FALSE"),
        (cell("A2", "#N/A", "e"), "#N/A"),
        (cell("A2", "#SPILL!", "e"), "#SPILL!"),
        (cell("A2", "1", "s"), 'shared & <b> "q"'),
        (cell("A2", "45000", style=1), "2023-03-15"),
        (cell("A2", "45000.5", style=2), "2023-03-15T12:00:00"),
        (cell("A2", "0.25", style=3), "06:00:00"),
        (cell("A2", "1.5", style=4), "36:00:00"),
        (cell("A2", "-0.0625", style=4), "-1:30:00"),
        (cell("A2", "2024-05-06T07:08:09", "d"), "2024-05-06T07:08:09"),
        ('<c r="A2" t="str"><f>B1</f><v>&lt;a&gt; &amp;amp; \u00e4\n\u65e5</v></c>', "<a> &amp; \u00e4\n\u65e5"),
        ('<x:c xmlns:x="u" r="A2" t="e"><x:v>#NAME?</x:v></x:c>', "#NAME?"),
    ],
)
def test_values_as_excel_shows_them(path: Path, xml: str, text: str) -> None:
    shared = texts("zero", 'shared & <b> "q"')
    _, rows = read(path, workbook(row(1, "a", "b"), f'<row r="2">{xml}{row(2, "x", first="B")[11:]}', shared=shared))
    assert rows == [(2, [text, "x"])]


@pytest.mark.parametrize(
    ("xml", "without"),
    [
        ('<c r="A2"><f>B1</f></c>', 1),
        ('<c r="A2"><f>B1</f><v/></c>', 1),
        ('<c r="A2"><f>B1</f><v></v>\n</c>', 1),
        ('<c r="A2"><f t="shared" si="0"/></c>', 1),
        ('<x:c xmlns:x="u" r="A2"><x:f>B1</x:f></x:c>', 1),
        ('<c r="A2"><f>B1</f></c><c r="C2"><f>B1</f><v/></c>', 2),
        ('<c r="A2"><f>B1</f><v>0</v></c>', 0),
        ('<c r="A2" t="str"><f>B1</f><v></v></c>', 0),
        ('<c r="A2" t="s"><f>B1</f><v>0</v></c>', 0),
        ('<c r="A2"/><c r="C2"><v>1</v></c>', 0),
    ],
)
def test_formulas_that_nobody_has_computed_are_counted(path: Path, xml: str, without: int) -> None:
    found, rows = read(path, workbook(row(1, "a", "b", "c"), f'<row r="2">{xml}</row>{row(3, "x")}', shared=texts("zero")))
    assert found.without_value == without
    assert rows[-1][1][0] == "x"


def test_an_error_whose_tag_is_in_two_chunks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 7, 64):
        monkeypatch.setattr(xlsx_package, "_CHUNK_BYTES", size)
        assert read(path, workbook(row(1, "a"), f"<row>{cell('A2', '#NULL!', 'e')}</row>"))[1] == [(2, ["#NULL!"])]


def test_cells_that_name_no_text_are_empty(path: Path) -> None:
    rows = [row(1, "a", "b"), '<row>\n <c r="A2" t="s"><v/></c>\n ', cell("B2", "1", "s"), "\n</row>"]
    assert read(path, workbook(*rows, shared=texts("x", "y")))[1] == [(2, ["", "y"])]


def test_dates_since_1904(path: Path) -> None:
    found = parts(
        {"S": sheet(row(1, "a"), f"<row>{cell('A2', '0', style=1)}{cell('B1', 'b', 'str')}{cell('B2', '1000', style=1)}</row>")}
    )
    found["xl/workbook.xml"] = str(found["xl/workbook.xml"]).replace("<workbookPr/>", '<workbookPr date1904="1"/>')
    assert read(path, packed(found))[1][0][1][1] == "1906-09-27"


def test_which_sheet(path: Path) -> None:
    data = packed(parts({"Notes": sheet(row(1, "n")), "Data & more": sheet(row(1, "d")), "Empty": sheet()}, Notes="hidden"))
    assert read(path, data)[0].columns == ("d",)
    assert read(path, data, "notes")[0].columns == ("n",)
    assert read(path, data, "DATA & MORE")[0].name == "Data & more"
    assert fault(path, data, "Date").startswith('The workbook has no sheet "Date". Did you mean "Data & more"?')
    assert fault(path, data, "Empty").startswith('Sheet "Empty" is empty.')


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (row(2, "Report"), "Columns B, C of the header (row 2) have no name"),
        (row(2, "a", "b", "a"), 'Column "a" is in the header (row 2) more than once'),
        (row(2, "a", " ", "c"), "Column B of the header"),
        (row(2, None, "b", "c"), "Column A of the header"),
        (row(2, "a", "b", "batchdrop_rows"), '"batchdrop_rows"'),
    ],
)
def test_headers_that_cannot_be_used(path: Path, header: str, words: str) -> None:
    assert words in fault(path, workbook(header, row(3, 1, 2, 3)))


def test_the_outermost_value_is_found_however_it_is_written(path: Path) -> None:
    one = "<v>1</v>"
    assert extent(path)[1:3] == (0, 0)
    assert extent(path, row(1, "a"), f'<row r="5"><c r="D5">{one}</c></row>')[1:3] == (5, 4)
    # Cells that have only a format do not count, but say where the next one is.
    assert extent(path, '<row r="9"><c r="XFD9" s="1"/></row>')[1:3] == (0, 0)
    assert extent(path, f'<row r="9"><c r="Y9"/><c>{one}</c></row><row><c>{one}</c></row>')[1:3] == (10, 26)
    assert extent(path, f"<row><c/><c>{one}</c></row><row/><row><c>{one}</c></row>")[1:3] == (3, 2)
    assert extent(path, f'<row r="2"><c r="b7">{one}</c><row><c>{one}</c></row></row>')[1:3] == (7, 3)
    assert extent(path, '<x:row xmlns:x="u"><x:c r="C3"><x:v>1</x:v></x:c></x:row>')[1:3] == (3, 3)


@pytest.mark.parametrize("reference", ["XFD1048576", "CV1048576", "XFD1000"])
def test_a_grid_that_would_take_gigabytes(path: Path, reference: str) -> None:
    """4.9 KB of this took 3.2 GB, or ended the process."""
    message = fault(path, workbook(row(1, "a"), f"<row>{cell(reference, '1')}</row>"))
    letters, number = reference.rstrip("0123456789"), int(reference.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    assert f"reaches to row {number:,} and column {letters}: that is" in message


@pytest.mark.parametrize("reference", ["XFE1", "A1048577", "A0", "1", "A", "ZZZZ1", "$A$1", "", "A1:B2", "A99999999999"])
def test_places_that_no_sheet_has(path: Path, reference: str) -> None:
    assert "which no sheet has" in fault(path, workbook(row(1, "a"), f"<row>{cell(reference, '1')}</row>"))
    assert "which no sheet has" in fault(path, workbook(row(1, "a"), f'<row r="{reference}1048577"><c>x</c></row>'))


def test_texts_that_multiply(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared text is copied into each cell that uses it."""
    cells = "".join(cell(f"A{number}", "0", "s") for number in range(2, 12))
    monkeypatch.setattr(xlsx_package, "MAX_TEXT_BYTES", 10_000)
    assert len(read(path, workbook(row(1, "a"), f"<row>{cells}</row>", shared=texts("x" * 1_000)))[1]) == 10
    assert "10,000 bytes of text" in fault(path, workbook(row(1, "a"), f"<row>{cells}</row>", shared=texts("x" * 1_001)))
    monkeypatch.setattr(xlsx_package, "MAX_TEXTS", 3)
    assert "3 different texts" in fault(path, workbook(row(1, "a"), shared=texts(*"abcd")))
    assert "Cell A2 has a text that is not in the workbook" in fault(
        path, workbook(row(1, "a"), f"<row>{cell('A2', '1', 's')}</row>", shared=texts("x"))
    )


@pytest.mark.parametrize("index", ["0&#49;", "0<!-- -->1", "0<?x y?>1", "0<![CDATA[1]]>"])
def test_a_long_text_that_passes_for_a_short_one(path: Path, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    """calamine takes the first piece of `01` for the number of the text."""
    monkeypatch.setattr(xlsx_package, "MAX_TEXT_BYTES", 10_000)
    cells = "".join(f'<c r="A{number}" t="s"><v>{index}</v></c>' for number in range(2, 13))
    assert "bytes of text" in fault(path, workbook(row(1, "a"), f"<row>{cells}</row>", shared=texts("x" * 1_000, "y")))
    assert "damaged" in fault(path, workbook(row(1, "a"), '<row><c t="s"><v>0<c/></v></c></row>', shared=texts("x")))


def test_what_unpacks_to_too_much(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_package, "MAX_PART_BYTES", 50_000)
    long = "x" * 60_000
    assert 'Sheet "Sheet1" of the workbook takes more than 50,000 bytes' in fault(path, workbook(row(1, "a"), row(2, long)))
    assert "The text of the workbook takes more than" in fault(path, workbook(row(1, "a"), shared=texts(long)))
    monkeypatch.setattr(xlsx_package, "_MAX_OTHER_BYTES", 10_000)
    assert "The list of formats of the workbook" in fault(
        path, packed(parts({"S": sheet()}) | {"xl/styles.xml": f"<a>{long}</a>"})
    )
    assert 'Part "xl/workbook.xml" of the workbook' in fault(
        path, packed(parts({"S": sheet()}) | {"xl/workbook.xml": f"<a>{long}</a>"})
    )


def spoiled(name: str, content: str | bytes) -> bytes:
    return packed(parts({"S": sheet(row(1, "a"), row(2, 1))}, texts("x")) | {name: content})


def old_file(stream: str) -> bytes:
    """Of Office before 2007. The name of a stream stands where two pieces meet that are read one after the other."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 262_130 + stream.encode("utf-16-le") + b"\0" * 99


BOMB = "<!DOCTYPE x [<!ENTITY a 'aaaa'>]><worksheet>&a;</worksheet>"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"id,text\n1,a\n", "not an .xlsx workbook"),
        (b"", "not an .xlsx workbook"),
        (b"PK", "damaged"),
        (workbook(row(1, "a"))[:-30], "damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600_000, "old .xls"),
        (old_file("WordDocument"), "This is a Word document in the old format, which is not read. Save it as PDF."),
        (old_file("PowerPoint Document"), "PowerPoint"),
        (spoiled("word/document.xml", packed({"a": "b"})), "This is a Word document, which is not read. Save it as PDF."),
        (packed({"_rels/.rels": "", "ppt/presentation.xml": ""}), "This is a PowerPoint presentation"),
        (packed({"mimetype": "", "content.xml": ""}), "Save it as PDF, a spreadsheet as .xlsx."),
        (packed({"a.csv": "id"}), "This is a ZIP file, which is not read. Unpack it, and put in the files."),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 262_130 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 99,
            "encrypted",
        ),
        (spoiled("xl/vbaProject.bin", b"x"), "macros"),
        (spoiled("xl/embeddings/a.xlsx", packed({"a": "b"})), 'another archive, "xl/embeddings/a.xlsx"'),
        (packed({"_rels/.rels": "<Relationships/>"}), "an archive, but not"),
        (spoiled("_rels/.rels", '<R><Relationship Type="x/officeDocument" Target="xl/workbook.bin"/></R>'), ".xlsb"),
        (spoiled("xl/workbook.xml", "<workbook/>"), "no sheet with cells"),
        (spoiled("xl/worksheets/sheet1.xml", BOMB), "damaged"),
        (spoiled("xl/sharedStrings.xml", BOMB), "damaged"),
        (spoiled("xl/worksheets/sheet1.xml", "<worksheet>"), "damaged"),
        (spoiled("xl/worksheets/sheet1.xml", "<html></html>"), "is empty"),
        (spoiled("xl/worksheets/sheet1.xml", sheet(row(1, "a")).encode("utf-16")), "damaged"),
        (spoiled("xl/worksheets/sheet1.xml", sheet("<c>" * 200_000 + "</c>" * 200_000)), "damaged"),
        (spoiled("xl/worksheets/sheet1.xml", sheet(row(1, "a"), f"<row>{cell('A2', 'x', 'n')}</row>")), "damaged"),
        (spoiled("xl/sharedStrings.xml", f'<sst {MAIN} uniqueCount="99999999999"></sst>'), "damaged"),
        (spoiled("xl/sharedStrings.xml", f"<sst {MAIN}><si><si/></si></sst>"), "damaged"),
        (spoiled("xl/styles.xml", f'<a><numFmt formatCode="{"d" * 2_000}"/></a>'), "formats"),
        (spoiled("xl/styles.xml", f"<a>{'<xf/>' * 70_000}</a>"), "formats"),
        (packed({str(number): b"" for number in range(10_001)}), "10,000 parts"),
        (packed({f"{number:060000d}": b"" for number in range(70)}), "10,000 parts"),
    ],
    ids=range(30),
)
def test_files_that_are_no_table(path: Path, data: bytes, words: str) -> None:
    assert words in fault(path, data)


def test_other_ways_of_packing(path: Path) -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", method) as archive:
            archive.writestr("xl/workbook.xml", "<a/>")
        assert "packed in a way" in fault(path, data.getvalue())
    locked = bytearray(workbook(row(1, "a")))
    directory = locked.index(b"PK\x01\x02")
    locked[directory + 8] |= 1
    assert "encrypted" in fault(path, bytes(locked))


def test_a_panic_of_the_library_is_a_fault_and_an_interrupt_is_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException): ...

    class Broken:
        error: type[BaseException] = PanicException

        @classmethod
        def from_path(cls, _: str) -> None:
            raise cls.error

    monkeypatch.setattr("batchdrop.formats.xlsx_sheet.CalamineWorkbook", Broken)
    assert "damaged" in fault(path, workbook(row(1, "a")))
    monkeypatch.setattr(Broken, "error", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        read(path, workbook(row(1, "a")))


SOME = packed(
    parts(
        {"S": sheet(row(1, "id", "text"), row(2, 1, "x"), f"<row>{cell('A3', '0', 's')}{cell('B3', '45000', style=1)}</row>")},
        texts("shared"),
    )
)


@given(st.lists(st.tuples(st.integers(0, len(SOME) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.integers(0, 40))
def test_a_corrupted_archive_is_a_fault(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(SOME)
    for place, byte in changes:
        data[place] = byte
    path = tmp_path_factory.getbasetemp() / "corrupted.xlsx"
    path.write_bytes(data[: len(data) - cut])
    try:
        list(read_sheet(path, sheet=None).rows)
    except TableFault as error:
        message = error.message
    else:
        message = "."
    assert message.endswith(".")


FUZZ = """
import io, random, re, resource, sys
from pathlib import Path
from batchdrop.formats.table_fault import TableFault
from batchdrop.formats.xlsx_package import copy_sheet
from batchdrop.formats.xlsx_sheet import read_sheet
from tests.workbooks import cell, packed, parts, row, sheet, texts

resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
chance = random.Random(11)
path = Path(sys.argv[1])
last = "<row>" + cell("A3", "0", "s") + cell("B3", "45000", style=1) + "</row>"
whole = parts({"S": sheet(row(1, "id", "text"), row(2, 1, "x"), last)}, texts("shared"))
words = ['r="XFD1048576"', 'r="A1048576"', "<v/>", "<c>", "</c>", '<row r="1048576">', "<!--", "<![CDATA[", "]]>", 't="s"']
words += ["<si/>", chr(0)]
values = ["", "-1", "0", "1", "99999999999", "1e308", "-1e308", "NaN", "inf", "1e-320", "A1", "B1000", "C2", "s", "d", "str", "e"]
values += ["b", "zz", "14", "170", "[h]:mm", "2024-02-30", "T25:61", "P1Y", "&amp;", "&#10;", "-5.5", "2958466", "\\u65e5"]
values += ["x" * 300, "18446744073709551616", "true"]
elements = ["<v/>", "<v>1</v>", "<is><t>a</t></is>", "<f>A1</f>", "<c/>", '<c r="B7"/>', "<row/>", "<si/>"]
elements += ["<si><r><t>a</t></r></si>"]
elements += ["<!-- x -->", "<![CDATA[1]]>", "<xf/>", '<xf numFmtId="22"/>', "<t> </t>", "<?x y?>", '<dimension ref="A1:B9"/>']
names = ["worksheets/sheet1.xml"] * 4 + ["sharedStrings.xml", "styles.xml", "workbook.xml", "_rels/workbook.xml.rels"]


def spoil(text):
    "Mostly so that it stays well-formed: what is not goes no further than the first parser."
    kind = chance.random()
    if kind < 0.1:
        at = chance.randrange(len(text))
        return text[:at] + chance.choice(words) + text[at + chance.choice([0, 1, 5]) :]
    if kind < 0.4:
        at = chance.choice([found.end() for found in re.finditer("(?<![?])>", text)])
        return text[:at] + chance.choice(elements) + text[at:]
    place = chance.choice(list(re.finditer('(?<== ")[^"]*(?=")|(?<==")[^"]*(?=")|(?<=>)[^<>]+(?=<)', text)))
    return text[: place.start()] + chance.choice(values) + text[place.end() :]


done = 0
for _ in range(1200):
    found = dict(whole)
    for _ in range(chance.randint(1, 3)):
        name = "xl/" + chance.choice(names)
        found[name] = spoil(found[name])
    path.write_bytes(packed(found))
    try:
        extent = copy_sheet(path, None, io.BytesIO())
        for row_number, cells in read_sheet(path, sheet=None).rows:
            assert row_number <= extent.rows and len(cells) <= extent.columns
            assert all(isinstance(text, str) for text in cells)
        done += 1
    except TableFault as error:
        assert error.message.endswith((".", "?")), error.message
# What getrusage tells begins with the parent's peak, this does not.
print(done, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_spoiled_parts_never_end_the_process(path: Path) -> None:
    """In a process of its own with 1 GiB of address space: an abort of native code ends it, and would end the function."""
    found = subprocess.run(
        [sys.executable, "-c", FUZZ, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert found.returncode == 0, found.stderr[-2_000:]
    read, peak_kib = map(int, found.stdout.split())
    assert read > 300
    assert peak_kib < 1 << 20


def test_a_fault_of_a_header_names_its_sheet_and_the_others(path: Path) -> None:
    """The first sheet is a cover, and nobody said which one is meant."""
    data = sheet(row(1, "id", "text"), row(2, 1, "a"))
    said = fault(
        path, packed(parts({"Cover": sheet(row(1, "Survey", "", "2026"), row(2, "a", "b", "c")), "Kommentare 2026": data}))
    )
    assert 'Sheet "Cover": Column B of the header (row 1) has no name.' in said
    assert "Or name another sheet in the recipe, as in `sheet: Kommentare 2026`" in said
    empty = fault(path, packed(parts({"Cover": sheet(), "Data": data, "More": data})))
    assert "as in `sheet: Data` (others: More)" in empty
    alone = fault(path, packed(parts({"Cover": sheet(row(1, "a", "", "b"))})))
    assert 'Sheet "Cover"' in alone
    assert "another sheet" not in alone
