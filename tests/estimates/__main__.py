"""`python -m tests.estimates [JOBS]`: how often jobs cost what was estimated, as tables for docs/decisions/0042."""

from __future__ import annotations

import sys

from tests.estimates.jobs import ANSWERS_ALONE, CLAIMED, FURTHER, MIXES, Kind, Outcome, played, summed
from tests.estimates.texts import TEXTS

_JOBS = 500
_ROWS = 2_000
_LONGER = (1.25, 1.5, 2.0)


def main(jobs: int) -> None:
    print("Texts by what they take of the tokens that are guessed\n")
    for text in sorted(TEXTS, key=lambda text: text.share()):
        print(f"{text.share():.2f}  {text.name}")
    print(f"\n{jobs} jobs of each kind, of 2,000 to 20,000 rows, of which 20 were tried\n")
    _row("answers", "spread", "inside", "above", "median width", "least width", "25 %", "33 %", "43 % answers", "answers alone")
    _row(*["---"] * 10)
    claimed = [outcome for kind in CLAIMED for outcome in _kind(kind, jobs)]
    found = summed(claimed)
    _row("these three", f"{found.spread:.1f}", f"{found.inside:.1%}", f"{found.above:.1%}", f"{found.width:.0%}", *[""] * 5)
    for kind in FURTHER:
        _kind(kind, jobs)
    print("\nAnswers that become longer after the pilot: jobs inside the band, and above it\n")
    _row("answers", *[f"{longer:g} times" for longer in _LONGER])
    _row(*["---"] * (1 + len(_LONGER)))
    for kind in CLAIMED:
        shifted = [summed(played(kind, jobs, _ROWS, longer=longer)) for longer in _LONGER]
        _row(kind.name, *[f"{found.inside:.0%}, {found.above:.0%}" for found in shifted])


def _kind(kind: Kind, jobs: int) -> list[Outcome]:
    outcomes = played(kind, jobs)
    found = summed(outcomes)
    alone = summed(played(kind, jobs, _ROWS, [ANSWERS_ALONE]))
    _row(
        kind.name,
        f"{found.spread:.1f}",
        f"{found.inside:.1%}",
        f"{found.above:.1%}",
        f"{found.width:.0%}",
        f"{found.least_width:.0%}",
        *[f"{summed(outcomes[first :: len(MIXES)]).width:.0%}" for first in range(len(MIXES))],
        f"{alone.inside:.1%} in {alone.width:.0%}",
    )
    return outcomes


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _JOBS)
