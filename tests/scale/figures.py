"""What a run has shown, and the page that tells it."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from bench import cost
from tests.docs.pages import ROOT
from tests.scale.api import CALLS_A_MINUTE, QUEUED_REQUESTS
from tests.scale.load import Load, is_large
from tests.scale.run import Run
from tests.scale.times import Times, measured

PAGE = ROOT / "docs" / "scale.md"
WRITES_A_SECOND = 1_000
"""Units for one item, or one partition (Amazon DynamoDB developer guide, "Best practices for partition keys")."""
_SHOWN = re.compile(r"(<!-- figures: `make scale` writes them -->\n).*?(<!-- end -->\n)", re.DOTALL)


class Figures(NamedTuple):
    jobs: int
    """Most that were open at a time."""
    hours: float
    """Until the last file had its manifest."""
    bound_hours: float
    """What the batches need if the room at the API is always full: rows times the seconds of their batches, over the room."""
    refused: int
    """Creates beyond the room."""
    most_calls: int
    """Of the API within a minute."""
    unequal: float
    """Of the teams that dropped most: rows that the one ahead had sent over those of the one behind, while all waited."""
    writes: dict[str, int]
    """Most units within a second, for an item or a partition of the index, by its kind."""
    at_once: dict[str, int]
    """Most invocations at a time, by stage."""
    slowest_tick: float
    """Seconds."""
    usd: float
    """Lambda and DynamoDB as they were used here, the rest by the rows."""


def figures(run: Run) -> Figures:
    return Figures(
        jobs=run.load.jobs,
        hours=(max(run.ended.values()) - run.start) / 3600,
        bound_hours=run.api.area / QUEUED_REQUESTS / 3600,
        refused=run.api.refused,
        most_calls=run.api.most_calls,
        unequal=_unequal(run),
        writes=_writes(run),
        at_once=_at_once(run),
        slowest_tick=max(tick.seconds for tick in run.ticks),
        usd=_usd(run),
    )


def simulated(load: Load) -> Figures:
    """Raises AssertionError if a step of it failed: then the figures would tell of something else."""
    run = Run(load, times())()
    assert run.stack.failures == []
    assert run.stack.audit() == []
    return figures(run)


def times() -> Times:
    return measured(json.loads((ROOT / "bench" / "results.json").read_text()))


def written(page: str, found: Figures) -> str:
    return _SHOWN.sub(lambda around: around[1] + table(found) + around[2], page)


def table(found: Figures) -> str:
    writes = ", ".join(f"{kind} {units:,}" for kind, units in sorted(found.writes.items(), key=lambda one: -one[1])[:5])
    at_once = ", ".join(f"`{stage}` {number}" for stage, number in sorted(found.at_once.items()))
    rows = (
        ("jobs open", f"{found.jobs:,}", "none"),
        (
            "hours until all is done",
            f"{found.hours:.1f}",
            f"{found.bound_hours:.1f} if the room at the API were full at every moment",
        ),
        ("beyond that", f"{100 * (found.hours / found.bound_hours - 1):.1f} %", "5 %, our aim"),
        ("creates that were refused", str(found.refused), "-"),
        ("calls of the API within a minute", str(found.most_calls), f"{CALLS_A_MINUTE:,}"),
        (
            "rows of the team ahead over those of the one behind, while all wait",
            f"{found.unequal:.2f}",
            "1, if batches were small",
        ),
        ("units written in one second to one item or partition", writes, f"{WRITES_A_SECOND:,}"),
        ("invocations at a time", at_once, "1,000 in all; 10 in a new account"),
        ("the slowest tick", f"{found.slowest_tick:.0f} s", "60 s, then the next one waits"),
        ("AWS, with no free tier", f"${found.usd:.2f}", "-"),
    )
    return "| what | here | limit |\n|---|---|---|\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _unequal(run: Run) -> float:
    """Until the first of them has nothing left to send."""
    large = [(at, team, rows) for at, asks, rows, _ in run.api.creates if is_large(_number(team := asks.split("/")[0]))]
    last = {team: at for at, team, _ in large}
    until = min(last.values())
    sent: Counter[str] = Counter()
    for at, team, rows in large:
        sent[team] += rows if at < until else 0
    return max(sent.values()) / max(1, min(sent.values()))


def _number(team: str) -> int:
    return int(team.removeprefix("team-"))


def _writes(run: Run) -> dict[str, int]:
    seconds: Counter[tuple[str, int]] = Counter()
    for one in run.ledger.written:
        seconds[one.item, int(one.at)] += one.units
    most: defaultdict[str, int] = defaultdict(int)
    for (item, _), units in seconds.items():
        kind = item if item.startswith("index") else item.split(" ")[0]
        kind = kind.split("#")[0]
        most[kind] = max(most[kind], units)
    return dict(most)


def _at_once(run: Run) -> dict[str, int]:
    spans: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for one in run.invoked:
        spans[one.stage] += [(one.began, 1), (one.ended, -1)]
    return {stage: _most(sorted(ends)) for stage, ends in spans.items()}


def _most(changes: Iterable[tuple[float, int]]) -> int:
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def _usd(run: Run) -> float:
    found = json.loads((ROOT / "bench" / "results.json").read_text())
    prices = cost.list_prices()
    seconds = sum((one.ended - one.began) * run.times.memory_gb[one.stage] for one in run.invoked)
    units = run.ledger.units
    here = (
        seconds * prices["lambda_arm64_gb_second"]
        + len(run.invoked) * prices["lambda_request"]
        + (units["table"] + units["index"]) * prices["dynamodb_write_unit"]
        + units["read"] * prices["dynamodb_read_unit"]
    )
    by_rows = found["cost"]["per_million_rows"]["items"]
    rest = sum(usd for name, usd in by_rows.items() if not name.startswith(("Lambda", "DynamoDB")))
    return float(here + rest * run.load.rows / 1_000_000)
