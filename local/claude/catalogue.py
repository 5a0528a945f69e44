"""The models the emulator knows, and what each of them takes.

Names: the Python SDK's ``ModelParam``, 2.12.0. What they take: Claude API documentation, "Thinking troubleshooting", "Effort",
the migration guide of API version 2026-10-21 and "Model deprecations", October 2026.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec

_DATED = re.compile(r"-\d{8}$")

# The real maximum differs by model, and the emulator has one for all; the beta is of some models (`Traits.long_output`).
MAX_OUTPUT_TOKENS = 128_000
LONG_OUTPUT_BETA = "output-300k-2026-03-24"
LONG_OUTPUT_TOKENS = 300_000

EFFORTS = ("low", "medium", "high", "xhigh", "max")
TYPES = ("adaptive", "between_tools", "disabled", "enabled")
"""Words of ``thinking.type``."""


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What a model does with a request."""

    thinks: Literal["always", "unless off", "if asked"]
    refused: frozenset[str] = frozenset()
    """Words of ``thinking.type`` that are a 400."""
    efforts: tuple[str, ...] = EFFORTS
    effort: str = "high"
    """Unless the request says something else."""
    sampling: Literal["any", "default", "none"] = "none"
    """Values of temperature, top_p and top_k that it takes under API version 2023-06-01."""
    forced_tools: bool = True
    prefill: bool = False
    long_output: bool = False
    """It writes LONG_OUTPUT_TOKENS in a batch under LONG_OUTPUT_BETA."""
    retires_at: str | None = None


_NEW = frozenset({"enabled", "between_tools"})
_ALWAYS = Traits(thinks="always", refused=_NEW | {"disabled"})
_NO_FORCED = msgspec.structs.replace(_ALWAYS, forced_tools=False)
_ON = Traits(thinks="unless off", refused=_NEW, long_output=True)
_OFF = Traits(thinks="if asked", refused=_NEW, long_output=True)
_4_6 = Traits(
    thinks="if asked",
    refused=frozenset({"between_tools"}),
    efforts=("low", "medium", "high", "max"),
    sampling="any",
    long_output=True,
)
_4_5 = Traits(
    thinks="if asked",
    refused=frozenset({"adaptive", "between_tools"}),
    efforts=("low", "medium", "high"),
    sampling="any",
    prefill=True,
)
_NO_EFFORT = msgspec.structs.replace(_4_5, efforts=())
_LAST_OF_4_5 = msgspec.structs.replace(_NO_EFFORT, retires_at="2026-11-30T00:00:00Z")
# Newest first, as the models endpoint lists them.
_MODELS: dict[str, Traits] = {
    "claude-fable-5-2": _NO_FORCED,
    "claude-mythos-5-2": _NO_FORCED,
    "claude-haiku-5-5": msgspec.structs.replace(_ON, effort="medium", sampling="default"),
    "claude-sonnet-5-5": Traits(
        thinks="unless off", refused=frozenset({"enabled", "disabled"}), forced_tools=False, long_output=True
    ),
    "claude-fable-5-1": _NO_FORCED,
    "claude-opus-5-5": msgspec.structs.replace(_NO_FORCED, effort="medium", long_output=True),
    "claude-mythos-5-1": _NO_FORCED,
    "claude-sonnet-5": _ON,
    "claude-fable-5": _ALWAYS,
    "claude-mythos-5": _ALWAYS,
    "claude-opus-5": _ON,
    "claude-opus-4-8": _OFF,
    "claude-opus-4-7": _OFF,
    "claude-mythos-preview": _ALWAYS,
    "claude-opus-4-6": _4_6,
    "claude-sonnet-4-6": _4_6,
    "claude-haiku-4-5": _NO_EFFORT,
    "claude-haiku-4-5-20251001": _NO_EFFORT,
    "claude-opus-4-5": _4_5,
    "claude-opus-4-5-20251101": _4_5,
    "claude-sonnet-4-5": _LAST_OF_4_5,
    "claude-sonnet-4-5-20250929": _LAST_OF_4_5,
}
# Source: Claude API documentation, "Prompt caching", 2026-10-08. All others: 512; of fable-5-2 nothing is documented.
_SHORTEST_PREFIX = {
    **dict.fromkeys(("claude-opus-4-8", "claude-sonnet-5", "claude-sonnet-4-6", "claude-sonnet-4-5"), 1024),
    "claude-opus-4-7": 2048,
    **dict.fromkeys(("claude-opus-4-6", "claude-opus-4-5", "claude-haiku-4-5"), 4096),
}
_RETIRED = (
    "claude-opus-4-1-20250805",
    "claude-opus-4-20250514",
    "claude-sonnet-4-20250514",
    "claude-3-7-sonnet-20250219",
    "claude-3-5-haiku-20241022",
    "claude-3-5-sonnet-20241022",
    "claude-3-5-sonnet-20240620",
    "claude-3-haiku-20240307",
    "claude-3-opus-20240229",
    "claude-3-sonnet-20240229",
)
_CAPABLE = ("batch", "citations", "code_execution", "image_input", "pdf_input", "structured_outputs")


