"""Amounts as text for people, as text for machines, and as whole micro-dollars."""

from __future__ import annotations

_FEMTO_OF_A_MICRO = 10**9
FEMTO_DIGITS = 15
_MICRO_DIGITS = 6
# From ten cents on, people count in cents.
_IN_CENTS = 100_000
_CENT = 10_000


def dollars(micro: int) -> str:
    """Micro-dollars for people: `$1.86`, `$1,204.00`; below ten cents with two digits that count, `$0.005`, `$0.012`."""
    amount = abs(micro)
    unit = _CENT
    if amount < _IN_CENTS:
        unit = 10 ** max(len(str(amount)) - 2, 0)
    amount = (amount + unit // 2) // unit * unit
    whole, rest = divmod(amount, 10**_MICRO_DIGITS)
    digits = f"{rest:0{_MICRO_DIGITS}d}".rstrip("0").ljust(2, "0")
    return f"{'-' * (micro < 0)}${whole:,}.{digits}"


def micro_up(femto: int) -> int:
    """Whole micro-dollars that cover femto-dollars."""
    return -(-femto // _FEMTO_OF_A_MICRO)


def micro_down(femto: int) -> int:
    """Whole micro-dollars within femto-dollars."""
    return femto // _FEMTO_OF_A_MICRO


def usd(femto: int) -> str:
    """Dollars, exactly and without an exponent: `0.000123`, `12`."""
    digits = str(femto).zfill(FEMTO_DIGITS + 1 + (femto < 0))
    return f"{digits[:-FEMTO_DIGITS]}.{digits[-FEMTO_DIGITS:]}".rstrip("0").removesuffix(".")
