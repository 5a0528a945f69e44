"""The price table as a file: the one that comes with the package, and the one with which operators override it.

Both have the same entries, and go through the same checks. `docs/cost.md` describes them.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from itertools import product
from pathlib import Path as FilePath
from typing import Any

import msgspec

from batchdrop.formats.config_file import ConfigFault, ConfigFile, Path
from batchdrop.money.price_list import FEMTO, DatedPrice, PriceList, Rates, femto_per_token, in_force, table_name

_BUILT_IN = FilePath(__file__).with_name("prices.json")
_ALWAYS = datetime.min.replace(tzinfo=UTC)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,63}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_REQUIRED = ("model", *Rates._fields)
FIELDS = (*_REQUIRED, "valid_from", "long_prompt", "us_percent", "as_of", "source")
_MAX_USD = 100_000
_MAX_PROMPT = 1_000_000_000
# Anthropic, "Pricing", 2026-10-08: of models 4.6 and later, which are all that are not known here.
_US_PERCENT = 110

type _Prices = dict[str, tuple[DatedPrice, ...]]


class PriceFault(ConfigFault):
    """The price file cannot be used, and none of it is."""


@cache
def built_in() -> PriceList:
    """The prices that come with this version."""
    file = ConfigFile(_BUILT_IN.read_bytes(), _BUILT_IN.name, PriceFault)
    models: _Prices = {}
    for index, entry in enumerate(file.value["prices"]):
        name, price = _entry(file, ("prices", index), entry, {})
        models[name] = (*models.get(name, ()), price)
    newest = max(entry["as_of"] for entry in file.value["prices"])
    web_search = int(Decimal(file.value["web_search_per_1000"]) * (FEMTO // 1000))
    return _listed(f"built-in {newest}", models, web_search=web_search, batch_percent=file.value["batch_percent"])


def read_prices(data: bytes, *, name: str, version: str, at: datetime) -> PriceList:
    """The built-in prices with those of an operator's file in their place, each model from the entry's `valid_from` on.

    `name`: of the file, for its reader. `version`: of the object. `at`: now; a price may not be below half of the built-in one
    that holds then, or from the entry's own day on if that is later. Raises PriceFault.
    """
    file = ConfigFile(data, name, PriceFault)
    if not isinstance(file.value, list):
        raise file.fault((), 'This must be a list of entries, between brackets: [{"model": ..., "input": ...}, ...].')
    known = built_in()
    models: _Prices = {}
    for index, entry in enumerate(file.value):
        model, price = _entry(file, (index,), entry, known.models)
        _check_half(file, (index,), price, in_force(known.models.get(model, ()), max(price.since, at)))
        if any(price.since == other.since for other in models.get(model, ())):
            raise file.fault((index,), f"A second entry of {model} is valid from the same day. Leave one of the two out.")
        models[model] = (*models.get(model, ()), price)
    for model, prices in known.models.items():
        first = min((price.since for price in models.get(model, ())), default=None)
        kept = tuple(price for price in prices if first is None or price.since < first)
        models[model] = (*models.get(model, ()), *kept)
    return _listed(f"{name} {version}", models, web_search=known.web_search, batch_percent=known.batch_percent)


def _listed(version: str, models: _Prices, *, web_search: int, batch_percent: int) -> PriceList:
    ordered = {name: tuple(sorted(models[name], key=lambda price: price.since, reverse=True)) for name in sorted(models)}
    content = msgspec.json.encode((batch_percent, web_search, ordered))
    digest = hashlib.sha256(content).hexdigest()[:12]
    return PriceList(version=version, digest=digest, models=ordered, web_search=web_search, batch_percent=batch_percent)


def _entry(file: ConfigFile, path: Path, entry: object, known: _Prices) -> tuple[str, DatedPrice]:
    """The table's name of its model, and its prices."""
    fields = file.fields(path, entry, FIELDS, _REQUIRED)
    model = fields["model"]
    if not isinstance(model, str) or not _NAME.fullmatch(model):
        raise file.fault((*path, "model"), "This is no model's name. Write it as requests do, such as claude-haiku-5-5.")
    for note in ("as_of", "source"):
        if not isinstance(fields.get(note, ""), str):
            raise file.fault((*path, note), "This must be text, between quotation marks.")
    model = table_name(model, known) or model
    above, long = _long_prompt(file, (*path, "long_prompt"), fields.get("long_prompt"))
    return model, DatedPrice.of(
        _since(file, (*path, "valid_from"), fields.get("valid_from")),
        _rates(file, path, fields),
        above=above,
        long=long,
        us_percent=_us_percent(file, (*path, "us_percent"), fields.get("us_percent"), known.get(model)),
    )


def _since(file: ConfigFile, path: Path, value: object) -> datetime:
    if value is None:
        return _ALWAYS
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        except ValueError:
            pass
    raise file.fault(
        path, "This is no day. Write the first day of these prices (UTC), such as 2026-10-07, between quotation marks."
    )


def _rates(file: ConfigFile, path: Path, fields: Any) -> Rates:  # noqa: ANN401 - an object of the file
    what = "US dollars for a million tokens, above 0 and with at most 6 decimals"
    return Rates(
        *(
            femto_per_token(file.amount((*path, name), fields[name], what=what, example="0.25", most=_MAX_USD))
            for name in Rates._fields
        )
    )


def _long_prompt(file: ConfigFile, path: Path, value: object) -> tuple[int | None, Rates | None]:
    if value is None:
        return None, None
    known = ("above", *Rates._fields)
    fields = file.fields(path, value, known, known)
    return _whole(file, (*path, "above"), fields["above"], 1, _MAX_PROMPT, "tokens of the prompt"), _rates(file, path, fields)


def _us_percent(file: ConfigFile, path: Path, value: object, known: tuple[DatedPrice, ...] | None) -> int:
    if value is None:
        return known[0].us_percent if known else _US_PERCENT
    return _whole(file, path, value, 100, 1_000, "percent of the other prices that `inference_geo: us` costs")


def _whole(file: ConfigFile, path: Path, value: object, least: int, most: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise file.fault(path, f"Write a whole number from {least:,} to {most:,}: {what}.")
    return value


def _check_half(file: ConfigFile, path: Path, price: DatedPrice, known: DatedPrice | None) -> None:
    """Somebody who may write this file may not make limits and questions void by it."""
    if known is None:
        return
    remedy = "Correct it, or leave this entry out; a rebate beyond that cannot be counted here."
    if known.above is not None and price.above is not None and price.above > known.above:
        raise file.fault((*path, "long_prompt", "above"), f"Longer prompts cost more from {known.above:,} tokens on. {remedy}")
    for is_long, us in product((False, True), repeat=2):
        for name, mine, theirs in zip(Rates._fields, price.rates[is_long][us], known.rates[is_long][us], strict=True):
            if 2 * mine < theirs:
                place = (*path, "us_percent") if us else (*path, *["long_prompt"] * is_long, name)
                which = f"With it `{name}` is" if us else "This is"
                raise file.fault(place, f"{which} below half of the built-in price, ${_usd(theirs)}. {remedy}")


def _usd(femto: int) -> str:
    """Of a million tokens."""
    return f"{Decimal(femto * 1_000_000) / FEMTO:.6f}".rstrip("0").rstrip(".")
