"""Jobs whose answers have lengths of several distributions, and what the estimate after their pilot said of them.

Nothing here is known to the estimator but what plan and the pilot know: sizes of all rows, and the usage of those drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from math import exp, log, sqrt
from operator import mul
from random import Random
from statistics import fmean, median
from typing import NamedTuple

from batchdrop.domain.money import Size, Sizes
from batchdrop.domain.records import PILOT_ROWS
from batchdrop.formats.lines import Line
from batchdrop.money.estimate import Estimate, estimate, guessed_cost
from batchdrop.money.learning import OtherRows, TriedRow, learn, learned_of_job
from batchdrop.money.price_file import built_in
from batchdrop.stages.plan.pilot_draw import PilotDraw

NOW = datetime(2026, 11, 25, tzinfo=UTC)
_NINE_OF_TEN = 1.645
_FEMTO_OF_A_MICRO = 10**9
# What people leave room for: answers are cut there.
_MOST_BY_MEAN = 20

type Lengths = Callable[[Random, float], float]
"""Of an answer, where the mean is about 1; given the length of its prompt, likewise."""


class Kind(NamedTuple):
    """Jobs whose answers are alike."""

    name: str
    lengths: Lengths


class Mix(NamedTuple):
    """Tokens on average. Answers cost five times as much."""

    model: str
    prompt: int
    answer: int


class Outcome(NamedTuple):
    """Of one job, its pilot's rows aside."""

    estimate: Estimate
    actual: float
    """Micro-dollars."""
    share: float
    """Of the answers in what it cost."""
    spread: float
    """Of the answers: their standard deviation by their mean."""

    @property
    def inside(self) -> bool:
        return self.estimate.low <= self.actual <= self.estimate.high

    @property
    def width(self) -> float:
        """As a share of what it cost, not of the middle of the band: by that, high bands would look narrow."""
        return (self.estimate.high - self.estimate.low) / self.actual

    @property
    def least_width(self) -> float:
        """Of a band of 90 % by somebody who knows how all answers spread, and has their mean from the pilot alone."""
        return 2 * _NINE_OF_TEN * self.spread * self.share / sqrt(PILOT_ROWS)


class Summary(NamedTuple):
    """Of many jobs. Widths are medians, all others means."""

    inside: float
    above: float
    """Jobs that cost more than the band."""
    width: float
    least_width: float
    share: float
    spread: float


def lognormal(sigma: float) -> Lengths:
    return lambda random, _: random.lognormvariate(-sigma * sigma / 2, sigma)


def pareto(index: float) -> Lengths:
    return lambda random, _: (index - 1) / index * random.paretovariate(index)


def mixture(share: float, longer: float) -> Lengths:
    """Most answers are short, a share is so much longer, and both spread by half."""
    short = 1 / (1 + share * (longer - 1))
    return lambda random, _: short * (longer if random.random() < share else 1) * random.lognormvariate(-0.1, 0.45)


def translation(random: Random, prompt: float) -> float:
    return prompt * random.lognormvariate(0, 0.2)


CLAIMED = (
    Kind("lognormal, sigma 0.9", lognormal(0.9)),
    Kind("Pareto, index 2", pareto(2.0)),
    Kind("one in five ten times as long", mixture(0.2, 10)),
)
"""Heavy tails, for which at least nine of ten jobs are to be inside."""
FURTHER = (
    Kind("lognormal, sigma 0.6", lognormal(0.6)),
    Kind("lognormal, sigma 1.1", lognormal(1.1)),
    Kind("Pareto, index 1.5", pareto(1.5)),
    Kind("one in ten ten times as long", mixture(0.1, 10)),
    Kind("one in fifty twenty times as long", mixture(0.02, 20)),
    Kind("translations", translation),
)
MIXES = (Mix("claude-haiku-4-5", 150, 10), Mix("claude-sonnet-5-5", 2_000, 200), Mix("claude-opus-5-5", 10_000, 1_500))
"""The worked examples of docs/cost.md: short classifications, summaries, long analyses."""
ANSWERS_ALONE = Mix("claude-sonnet-5-5", 1, 200)
"""Prompts that cost nothing: the worst that can be."""


