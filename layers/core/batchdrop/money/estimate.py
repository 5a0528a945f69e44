"""What requests that are not sent yet will cost as a batch: low, high, and at worst.

An estimate is a ratio: tokens that were guessed, times what rows like these took of such guesses. As long as nobody knows, the
guess has its own band, and an answer has anything between nothing and `max_tokens`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from batchdrop.domain.money import Learned, PriceClass, Size, Sizes
from batchdrop.domain.record import Record
from batchdrop.domain.records import Usage
from batchdrop.money.amounts import micro_down, micro_up
from batchdrop.money.learning import SHARE, nothing_learned
from batchdrop.money.price_list import PriceList, Rates
from batchdrop.money.token_guess import GUESS_MOST

_MOST = round(GUESS_MOST * SHARE)


class Estimate(Record, frozen=True, kw_only=True):
    """Micro-dollars as a batch, `low <= high <= worst`. The sum over parts of a file is none below that of the whole."""

    low: int = 0
    high: int = 0
    worst: int = 0

    def __add__(self, more: Estimate) -> Estimate:
        return Estimate(low=self.low + more.low, high=self.high + more.high, worst=self.worst + more.worst)


def estimate(sizes: Sizes, prices: PriceList, at: datetime, learned: Learned | None) -> Estimate:
    """Requests without a price are in none of the sums: see `unpriced`.

    Not even the worst case bounds what server tools add: searches, and prompts that grow by what they found. Nor does it bound
    documents that do not show how many pages they have.
    """
    unknown = nothing_learned()
    known = learned if learned and learned.rows else unknown
    low = high = worst = 0
    for rates, size in _priced(sizes, prices, at):
        cached = min(size.cache_tokens, size.input_tokens)
        plain = (size.input_tokens - cached) * rates.input
        guessed = plain + cached * rates.input
        answers = size.max_output_tokens * rates.output
        # Learned shares have in them what caching changed; guessed ones do not.
        least = guessed if known.rows else plain + cached * min(rates.read, rates.input)
        most = plain + cached * max(rates.write_1h, rates.write_5m, rates.input)
        low += least * known.input_low + answers * known.output_low
        high += (guessed if known.rows else most) * known.input_high + answers * known.output_high
        worst += max(most * _MOST, guessed * known.input_high) + answers * SHARE
    return Estimate(low=micro_down(low // SHARE), high=micro_up(-(-high // SHARE)), worst=micro_up(-(-worst // SHARE)))


def guessed_cost(sizes: Sizes, prices: PriceList, at: datetime) -> tuple[int, int]:
    """Femto-dollars as a batch: prompts as they are guessed, uncached, and answers as long as they may be.

    What `Learned` is a share of; `TriedRow` wants the same of each row.
    """
    prompts = answers = 0
    for rates, size in _priced(sizes, prices, at):
        prompts += size.input_tokens * rates.input
        answers += size.max_output_tokens * rates.output
    return prompts, answers


def usage_cost(usage: Mapping[str, Usage], prices: PriceList, at: datetime) -> tuple[int, int] | None:
    """Femto-dollars as a batch of prompts and of answers, as short prompts in no special place. None: a model has no price."""
    prompts = answers = 0
    for model, of in usage.items():
        rates = prices.rates(prices.price_class(model, at, prompt_tokens=0, geo=None), at)
        if rates is None:
            return None
        half = rates.percent(prices.batch_percent)
        answers += of.output_tokens * half.output
        prompts += of.input_tokens * half.input + of.cache_read_tokens * half.read
        prompts += of.cache_write_5m_tokens * half.write_5m + of.cache_write_1h_tokens * half.write_1h
    return prompts, answers


def unpriced(of_batches: Iterable[Sizes], prices: PriceList, at: datetime) -> tuple[str, ...]:
    """Models of requests of which no price is known, in the order of their names."""
    classes = {PriceClass.parse(name) for sizes in of_batches for name, size in sizes.items() if size != Size()}
    return tuple(sorted({of.model for of in classes if prices.rates(of, at) is None}))


def _priced(sizes: Sizes, prices: PriceList, at: datetime) -> list[tuple[Rates, Size]]:
    found = [(prices.rates(PriceClass.parse(name), at), size) for name, size in sizes.items()]
    return [(rates.percent(prices.batch_percent), size) for rates, size in found if rates is not None]
