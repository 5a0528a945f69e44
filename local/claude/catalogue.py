"""The models the emulator knows (names: the Python SDK's ``ModelParam``, 2.12.0)."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

# Newest first, as the models endpoint lists them; True where the model dropped temperature, top_p and top_k.
_MODELS = {
    "claude-fable-5-2": True,
    "claude-mythos-5-2": True,
    "claude-haiku-5-5": True,
    "claude-sonnet-5-5": True,
    "claude-fable-5-1": True,
    "claude-opus-5-5": True,
    "claude-mythos-5-1": True,
    "claude-sonnet-5": True,
    "claude-fable-5": True,
    "claude-mythos-5": True,
    "claude-opus-5": True,
    "claude-opus-4-8": True,
    "claude-opus-4-7": True,
    "claude-mythos-preview": True,
    "claude-opus-4-6": False,
    "claude-sonnet-4-6": False,
    "claude-haiku-4-5": False,
    "claude-haiku-4-5-20251001": False,
    "claude-opus-4-5": False,
    "claude-opus-4-5-20251101": False,
    "claude-sonnet-4-5": False,
    "claude-sonnet-4-5-20250929": False,
}
_DATED = re.compile(r"-\d{8}$")

# The real maximum differs by model and is not what the emulator is for: these two are the documented extremes.
MAX_OUTPUT_TOKENS = 128_000
LONG_OUTPUT_BETA = "output-300k-2026-03-24"
LONG_OUTPUT_TOKENS = 300_000


class ModelInfo(msgspec.Struct, kw_only=True):
    """One model as ``/v1/models`` describes it; release dates are not known here and are the epoch, as documented."""

    type: str = "model"
    id: str
    display_name: str
    created_at: str = "1970-01-01T00:00:00Z"
    lifecycle: str = "active"
    line: str
    max_input_tokens: int = 200_000
    max_tokens: int = MAX_OUTPUT_TOKENS
    capabilities: None = None
    deprecated_at: None = None
    retires_at: None = None


def _info(name: str) -> ModelInfo:
    words = name.split("-")
    return ModelInfo(id=name, display_name=" ".join(word.capitalize() for word in words), line=words[1])


@lru_cache(maxsize=256)
def _known(model: str) -> str | None:
    if model in _MODELS:
        return model
    undated = _DATED.sub("", model)
    return undated if undated in _MODELS else None


def exists(model: str) -> bool:
    """Whether a request may name this model: an id of the catalogue, or one of them with a release date."""
    return _known(model) is not None


def dropped_sampling(model: str) -> bool:
    """Whether the model no longer takes temperature, top_p and top_k."""
    known = _known(model)
    return known is not None and _MODELS[known]


def find(model: str) -> ModelInfo | None:
    """The description of one model; None if there is no such model."""
    return _info(model) if exists(model) else None


def everything() -> list[ModelInfo]:
    """Every model, newest first."""
    return [_info(name) for name in _MODELS]