def play(kind: Kind, number: int, rows: int, mix: Mix, *, longer: float = 1.0, earlier: bool = False) -> Outcome:
    """One job. `longer`: by how much answers are longer once the pilot has been tried. `earlier`: as if the rows that were tried
    had been another file."""
    random = Random(sha256(f"{kind.name} {number}".encode()).digest())
    # Jobs differ in how far the guess is off, in how long their prompts are, and in how long they like their answers.
    off, size, length = random.uniform(0.75, 1.35), random.lognormvariate(0, 0.3), random.lognormvariate(0, 0.3)
    texts = [random.lognormvariate(-0.32, 0.8) for _ in range(rows)]
    answers = [kind.lengths(random, text) for text in texts]
    # Files are often sorted by what makes rows alike: a draw that is not spread over the file fails.
    order = sorted(range(rows), key=answers.__getitem__)
    # A third of a prompt is the same in all rows.
    guesses = [int(mix.prompt * size * (0.33 + 0.67 * texts[row])) + 1 for row in order]
    prompts = [*map(mul, guesses, (off * random.uniform(0.88, 1.12) for _ in order))]
    most = _MOST_BY_MEAN * mix.answer
    scaled = [length * mix.answer * answers[row] for row in order]
    drawn = _drawn(kind, number, rows)
    outputs = [max(1, min(most, round(longer * answer))) for answer in scaled]
    for line in drawn:
        outputs[line] = max(1, min(most, round(scaled[line])))

    def sizes(rows: int, guess: int) -> Sizes:
        return {mix.model: Size(requests=rows, input_tokens=guess, max_output_tokens=rows * most)}

    def guessed(rows: int, guess: int) -> tuple[int, int]:
        return guessed_cost(sizes(rows, guess), built_in(), NOW)

    of_prompt, of_output = (cost / most if which else cost for which, cost in enumerate(guessed(1, 1)))
    tried = []
    for line in drawn:
        of_guess, of_most = guessed(1, guesses[line])
        tried.append(TriedRow(of_guess, round(prompts[line] * of_prompt), of_most, round(outputs[line] * of_output)))
    others = rows - len(drawn), sum(guesses) - sum(guesses[line] for line in drawn)
    if earlier:
        learned = learned_of_job(TriedRow(*map(sum, zip(*tried, strict=True))), len(tried))
    else:
        learned = learn(tried, OtherRows(others[0], *guessed(*others)))
    found = estimate(sizes(*others), built_in(), NOW, learned)
    prompt = (sum(prompts) - sum(prompts[line] for line in drawn)) * of_prompt
    output = (sum(outputs) - sum(outputs[line] for line in drawn)) * of_output
    return Outcome(found, (prompt + output) / _FEMTO_OF_A_MICRO, output / (prompt + output), _spread(outputs))


def played(
    kind: Kind, jobs: int, rows: int | None = None, mixes: Sequence[Mix] = MIXES, *, longer: float = 1.0, earlier: bool = False
) -> list[Outcome]:
    """`rows` of each; without, 2,000 to 20,000, as many small as large on a logarithmic scale."""
    return [
        play(kind, number, rows or _rows_of(kind, number), mixes[number % len(mixes)], longer=longer, earlier=earlier)
        for number in range(jobs)
    ]


def summed(outcomes: Sequence[Outcome]) -> Summary:
    return Summary(
        fmean(one.inside for one in outcomes),
        fmean(one.actual > one.estimate.high for one in outcomes),
        median(one.width for one in outcomes),
        median(one.least_width for one in outcomes),
        fmean(one.share for one in outcomes),
        fmean(one.spread for one in outcomes),
    )


def _rows_of(kind: Kind, number: int) -> int:
    return round(2_000 * exp(log(10) * Random(f"{kind.name} {number} rows").random()))


def _drawn(kind: Kind, number: int, rows: int) -> set[int]:
    draw = PilotDraw(f"{kind.name} {number}")
    for line in range(rows):
        draw.add(Line(line, line, line, b"", cut=False))
    return {sample.line for sample in draw.drawn}


def _spread(values: Sequence[int]) -> float:
    mean = sum(values) / len(values)
    return sqrt(max(0.0, sum(map(mul, values, values)) / len(values) / mean**2 - 1))
