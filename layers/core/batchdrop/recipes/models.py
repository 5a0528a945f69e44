"""What a recipe's model takes and refuses, so that it is refused before the wait and not after it.

Facts: Anthropic, "Thinking" (troubleshooting), "Effort", "Structured outputs", "Model deprecations", as of 2026-10-08, and the
migration guide of API version 2026-10-21. Where the API's own list of models says something, that counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from batchdrop.domain.call_headers import LONG_OUTPUT, SAMPLING, gone_in
from batchdrop.domain.model_list import ListedModel, ModelList
from batchdrop.domain.model_names import (
    KNOWN,
    LONG_OUTPUT_MODELS,
    LONG_OUTPUT_TOKENS,
    meant_by,
    model_fault,
    most_output,
    successor,
    unknown,
    without_date,
)
from batchdrop.formats.invalid_line import shown
from batchdrop.recipes.faults import RecipeFault

EFFORTS = ("low", "medium", "high", "xhigh", "max")
WISHES = ("off", "on", *EFFORTS)
"""What a recipe may say at `thinking:`."""
# Anthropic, "Thinking": where it cannot be switched off, 1,000 to 2,000 at least; 50 came back without any text, and billed.
LEAST_FOR_THINKING = 1_000
# `budget_tokens` is at least 1,024 and less than `max_tokens`.
_LEAST_BUDGET = 1_024
_OFF = ("disabled", "between_tools")
_UP_TO_HIGH = ("low", "medium", "high")
_WITHOUT_XHIGH = ("low", "medium", "high", "max")
_VERSION_WITH_SAMPLING = "2023-06-01"


class Thinking(StrEnum):
    """What a model does when nothing is said."""

    always = "always"
    on = "on"
    off = "off"


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model."""

    thinking: Thinking
    types: frozenset[str] = frozenset({"adaptive"})
    """The words that `thinking.type` takes."""
    efforts: tuple[str, ...] = EFFORTS
    off_up_to_high: bool = False
    """Switched off, it takes no effort above `high`."""
    forced_tools: bool = True
    """A `tool_choice` of `any` or `tool` is taken."""
    prefill: bool = False
    """The last message may be the assistant's."""
    structured_outputs: bool | None = None

    @property
    def off(self) -> dict[str, str] | None:
        """The `thinking` param that switches it off; {} where nothing has to be said, None where it is impossible."""
        if self.thinking is Thinking.off:
            return {}
        word = next((word for word in _OFF if word in self.types), None)
        return {"type": word} if word else None


_ADAPTIVE = frozenset({"adaptive"})
_OR_DISABLED = frozenset({"adaptive", "disabled"})
_OR_ENABLED = frozenset({"adaptive", "disabled", "enabled"})
_OF_4_5 = frozenset({"disabled", "enabled"})


def _facts(thinking: Thinking, types: frozenset[str], efforts: tuple[str, ...] = EFFORTS, **more: bool) -> ModelFacts:
    return ModelFacts(thinking=thinking, types=types, efforts=efforts, **more)


# That mythos refuses forced tools as fable does is not documented.
_FACTS = {
    "claude-fable-5-2": _facts(Thinking.always, _ADAPTIVE, forced_tools=False),
    "claude-fable-5-1": _facts(Thinking.always, _ADAPTIVE, forced_tools=False),
    "claude-fable-5": _facts(Thinking.always, _ADAPTIVE),
    "claude-mythos-5-2": _facts(Thinking.always, _ADAPTIVE),
    "claude-mythos-5-1": _facts(Thinking.always, _ADAPTIVE),
    "claude-mythos-5": _facts(Thinking.always, _ADAPTIVE),
    "claude-opus-5-5": _facts(Thinking.always, _ADAPTIVE, forced_tools=False),
    "claude-opus-5": _facts(Thinking.on, _OR_DISABLED, off_up_to_high=True),
    "claude-sonnet-5-5": _facts(Thinking.on, frozenset({"adaptive", "between_tools"}), off_up_to_high=True, forced_tools=False),
    "claude-sonnet-5": _facts(Thinking.on, _OR_DISABLED),
    "claude-haiku-5-5": _facts(Thinking.on, _OR_DISABLED, off_up_to_high=True),
    "claude-opus-4-8": _facts(Thinking.off, _OR_DISABLED),
    "claude-opus-4-7": _facts(Thinking.off, _OR_DISABLED),
    "claude-opus-4-6": _facts(Thinking.off, _OR_ENABLED, _WITHOUT_XHIGH),
    "claude-sonnet-4-6": _facts(Thinking.off, _OR_ENABLED, _WITHOUT_XHIGH),
    "claude-opus-4-5": _facts(Thinking.off, _OF_4_5, _UP_TO_HIGH, prefill=True),
    "claude-sonnet-4-5": _facts(Thinking.off, _OF_4_5, (), prefill=True),
    "claude-haiku-4-5": _facts(Thinking.off, _OF_4_5, (), prefill=True),
}
_RETIRES = dict.fromkeys(("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"), datetime(2026, 11, 30, tzinfo=UTC))
# Under 2023-06-01: haiku-4-5 and sonnet-4-6 take them all, haiku-5-5 these values only. Of others nothing is known here.
_ONLY_THESE = {"claude-haiku-5-5": {"temperature": 1, "top_p": 0.99}}


