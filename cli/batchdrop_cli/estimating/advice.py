"""Whether to batch, in plain words: what it saves, who would have to wait, and what rows may not do in a batch."""

from __future__ import annotations

from typing import NamedTuple

from batchdrop_cli.amounts_said import duration, number, said
from batchdrop_cli.estimating.estimated import Estimated
from batchdrop_cli.estimating.four_ways import FourWays, Range

_A_CENT = 10_000
"""Micro-dollars. What costs less either way is no reason for anything."""
_SECONDS_OF_A_ROW = 2
"""One by one: assumed, and said. `batchdrop compare` measures it."""
_FEW = 10
"""Rows. One by one they are there before a batch, of which small ones took 1 to 13 minutes in reports."""


class Advice(NamedTuple):
    batch: bool | None
    """None: nothing can be sent, or it does not matter."""
    sentences: tuple[str, ...]
    """What to do, and why."""


def advice(found: Estimated) -> Advice:
    if not found.requests:
        return Advice(None, ("Nothing can be sent.",))
    ways = found.ways
    if found.requests < _FEW:
        return Advice(False, _few(found))
    if found.priced and ways.one_by_one.high < _A_CENT:
        return Advice(None, _cheap(found))
    return Advice(True, (*_batch(found), *_caching(ways)))


def _few(found: Estimated) -> tuple[str, ...]:
    return (
        f"One by one: the answers to {number(found.requests, 'row')} are there in seconds, a batch takes minutes to an hour.",
        *((f"A batch would save {_saved(found.ways)}.",) if found.priced else ()),
    )


def _cheap(found: Estimated) -> tuple[str, ...]:
    return (
        "Either way: all of it costs less than a cent.",
        f"{_one_after_the_other(found.requests)} A batch is done within an hour mostly, and nobody has to sit by.",
    )


def _batch(found: Estimated) -> tuple[str, ...]:
    saves = f"it saves {_saved(found.ways)}" if found.priced else f"it costs {found.batch_percent} % of the price"
    return (
        f"Batch it, if nobody waits for the answers: {saves}.",
        f"{_one_after_the_other(found.requests)} Most batches end within an hour; 24 hours is the limit.",
        f"The {found.requests:,} rows are asked independently: none can use the answer of another.",
    )


def _caching(ways: FourWays) -> tuple[str, ...]:
    if ways.one_by_one_cached is None or ways.batch_cached is None or ways.asks_for_caching:
        return ()
    if _middle(ways.one_by_one_cached) < _middle(ways.batch):
        return (
            f"One by one with caching ({said(*ways.one_by_one_cached)}) costs less than a batch without. A batch with caching "
            "may cost least, but its hits are not guaranteed: mark where the shared part ends (`cache_control`, `ttl` 1h), and "
            "try 20 rows first.",
        )
    return ("Not cached as it stands. Whether caching pays in a batch depends on its hits: try 20 rows first.",)


def _one_after_the_other(requests: int) -> str:
    seconds = requests * _SECONDS_OF_A_ROW
    about = duration(round(seconds / 60) * 60 if seconds > 90 else seconds)
    return f"One after the other, {requests:,} rows take about {about}, at {_SECONDS_OF_A_ROW} s each."


def _saved(ways: FourWays) -> str:
    return said(ways.one_by_one.low - ways.batch.low, ways.one_by_one.high - ways.batch.high)


def _middle(amount: Range) -> int:
    return amount.low + amount.high
