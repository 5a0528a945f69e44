"""What the table remembers of money: what rows are expected to take, what they were billed, and who said yes to what.

An amount is a whole number of micro-dollars, rounded up where it is reserved. What was billed is exact: a decimal. A price is
never stored with rows that were not sent yet, only what is counted at it: prices may change before they are.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

import msgspec

from batchdrop.domain.record import Record

MOST_CLASSES = 20
"""Price classes of a batch: a record of the table has room for some. Classes with a price are never more than it has."""
OTHERS = "(other)"
"""Requests of further models without a price."""
MICRO = 1_000_000
"""Micro-dollars in a dollar."""


class PriceClass(NamedTuple):
    """What decides at which prices a request is counted, the time of it aside."""

    model: str
    long_prompt: bool = False
    """The whole prompt is longer than the tier of its model, which puts the whole request at a higher price."""
    us: bool = False
    """It runs, or asks to run, in the United States alone (`inference_geo: us`)."""

    def __str__(self) -> str:
        """`claude-haiku-5-5`, `claude-haiku-5-5#long`, `claude-opus-5#us`: the key of stored sizes."""
        return self.model + "#long" * self.long_prompt + "#us" * self.us

    @classmethod
    def parse(cls, text: str) -> PriceClass:
        rest = text.removesuffix("#us")
        model = rest.removesuffix("#long")
        return cls(model, long_prompt=model != rest, us=rest != text)


class Size(Record, frozen=True, kw_only=True):
    """Requests of one price class to be sent: tokens of their prompts as they are guessed, and the most they may answer."""

    requests: int = 0
    input_tokens: int = 0
    max_output_tokens: int = 0
    cache_tokens: int = 0
    """Those of the prompts that ask for caching: they may be billed as writes, at up to twice the price, or as reads."""

    def __add__(self, more: Size) -> Size:
        return Size(**{name: getattr(self, name) + getattr(more, name) for name in self.__struct_fields__})

    def __sub__(self, less: Size) -> Size:
        """Never below 0."""
        return Size(**{name: max(0, getattr(self, name) - getattr(less, name)) for name in self.__struct_fields__})


type Sizes = dict[str, Size]
"""By `str(PriceClass)`."""


def added(sizes: Sizes, more: Sizes) -> Sizes:
    return {name: sizes.get(name, Size()) + more.get(name, Size()) for name in {**sizes, **more}}


def uncached(sizes: Sizes) -> Sizes:
    """As if none of them asked for caching."""
    return {name: msgspec.structs.replace(size, cache_tokens=0) for name, size in sizes.items()}


def rest_of(sizes: Sizes, taken: Sizes) -> Sizes:
    """Without some requests, which were guessed anew and apart from the others: where none is left, nothing is."""
    rest = {name: size - taken.get(name, Size()) for name, size in sizes.items()}
    return {name: size for name, size in rest.items() if size.requests}


def sizes_share(sizes: Sizes, part: int, whole: int) -> tuple[Sizes, Sizes]:
    """The sizes of `part` of `whole` rows, as if all were alike, and those of the others: together exactly what was given.

    `whole` is above 0, and `part` between 0 and it.
    """
    shares: Sizes = {}
    others: Sizes = {}
    for name, size in sizes.items():
        share = Size(**{field: getattr(size, field) * part // whole for field in size.__struct_fields__})
        for found, its in ((shares, share), (others, size - share)):
            if its != Size():
                found[name] = its
    return shares, others


class Learned(Record, frozen=True, kw_only=True):
    """What rows like these really took, against their sizes: input by the guess, output by the most they may answer.

    Shares in parts per million, each as a range within which the sum over many rows is expected.
    """

    input_low: int
    input_high: int
    output_low: int
    output_high: int
    rows: int
    """How many rows taught it."""


class Bill(Record, frozen=True, kw_only=True):
    """What answered rows cost, exactly, by the API's own usage."""

    usd: Decimal = Decimal(0)
    """As a batch: what is paid."""
    real_time_usd: Decimal = Decimal(0)
    """The same usage one request after the other."""
    uncached_usd: Decimal = Decimal(0)
    """That, had no prompt been cached."""
    unpriced: dict[str, int] = msgspec.field(default_factory=dict)
    """Billed rows by model of which no price is known: what they cost is in none of the sums."""
    unmetered: dict[str, int] = msgspec.field(default_factory=dict)
    """Rows that used what `usage` does not price, such as code execution, by its name: that cost is in no sum either."""
    prices: tuple[str, ...] = ()
    """Versions of the price lists that it was counted by."""

    def __add__(self, more: Bill) -> Bill:
        return Bill(
            usd=self.usd + more.usd,
            real_time_usd=self.real_time_usd + more.real_time_usd,
            uncached_usd=self.uncached_usd + more.uncached_usd,
            unpriced=_added(self.unpriced, more.unpriced),
            unmetered=_added(self.unmetered, more.unmetered),
            prices=(*self.prices, *(version for version in more.prices if version not in self.prices)),
        )


def _added(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in (*first, *(name for name in second if name not in first))}


def micro_up(usd: Decimal) -> int:
    """Micro-dollars, rounded up."""
    return int((usd * MICRO).to_integral_value(rounding=ROUND_CEILING))