def facts_of(model: str, listed: ModelList | None) -> ModelFacts | None:
    """From the table, corrected by the API's list; None for a model of which neither knows how it thinks."""
    known = _FACTS.get(model) or _FACTS.get(without_date(model))
    entry = listed.find(model) if listed is not None else None
    if entry is None:
        return known
    if known is None:
        known = _as_listed(entry)
    if known is None:
        return None
    return msgspec.structs.replace(
        known,
        thinking=Thinking.on if known.thinking is Thinking.always and _can_be_off(entry.thinking or ()) else known.thinking,
        types=known.types if entry.thinking is None else frozenset(entry.thinking),
        efforts=known.efforts if entry.efforts is None else entry.efforts,
        structured_outputs=entry.structured_outputs,
    )


def thinking_params(
    model: str, wish: str | None, *, max_tokens: int, listed: ModelList | None = None
) -> dict[str, dict[str, Any]]:
    """The params for what the recipe says at `thinking`: `thinking`, `output_config` with `effort`, either, or none.

    `wish` is one of WISHES, None if nothing is said. Raises RecipeFault with field `thinking` for what the model does not do.
    """
    if wish is None:
        return {}
    if wish not in WISHES:
        raise _fault("thinking", f"`thinking` is {', '.join(WISHES[:-1])} or {WISHES[-1]}, not `{shown(wish)}`.")
    facts = facts_of(model, listed) or ModelFacts(thinking=Thinking.on, types=frozenset({"adaptive", "disabled"}))
    if wish == "off":
        return _off(model, facts)
    if wish == "on":
        return _on(model, facts, max_tokens)
    if wish not in facts.efforts:
        raise _fault("thinking", f"{model} does not take the effort `{wish}`: {_efforts(facts)}.")
    return _on(model, facts, max_tokens) | {"output_config": {"effort": wish}}


def check_model(
    model: str,
    *,
    max_tokens: int,
    thinking: str | None = None,
    tool_choice: object = None,
    sampling: Mapping[str, object] | None = None,
    params: Mapping[str, object] | None = None,
    prefill: bool = False,
    structured: bool = False,
    long_output: bool = False,
    priced: bool = True,
    listed: ModelList | None = None,
    now: datetime,
    api_version: str,
    betas: Collection[str] = (),
) -> tuple[str, ...]:
    """What is worth a warning. Raises RecipeFault with the field for what the API would refuse, or answer with nothing.

    `tool_choice` and `sampling` (`temperature`, `top_p`, `top_k`) are as in the recipe. `params` is what stands below `params`
    there and is sent so; its faults have a field that begins with `params`. `prefill`: the last message is the assistant's.
    `structured`: an output format is sent. `long_output`: the recipe asks for the beta of that name, which is then in `betas`.
    Not `priced`: no price of the model is known. Its rows would wait for one, and for ever if the name is mistyped.
    """
    raw = params or {}
    if meant := meant_by(model, listed):
        raise _fault("model", f"There is no model `{shown(model)}`. Did you mean {meant}?")
    if fault := model_fault(model, listed, now):
        raise _fault("model", fault.message)
    if not priced and (fault := unknown(model, listed)):
        raise _fault("model", fault.message)
    _check_sampling(model, sampling or {}, (), api_version)
    _check_sampling(model, raw, ("params",), api_version)
    thinking_params(model, thinking, max_tokens=max_tokens, listed=listed)
    facts = facts_of(model, listed)
    warnings = _about_the_model(model, listed, now)
    if long_output and model not in LONG_OUTPUT_MODELS:
        raise _fault("long_output", _no_long_output(model))
    _check_most(model, max_tokens, listed, betas)
    if facts is None:
        return warnings
    _check_request(model, facts, tool_choice, prefill, structured)
    _check_raw(model, facts, thinking, raw)
    return (*warnings, *_check_room(model, facts, thinking or _wish(raw), max_tokens))


