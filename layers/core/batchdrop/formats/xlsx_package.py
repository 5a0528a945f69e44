"""An .xlsx file is checked and its one sheet copied before calamine, a library of native code, sees any of it.

calamine aborts the process where memory is short, fills a grid up to the outermost cell, reserves what a file claims to hold, and
copies a shared text into every cell that uses it: 5 KB can take gigabytes. So whatever it reads is counted here first, as it is
unpacked; and since it reads a copy, nothing can look different to it.
"""

from __future__ import annotations

import difflib
import posixpath
import re
import struct
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple
from xml.parsers import expat

from batchdrop.formats.foreign_file import foreign_archive, foreign_stream
from batchdrop.formats.invalid_line import shown
from batchdrop.formats.table_fault import MAX_COLUMNS, TableFault, column_letters

MAX_PART_BYTES = 64_000_000
"""Of a sheet, and of the shared texts, unpacked."""
MAX_GRID_CELLS = 8_000_000
"""Rows times columns up to the outermost cell, which calamine holds all in memory."""
MAX_TEXT_BYTES = 64_000_000
"""Of the texts of all cells, each as often as it stands in the sheet."""
MAX_TEXTS = 2_000_000
"""Different ones."""
_MAX_ENTRIES = 10_000
_MAX_DIRECTORY_BYTES = 4_000_000
_MAX_OTHER_BYTES = 8_000_000
_MAX_ROWS = 1_048_576
# Excel allows 65,490 cell formats, and 255 characters in a number format ("Excel specifications and limits").
_MAX_FORMATS = 65_536
_MAX_FORMAT_CHARS = 1_000
_MAX_DEPTH = 100
_CHUNK_BYTES = 256 * 1024
_TAG_BYTES = 64 * 1024
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
# Bytes of the name of a stream (Microsoft, "[MS-CFB]", 2.6.1).
_LONGEST_STREAM = 64
_SAVE_AGAIN = "Save it again as .xlsx, or as CSV UTF-8."
DAMAGED = f"The workbook is damaged. {_SAVE_AGAIN}"
_TOO_LARGE = "Split the file, or save it as CSV UTF-8, which may be of any size."
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
)
_is_number = re.compile(r"[0-9]{1,9}").fullmatch
_position = re.compile(r"([A-Za-z]{1,3})([1-9][0-9]{0,6})").fullmatch
# calamine drops the text of an error and refuses the newer ones; as text they stay.
_error_cell = re.compile(rb"""(<(?:\w+:)?c\s[^<>]*?\bt\s*=\s*)(?:"e"|'e')""")


class Extent(NamedTuple):
    """What a sheet holds. `rows` and `columns` are the numbers of the outermost cell with a value."""

    sheet: str
    rows: int
    columns: int
    without_value: int = 0
    """Formulas that nobody has computed: programs that write workbooks leave that to Excel. Their cells are read as empty."""
    others: tuple[str, ...] = ()
    """Names of further sheets that are to be seen."""


def copy_sheet(path: Path, sheet: str | None, target: IO[bytes]) -> Extent:
    """Writes a workbook with nothing but one sheet of another; the first visible one unless named. Raises TableFault.

    Memory: the length of each shared text and some hundred kilobytes. Time: about a second for 64 MB.
    """
    with path.open("rb") as stream:
        _check_kind(stream)
        try:
            with zipfile.ZipFile(_Bounded(stream)) as package, zipfile.ZipFile(target, "w") as copy:
                return _copied(_Package(package), sheet, copy)
        except _ZIP_ERRORS as error:
            raise TableFault(DAMAGED) from error


def _check_kind(stream: BinaryIO) -> None:
    head = stream.read(len(_OLE))
    if head.startswith(b"PK"):
        stream.seek(0)
        return
    if head != _OLE:
        raise TableFault("The file is not an .xlsx workbook, whatever its name says. " + _SAVE_AGAIN)
    before = b""
    while chunk := stream.read(_CHUNK_BYTES):
        if _ENCRYPTED in before + chunk:
            raise TableFault("The workbook is encrypted. Save it without a password and put it in again.")
        if (foreign := foreign_stream(before + chunk)) is not None:
            raise TableFault(foreign)
        before = chunk[-_LONGEST_STREAM:]
    raise TableFault("The workbook is an old .xls file. Save it as .xlsx, or as CSV UTF-8.")


