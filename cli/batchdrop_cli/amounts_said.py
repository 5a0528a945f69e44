"""Amounts, times and numbers as people read them."""

from __future__ import annotations

from decimal import Decimal

from batchdrop.money.amounts import dollars, usd

_A_MILLION = 1_000_000
_NEXT_TO_NOTHING = 100


def said(low: int, high: int) -> str:
    """Micro-dollars: `$1.71 to $2.04`, or one amount where both read the same; `up to $0.03` if the low is next to nothing."""
    least, most = dollars(low), dollars(high)
    if least == most:
        return most
    return f"{least} to {most}" if low * _NEXT_TO_NOTHING >= high else f"up to {most}"


def money(amount: Decimal) -> str:
    """Dollars: `$1.86`."""
    return dollars(int(amount.scaleb(6)))


def price(rate: int) -> str:
    """Of a million tokens, by femto-dollars of one: `$2.50`, `$0.125`."""
    whole, _, decimals = usd(rate * _A_MILLION).partition(".")
    return f"${whole}.{decimals.ljust(2, '0')}"


def number(count: int, what: str) -> str:
    """`1 row`, `8,019 rows`, `2 batches`."""
    many = f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{count:,} {what if count == 1 else many}"


def duration(seconds: float) -> str:
    """`0.4 s`, `41 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"
