"""Amounts of money: exact ones as whole femto-dollars (1e-15 dollars), stored ones as whole micro-dollars."""

from __future__ import annotations

from decimal import Decimal

from batchdrop.domain.money import MICRO
from batchdrop.money.price_list import FEMTO

_DIGITS = 15
_FEMTO_OF_A_MICRO = 10**9


def micro_up(femto: int) -> int:
    """Micro-dollars, rounded up: what is reserved is never too little."""
    return -(-femto // _FEMTO_OF_A_MICRO)


def usd(femto: int) -> str:
    """Dollars as a plain decimal, exact, without an exponent: `0.000123`."""
    whole, rest = divmod(femto, FEMTO)
    return f"{whole}.{rest:0{_DIGITS}d}".rstrip("0") if rest else str(whole)


def dollars(micro: int) -> str:
    """For people: `$1.86`, `$1,204.00`; below ten cents two digits that count, as in `$0.0051`."""
    amount = Decimal(micro) / MICRO
    if abs(amount) >= Decimal("0.1") or not micro:
        return f"${amount:,.2f}"
    digits = 1 - amount.adjusted()
    return f"${round(amount, min(digits, 6)):f}"