class _Bounded:
    """What zipfile reads from. It takes the whole directory of an archive at once, however long that is."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell
        self.seekable = stream.seekable

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(min(size, _MAX_DIRECTORY_BYTES + 1) if size >= 0 else _MAX_DIRECTORY_BYTES + 1)
        if len(data) > _MAX_DIRECTORY_BYTES:
            raise TableFault(_too_many_parts())
        return data


def _too_many_parts() -> str:
    return f"The workbook has more than {_MAX_ENTRIES:,} parts. {_SAVE_AGAIN}"


class _Package:
    """The parts of a workbook by name, whose case does not matter (ECMA-376, part 2)."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        entries = archive.infolist()
        if len(entries) > _MAX_ENTRIES:
            raise TableFault(_too_many_parts())
        self._entries = {entry.filename.replace("\\", "/").lstrip("/").lower(): entry for entry in entries}
        if (foreign := foreign_archive(self._entries)) is not None:
            raise TableFault(foreign)
        for name, entry in self._entries.items():
            self._check(name, entry)

    def _check(self, name: str, entry: zipfile.ZipInfo) -> None:
        if name.endswith("vbaproject.bin"):
            raise TableFault("The workbook has macros. Save it as .xlsx, which has none.")
        if entry.flag_bits & 1:
            raise TableFault("The workbook is encrypted. Save it without a password and put it in again.")
        if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise TableFault(f"The workbook is packed in a way that Excel does not know. {_SAVE_AGAIN}")
        with self._archive.open(entry) as part:
            if part.read(4) == b"PK\x03\x04":
                raise TableFault(f'The workbook holds another archive, "{shown(entry.filename)}". Remove what is embedded in it.')

    def has(self, name: str) -> bool:
        return name.lower() in self._entries

    def chunks(self, name: str, limit: int, what: str) -> Iterator[bytes]:
        """A part as it is unpacked; what the archive says of its size is not believed."""
        entry = self._entries.get(name.lower())
        if entry is None:
            raise TableFault(DAMAGED)
        size = 0
        with self._archive.open(entry) as part:
            while chunk := part.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > limit:
                    raise TableFault(f"{what} of the workbook takes more than {limit:,} bytes when unpacked. {_TOO_LARGE}")
                yield chunk

    def elements(self, name: str, wanted: set[str]) -> list[tuple[str, dict[str, str]]]:
        """Names and attributes of the wanted elements of a small part, without prefixes."""
        part = _Elements(wanted)
        for _ in part.watched(self.chunks(name, _MAX_OTHER_BYTES, f'Part "{shown(name)}"')):
            pass
        return part.found

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """What a part names: by id, the last word of the type and the name of the other part."""
        folder, base = posixpath.split(name)
        path = posixpath.join(folder, "_rels", base + ".rels")
        if not self.has(path):
            return {}
        return {
            attributes.get("Id", ""): (
                attributes.get("Type", "").rsplit("/", 1)[-1],
                posixpath.normpath(posixpath.join("/" + folder, attributes.get("Target", ""))).lstrip("/"),
            )
            for _, attributes in self.elements(path, {"Relationship"})
        }


def _copied(package: _Package, sheet: str | None, copy: zipfile.ZipFile) -> Extent:
    workbook = next((part for kind, part in package.relations("").values() if kind == "officeDocument"), "")
    if workbook.lower().endswith(".bin"):
        raise TableFault("The workbook is a binary one (.xlsb). Save it as .xlsx, or as CSV UTF-8.")
    if not package.has(workbook):
        raise TableFault("The file is an archive, but not an .xlsx workbook. " + _SAVE_AGAIN)
    elements = package.elements(workbook, {"workbookPr", "sheet"})
    parts = package.relations(workbook)
    since_1904 = any(name == "workbookPr" and attributes.get("date1904") in {"1", "true"} for name, attributes in elements)
    name, part, further = _chosen(elements, parts, sheet)
    others = dict(parts.values())

    for path, text in _frame(since_1904).items():
        copy.writestr(path, text)
    texts = _Texts()
    if package.has(others.get("sharedStrings", "")):
        chunks = package.chunks(others["sharedStrings"], MAX_PART_BYTES, "The text")
        _write(copy, "xl/sharedStrings.xml", texts.watched(chunks))
    if package.has(others.get("styles", "")):
        chunks = package.chunks(others["styles"], _MAX_OTHER_BYTES, "The list of formats")
        _write(copy, "xl/styles.xml", _Formats().watched(chunks))
    cells = _Cells(name, texts.lengths)
    chunks = package.chunks(part, MAX_PART_BYTES, f'Sheet "{shown(name)}"')
    _write(copy, "xl/worksheets/sheet1.xml", _errors_as_text(cells.watched(chunks)))
    return Extent(name, cells.rows, cells.columns, cells.without_value, further)


def _write(copy: zipfile.ZipFile, name: str, chunks: Iterator[bytes]) -> None:
    with copy.open(name, "w") as part:
        for chunk in chunks:
            part.write(chunk)


_RELATION = '<Relationships><Relationship Id="r1" Type="x/relationships/%s" Target="%s"/></Relationships>'


