"""What a run has shown, and the page that tells it."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import chain, pairwise
from pathlib import Path
from statistics import median

import msgspec

from bench import cost, deployed
from tests.docs.pages import ROOT
from tests.scale.api import CALLS_A_MINUTE, QUEUED_REQUESTS
from tests.scale.load import CROWD, Load, is_large
from tests.scale.run import Run
from tests.scale.times import Times, measured

PAGE = ROOT / "docs" / "scale.md"
FIGURES = Path(__file__).with_name("figures.json")
WRITES_A_SECOND = 1_000
"""Units for one item, or one partition (Amazon DynamoDB developer guide, "Best practices for partition keys")."""
TICK = 60
"""Seconds between two ticks."""
_SHOWN = re.compile(r"(<!-- figures: `make scale` writes them -->\n).*?(<!-- end -->\n)", re.DOTALL)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    jobs: int
    """Most that were open at a time."""
    rows: int
    hours: float
    """Until the last file had its manifest."""
    bound_hours: float
    """What the batches need if the room at the API is always full: rows times the seconds of their batches, over the room."""
    used: float
    """The share of the room that is in use, on average till nine tenths of the rows were sent: the end is told by `hours`."""
    refused: int
    """Creates beyond the room."""
    most_queued: int
    most_calls: int
    """Of the API within a minute."""
    unequal: float
    """Of the teams that dropped most: rows that the one ahead had sent over those of the one behind, while all waited."""
    newcomer_hours: tuple[float, float]
    """From the small file of a team that has nothing else to its manifest: the middle one, and the longest."""
    writes: dict[str, int]
    """Most units within a second, for an item or a partition of the index, by its kind."""
    met: float
    """The share of transactions during which another one writes an item that they write."""
    at_once: dict[str, int]
    """Most invocations at a time, by stage."""
    together: int
    """Most invocations at a time, of all stages."""
    longest_wait: dict[str, float]
    """Seconds that a message was due before it was taken, by stage."""
    slowest_tick: float
    """Seconds."""
    usd: float
    """Lambda and DynamoDB as they were used here, the rest by the rows."""

    @property
    def beyond(self) -> float:
        """The share by which it takes longer than the room at the API lets it."""
        return self.hours / self.bound_hours - 1

    @property
    def shares(self) -> dict[str, float]:
        """Of each limit, how much was used at most."""
        return {
            "the room at the API": self.most_queued / QUEUED_REQUESTS,
            "calls of the API within a minute": self.most_calls / CALLS_A_MINUTE,
            "units written in one second to one item or partition": max(self.writes.values()) / WRITES_A_SECOND,
            "invocations at a time": self.together / deployed.ACCOUNT_CONCURRENCY,
            "the slowest tick": self.slowest_tick / TICK,
        }


def figures(run: Run) -> Figures:
    late = sorted((run.ended[one.key] - run.start - one.at) / 3600 for one in run.dropped.values() if one.late)
    at_once = {stage: _most(spans) for stage, spans in _spans(run).items()}
    longest: defaultdict[str, float] = defaultdict(float)
    for one in run.invoked:
        longest[one.stage] = max(longest[one.stage], one.waited)
    return Figures(
        jobs=run.load.jobs,
        rows=run.load.rows,
        hours=(max(run.ended.values()) - run.start) / 3600,
        bound_hours=run.api.area / QUEUED_REQUESTS / 3600,
        used=_used(run),
        refused=run.api.refused,
        most_queued=run.api.most_queued,
        most_calls=run.api.most_calls,
        unequal=_unequal(run),
        newcomer_hours=(median(late), late[-1]),
        writes=_writes(run),
        met=_met(run),
        at_once=at_once,
        together=_most(chain.from_iterable(_spans(run).values())),
        longest_wait=dict(longest),
        slowest_tick=max(tick.seconds for tick in run.ticks),
        usd=_usd(run),
    )


def simulated(load: Load) -> Figures:
    """Raises AssertionError if a step of it failed: then the figures would tell of something else."""
    run = Run(load, times())()
    assert run.stack.failures == []
    assert run.stack.audit() == []
    return figures(run)


def crowded() -> float:
    """Seconds of the slowest tick while ten thousand files wait for the API: in the first 40 minutes, when all are planned."""
    run = Run(CROWD, times(), minutes=40)()
    states = Counter(job.batches_waiting > 0 for job in run.stack.ledger.jobs.values())
    assert states[True] > 0.85 * CROWD.files, states
    return max(tick.seconds for tick in run.ticks)


def times() -> Times:
    return measured(json.loads((ROOT / "bench" / "results.json").read_text()))


class Found(msgspec.Struct, frozen=True):
    """As it stands in `figures.json`."""

    whole: Figures
    part: Figures
    """Of the small load, which a test runs again."""
    crowd: float
    """Seconds of a tick while ten thousand files wait for the API."""


def stored() -> Found:
    return msgspec.json.decode(FIGURES.read_bytes(), type=Found)


def written(page: str, found: Found) -> str:
    return _SHOWN.sub(lambda around: around[1] + shown(found) + around[2], page)


def shown(found: Found) -> str:
    rows = [(title, here, limit) for (title, limit), here in zip(_ROWS, _cells(found.whole), strict=True)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in [("what", "here", "limit"), ("---",) * 3, *rows])
    first, *others = sorted(found.whole.shares.items(), key=lambda one: -one[1])
    used = ", ".join(f"{name} {100 * share:.1f} %" for name, share in others)
    return (
        f"{table}\nThe first limit: {first[0]}, {100 * first[1]:.0f} % of it. Of the others, at the busiest moment: {used}.\n\n"
        f"If instead {CROWD.files:,} small files wait for the API at the same time, a tick takes {found.crowd:.0f} s.\n"
    )


_ROWS = (
    ("jobs open", "none"),
    ("hours until all is done", "-"),
    ("hours if the room at the API were full at every moment", "-"),
    ("more than that", "5 %, our aim"),
    ("the room in use, on average till nine tenths of the rows were sent", "100 %"),
    ("most rows in the room at the API", f"{QUEUED_REQUESTS:,}"),
    ("creates that were refused", "-"),
    ("calls of the API within a minute", f"{CALLS_A_MINUTE:,}"),
    ("rows of the team ahead over those of the one behind, of those with most files, while all wait", "1, if batches were small"),
    ("hours of a small file whose team has nothing else: the middle one, the longest", "1, that of the longest batch"),
    ("units written in one second to one item or partition", f"{WRITES_A_SECOND:,}"),
    ("transactions that meet another one on an item, and are tried again", "8 tries each"),
    ("invocations at a time", f"{deployed.ACCOUNT_CONCURRENCY:,} in all; 10 in a new account"),
    ("the longest that a message waits for an invocation", "-"),
    ("the slowest tick", f"{TICK} s, then two are at work"),
    ("AWS, with no free tier and without what Claude costs", "-"),
)
"""Each with its limit."""


def _cells(found: Figures) -> tuple[str, ...]:
    writes = sorted(found.writes.items(), key=lambda one: (-one[1], one[0]))[:5]
    middle, longest = found.newcomer_hours
    return (
        f"{found.jobs:,}",
        f"{found.hours:.1f}",
        f"{found.bound_hours:.1f}",
        f"{100 * found.beyond:.1f} %",
        f"{100 * found.used:.1f} %",
        f"{found.most_queued:,}",
        str(found.refused),
        str(found.most_calls),
        f"{found.unequal:.2f}",
        f"{middle:.1f}, {longest:.1f}",
        ", ".join(f"{kind} {units:,}" for kind, units in writes),
        f"{100 * found.met:.1f} %",
        ", ".join(f"`{stage}` {number}" for stage, number in sorted(found.at_once.items())) + f"; {found.together} in all",
        ", ".join(f"`{stage}` {_time(seconds)}" for stage, seconds in sorted(found.longest_wait.items()) if seconds >= 1) or "-",
        f"{found.slowest_tick:.0f} s",
        f"${found.usd:.2f}",
    )


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _used(run: Run) -> float:
    left, until = 0.9 * sum(rows for _, _, rows, _ in run.api.creates), run.start
    for at, _, rows, _ in run.api.creates:
        left, until = left - rows, at
        if left <= 0:
            break
    area = sum(rows * max(0.0, min(seconds, until - at)) for at, _, rows, seconds in run.api.creates)
    return area / QUEUED_REQUESTS / (until - run.start)


def _unequal(run: Run) -> float:
    """Until the first of them has nothing left to send."""
    large = [(at, team, rows) for at, asks, rows, _ in run.api.creates if _is_large(team := asks.split("/")[0])]
    last = {team: at for at, team, _ in large}
    until = min(last.values())
    sent: Counter[str] = Counter()
    for at, team, rows in large:
        sent[team] += rows if at < until else 0
    return max(sent.values()) / max(1, min(sent.values()))


def _is_large(team: str) -> bool:
    return team.startswith("team-") and is_large(int(team.removeprefix("team-")))


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


def _met(run: Run) -> float:
    """Of two that meet the later one is refused, and the adapter tries it again."""
    of_items: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for one in run.ledger.written:
        if not one.item.startswith("index"):  # copies there are written afterwards
            of_items[one.item].append((one.at, one.writer))
    met = {
        later
        for written in of_items.values()
        for earlier, later in pairwise(sorted(written))
        if later[1] != earlier[1] and later[0] - earlier[0] < run.times.of_call
    }
    return len(met) / len({(one.at, one.writer) for one in run.ledger.written})


def _spans(run: Run) -> dict[str, list[tuple[float, int]]]:
    """When invocations begin (1) and end (-1), by stage."""
    spans: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for one in run.invoked:
        spans[one.stage] += [(one.began, 1), (one.ended, -1)]
    return spans


def _most(changes: Iterable[tuple[float, int]]) -> int:
    now = most = 0
    for _, change in sorted(changes):
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
