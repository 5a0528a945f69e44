"""An estimate for programs. Fields may be added, never renamed; amounts are numbers of dollars."""

from __future__ import annotations

from typing import Any

import msgspec

from batchdrop.money.amounts import usd
from batchdrop_cli.estimating.advice import advice
from batchdrop_cli.estimating.estimated import Estimated, ModelPrice
from batchdrop_cli.estimating.four_ways import Range
from batchdrop_cli.estimating.shown_estimate import not_cached

_FEMTO_OF_A_MICRO = 10**9
_A_MILLION = 1_000_000


def as_json(found: Estimated) -> bytes:
    """One object. An amount is null where no row has a price; `cached` is null where no prompt can be."""
    told = advice(found)
    ways, known = found.ways, found.known
    priced = bool(found.priced)
    return msgspec.json.encode(
        {
            "file": found.name,
            "rows": found.rows,
            "invalid": found.invalid,
            "faults": [{"line": one.line, "type": one.type, "message": one.message} for one in found.faults],
            "batches": found.batches,
            "models": found.models,
            "unpriced": found.unpriced,
            "tokens": {
                "prompts": {
                    "low": int(found.prompt_tokens * known.input_low),
                    "high": int(found.prompt_tokens * known.input_high),
                },
                "answers_at_most": found.most_answer_tokens,
            },
            "known_by": {
                "prompts": "told" if known.told_prompt is not None else "count_tokens" if known.counted else "guess",
                "counted_rows": known.counted,
                "answers": "max_tokens" if known.told_answer is None else "told",
                "words": known.words(),
            },
            "as_it_stands": (_range(ways.as_it_stands) | {"at_most_usd": amount(ways.at_most)}) if priced else None,
            "one_by_one": _ways(ways.one_by_one, ways.one_by_one_cached) if priced else None,
            "batch": _ways(ways.batch, ways.batch_cached) if priced else None,
            "not_cached_because": not_cached(found) or None,
            "caching": [
                {"model": one.model, "shared_tokens": one.about, "shortest_tokens": one.shortest, "possible": one.possible}
                for one in found.cachings
            ],
            "prices": {
                "version": found.price_version,
                "usd_per_million": {model.name: _price(model, found.batch_percent) for model in found.prices},
            },
            "advice": {"batch": told.batch, "reasons": told.sentences},
        }
    )


def amount(micro: int) -> msgspec.Raw:
    """Dollars as a JSON number, exact and without an exponent."""
    return msgspec.Raw(usd(micro * _FEMTO_OF_A_MICRO).encode())


def _range(of: Range) -> dict[str, Any]:
    return {"low_usd": amount(of.low), "high_usd": amount(of.high)}


def _ways(uncached: Range, cached: Range | None) -> dict[str, Any]:
    return {"uncached": _range(uncached), "cached": None if cached is None else _range(cached)}


def _price(model: ModelPrice, batch_percent: int) -> dict[str, Any]:
    rates, batch = model.rates, model.rates.percent(batch_percent)
    return {
        "prompt": {
            "one_by_one": _million(rates.input),
            "one_by_one_cached": _million(rates.read),
            "batch": _million(batch.input),
            "batch_cached": _million(batch.read),
        },
        "answer": {"one_by_one": _million(rates.output), "batch": _million(batch.output)},
    }


def _million(rate: int) -> msgspec.Raw:
    return msgspec.Raw(usd(rate * _A_MILLION).encode())
