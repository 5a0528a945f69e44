"""The prices that hold now: those of `config/prices.json` where it can be used, else those built in."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from batchdrop.domain.keys import PRICES
from batchdrop.jobs.config_object import ConfigObject
from batchdrop.money.price_file import built_in, read_prices
from batchdrop.money.price_list import PriceList
from batchdrop.ports import Objects


class CurrentPrices(NamedTuple):
    list: PriceList
    fault: str
    """Why the operators' file is not used, or empty. Nothing above `ask_above_usd` is sent while there is one."""


class Prices:
    """Remembers what it read, for a minute."""

    def __init__(self, objects: Objects) -> None:
        self._file = ConfigObject(objects, PRICES, _read)

    def current(self, now: datetime) -> CurrentPrices:
        """May raise what reading an object raises, but for a missing or a forbidden one."""
        prices, fault = self._file.current(now)
        return CurrentPrices(prices or built_in(), fault)


def _read(data: bytes, version: str, now: datetime) -> PriceList:
    return read_prices(data, name=PRICES, version=version, at=now)
