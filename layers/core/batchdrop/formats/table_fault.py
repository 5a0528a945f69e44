"""What is wrong with a table as a whole, and the rules for its header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from batchdrop.domain.errors import BatchdropError
from batchdrop.formats.input_line import NOTE
from batchdrop.formats.invalid_line import shown

# What Excel has (Microsoft, "Excel specifications and limits").
MAX_COLUMNS = 16_384
_PREFIX = "batchdrop_"
OUR_COLUMNS = frozenset(_PREFIX + name for name in ("job", "row", "status", "error", "answer", "usd"))
"""Columns that results.csv and failed.csv have beside the user's own. A file with them was dropped again."""


class TableFault(BatchdropError):
    """The table cannot be read. The message says in whole sentences what is wrong, where, and what to do.

    A row is counted as the spreadsheet does it, the header being row 1; bytes count from 0.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def by_recipe(self) -> bool:
        """Whether a line of the recipe can mend it, which the message then says. Else only another file can."""
        return "the recipe" in self.message


def own(columns: Iterable[str]) -> tuple[str, ...]:
    """The user's columns: those that an earlier run added are left out."""
    return tuple(name for name in columns if name not in OUR_COLUMNS)


def check_header(columns: Sequence[str], row: int, first_column: int = 1) -> tuple[str, ...]:
    """The names, if every column has one of its own. Raises TableFault, which names those that have not."""
    if len(columns) > MAX_COLUMNS:
        raise TableFault(f"The header (row {row}) has {len(columns):,} columns; {MAX_COLUMNS:,} are possible. Remove some.")
    letters = [column_letters(number) for number, name in enumerate(columns, first_column) if not name.strip()]
    if letters:
        raise TableFault(
            f"{_listed('Column', letters)} of the header (row {row}) {_has(letters)} no name. "
            "Give every column a name, and remove what stands above the header."
        )
    doubled = [f'"{shown(name)}"' for name, times in Counter(columns).items() if times > 1]
    if doubled:
        raise TableFault(
            f"{_listed('Column', doubled)} {_is(doubled)} in the header (row {row}) more than once. Rename all but one."
        )
    foreign = [f'"{shown(name)}"' for name in columns if name == NOTE or (name.startswith(_PREFIX) and name not in OUR_COLUMNS)]
    if foreign:
        raise TableFault(f"{_listed('Column', foreign)} {_has(foreign)} a name that is Batchdrop's own ({_PREFIX}). Rename it.")
    if not own(columns):
        raise TableFault(f"The header (row {row}) has only columns that Batchdrop adds. Put the columns of the rows back.")
    return tuple(columns)


def too_many_cells(cells: int, columns: int, row: int) -> str:
    """What is wrong with one row that is longer than the header."""
    return (
        f"Row {row} has {cells:,} cells, the header {columns:,}. Put quotes around a cell that holds the separator, "
        "or name the missing columns."
    )


def column_letters(number: int) -> str:
    """1 -> A, 27 -> AA: as spreadsheets name columns."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


_LISTED = 5


def _listed(noun: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{noun} {names[0]}"
    rest = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return f"{noun}s {', '.join(names[:_LISTED])}{rest}"


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
