"""The prices to count at: those of this version, or an operator's file before it is put into the bucket."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from batchdrop.formats.config_file import MAX_BYTES
from batchdrop.money.price_file import built_in, read_prices
from batchdrop.money.price_list import PriceList


def local_prices(file: Path | None, now: datetime) -> PriceList:
    """Raises PriceFault, OSError."""
    if file is None:
        return built_in()
    with file.open("rb") as stream:
        # One more than it may have: reading it says so.
        return read_prices(stream.read(MAX_BYTES + 1), name=file.name, version="on this machine", at=now)


def real_time(prices: PriceList) -> PriceList:
    """The same prices, for requests that are sent one by one."""
    return replace(prices, batch_percent=100)
