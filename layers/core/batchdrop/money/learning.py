"""What rows that were answered teach about those that were not.

Two ratios of sums: what prompts cost by what was guessed, and what answers cost by the most they could. Each has a band in which
the ratio over many rows is expected. docs/decisions/0042-an-estimate-is-a-ratio.md says how well it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, hypot, log, sqrt
from typing import NamedTuple

from batchdrop.domain.money import Learned
from batchdrop.money.ratios import Others, Ratio, Seen, Usual, ratio
from batchdrop.money.token_guess import GUESS_HIGH, GUESS_LOW

SHARE = 1_000_000
"""A share of one."""
# How far the ratio of many rows may be from that of a few, in standard errors on a logarithmic scale, found by simulation: what
# the few have not seen of a heavy tail makes answers longer, rarely shorter.
_ERRORS_DOWN = 1.9
_ERRORS_UP = 2.3
# In one of twenty cases, a share of rows that is not smaller shows none among those tried.
_UNSEEN = 0.05
# What files differ from earlier ones with the same recipe, up and down: assumed, not measured.
_DRIFT = 1.25
_OF_PROMPTS = Usual(spread=0.2, least=0.02)
_OF_ANSWERS = Usual(spread=1.2, least=0.05)


class TriedRow(NamedTuple):
    """Femto-dollars as a batch of one row that was answered, or that cost nothing."""

    guessed_input: int
    """Of its prompt as it was guessed, uncached."""
    input: int
    """Of its prompt, cache writes and reads and searches with it."""
    most_output: int
    """Of an answer of `max_tokens`."""
    output: int


class OtherRows(NamedTuple):
    """Of the rows that were not tried, what `guessed_cost` tells of their sizes."""

    rows: int
    guessed_input: int
    most_output: int


def nothing_learned() -> Learned:
    """The band of the guess, and any answer."""
    return Learned(
        input_low=round(GUESS_LOW * SHARE), input_high=round(GUESS_HIGH * SHARE), output_low=0, output_high=SHARE, rows=0
    )


def learn(rows: Sequence[TriedRow], others: OtherRows | None = None) -> Learned:
    """By rows drawn at random. What they cannot tell, as without any row, is that of `nothing_learned`.

    With `others` the band is made for just these: few of them are less certain than many, and where answers follow their prompts,
    as in translations, it counts how long the prompts of the others are. It is one for what both ratios cost together: in nine of
    ten jobs the sum is inside, as prompts and answers are hardly ever both at the end of their bands.
    """
    unknown = nothing_learned()
    prompts = [Seen(row.guessed_input, row.most_output, row.input) for row in rows]
    answers = [Seen(row.most_output, row.guessed_input, row.output) for row in rows]
    inputs = _ratio(prompts, _OF_PROMPTS, None if others is None else Others(others.rows))
    outputs = _ratio(
        answers, _OF_ANSWERS, None if others is None else Others(others.rows, others.most_output, others.guessed_input)
    )
    expected = (others.guessed_input, others.most_output) if others else (_expected(prompts), _expected(answers))
    down, up = (_together(inputs, outputs, expected, errors) for errors in (-_ERRORS_DOWN, _ERRORS_UP))
    return _learned(
        _band(prompts, inputs, (down[0], up[0]), (unknown.input_low, unknown.input_high)),
        _band(answers, outputs, (down[1], up[1]), (unknown.output_low, unknown.output_high)),
        len(rows),
    )


def learned_of_job(total: TriedRow, rows: int) -> Learned:
    """What a job teaches the next one with the same recipe: the ratios of its sums, with room for how files differ.

    `rows`: that were answered, at least one. Of few, what their answers have not seen widens the band; how they spread is not
    known any more, so they spread as usual.
    """
    unknown = nothing_learned()
    inputs, outputs = (unknown.input_low, unknown.input_high), (unknown.output_low, unknown.output_high)
    # A sum of nothing is that of refusals or faults, which the next file need not have.
    if total.guessed_input and total.input:
        inputs = _drifted(total.input / total.guessed_input, _OF_PROMPTS, rows)
    if total.most_output and total.output:
        outputs = _drifted(total.output / total.most_output, _OF_ANSWERS, rows)
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


def _expected(rows: list[Seen]) -> int:
    return sum(row.expected for row in rows)


def _ratio(rows: list[Seen], usual: Usual, others: Others | None) -> Ratio | None:
    """None: nothing was expected, or nothing came."""
    return ratio(rows, usual, others) if _expected(rows) and sum(row.was for row in rows) else None


def _together(inputs: Ratio | None, outputs: Ratio | None, expected: tuple[int, int], errors: float) -> tuple[float, float]:
    """How far the ends of both bands are from the ratios, so that the sum of what they cost is within.

    Two errors that know nothing of each other are together as long as the diagonal of both.
    """
    away = [0.0 if of is None else of.value * (exp(errors * of.error) - 1) for of in (inputs, outputs)]
    costs = [one * cost for one, cost in zip(away, expected, strict=True)]
    diagonal = hypot(*costs)
    shares = [abs(cost) / diagonal if inputs and outputs and diagonal else 1.0 for cost in costs]
    return away[0] * shares[0], away[1] * shares[1]


def _band(rows: list[Seen], of: Ratio | None, away: tuple[float, float], unknown: tuple[int, int]) -> tuple[int, int]:
    """Shares between which the sum of many is."""
    if of is not None:
        return int((of.value + away[0]) * SHARE), ceil((of.value + away[1]) * SHARE)
    if not _expected(rows):
        return unknown
    return 0, ceil(unknown[1] * (1 - _UNSEEN ** (1 / len(rows))))


def _drifted(value: float, usual: Usual, rows: int) -> tuple[int, int]:
    error = usual.spread / sqrt(rows)
    down, up = (exp(hypot(log(_DRIFT), errors * error)) for errors in (_ERRORS_DOWN, _ERRORS_UP))
    return int(value / down * SHARE), ceil(value * up * SHARE)


def _met(earlier: tuple[int, int], pilot: tuple[int, int]) -> tuple[int, int]:
    low, high = max(earlier[0], pilot[0]), min(earlier[1], pilot[1])
    return (low, high) if low <= high else pilot
