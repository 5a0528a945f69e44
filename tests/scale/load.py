"""What a hundred teams drop."""

from __future__ import annotations

import random
from typing import NamedTuple

WEIGHT = 1_000
"""Rows that each row of a file stands for."""


class Load(NamedTuple):
    """Each tenth team drops ten times as many files as the others do."""

    teams: int
    files: int
    rows: int
    """In those files."""
    held: int
    """Further files, which wait for a recipe all the time."""
    minutes: float
    """In which all of them are dropped."""
    late: int
    """Of the files, those that come later, one every two hours, each of 5,000 rows and from a team that has nothing else."""

    @property
    def jobs(self) -> int:
        return self.files + self.held


class Dropped(NamedTuple):
    at: float
    """Seconds from the start."""
    key: str
    rows: int
    late: bool = False


FULL = Load(teams=100, files=2_000, rows=100_000_000, held=8_000, minutes=60, late=40)
CROWD = Load(teams=100, files=10_000, rows=10_000_000, held=0, minutes=10, late=0)
"""Ten thousand small files, all of which wait for the API."""
SMALL = Load(teams=20, files=100, rows=5_000_000, held=400, minutes=10, late=2)
"""A twentieth of it: within the six hours that it takes, two come later."""
LATE_ROWS = 5_000
LATE_EVERY = 2 * 3600.0
"""Seconds."""
_MOST = 600
"""Thousands of rows of one file."""


def is_large(team: int) -> bool:
    return team % 10 == 0


def drops(load: Load, seed: int = 0) -> list[Dropped]:
    draw = random.Random(f"load {seed}")
    early = load.files - load.late
    weights = [10 if is_large(team) else 1 for team in range(load.teams)]
    # Every team drops one at least.
    of_files = [*range(load.teams), *draw.choices(range(load.teams), weights, k=early - load.teams)]
    sizes = _sizes(early, load.rows // WEIGHT - load.late * LATE_ROWS // WEIGHT, draw)
    found = [
        Dropped(draw.uniform(0, 60 * load.minutes), f"inbox/team-{team:03d}/{number:05d}.jsonl", size * WEIGHT)
        for number, (team, size) in enumerate(zip(of_files, sizes, strict=True))
    ]
    found += [
        Dropped(draw.uniform(0, 60 * load.minutes), f"inbox/team-{number % load.teams:03d}/tables/{number:05d}.csv", 0)
        for number in range(load.held)
    ]
    found += [
        Dropped((number + 1) * LATE_EVERY, f"inbox/new-{number:03d}/late.jsonl", LATE_ROWS, late=True)
        for number in range(load.late)
    ]
    return sorted(found)


def _sizes(files: int, total: int, draw: random.Random) -> list[int]:
    """Many small ones and few large ones, in thousands of rows: `total` in all."""
    drawn = [draw.lognormvariate(0, 1.0) for _ in range(files)]
    scale = (total - files) / sum(drawn)
    sizes = [1 + min(_MOST, int(one * scale)) for one in drawn]
    place = 0
    while (missing := total - sum(sizes)) > 0:
        sizes[place % files] += min(missing, max(1, missing // files)) if sizes[place % files] < _MOST else 0
        place += 1
    return sizes