def _frame(since_1904: bool) -> dict[str, str]:
    """The parts around a sheet that calamine asks for."""
    return {
        "_rels/.rels": _RELATION % ("officeDocument", "xl/workbook.xml"),
        "xl/_rels/workbook.xml.rels": _RELATION % ("worksheet", "worksheets/sheet1.xml"),
        "xl/workbook.xml": f'<workbook xmlns:r="r"><workbookPr date1904="{since_1904:d}"/>'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>',
    }


class _Chosen(NamedTuple):
    sheet: str
    part: str
    others: tuple[str, ...]


def _chosen(elements: list[tuple[str, dict[str, str]]], parts: dict[str, tuple[str, str]], wanted: str | None) -> _Chosen:
    sheets: dict[str, str] = {}
    visible: list[str] = []
    for element, attributes in elements:
        kind, part = parts.get(attributes.get("id", ""), ("", ""))
        if element == "sheet" and kind == "worksheet":
            name = attributes.get("name", "")
            sheets[name] = part
            if attributes.get("state", "visible") == "visible":
                visible.append(name)
    if not sheets:
        raise TableFault("The workbook has no sheet with cells. Put in one that has.")
    if wanted is None:
        found = next(iter(visible or sheets))
    else:
        # Excel does not tell names by their case.
        found = next((name for name in sheets if name.casefold() == wanted.casefold()), "")
        if not found:
            nearest = difflib.get_close_matches(wanted, sheets, 1, cutoff=0)[0]
            raise TableFault(
                f'The workbook has no sheet "{shown(wanted)}". Did you mean "{shown(nearest)}"? Correct `sheet` in the recipe.'
            )
    return _Chosen(found, sheets[found], tuple(name for name in visible if name != found))


# Names that have no prefix, so that most are not looked at twice.
_USUAL = frozenset({"c", "v", "is", "t", "f", "row", "si", "r"})


def _local(name: str) -> str:
    return name.rpartition(":")[2]


class _Xml:
    """XML as UTF-8, which is how calamine reads it, without document types, and of bounded depth.

    Its handlers are called for millions of elements, so each counts `_depth` itself.
    """

    def __init__(self) -> None:
        self._parser = parser = expat.ParserCreate("utf-8")
        self._depth = 0
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def _start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002 - for those that look at elements
        self._depth += 1

    def _end(self, name: str) -> None:  # noqa: ARG002
        self._depth -= 1

    def watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Hands them on once they were parsed. Raises TableFault."""
        try:
            for chunk in chunks:
                # A mark of UTF-16 counts more for expat than what it is told; calamine does not know it.
                if b"\0" in chunk:
                    raise TableFault(DAMAGED)
                self._parser.Parse(chunk, False)
                # What one chunk can nest does no harm.
                if self._depth > _MAX_DEPTH:
                    raise TableFault(DAMAGED)
                yield chunk
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise TableFault(DAMAGED) from error


def _refuse(*_: object) -> None:
    raise TableFault(DAMAGED)


class _Elements(_Xml):
    """Collects names and attributes of some elements, without prefixes."""

    def __init__(self, wanted: set[str]) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self._wanted = wanted

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if _local(name) in self._wanted:
            self.found.append((_local(name), {_local(key): value for key, value in attributes.items()}))
            if len(self.found) > _MAX_ENTRIES:
                raise TableFault(_too_many_parts())


class _Formats(_Xml):
    """calamine looks at the code of a format once for each format of cells that uses it, so both have bounds."""

    def __init__(self) -> None:
        super().__init__()
        self._formats = 0

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._formats += _local(name) == "xf"
        if self._formats > _MAX_FORMATS or len(attributes.get("formatCode", "")) > _MAX_FORMAT_CHARS:
            raise TableFault(f"The workbook has more formats than Excel allows, or longer ones. {_SAVE_AGAIN}")


class _Texts(_Xml):
    """Notes how many bytes each shared text has."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths = array("L")
        self._inside = False

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        element = name if name in _USUAL else _local(name)
        if element == "si":
            if self._inside:
                raise TableFault(DAMAGED)
            if len(self.lengths) == MAX_TEXTS:
                raise TableFault(f"The workbook has more than {MAX_TEXTS:,} different texts. {_TOO_LARGE}")
            self._inside = True
            self.lengths.append(0)
            self._parser.CharacterDataHandler = self._text
        elif element == "sst" and len(attributes.get("uniqueCount", "").strip()) > 7:
            # calamine makes room for as many as that.
            raise TableFault(DAMAGED)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "si" or _local(name) == "si":
            self._inside = False
            self._parser.CharacterDataHandler = None

    def _text(self, text: str) -> None:
        self.lengths[-1] += len(text.encode())


