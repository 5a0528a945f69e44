"""What the same requests cost one by one and as a batch, each with and without caching.

Amounts are whole femto-dollars times a share until the end, so that nothing is rounded twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from fractions import Fraction
from math import ceil, floor, sqrt
from typing import NamedTuple

from batchdrop.domain.money import PriceClass, Size, Sizes
from batchdrop.domain.record import Record
from batchdrop.money.amounts import micro_down, micro_up
from batchdrop.money.cache_rules import BEST_HITS, SHORTEST, WORST_HITS, pays_above
from batchdrop.money.estimate import estimate
from batchdrop.money.price_list import PriceList, Rates
from batchdrop_cli.estimating.known import Known


class Range(NamedTuple):
    """Micro-dollars, from the cheapest to the dearest."""

    low: int
    high: int


class Caching(Record, frozen=True, kw_only=True):
    """Whether the beginning that the requests of a model share can be cached."""

    model: str
    requests: int
    shared: int
    """Tokens of it, guessed."""
    shared_low: int
    about: int
    shared_high: int
    """As they are taken to be, by what is known of prompts."""
    shortest: int | None
    """Tokens that it needs at least; None if nobody knows."""
    pays_above: Fraction | None = None
    """The share of hits in a batch from which on an hour of caching is cheaper than none."""

    @property
    def possible(self) -> bool:
        return bool(self.shared) and self.shortest is not None and self.shared_high >= self.shortest

    @property
    def certain(self) -> bool:
        return self.possible and self.shortest is not None and self.shared_low >= self.shortest


class FourWays(Record, frozen=True, kw_only=True):
    """Of the requests that have a price."""

    one_by_one: Range
    batch: Range
    one_by_one_cached: Range | None
    """None: no model's requests share enough."""
    batch_cached: Range | None
    as_it_stands: Range
    """As a batch, with the caching that the requests ask for, if any."""
    at_most: int
    asks_for_caching: bool
    """Some requests have a `cache_control`."""


type _Prompts = Callable[[Size, Rates, int], int]
"""Femto-dollars of the prompts of some requests, by the tokens that they begin with alike."""


def four_ways(sizes: Sizes, shared: Mapping[str, int], prices: PriceList, at: datetime, known: Known) -> FourWays:
    """`shared`: tokens that the prompts of a model begin with alike, by its name in the price list."""
    classes = _priced(sizes, prices, at)
    cached = {one.model: one.shared for one in cachings(sizes, shared, prices, at, known) if one.possible}

    def cost(percent: int, cheapest: _Prompts, dearest: _Prompts) -> Range:
        low = high = Fraction(0)
        for model, rates, size in classes:
            paid, tokens = rates.percent(percent), cached.get(model, 0)
            least, most = known.answers(size)
            low += cheapest(size, paid, tokens) * known.input_low + least * paid.output
            high += dearest(size, paid, tokens) * known.input_high + most * paid.output
        return Range(micro_down(floor(low)), micro_up(ceil(high)))

    batch = prices.batch_percent
    asked = any(size.cache_tokens for _, _, size in classes)
    as_batch = cost(batch, _plain, _plain)
    as_it_stands = cost(batch, _all_read, _all_written) if asked else as_batch
    return FourWays(
        one_by_one=cost(100, _plain, _plain),
        batch=as_batch,
        one_by_one_cached=cost(100, _one_writes, _one_writes) if cached else None,
        batch_cached=cost(batch, _best_hits, _worst_hits) if cached else None,
        as_it_stands=as_it_stands,
        at_most=max(as_it_stands.high, estimate(sizes, prices, at, None).worst),
        asks_for_caching=asked,
    )


def cachings(sizes: Sizes, shared: Mapping[str, int], prices: PriceList, at: datetime, known: Known) -> tuple[Caching, ...]:
    """Of each model with a price, in the order of their names."""
    requests: Counter[str] = Counter()
    for model, _, size in _priced(sizes, prices, at):
        requests[model] += size.requests
    return tuple(_caching(model, requests[model], shared.get(model, 0), prices, at, known) for model in sorted(requests))


def _caching(model: str, requests: int, tokens: int, prices: PriceList, at: datetime, known: Known) -> Caching:
    rates = prices.rates(PriceClass(model), at)
    return Caching(
        model=model,
        requests=requests,
        shared=tokens if requests > 1 else 0,
        shared_low=floor(tokens * known.input_low),
        about=round(tokens * sqrt(known.input_low * known.input_high)),
        shared_high=ceil(tokens * known.input_high),
        shortest=SHORTEST.get(model),
        pays_above=pays_above(rates) if rates else None,
    )


def _priced(sizes: Sizes, prices: PriceList, at: datetime) -> list[tuple[str, Rates, Size]]:
    found = [(PriceClass.parse(name), size) for name, size in sizes.items()]
    return [(of.model, rates, size) for of, size in found if (rates := prices.rates(of, at)) is not None]


# ---------------------------------------------------------------- prompts


def _plain(size: Size, rates: Rates, _: int) -> int:
    return size.input_tokens * rates.input


def _all_read(size: Size, rates: Rates, _: int) -> int:
    return _asked(size, rates, min(rates.read, rates.input))


def _all_written(size: Size, rates: Rates, _: int) -> int:
    return _asked(size, rates, max(rates.write_1h, rates.write_5m, rates.input))


def _one_writes(size: Size, rates: Rates, shared: int) -> int:
    """The others follow soon enough to read."""
    return _written(size, rates, shared, writes=1, rate=rates.write_5m)


def _best_hits(size: Size, rates: Rates, shared: int) -> int:
    return _written(size, rates, shared, writes=max(1, ceil(size.requests * (1 - BEST_HITS))), rate=rates.write_1h)


def _worst_hits(size: Size, rates: Rates, shared: int) -> int:
    return _written(size, rates, shared, writes=max(1, ceil(size.requests * (1 - WORST_HITS))), rate=rates.write_1h)


def _asked(size: Size, rates: Rates, rate: int) -> int:
    """Of requests that ask for caching: `rate` for what they ask it for."""
    asked = min(size.cache_tokens, size.input_tokens)
    return (size.input_tokens - asked) * rates.input + asked * rate


def _written(size: Size, rates: Rates, shared: int, *, writes: int, rate: int) -> int:
    shared = min(shared, size.input_tokens // max(size.requests, 1))
    own = size.input_tokens - size.requests * shared
    return own * rates.input + shared * (writes * rate + (size.requests - writes) * rates.read)
