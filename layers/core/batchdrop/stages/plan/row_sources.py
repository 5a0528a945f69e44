"""The rows of a file, whatever kind of file it is: one after the other, each with its number and its own fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from batchdrop.domain.file_names import Located
from batchdrop.domain.keys import INBOX, folder_of
from batchdrop.domain.records import ObjectRef
from batchdrop.formats.cells import unguard
from batchdrop.formats.csv_table import Dialect, records
from batchdrop.formats.document_line import listed_version
from batchdrop.formats.failed_line import MAX_RAW_CHARS
from batchdrop.formats.input_line import NOTE, unsound
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line, read_lines
from batchdrop.formats.named_row import NamedRow, named_by_cells, named_by_note
from batchdrop.formats.table_fault import OUR_COLUMNS, check_header
from batchdrop.ports import Objects
from batchdrop.recipes.form import Kind, Table

if TYPE_CHECKING:
    from batchdrop.formats.xlsx_sheet import Sheet

_MOST_COLUMNS = 1_000
"""Of JSONL, whose rows may have any fields: further ones are in `results.jsonl` alone."""


class SourceRow(NamedTuple):
    number: int
    """As the spreadsheet or the editor counts it."""
    end: int
    """Where reading can go on behind it: for `RowSource.rows`."""
    fields: Mapping[str, object] | None
    """None: it is no row, and `fault` says why. Empty: a row without content, which is not one."""
    own: bytes
    """The same as a JSON object."""
    fault: InvalidLine | None = None
    raw: str | None = None
    """The text of what is no row."""
    named: NamedRow | None = None
    """The row of an earlier job that it says it is."""
    versions: Mapping[Located, str] = MappingProxyType({})
    """Of files that it names, where that is not the newest."""


class RowSource(Protocol):
    @property
    def again(self) -> bool:
        """Whether it has columns that Batchdrop adds: it was one of our tables."""

    @property
    def without_value(self) -> int:
        """Formulas whose cells are empty since nobody has computed them."""

    @property
    def start(self) -> tuple[int, int]:
        """Where the rows begin: an offset for `rows`, and the number of the row there."""

    def table(self, *, raw: bool) -> Table:
        """How it is written. Of JSONL it is known only when every row has been read."""

    def remember(self, columns: tuple[str, ...]) -> None:
        """Those of `table`, as an earlier invocation knew them."""

    def rows(self, offset: int, number: int) -> AbstractContextManager[Iterator[SourceRow]]:
        """From a place on. Raises TableFault."""


class JsonRows:
    """JSONL: any objects."""

    def __init__(self, objects: Objects, text: ObjectRef) -> None:
        self._objects = objects
        self._text = text
        self._columns: dict[str, None] = {}

    @property
    def again(self) -> bool:
        return False

    @property
    def without_value(self) -> int:
        return 0

    @property
    def start(self) -> tuple[int, int]:
        return 0, 1

    def table(self, *, raw: bool) -> Table:
        return Table(kind=Kind.jsonl, columns=tuple(self._columns), newline="\n", raw=raw)

    def remember(self, columns: tuple[str, ...]) -> None:
        self._columns = dict.fromkeys(columns)

    @contextmanager
    def rows(self, offset: int, number: int) -> Iterator[Iterator[SourceRow]]:
        with self._objects.read(self._text, offset) as stream:
            yield (self._row(line) for line in read_lines(stream, start=offset, first_line=number))

    def _row(self, line: Line) -> SourceRow:
        if not line.data:
            return SourceRow(line.number, line.end, {}, b"{}")
        fault = unsound(line, unique=True)
        if fault is not None:
            if fault.type == "not_an_object":
                fault = msgspec.structs.replace(fault, message=_NOT_A_ROW)
            if fault.type == "too_many_fields":
                fault = msgspec.structs.replace(fault, message=_TOO_MANY_FIELDS)
            return SourceRow(line.number, line.end, None, b"{}", fault, _text_of(line.data))
        fields = _fields(line.data)
        own = line.data.strip()
        named = None
        if NOTE in fields:
            named = named_by_note(line.data)
            note = fields.pop(NOTE)
            if not fields and isinstance(note, dict) and isinstance(note.get("raw"), str):
                raw = note["raw"][:MAX_RAW_CHARS]
                return SourceRow(line.number, line.end, None, b"{}", _raw_again(line.number), raw, named)
            own = msgspec.json.encode(fields)
        if len(self._columns) < _MOST_COLUMNS and not fields.keys() <= self._columns.keys():
            # One row may have any number of them, and each is a cell of every other row.
            self._columns = dict.fromkeys(islice(self._columns | dict.fromkeys(fields), _MOST_COLUMNS))
        return SourceRow(line.number, line.end, fields, own, named=named)


class DocumentRows(JsonRows):
    """The list of a folder's documents, which `ListDocuments` has written."""

    def __init__(self, objects: Objects, text: ObjectRef, start: str) -> None:
        """`start`: the key of the start that was dropped."""
        super().__init__(objects, text)
        self._bucket = text.bucket
        self._folder = f"{INBOX}{folder_of(start)}/"

    def _row(self, line: Line) -> SourceRow:
        path, version = listed_version(line.data)
        file = Located(self._bucket, f"{self._folder}{path}")
        return super()._row(line)._replace(versions={file: version} if version else {})