def sampling_fault(given: Mapping[str, object], model: str, api_version: str) -> str | None:
    """A sentence about the first of `temperature`, `top_p`, `top_k` that this model refuses under this version, or None.

    `given` holds their values; other params do not matter.
    """
    present = sorted(SAMPLING & given.keys())
    if not present:
        return None
    if gone_in(api_version):
        return (
            f"`{present[0]}` is an error for every model under the API version {api_version}, whatever its value: remove it, "
            f"or set `anthropic-version: {_VERSION_WITH_SAMPLING}`."
        )
    allowed = _ONLY_THESE.get(without_date(model))
    if allowed is None:
        return None
    wrong = next((name for name in present if given[name] != allowed.get(name)), None)
    if wrong is None:
        return None
    only = f"only as {allowed[wrong]}" if wrong in allowed else "not at all"
    return f"{model} takes `{wrong}` {only}: remove it."


# ---------------------------------------------------------------- thinking


def _off(model: str, facts: ModelFacts) -> dict[str, dict[str, Any]]:
    if (param := facts.off) is None:
        raise _fault(
            "thinking",
            f"{model} always thinks: it cannot be switched off. Write `thinking: low` and a `max_tokens` of 2,000 or more, "
            "or take another model, such as claude-haiku-5-5.",
        )
    return {"thinking": param} if param else {}


