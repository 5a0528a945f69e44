"""Everything that is told about what a file will cost."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import NamedTuple

from batchdrop.domain.money import PriceClass, Sizes
from batchdrop.domain.record import Record
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.money.price_list import PriceList, Rates
from batchdrop_cli.estimating.four_ways import Caching, FourWays, cachings, four_ways
from batchdrop_cli.estimating.known import Known
from batchdrop_cli.estimating.planned_file import PlannedFile


class ModelPrice(NamedTuple):
    """Of a model that requests of the file use, as for one by one."""

    name: str
    """With what sets it apart: long prompts, the United States."""
    rates: Rates


class Estimated(Record, frozen=True, kw_only=True):
    name: str
    """Of the file."""
    rows: int
    invalid: int
    faults: tuple[InvalidLine, ...]
    batches: int
    models: tuple[str, ...]
    prompt_tokens: int
    """Of all requests that have a price or not, as guessed."""
    most_answer_tokens: int
    known: Known
    ways: FourWays
    cachings: tuple[Caching, ...]
    unpriced: dict[str, int]
    """Requests by model of which no price is known: what they cost is in no sum."""
    prices: tuple[ModelPrice, ...]
    batch_percent: int
    price_version: str

    @property
    def requests(self) -> int:
        return self.rows - self.invalid

    @property
    def priced(self) -> int:
        return self.requests - sum(self.unpriced.values())


def estimated(name: str, planned: PlannedFile, prices: PriceList, at: datetime, known: Known) -> Estimated:
    sizes = planned.sizes
    classes = {PriceClass.parse(key): size for key, size in sorted(sizes.items())}
    found = [(of, prices.rates(of, at)) for of in classes]
    return Estimated(
        name=name,
        rows=planned.rows,
        invalid=planned.invalid,
        faults=planned.faults,
        batches=len(planned.batches),
        models=tuple(dict.fromkeys(of.model for of in classes)),
        prompt_tokens=sum(size.input_tokens for size in classes.values()),
        most_answer_tokens=sum(size.max_output_tokens for size in classes.values()),
        known=known,
        ways=four_ways(sizes, planned.shared, prices, at, known),
        cachings=cachings(sizes, planned.shared, prices, at, known),
        unpriced=_unpriced(sizes, prices, at),
        prices=tuple(ModelPrice(_told(of), rates) for of, rates in found if rates is not None),
        batch_percent=prices.batch_percent,
        price_version=prices.version,
    )


def _unpriced(sizes: Sizes, prices: PriceList, at: datetime) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, size in sorted(sizes.items()):
        of = PriceClass.parse(name)
        if prices.rates(of, at) is None:
            found[of.model] += size.requests
    return dict(found)


def _told(of: PriceClass) -> str:
    long = ", long prompts" if of.long_prompt else ""
    us = ", in the United States" if of.us else ""
    return f"{of.model}{long}{us}"
