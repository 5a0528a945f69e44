"""What requests cost, looked up once for each row.

Amounts inside the code are whole femto-dollars (1e-15 dollars). A price has at most 6 decimals for a million tokens, so that of a
token is a multiple of 1,000 of them: half of it, as a batch pays, and 1.1 times it, as the United States cost, are whole too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Self

from batchdrop.domain.model_names import without_date
from batchdrop.domain.money import PriceClass
from batchdrop.domain.record import Record
from batchdrop.formats.invalid_line import shown

FEMTO = 10**15
"""Femto-dollars in a dollar."""
BATCH_PERCENT = 50
"""Of every price, what a request of a batch pays (Anthropic, "Pricing", 2026-10-08)."""
_US = "us"


class Rates(NamedTuple):
    """Femto-dollars a token in real time: of a batch, `for_batch`."""

    input: int
    output: int
    write_5m: int
    write_1h: int
    read: int

    def percent(self, percent: int) -> Rates:
        return Rates(*(rate * percent // 100 for rate in self))


class DatedPrice(Record, frozen=True, kw_only=True):
    """The prices of one model from a time on, until a later one of that model."""

    since: datetime
    above: int | None = None
    """Tokens of a prompt beyond which its whole request is at the long prices."""
    us_percent: int = 100
    rates: tuple[tuple[Rates, Rates], tuple[Rates, Rates]]
    """By whether the prompt is long, then whether it runs in the United States alone."""

    @classmethod
    def of(cls, since: datetime, base: Rates, *, us_percent: int, above: int | None = None, long: Rates | None = None) -> Self:
        rows = (base, long or base)
        short, longer = ((row, row.percent(us_percent)) for row in rows)
        return cls(since=since, above=above, us_percent=us_percent, rates=(short, longer))


class PriceList(Record, frozen=True, kw_only=True):
    version: str
    """`built-in 2026-11-12`, or `config/prices.json <S3 version id>`: what a manifest says."""
    digest: str
    """A short hash of all prices: another one is another question."""
    models: dict[str, tuple[DatedPrice, ...]]
    """By the name that stands in the table, the newest first. Never changed."""
    web_search: int
    """Femto-dollars for one search, in real time."""
    batch_percent: int = BATCH_PERCENT

    def name(self, model: str) -> str | None:
        """The table's name of a model. None: no price is known at any time."""
        return table_name(model, self.models)

    def price_class(self, model: str, at: datetime, *, prompt_tokens: int, geo: str | None) -> PriceClass:
        """At which of its prices a request is counted.

        `prompt_tokens`: input, cache writes and cache reads together (Anthropic, "Haiku 5.5", 2026-10-10). `geo`: `inference_geo`
        of the answer's usage, or of the request as long as there is none. A model without a price keeps its own name, cut at 80
        characters; no such name is that of another class.
        """
        name = self.name(model)
        if name is None:
            return PriceClass(shown(model).replace("#", "?"), us=geo == _US)
        price = in_force(self.models[name], at)
        if price is None:
            return PriceClass(name, us=geo == _US)
        is_long = price.above is not None and prompt_tokens > price.above
        return PriceClass(name, is_long, geo == _US and price.us_percent != 100)

    def long_above(self, model: str, at: datetime) -> int | None:
        """Tokens of a prompt beyond which this model has other prices; None if it has no such prices."""
        price = in_force(self.models.get(self.name(model) or "", ()), at)
        return price.above if price else None

    def rates(self, of: PriceClass, at: datetime) -> Rates | None:
        """None: no price is known at that time."""
        # A name that had no price when its row was counted may have that of its alias by now.
        price = in_force(self.models.get(of.model) or self.models.get(self.name(of.model) or "", ()), at)
        return price.rates[of.long_prompt][of.us] if price else None


def for_batch(femto: int) -> int:
    """What a batch pays of an amount at real-time rates. Exact."""
    return femto * BATCH_PERCENT // 100


def femto_per_token(usd_per_million: Decimal) -> int:
    """Exact for at most 6 decimals."""
    return int(usd_per_million * (FEMTO // 1_000_000))


def table_name(model: str, models: Mapping[str, object]) -> str | None:
    """The name under which a model stands in a table, which for a dated id may be that of its alias."""
    if model in models:
        return model
    return alias if (alias := without_date(model)) in models else None


def in_force(prices: tuple[DatedPrice, ...], at: datetime) -> DatedPrice | None:
    """Of the prices of one model, the newest first."""
    for price in prices:
        if price.since <= at:
            return price
    return None
