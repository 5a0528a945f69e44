"""Rows as a table of text, no wider than a page."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import accumulate

_PAGE = 116
_WIDEST = 60
_GAP = "  "
_NARROW = 10
_NARROWEST = 4


def text_table(rows: Sequence[Sequence[str]], yielding: int = 0) -> list[str]:
    """One line for each row, the first of which is the head. Cells that do not fit are cut; a line break is a space.

    `yielding`: so many columns at the left are cut before any other.
    """
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [min(_WIDEST, max(map(_width, column))) for column in zip(*cells, strict=True)]
    _fit(widths, range(yielding), _NARROW)
    _fit(widths, range(len(widths)), _NARROWEST)
    return [_GAP.join(map(_filled, row, widths)).rstrip() for row in cells]


def _fit(widths: list[int], places: Sequence[int], least: int) -> None:
    """The widest of the columns at these places give way first, down to so much."""
    room = _PAGE - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and (wide := [place for place in places if widths[place] > least]):
        widths[max(wide, key=lambda place: widths[place])] -= 1


def _filled(text: str, width: int) -> str:
    if _width(text) > width:
        ends = accumulate(map(_width, text))
        text = f"{text[: sum(end <= width - 3 for end in ends)].rstrip()}..."
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """In places of a terminal: marks take none, the signs of East Asia two."""
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)
