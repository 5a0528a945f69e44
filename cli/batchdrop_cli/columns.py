"""A small table of text for a terminal of any width: as columns where they fit, else one cell below the other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_GAP = "    "


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lines. The first cell of a row names it; a row of one cell more than its name may be long, and is wrapped.

    `head`: of the columns, the first of them too.
    """
    full = [row for row in (head, *rows) if len(row) == len(head)]
    widths = [max(len(row[place]) for row in full) for place in range(len(head))]
    widths[0] = max(widths[0], *(len(row[0]) for row in rows))
    if sum(widths) + len(_GAP) * (len(head) - 1) > width:
        return _stacked(head, rows, width)
    return [line for row in (head, *rows) for line in _row(row, widths, width)]


def paragraph(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, max(width, 20), subsequent_indent=indent, break_on_hyphens=False)


def _row(cells: Sequence[str], widths: Sequence[int], width: int) -> list[str]:
    if len(cells) == len(widths):
        return [_GAP.join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True)).rstrip()]
    name, text = cells
    start = f"{name.ljust(widths[0])}{_GAP}"
    return textwrap.wrap(text, width, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _stacked(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    lines = [head[0]] if head[0] else []
    for name, *cells in rows:
        lines += textwrap.wrap(name, width)
        names = head[1:] if len(cells) == len(head) - 1 else [""] * len(cells)
        for title, cell in zip(names, cells, strict=True):
            text = f"{title}: {cell}" if title else cell
            lines += textwrap.wrap(text, max(width, 20), initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    return lines