class CsvRows:
    """CSV and TSV."""

    def __init__(self, objects: Objects, text: ObjectRef, dialect: Dialect, *, raw: bool = False) -> None:
        self._objects = objects
        self._text = text
        self._dialect = dialect
        self._cells = _Cells(dialect.columns, dialect.next_row - 1, raw=raw)

    @property
    def again(self) -> bool:
        return self._cells.again

    @property
    def without_value(self) -> int:
        return 0

    @property
    def start(self) -> tuple[int, int]:
        return self._dialect.first_offset, self._dialect.next_row

    def table(self, *, raw: bool) -> Table:
        dialect = self._dialect
        return Table(
            kind=Kind.csv,
            columns=self._cells.columns,
            separator=dialect.written_separator,
            newline=dialect.newline,
            raw=raw,
        )

    def remember(self, columns: tuple[str, ...]) -> None:
        """They stand in the header."""

    @contextmanager
    def rows(self, offset: int, number: int) -> Iterator[Iterator[SourceRow]]:
        with self._objects.read(self._text, offset) as stream:
            found = records(stream, self._dialect, start=offset, row=number)
            yield (self._cells.row(record.row, record.end, record.cells, record.fault) for record in found)


class SheetRows:
    """A sheet of a workbook, which is on disk. An offset is a number of rows."""

    def __init__(self, sheet: Sheet, *, raw: bool = False) -> None:
        self._sheet = sheet
        self._cells = _Cells(sheet.columns, sheet.header_row, raw=raw)

    @property
    def again(self) -> bool:
        return self._cells.again

    @property
    def without_value(self) -> int:
        return self._sheet.without_value

    @property
    def start(self) -> tuple[int, int]:
        return self._sheet.header_row, self._sheet.header_row + 1

    def table(self, *, raw: bool) -> Table:
        return Table(kind=Kind.xlsx, columns=self._cells.columns, raw=raw)

    def remember(self, columns: tuple[str, ...]) -> None:
        """They stand in the header."""

    @contextmanager
    def rows(self, offset: int, number: int) -> Iterator[Iterator[SourceRow]]:  # noqa: ARG002 - here they are the same
        yield (self._cells.row(row, row, cells, "") for row, cells in self._sheet.rows if row > offset)


class _Cells:
    """Cells to fields, by the columns of a table. If it is one of ours, dropped again, its guards against formulas come off.

    `raw`: the recipe wants none, so there were none. Raises TableFault for names that are the same without their guards.
    """

    def __init__(self, columns: tuple[str, ...], header_row: int, *, raw: bool) -> None:
        self.again = not OUR_COLUMNS.isdisjoint(columns)
        self._guarded = self.again and not raw
        named = check_header([unguard(name) for name in columns], header_row) if self._guarded else columns
        self._places = [(place, name) for place, name in enumerate(named) if name not in OUR_COLUMNS]
        self.columns = tuple(name for _, name in self._places)
        self._naming = [named.index(name) for name in ("batchdrop_job", "batchdrop_row") if name in named]
        self._all = None if self.again else columns

    def row(self, number: int, end: int, cells: list[str], fault: str) -> SourceRow:
        if not cells:
            return SourceRow(number, end, {}, b"{}")
        if self._guarded:
            cells = [unguard(cell) for cell in cells]
        # A row with too many cells keeps those that have a name.
        fields = (
            dict(zip(self._all, cells, strict=False))
            if self._all is not None
            else {name: cells[place] for place, name in self._places if place < len(cells)}
        )
        invalid = InvalidLine(line=number, type="too_many_cells", message=fault) if fault else None
        return SourceRow(number, end, fields, msgspec.json.encode(fields), invalid, named=self._named(cells))

    def _named(self, cells: list[str]) -> NamedRow | None:
        match self._naming:
            case [job, row] if max(job, row) < len(cells):
                return named_by_cells(cells[job], cells[row])
            case _:
                return None


_fields = msgspec.json.Decoder(dict[str, object]).decode
_TOO_MANY_FIELDS = (
    "The line is too long for a row of so many fields. Remove those that the recipe does not need, or shorten them."
)
_NOT_A_ROW = "The line is JSON but not an object. Write one row per line, with a name for each field."


def _raw_again(number: int) -> InvalidLine:
    return InvalidLine(
        line=number, type="not_json", message="The line is not valid JSON. Correct what _batchdrop.raw shows of it."
    )


def _text_of(data: bytes) -> str:
    return data[: 4 * MAX_RAW_CHARS].decode(errors="backslashreplace")[:MAX_RAW_CHARS]
