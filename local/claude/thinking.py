"""Whether a model thinks before it answers, for how many tokens, and what it refuses to be told about that.

Source: Claude API documentation, "Thinking troubleshooting" and "Effort", October 2026. Texts of refusals are not documented.
"""

from __future__ import annotations

from local.claude.catalogue import EFFORTS, TYPES, Traits
from local.claude.jsontypes import Json

_OFF = ("disabled", "between_tools")
_LEAST_BUDGET = 1_024
# How long it thinks is the model's own matter; more effort is longer, which is all that is documented.
_TOKENS = {"low": 24, "medium": 60, "high": 120, "xhigh": 300, "max": 600}


def fault(model: Traits, thinking: Json, effort: Json, max_tokens: int) -> str | None:
    """What the API would refuse of ``thinking`` and ``output_config.effort``; None if nothing."""
    if effort is not None and not model.efforts:
        return "output_config.effort: This model does not support the effort parameter."
    if effort is not None and effort not in model.efforts:
        return f"output_config.effort: Input should be one of {', '.join(model.efforts)}"
    return None if thinking is None else _fault_of_thinking(model, thinking, effort, max_tokens)


def _fault_of_thinking(model: Traits, thinking: Json, effort: Json, max_tokens: int) -> str | None:
    if not isinstance(thinking, dict):
        return "thinking: Input should be an object"
    kind = thinking.get("type")
    if kind not in TYPES or kind in model.refused:
        return f'thinking.type: "{str(kind)[:80]}" is not supported for this model'
    if kind in _OFF and effort in ("xhigh", "max"):
        return f"output_config.effort: effort {effort} is not supported while thinking is off"
    return _fault_of_budget(thinking.get("budget_tokens"), max_tokens) if kind == "enabled" else None


def _fault_of_budget(budget: Json, max_tokens: int) -> str | None:
    if not isinstance(budget, int) or budget < _LEAST_BUDGET:
        return f"thinking.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}"
    return "max_tokens: must be greater than thinking.budget_tokens" if budget >= max_tokens else None


def tokens(model: Traits, thinking: Json, effort: Json) -> int:
    """How many tokens of thinking come before the answer; 0: none."""
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind in _OFF or (model.thinks == "if asked" and kind is None):
        return 0
    return _TOKENS[str(effort) if effort in EFFORTS else model.effort]
