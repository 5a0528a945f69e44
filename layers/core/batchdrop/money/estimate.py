"""What requests will cost as a batch, before they are sent: from their sizes, the prices, and what rows like them really took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from batchdrop.domain.money import Learned, PriceClass, Size
from batchdrop.domain.record import Record
from batchdrop.money.amounts import micro_up
from batchdrop.money.price_list import PriceList, for_batch

MILLION = 1_000_000
INPUT_LOW, INPUT_HIGH = 700_000, 1_500_000
"""The band of the guess at input tokens, in parts per million (`money.token_guess`)."""
OUTPUT_LOW = 10_000
"""Of the most that may be answered: what is answered at least where nobody has tried a row yet."""


class Estimate(Record, frozen=True, kw_only=True):
    """Micro-dollars, as a batch."""

    low: int = 0
    high: int = 0
    worst: int = 0
    """Every answer as long as it may be; never below `high`."""

    def __add__(self, more: Estimate) -> Estimate:
        return Estimate(low=self.low + more.low, high=self.high + more.high, worst=self.worst + more.worst)


def estimate(sizes: Mapping[str, Size], prices: PriceList, at: datetime, learned: Learned | None) -> Estimate:
    """Of one batch. What has no price counts nothing: ask `unpriced` first."""
    most_input = most_output = 0
    for name, size in sizes.items():
        rates = prices.rates(PriceClass.parse(name), at)
        if rates is not None:
            most_input += for_batch(size.input_tokens * rates.input)
            most_output += for_batch(size.max_output_tokens * rates.output)
    worst = _part(most_input, INPUT_HIGH) + most_output
    if learned is None:
        low, high = _part(most_input, INPUT_LOW) + _part(most_output, OUTPUT_LOW), worst
    else:
        low = _part(most_input, learned.input_low) + _part(most_output, learned.output_low)
        high = _part(most_input, learned.input_high) + _part(most_output, learned.output_high)
    worst = max(worst, high)
    return Estimate(low=micro_up(low), high=micro_up(high), worst=micro_up(worst))


def unpriced(all_sizes: Iterable[Mapping[str, Size]], prices: PriceList, at: datetime) -> tuple[str, ...]:
    """Models of which no price is known now, in the order of their names."""
    classes = {PriceClass.parse(name) for sizes in all_sizes for name in sizes}
    return tuple(sorted({of.model for of in classes if prices.rates(of, at) is None}))


def _part(amount: int, parts_per_million: int) -> int:
    return amount * parts_per_million // MILLION
