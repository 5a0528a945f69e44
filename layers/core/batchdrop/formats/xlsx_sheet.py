"""One sheet of an .xlsx workbook as a table of texts."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from batchdrop.formats.invalid_line import shown
from batchdrop.formats.table_fault import TableFault, check_header, own
from batchdrop.formats.xlsx_package import DAMAGED, Extent, copy_sheet

# Sheets in a sentence.
_MOST_NAMED = 5


class Sheet(NamedTuple):
    name: str
    columns: tuple[str, ...]
    """Of the header, as they stand in it; `own` of them are the user's."""
    header_row: int
    """The first row with a cell that is not empty; rows count from 1, as Excel shows them."""
    rows: Iterable[tuple[int, list[str]]]
    """Number and cells of every row behind the header, as often as they are asked for. No cells if all are empty. Raises
    TableFault."""
    without_value: int = 0
    """Formulas whose cells are empty since nobody has computed them."""

    @property
    def own(self) -> tuple[str, ...]:
        return own(self.columns)


type _Value = int | float | str | bool | datetime.time | datetime.date | datetime.datetime | datetime.timedelta


def read_sheet(path: Path, *, sheet: str | None) -> Sheet:
    """Reads the sheet of that name, else the first visible one. Raises TableFault.

    Whole numbers have no `.0`, others at most the 15 digits that Excel shows; dates and times are ISO 8601, durations `h:mm:ss`,
    TRUE and FALSE and errors (`#N/A`) as Excel writes them. The sheet is in memory until its rows were read.
    """
    with tempfile.NamedTemporaryFile(suffix=".xlsx") as copy:
        extent = copy_sheet(path, sheet, copy)
        copy.flush()
        opened = _opened(copy.name)
    found = next(((row, cells) for row, cells in _Rows(opened) if cells), None)
    if found is None:
        another = _another(extent) or "`sheet` in the recipe names another."
        raise TableFault(f'Sheet "{shown(extent.sheet)}" is empty. Its first row must name the columns. {another}')
    header_row, header = found
    # calamine begins with row 1, but with the first column that has a value.
    try:
        columns = check_header(header, header_row, opened.start[1] + 1 if opened.start else 1)
    except TableFault as fault:
        raise TableFault(f'Sheet "{shown(extent.sheet)}": {fault.message} {_another(extent)}'.rstrip()) from None
    return Sheet(extent.sheet, columns, header_row, _Rows(opened, behind=header_row), extent.without_value)


def _another(extent: Extent) -> str:
    """A cover sheet is often the first one."""
    if not extent.others:
        return ""
    first, *rest = (shown(name) for name in extent.others[:_MOST_NAMED])
    more = f" (others: {', '.join(rest)})" if rest else ""
    return f"Or name another sheet in the recipe, as in `sheet: {first}`{more}."


def _opened(path: str) -> CalamineSheet:
    with _faults(), CalamineWorkbook.from_path(path) as workbook:
        return workbook.get_sheet_by_index(0)


class _Rows:
    """Those of a sheet behind a row, from the start each time: whoever looks at the first does not take it from the others."""

    def __init__(self, sheet: CalamineSheet, behind: int = 0) -> None:
        self._sheet = sheet
        self._behind = behind

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        if self._sheet.start is None:
            return
        with _faults():
            for row, values in enumerate(self._sheet.iter_rows(), 1):
                if row > self._behind:
                    cells = [value if isinstance(value, str) else _text(value) for value in values]
                    yield row, cells if any(cells) else []


def _text(value: _Value) -> str:
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return _number(value)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            seconds = round(abs(value).total_seconds())
            sign = "-" if value.days < 0 else ""
            return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return str(value)


def _number(value: float) -> str:
    # Beyond that, writing all digits helps nobody.
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else f"{value:.15g}"


@contextmanager
def _faults() -> Iterator[None]:
    """What calamine cannot read is the file's fault. A panic of its native code is no Exception, and its class has no module."""
    try:
        yield
    except (CalamineError, OSError, ValueError, OverflowError) as error:
        raise TableFault(DAMAGED) from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise TableFault(DAMAGED) from error
        raise
