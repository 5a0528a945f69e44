"""What a request's model alone tells, cheaply: is it there at all, and how much it writes. For every row.

Facts: Anthropic, "Model deprecations", "Models overview" and "Batch processing", 2026-10-08. The API's own list, where there is
one, knows better.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import NamedTuple

from batchdrop.domain.call_headers import LONG_OUTPUT
from batchdrop.domain.model_list import ListedModel, ModelList

NEWEST = {
    "haiku": "claude-haiku-5-5",
    "sonnet": "claude-sonnet-5-5",
    "opus": "claude-opus-5-5",
    "fable": "claude-fable-5-2",
    "mythos": "claude-mythos-5-2",
}
"""By line: what takes the place of a model that is gone."""
KNOWN = (
    *("claude-fable-5-2", "claude-mythos-5-2", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-opus-5-5"),
    *("claude-mythos-5-1", "claude-sonnet-5", "claude-fable-5", "claude-mythos-5", "claude-opus-5", "claude-opus-4-8"),
    *("claude-opus-4-7", "claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    *("claude-opus-4-5", "claude-opus-4-5-20251101", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
)
"""Newest first. Ids without a date are pinned from 4.6 on; only the 4.5 line has aliases."""
LONG_OUTPUT_MODELS = (
    *("claude-haiku-5-5", "claude-sonnet-5-5", "claude-sonnet-5", "claude-sonnet-4-6"),
    *("claude-opus-5-5", "claude-opus-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6"),
)
"""Those that write LONG_OUTPUT_TOKENS under the beta LONG_OUTPUT."""
LONG_OUTPUT_TOKENS = 300_000
# Everything before 4.5: Claude 1 to 3 in every spelling, and the first of 4.
_RETIRED = re.compile(
    r"claude-(?:instant|v?[12]\b|3\b|(?:haiku|sonnet|opus)-3\b|(?:sonnet|opus)-4-0$|(?:sonnet|opus)-4-20250514$|opus-4-1\b)"
)
# Of a model that Anthropic calls `claude-...`.
_SHORT = re.compile(r"(?:claude[ _-]?)?(?:haiku|sonnet|opus|fable|mythos)[\d ._-]*", re.IGNORECASE)
_DATE = re.compile(r"-20\d{6}$")
_MAX_COMPARED = 80
_SMALL_WINDOW = re.compile(r"claude-(?:haiku|sonnet|opus)-4-5")
_FEW_PAGES = 100
_MOST_PAGES = 600


class ModelFault(NamedTuple):
    """`type` in snake_case, `message` a sentence with what to write instead."""

    type: str
    message: str


def model_fault(model: str, listed: ModelList | None, now: datetime) -> ModelFault | None:
    """Why a request with this model is refused after the wait, or None: it may well be good.

    A retired model is refused by what is known here, unless the API lists it otherwise; an unknown one only by a fresh list from
    Anthropic itself. Depends on nothing else, so that a caller may remember the answer for each model.
    """
    entry = listed.find(model) if listed is not None else None
    if entry is not None:
        return _of_listed(entry)
    if _RETIRED.match(model):
        return _retired(model)
    if listed is not None and listed.refuses_unknown(now) and not _is_known_alias(model, listed):
        return ModelFault("unknown_model", f"The API knows no model {_shown(model)}. {_nearest(model, listed)}")
    return None


def meant_by(model: str, listed: ModelList | None) -> str | None:
    """The id that a short name such as `haiku` or `Sonnet 4.6` stands for, which the API knows by ids alone; None if it is none.

    Another API behind `ApiBaseUrl` may have models of that name.
    """
    if model in KNOWN or model.startswith("claude-") or len(model) > _MAX_COMPARED or not _SHORT.fullmatch(model):
        return None
    if listed is not None and (not listed.official or listed.find(model) is not None):
        return None
    words = re.sub("[ ._]+", "-", model.lower().removeprefix("claude").strip(" ._-"))
    return full if (full := f"claude-{words}") in KNOWN else successor(model)


def unknown(model: str, listed: ModelList | None) -> ModelFault | None:
    """Of a model without a price: None if it is known here or listed by the API, so that it lacks the price alone."""
    if model in KNOWN or (listed is not None and listed.find(model) is not None):
        return None
    near = _near(model, (*KNOWN, *_ids(listed)))
    meant = f"Did you mean {near}?" if near else _instead(model)
    new = "If it is new, an operator puts its price into config/prices.json first."
    return ModelFault("unknown_model", f"No model {_shown(model)} is known, nor a price of one. {meant} {new}")


def most_output(model: str, listed: ModelList | None, betas: Collection[str]) -> int | None:
    """The largest `max_tokens` that a request in a batch may have; None if nobody said. Depends on nothing else.

    A model that came out since may have the beta: then the API decides.
    """
    entry = listed.find(model) if listed is not None else None
    if LONG_OUTPUT in betas and (model in LONG_OUTPUT_MODELS or model not in KNOWN):
        return LONG_OUTPUT_TOKENS
    return entry.max_tokens if entry is not None else None


def most_pages(model: str) -> int:
    """PDF pages that a request may have, and as many images (Anthropic, "PDF support" and "Vision"): 100 on models with a context
    window below 1M tokens, which is the 4.5 line."""
    return _FEW_PAGES if _SMALL_WINDOW.fullmatch(without_date(model)) else _MOST_PAGES


def line_of(model: str) -> str | None:
    """`haiku`, `sonnet`, `opus`, `fable`, `mythos`, or None."""
    return next((line for line in NEWEST if line in model.lower()), None)


def without_date(model: str) -> str:
    return _DATE.sub("", model)


def successor(model: str) -> str | None:
    """The newest model of its line."""
    return NEWEST.get(line_of(model) or "")


def _of_listed(entry: ListedModel) -> ModelFault | None:
    if entry.lifecycle == "retired":
        return _retired(entry.id)
    if entry.batch is False:
        return ModelFault("model_without_batches", f"{_shown(entry.id)} cannot be used in batches. {_instead(entry.id)}")
    return None


def _retired(model: str) -> ModelFault:
    return ModelFault("retired_model", f"{_shown(model)} is retired: the API refuses it. {_instead(model)}")


def _instead(model: str) -> str:
    newest = successor(model)
    return f"Write {newest} instead." if newest and newest != model else f"Write another model, such as {NEWEST['haiku']}."


def _is_known_alias(model: str, listed: ModelList) -> bool:
    """An alias of the 4.5 line: the list holds the id with a date only."""
    return model in KNOWN and any(without_date(entry.id) == model and entry.lifecycle != "retired" for entry in listed.models)


def _nearest(model: str, listed: ModelList) -> str:
    near = _near(model, _ids(listed))
    return f"Did you mean {near}?" if near else _instead(model)


def _ids(listed: ModelList | None) -> list[str]:
    return [entry.id for entry in listed.models if entry.lifecycle != "retired"] if listed is not None else []


def _near(model: str, ids: Sequence[str]) -> str | None:
    if len(model) > _MAX_COMPARED:
        return None
    return next(iter(get_close_matches(model.lower(), ids, 1)), None)


def _shown(model: str) -> str:
    return f"`{model}`" if len(model) <= _MAX_COMPARED else f"`{model[: _MAX_COMPARED - 3]}...`"
