"""The cells of the tables that Batchdrop writes: a text can become neither a formula, nor a column, nor a row.

A cell that a spreadsheet might take for a formula gets an apostrophe in front (OWASP, "CSV Injection"). A cell that already has
apostrophes before such a beginning gets another, so the way back is exact.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from functools import cache

import msgspec

# Spreadsheets trim or ignore these before they look for a formula: spaces, byte order mark, zero-width and bidi characters.
_RANGES = ((0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x2064), (0x2066, 0x206F))
_SKIPPED = " \u0085\u00a0\u00ad\u061c\u1680\u180e\u3000\ufeff" + "".join(
    chr(code) for a, b in _RANGES for code in range(a, b + 1)
)
# `=` and its like, also full-width, as Excel for East Asia takes them.
_BEGINNINGS = "=+-@|%\t\r\n\uff1d\uff0b\uff0d\uff20\uff5c\uff05"
_risky = re.compile(f"'*([{_SKIPPED}]*[{re.escape(_BEGINNINGS)}].*)", re.DOTALL).match
_FIRST_OF_RISKY = frozenset(_SKIPPED + _BEGINNINGS + "'")
_is_number = re.compile(r" *[+-]?(?:[0-9][0-9.,]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)? ?%? *").fullmatch
_C0 = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_C0_BYTES = bytes(byte for byte in range(0x20) if byte not in b"\t\r\n")
_C0_SHOWN = "\ufffd"

BOM = b"\xef\xbb\xbf"
"""Without it Excel reads a CSV file as Windows-1252."""


def guard(cell: str) -> str:
    """The cell as it stands in a table: no spreadsheet takes it for a formula. C0 but tab, CR and LF becomes U+FFFD."""
    cell = _C0.sub(_C0_SHOWN, cell)
    return "'" + cell if _is_guarded(cell) else cell


def unguard(cell: str) -> str:
    """Takes back one `guard`: `unguard(guard(x)) == x` for every x without control characters."""
    return cell[1:] if cell.startswith("'") and _is_guarded(cell[1:]) else cell


def text_of(value: object) -> str:
    """A value of JSON as a cell: a text as it is, null empty, everything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def csv_line(cells: Sequence[str], separator: str, newline: str, *, raw: bool = False) -> bytes:
    """One row in UTF-8, guarded unless `raw`, quoted where RFC 4180 asks for it."""
    if not raw:
        cells = ["'" + cell if cell and cell[0] in _FIRST_OF_RISKY and _is_guarded(cell) else cell for cell in cells]
    text = separator.join(cells)
    if "\n" in text or "\r" in text or not text:
        text = _row_writer(separator)(cells)
    elif '"' in text:
        # csv.writer takes twice as long.
        text = separator.join([f'"{cell.replace('"', '""')}"' if separator in cell or '"' in cell else cell for cell in cells])
    elif text.count(separator) >= len(cells):
        text = separator.join([f'"{cell}"' if separator in cell else cell for cell in cells])
    line = (text + newline).encode(errors="replace")
    # Told apart for the whole row: control characters are rare.
    if not raw and len(line.translate(None, _C0_BYTES)) < len(line):
        line = _C0.sub(_C0_SHOWN, line.decode()).encode()
    return line


def header_line(cells: Sequence[str], separator: str, newline: str, *, raw: bool = False) -> bytes:
    """The first row, behind a byte order mark."""
    return BOM + csv_line(cells, separator, newline, raw=raw)


def _is_guarded(cell: str) -> bool:
    found = _risky(cell)
    return found is not None and not _is_number(found[1])


class _Echo:
    """csv.writer hands on what its file's `write` returns, so a row can be had without a file."""

    @staticmethod
    def write(row: str) -> str:
        return row


@cache
def _row_writer(separator: str) -> Callable[[Sequence[str]], str]:
    return csv.writer(_Echo(), delimiter=separator, lineterminator="").writerow
