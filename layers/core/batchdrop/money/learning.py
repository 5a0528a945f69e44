"""What rows that were answered teach about those that were not.

Two ratios of sums: what prompts cost by what was guessed, and what answers cost by the most they could. Each has a band in which
the ratio over many rows is expected. docs/decisions/0042-an-estimate-is-a-ratio.md says how well it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, log, sqrt
from typing import NamedTuple

from batchdrop.domain.money import Learned
from batchdrop.money.token_guess import GUESS_HIGH, GUESS_LOW

SHARE = 1_000_000
"""A share of one."""
# The spread of a ratio is its standard deviation by its mean. Few rows of a heavy tail show too little of it: some more rows are
# assumed whose spread is usual, and no spread is believed below a least one.
_ROWS_OF_USUAL_SPREAD = 5
# How far the mean of many rows may be from that of a few, in standard errors on a logarithmic scale, found by simulation: what
# the few have not seen of a heavy tail makes answers longer, rarely shorter.
_ERRORS_DOWN = 1.7
_ERRORS_UP = 2.4
# In one of twenty cases, a share of rows that is not smaller shows none among those tried.
_UNSEEN = 0.05
# What files differ from earlier ones with the same recipe, up and down: assumed, not measured.
_DRIFT = 1.25


class _Usual(NamedTuple):
    """Of rows: how much a ratio spreads."""

    spread: float
    least: float


_OF_PROMPTS = _Usual(spread=0.2, least=0.02)
_OF_ANSWERS = _Usual(spread=1.0, least=0.05)


class TriedRow(NamedTuple):
    """Femto-dollars as a batch of one row that was answered, or that cost nothing."""

    guessed_input: int
    """Of its prompt as it was guessed, uncached."""
    input: int
    """Of its prompt, cache writes and reads and searches with it."""
    most_output: int
    """Of an answer of `max_tokens`."""
    output: int


def nothing_learned() -> Learned:
    """The band of the guess, and any answer."""
    return Learned(
        input_low=round(GUESS_LOW * SHARE), input_high=round(GUESS_HIGH * SHARE), output_low=0, output_high=SHARE, rows=0
    )


def learn(rows: Sequence[TriedRow]) -> Learned:
    """By rows drawn at random. What they cannot tell, as without any row, is that of `nothing_learned`."""
    unknown = nothing_learned()
    inputs = _band([(row.guessed_input, row.input) for row in rows], _OF_PROMPTS, unknown.input_low, unknown.input_high)
    outputs = _band([(row.most_output, row.output) for row in rows], _OF_ANSWERS, unknown.output_low, unknown.output_high)
    return _learned(inputs, outputs, len(rows))


def learned_of_job(total: TriedRow, rows: int) -> Learned:
    """What a job teaches the next one with the same recipe: the ratios of its sums, with room for how files differ.

    `rows`: that were answered.
    """
    unknown = nothing_learned()
    inputs, outputs = (unknown.input_low, unknown.input_high), (unknown.output_low, unknown.output_high)
    if rows and total.guessed_input:
        inputs = _around(total.input / total.guessed_input, log(_DRIFT), log(_DRIFT))
    if rows and total.most_output:
        outputs = _around(total.output / total.most_output, log(_DRIFT), log(_DRIFT))
    return _learned(inputs, outputs, rows)


def merge(earlier: Learned | None, pilot: Learned | None) -> Learned | None:
    """What to believe of two: what their bands have in common; where that is nothing, the pilot's.

    Rows of this very file know better than those of another: an earlier job can make a band narrower, never wider.
    """
    if earlier is None or pilot is None or not earlier.rows or not pilot.rows:
        return pilot if pilot is not None and (pilot.rows or earlier is None) else earlier
    inputs = _met((earlier.input_low, earlier.input_high), (pilot.input_low, pilot.input_high))
    outputs = _met((earlier.output_low, earlier.output_high), (pilot.output_low, pilot.output_high))
    return _learned(inputs, outputs, earlier.rows + pilot.rows)


def _learned(inputs: tuple[int, int], outputs: tuple[int, int], rows: int) -> Learned:
    return Learned(
        input_low=inputs[0],
        input_high=inputs[1],
        output_low=min(outputs[0], SHARE),
        output_high=min(outputs[1], SHARE),
        rows=rows,
    )


def _band(pairs: list[tuple[int, int]], usual: _Usual, low: int, high: int) -> tuple[int, int]:
    """Shares between which the sum of many is, by pairs of what was expected and what it was. `low` and `high`: by none."""
    expected = sum(pair[0] for pair in pairs)
    if not expected:
        return low, high
    rows = len(pairs)
    ratio = sum(pair[1] for pair in pairs) / expected
    if not ratio:
        return 0, ceil(high * (1 - _UNSEEN ** (1 / rows)))
    error = _spread(pairs, ratio, expected / rows, usual) / sqrt(rows)
    return _around(ratio, _ERRORS_DOWN * error, _ERRORS_UP * error)


def _spread(pairs: list[tuple[int, int]], ratio: float, expected: float, usual: _Usual) -> float:
    """Of a ratio of sums, from the residuals of its rows; `expected` of one on average."""
    rows = len(pairs)
    squares = sum(((was - ratio * guess) / expected) ** 2 for guess, was in pairs)
    seen = max(sqrt(squares / max(rows - 1, 1)) / ratio, usual.least)
    weight = rows / (rows + _ROWS_OF_USUAL_SPREAD) if rows > 1 else 0.0
    return float(seen**weight * usual.spread ** (1 - weight))


def _around(ratio: float, down: float, up: float) -> tuple[int, int]:
    """On a logarithmic scale."""
    return int(ratio * exp(-down) * SHARE), ceil(ratio * exp(up) * SHARE)


def _met(earlier: tuple[int, int], pilot: tuple[int, int]) -> tuple[int, int]:
    low, high = max(earlier[0], pilot[0]), min(earlier[1], pilot[1])
    return (low, high) if low <= high else pilot