class ModelInfo(msgspec.Struct, kw_only=True):
    """One model as ``/v1/models`` describes it; release dates are not known here and are the epoch, as documented."""

    type: str = "model"
    id: str
    display_name: str
    created_at: str = "1970-01-01T00:00:00Z"
    lifecycle: Literal["active", "deprecated", "retired"] = "active"
    line: str | None
    max_input_tokens: int = 200_000
    max_tokens: int = MAX_OUTPUT_TOKENS
    capabilities: dict[str, object] | None = None
    deprecated_at: str | None = None
    retires_at: str | None = None


def _info(name: str) -> ModelInfo:
    words = name.split("-")
    line = next((word for word in words[1:] if not word.isdigit()), None)
    title = " ".join(word.capitalize() for word in words)
    model = traits(name)
    if model is None:
        return ModelInfo(id=name, display_name=title, line=line, lifecycle="retired")
    return ModelInfo(
        id=name,
        display_name=title,
        line=line,
        lifecycle="deprecated" if model.retires_at else "active",
        retires_at=model.retires_at,
        # When it was deprecated is not known here.
        deprecated_at="1970-01-01T00:00:00Z" if model.retires_at else None,
        capabilities=_capabilities(model),
    )


def _capabilities(model: Traits) -> dict[str, object]:
    """In the shape of the SDK's ``ModelCapabilities``; what the emulator has no opinion on is left out."""
    types = {word: {"supported": word not in model.refused} for word in TYPES}
    efforts = {word: {"supported": word in model.efforts} for word in EFFORTS}
    return {
        **{name: {"supported": True} for name in _CAPABLE},
        "effort": {"supported": bool(model.efforts), **efforts},
        "thinking": {"supported": True, "types": types},
    }


@lru_cache(maxsize=256)
def traits(model: str) -> Traits | None:
    """What a request may ask of this model: an id of the catalogue, or one with a release date; None if it cannot be used."""
    return _MODELS.get(model) or _MODELS.get(_DATED.sub("", model))


def shortest_prefix(model: str) -> int:
    """Tokens of the shortest prefix that this model caches."""
    return _SHORTEST_PREFIX.get(_DATED.sub("", model), 512)


def exists(model: str) -> bool:
    """Whether a request may name this model. A retired one it may not."""
    return traits(model) is not None


def find(model: str) -> ModelInfo | None:
    """The description of one model, also of a retired one; None if there is no such model."""
    return _info(model) if exists(model) or model in _RETIRED else None


def everything(lifecycles: frozenset[str] = frozenset({"active", "deprecated"})) -> list[ModelInfo]:
    """Every model in one of these stages, newest first."""
    return [info for info in map(_info, (*_MODELS, *_RETIRED)) if info.lifecycle in lifecycles]