def _on(model: str, facts: ModelFacts, max_tokens: int) -> dict[str, dict[str, Any]]:
    if facts.thinking is not Thinking.off:
        return {}
    if "adaptive" in facts.types:
        return {"thinking": {"type": "adaptive"}}
    if "enabled" not in facts.types:
        raise _fault("thinking", f"{model} cannot think. Leave `thinking` out, or take another model, such as claude-haiku-5-5.")
    if max_tokens <= _LEAST_BUDGET:
        raise _fault(
            "max_tokens", f"{model} thinks with {_LEAST_BUDGET:,} tokens at least, and they count: raise `max_tokens` to 2,048."
        )
    return {"thinking": {"type": "enabled", "budget_tokens": max(_LEAST_BUDGET, max_tokens // 2)}}


def _efforts(facts: ModelFacts) -> str:
    if not facts.efforts:
        return "it takes none. Write `thinking: on` or `thinking: off`"
    return f"it takes {', '.join(facts.efforts)}"


def _check_room(model: str, facts: ModelFacts, wish: str | None, max_tokens: int) -> tuple[str, ...]:
    """Thinking counts towards `max_tokens`: without room, rows come back cut off, without any text, and billed.

    Who asks for thinking where it could be off has decided so, and is warned; who says nothing decides with one line.
    """
    thinks = facts.thinking is not Thinking.off if wish is None else wish != "off"
    if not thinks or max_tokens >= LEAST_FOR_THINKING:
        return ()
    what = f"{model} thinks first: with `max_tokens: {max_tokens}` answers would be cut off before their first word, and paid for"
    if facts.off is None:
        raise _fault("max_tokens", f"{what}. It cannot be switched off: raise it to 2,000, and write `thinking: low`.")
    if wish is None:
        raise _fault("max_tokens", f"{what}. Raise it to 2,000, or write `thinking: off`.")
    return (f"{what}: raise it to 2,000, or write `thinking: off`.",)


def _check_most(model: str, max_tokens: int, listed: ModelList | None, betas: Collection[str]) -> None:
    most = most_output(model, listed, betas)
    if most is None and max_tokens >= LONG_OUTPUT_TOKENS:
        # Nobody has said how much it writes, and only a beta allows as much as this.
        most = LONG_OUTPUT_TOKENS - 1
    if most is None or max_tokens <= most:
        return
    longer = model in LONG_OUTPUT_MODELS and LONG_OUTPUT not in betas
    or_write = f", or write `long_output: true`, which allows {LONG_OUTPUT_TOKENS:,}" if longer else ""
    raise _fault("max_tokens", f"{model} writes {most:,} tokens at most: lower `max_tokens`{or_write}.")


def _no_long_output(model: str) -> str:
    """What to do about a model without the beta, or one that is not known to have it."""
    models = ", ".join(LONG_OUTPUT_MODELS)
    if model in KNOWN:
        return f"{model} has no long output: leave `long_output` out and lower `max_tokens`, or take one of {models}."
    return (
        f"Whether `{shown(model)}` has long output is not known here: take one of {models}, or write "
        f"`betas: [{LONG_OUTPUT}]` in its place if it has."
    )


def _check_raw(model: str, facts: ModelFacts, wish: str | None, raw: Mapping[str, object]) -> None:
    """Thinking and effort as they stand in `params`."""
    kind = _word(raw, "thinking", "type")
    if kind is not None and kind not in facts.types:
        takes = ", ".join(sorted(facts.types))
        raise _fault("params", f"{model} does not take the thinking type `{shown(kind)}`: it takes {takes}.", "thinking", "type")
    effort = _word(raw, "output_config", "effort")
    if effort is None:
        return
    if effort not in facts.efforts:
        raise _fault(
            "params", f"{model} does not take the effort `{shown(effort)}`: {_efforts(facts)}.", "output_config", "effort"
        )
    if facts.off_up_to_high and effort not in _UP_TO_HIGH and "off" in (wish, _wish(raw)):
        raise _fault("params", f"{model} takes efforts up to `high` while thinking is off.", "output_config", "effort")


def _wish(raw: Mapping[str, object]) -> str | None:
    kind = _word(raw, "thinking", "type")
    return None if kind is None else "off" if kind in _OFF else "on"


def _word(raw: Mapping[str, object], name: str, inner: str) -> str | None:
    value = raw.get(name)
    word = value.get(inner) if isinstance(value, dict) else None
    return word if isinstance(word, str) else None


# ---------------------------------------------------------------- everything else


def _check_sampling(model: str, given: Mapping[str, object], place: tuple[str, ...], api_version: str) -> None:
    if sentence := sampling_fault(given, model, api_version):
        name = next(name for name in sorted(SAMPLING) if f"`{name}`" in sentence)
        raise RecipeFault(sentence, field=(*place, name))


def _check_request(model: str, facts: ModelFacts, tool_choice: object, prefill: bool, structured: bool) -> None:
    kind = tool_choice.get("type") if isinstance(tool_choice, dict) else None
    if kind in ("any", "tool") and not facts.forced_tools:
        raise _fault(
            "tool_choice", f"{model} cannot be made to use a tool: write `tool_choice: {{type: auto}}`, or use `output`."
        )
    if structured and facts.structured_outputs is False:
        raise _fault("output", f"{model} cannot answer by a schema: leave `output` out, or take another model.")
    if prefill and (structured or not facts.prefill):
        why = "an answer with `output` cannot be begun for the model" if structured else f"{model} takes no answer begun for it"
        raise _fault("messages", f"The last message is the assistant's, and {why}: end with a message of the user.")


def _about_the_model(model: str, listed: ModelList | None, now: datetime) -> tuple[str, ...]:
    entry = listed.find(model) if listed is not None else None
    if entry is None and model not in KNOWN:
        return (f"Whether there is a model `{shown(model)}` could not be checked: try it with a few rows first.",)
    ends_at = _RETIRES.get(model) if entry is None else entry.retires_at
    if ends_at is None:
        return ()
    # A date that is past means that it may end any day: the API says when it has.
    ends = "was to retire" if ends_at <= now else "retires"
    return (f"{model} {ends} on {ends_at:%Y-%m-%d}: its successor is {successor(model) or 'not known'}.",)


def _as_listed(entry: ListedModel) -> ModelFacts | None:
    """Of a model that came out since: that it thinks unless told not to is what the newer ones have in common."""
    if entry.thinking is None:
        return None
    thinking = Thinking.on if _can_be_off(entry.thinking) else Thinking.always
    return ModelFacts(thinking=thinking, types=frozenset(entry.thinking))


def _can_be_off(types: Collection[str]) -> bool:
    return any(word in types for word in _OFF)


def _fault(field: str, message: str, *inner: str) -> RecipeFault:
    return RecipeFault(message, field=(field, *inner))