class _Cells(_Xml):
    """Finds the outermost cell that has a value, counting as calamine does, and what the texts of all cells come to."""

    def __init__(self, sheet: str, lengths: array[int]) -> None:
        super().__init__()
        self.rows = 0
        self.columns = 0
        self.without_value = 0
        self._formula = False
        self._computed = False
        self._sheet = sheet
        self._lengths = lengths
        self._row = 1
        self._column = 0
        self._cell: dict[str, str] = {}
        self._columns: dict[str, int] = {}
        # A reference or a comment divides a text. calamine takes the first piece, so it must be told from the others.
        self._parser.buffer_text = False
        self._index: list[str] = []
        self._in_index = False
        self._longest = max(lengths, default=0)
        self._text_bytes = 0

    def watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in super().watched(chunks):
            self._check()
            yield chunk
        self._check()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        element = name if name in _USUAL else _local(name)
        if self._in_index:
            raise TableFault(DAMAGED)
        if element == "c":
            if "r" not in attributes:
                self._column = self._place()[1] + 1
            self._cell = attributes
            self._formula = False
        elif element == "f":
            self._formula = True
            self._computed = False
        elif element in {"v", "is"}:
            row, column = self._place()
            self.rows = max(self.rows, row)
            self.columns = max(self.columns, column)
            if element == "v" and self._cell.get("t") == "s":
                self._in_index = True
                self._parser.CharacterDataHandler = self._index.append
            elif self._formula:
                # A stored text may be empty, a stored number not; openpyxl writes an empty `v`.
                self._computed = self._cell.get("t") == "str"
                self._parser.CharacterDataHandler = self._found_value
        elif element == "row" and "r" in attributes:
            self._row = self._row_number(attributes["r"])

    def _end(self, name: str) -> None:
        self._depth -= 1
        element = name if name in _USUAL else _local(name)
        if self._in_index:
            self._in_index = False
            self._parser.CharacterDataHandler = None
            if self._index:
                self._add("".join(self._index), whole=len(self._index) == 1)
                self._index.clear()
                self._computed = True
        elif self._formula and element in {"c", "v"}:
            self._parser.CharacterDataHandler = None
            if element == "c":
                self.without_value += not self._computed
                self._formula = False
        elif element == "row":
            self._row += 1
            self._column = 0
            self._cell = {}

    def _found_value(self, _: str) -> None:
        self._computed = True

    def _place(self) -> tuple[int, int]:
        """Row and column of the last cell."""
        reference = self._cell.get("r")
        if reference is None:
            return self._row, self._column
        found = _position(reference)
        if found is None:
            raise self._misplaced(reference)
        letters, digits = found.groups()
        column = self._columns.get(letters)
        if column is None:
            column = self._columns[letters] = _column_number(letters)
        row = int(digits)
        if column > MAX_COLUMNS or row > _MAX_ROWS:
            raise self._misplaced(reference)
        return row, column

    def _row_number(self, text: str) -> int:
        number = int(text) if _is_number(text) else 0
        if not 1 <= number <= _MAX_ROWS:
            raise self._misplaced(text)
        return number

    def _misplaced(self, reference: str) -> TableFault:
        return TableFault(
            f'Sheet "{shown(self._sheet)}" has a cell or row at "{shown(reference)}", which no sheet has. {_SAVE_AGAIN}'
        )

    def _add(self, index: str, *, whole: bool) -> None:
        number = int(index) if _is_number(index) else len(self._lengths)
        if number >= len(self._lengths):
            row, column = self._place()
            cell = f"{column_letters(column)}{row}"
            raise TableFault(f"Cell {cell} has a text that is not in the workbook. {_SAVE_AGAIN}")
        # Most divided numbers stand where one chunk ends.
        self._text_bytes += self._lengths[number] if whole else self._longest

    def _check(self) -> None:
        if self.rows * self.columns > MAX_GRID_CELLS:
            raise TableFault(
                f'Sheet "{shown(self._sheet)}" reaches to row {self.rows:,} and column {column_letters(self.columns)}: that is '
                f"{self.rows:,} times {self.columns:,} cells, and {MAX_GRID_CELLS:,} are possible. "
                "Delete what stands far outside the table, or save the sheet as CSV UTF-8."
            )
        if self._text_bytes > MAX_TEXT_BYTES:
            raise TableFault(
                f'The cells of sheet "{shown(self._sheet)}" have more than {MAX_TEXT_BYTES:,} bytes of text. {_TOO_LARGE}'
            )


def _column_number(letters: str) -> int:
    """A -> 1, AA -> 27."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _errors_as_text(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        data = held + chunk
        # A tag may be in two chunks.
        cut = data.rfind(b"<", max(0, len(data) - _TAG_BYTES))
        cut = cut if cut >= 0 else len(data)
        held = data[cut:]
        yield _error_cell.sub(rb'\1"str"', data[:cut]) if b'"e"' in data or b"'e'" in data else data[:cut]
    yield held
