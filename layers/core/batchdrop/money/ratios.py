"""What a few rows tell of the sum of many: a ratio of sums, and how far that of the many may be from it.

What is expected of every row is known before it is sent, so a sum over the others is a ratio times what is known exactly. Rows
are drawn at random. docs/decisions/0042-an-estimate-is-a-ratio.md says how the constants were found.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

# Twenty rows of a heavy tail mostly show too little of its spread: as many rows of a usual spread are assumed beside them. A
# spread that is seen is never taken for smaller.
_ROWS_OF_USUAL_SPREAD = 10
# Of n rows, residuals of chance follow anything by 1/(n - 1) of their squares on average, and by four times as much in one of
# twenty cases.
_BY_CHANCE = 4
# Beyond these, rows are too unlike the others to draw a line from them: what it may change of a ratio, up or down, and how far
# the others may lie on average from the middle of the rows, in squared standard deviations.
_MOST_SHIFT = 2.0
_MOST_LEVERAGE = 4.0


class Usual(NamedTuple):
    """Of rows: how much a ratio spreads, as its standard deviation by its mean."""

    spread: float
    least: float
    """No rows are believed to spread less."""


class Ratio(NamedTuple):
    value: float
    error: float
    """The standard error of its logarithm."""


class Row(NamedTuple):
    """Amounts in one unit, none below 0."""

    expected: int
    also: int
    """Another measure of a row that may tell of its amount."""
    was: int


class Others(NamedTuple):
    """Sums over the rows that are to be told of. 0: nobody knows, or the second measure tells nothing."""

    rows: int
    expected: int = 0
    also: int = 0


def ratio(rows: Sequence[Row], usual: Usual, others: Others | None) -> Ratio:
    """What the others will be, by what is expected of them. `rows` expect something, and were something.

    Where amounts follow the other measure clearly, and `others` tells its sum, the ratio is corrected by how the others differ in
    it from those tried (a regression estimator; Cochran, "Sampling techniques", chapter 7). Without `others` they are taken for
    many and alike.
    """
    expected = sum(row.expected for row in rows)
    value = sum(row.was for row in rows) / expected
    residuals = [row.was - value * row.expected for row in rows]
    beyond = 0.0
    if others is not None and others.rows:
        beyond = len(rows) / others.rows
        if others.expected:
            followed = _followed(rows, residuals, others)
            value = min(max(value + followed.shift, value / _MOST_SHIFT), value * _MOST_SHIFT)
            residuals, beyond = followed.residuals, beyond + followed.leverage
    mean = sum(row.was for row in rows) / len(rows)
    seen = sqrt(sum(residual**2 for residual in residuals) / max(len(rows) - 1, 1)) / mean
    # The others are a sample too: of few rows the sum is less certain than of many.
    return Ratio(value, _believed(seen, len(rows), usual) * sqrt((1 + beyond) / len(rows)))


class _Followed(NamedTuple):
    shift: float
    leverage: float
    """What the line through the rows adds to the square of the error, away from their middle."""
    residuals: list[float]


def _followed(rows: Sequence[Row], residuals: list[float], others: Others) -> _Followed:
    """By how much `was` follows `also`, beyond what is expected of both."""
    share = sum(row.also for row in rows) / sum(row.expected for row in rows)
    measure = [row.also - share * row.expected for row in rows]
    squares, left = sum(one**2 for one in measure), sum(one**2 for one in residuals)
    together = sum(one * residual for one, residual in zip(measure, residuals, strict=True))
    explained = together**2 / (squares * left) if squares and left else 0.0
    by_chance = _BY_CHANCE / len(rows)
    away = others.also - share * others.expected
    leverage = len(rows) * (away / others.rows) ** 2 / squares if squares else 0.0
    if explained <= by_chance or by_chance >= 1 or leverage > _MOST_LEVERAGE:
        return _Followed(0.0, 0.0, residuals)
    slope = together / squares * (explained - by_chance) / (1 - by_chance) / explained
    line = [residual - slope * one for residual, one in zip(residuals, measure, strict=True)]
    return _Followed(slope * away / others.expected, leverage, line)


def _believed(seen: float, rows: int, usual: Usual) -> float:
    seen = max(seen, usual.least)
    weight = rows / (rows + _ROWS_OF_USUAL_SPREAD) if rows > 1 else 0.0
    return max(seen, float(seen**weight * usual.spread ** (1 - weight)))
