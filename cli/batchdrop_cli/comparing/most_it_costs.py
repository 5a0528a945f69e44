"""What asking the same rows both ways costs at most."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from batchdrop.formats.input_line import Row
from batchdrop.money.estimate import estimate, unpriced
from batchdrop.money.price_list import PriceList
from batchdrop.money.sizing import Sizer
from batchdrop_cli.opening.local_prices import real_time


class NoPrice(Exception):
    """Of these models, so that nobody can say."""

    def __init__(self, models: tuple[str, ...]) -> None:
        super().__init__(", ".join(models))
        self.models = models


def most_it_costs(rows: Iterable[Row], prices: PriceList, at: datetime) -> int:
    """Micro-dollars, one by one and as a batch together. Raises NoPrice.

    As everywhere, what tools of the API add is not bounded by it.
    """
    sizer = Sizer(prices, at)
    for row in rows:
        sizer.add(row)
    sizes = sizer.take()
    if models := unpriced([sizes], prices, at):
        raise NoPrice(models)
    return estimate(sizes, real_time(prices), at, None).worst + estimate(sizes, prices, at, None).worst
