"""Where money is counted: one purse for each scope and span of time that may have a limit. Turns and open jobs of teams are
counted alike.

A batch is charged in the transaction that admits it, and settled in the one that collects it, in the same purses: the day and the
month are those of its admission, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from batchdrop.domain.record import Record


class Charge(Record, frozen=True, kw_only=True):
    """What a move adds to a purse, in micro-dollars; what it gives back is negative."""

    purse: str
    used: int
    spent: int = 0
    limit: int | None = None
    """Not more used than this, the charge included."""


class Scope(NamedTuple):
    """A purse, and what may be used of it."""

    purse: str
    """Empty: of the job alone."""
    limit: int | None
    """Micro-dollars. None: it is only counted."""
    words: str
    """Of the limit, for people: `this month's limit of this stack`."""
    renews_at: datetime | None
    """When the next purse of this kind begins; None: never."""
    asks: bool = False
    """Beyond it somebody is asked; else it waits."""
    raised_in: str = ""
    """Where an operator raises it, for people: `day_usd of marketing in config/limits.json`. Empty: of the job alone."""


def stack_month(now: datetime) -> str:
    return f"month {now.astimezone(UTC):%Y-%m}"


def stack_day(now: datetime) -> str:
    return f"day {now.astimezone(UTC):%Y-%m-%d}"


def folder_month(folder: str, now: datetime) -> str:
    """`folder`: below the inbox, such as `marketing/eu`."""
    return f"{stack_month(now)} {folder}"


def folder_day(folder: str, now: datetime) -> str:
    return f"{stack_day(now)} {folder}"


def unasked(team: str, now: datetime) -> str:
    """What a team's jobs may use on a day without anybody being asked."""
    return f"unasked {now.astimezone(UTC):%Y-%m-%d} {team}"


def agreed(group: str, code: str) -> str:
    """What later files of a group may use by an earlier approval, the one with that code."""
    return f"agreed {code} {group}"


def open_jobs(team: str) -> str:
    """How many jobs a team has open that count against its limit."""
    return f"open {team}"


def turn(team: str) -> str:
    """What a team has sent: its own virtual time (`domain.fair_order`)."""
    return f"turn {team}"


def charges(purses: tuple[str, ...], used: int, spent: int = 0) -> tuple[Charge, ...]:
    """The same amounts in several purses."""
    return tuple(Charge(purse=purse, used=used, spent=spent) for purse in purses) if used or spent else ()


def merged(of_parts: Iterable[Charge]) -> list[Charge]:
    """One for each purse: a transaction may name an item once only. The smallest of their limits holds."""
    found: dict[str, Charge] = {}
    for charge in of_parts:
        before = found.get(charge.purse)
        if before is None:
            found[charge.purse] = charge
            continue
        limits = [limit for limit in (before.limit, charge.limit) if limit is not None]
        found[charge.purse] = Charge(
            purse=charge.purse,
            used=before.used + charge.used,
            spent=before.spent + charge.spent,
            limit=min(limits, default=None),
        )
    return list(found.values())
