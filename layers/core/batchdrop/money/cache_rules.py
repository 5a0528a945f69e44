"""What is known of prompt caching, and of how often it hits in a batch (Anthropic, "Prompt caching", 2026-10-08)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

from batchdrop.domain.model_names import without_date
from batchdrop.domain.records import Usage
from batchdrop.money.price_list import Rates
from batchdrop.money.token_guess import GUESS_HIGH, guess_tokens

_BY_TOKENS = {
    512: (
        *("claude-fable-5", "claude-fable-5-1", "claude-mythos-5", "claude-mythos-5-1", "claude-mythos-5-2"),
        *("claude-opus-5", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"),
    ),
    1024: ("claude-opus-4-8", "claude-sonnet-5", "claude-sonnet-4-6", "claude-sonnet-4-5"),
    2048: ("claude-opus-4-7",),
    4096: ("claude-opus-4-6", "claude-opus-4-5", "claude-haiku-4-5"),
}
SHORTEST = {model: tokens for tokens, models in _BY_TOKENS.items() for model in models}
"""Tokens of the shortest beginning of a prompt that is cached, by the name in the price list. Shorter ones are silently not. Of
`claude-fable-5-2` the documentation says nothing."""
BEST_HITS = Fraction(98, 100)
WORST_HITS = Fraction(30, 100)
"""Shares of a batch's requests that find the beginning cached: best effort, and this is the range."""


def pays_above(rates: Rates) -> Fraction | None:
    """The share of hits from which on an hour of caching is cheaper than none. None: at any share, or at none."""
    dearer = rates.write_1h - rates.read
    return Fraction(rates.write_1h - rates.input, dearer) if dearer > 0 else None


def hit_share(usage: Iterable[Usage]) -> Fraction | None:
    """Of the tokens that were marked, those that were read; None if none was either read or written."""
    of = list(usage)
    written, read = sum(one.cache_write_tokens for one in of), sum(one.cache_read_tokens for one in of)
    return Fraction(read, written + read) if written + read else None


class Prefix:
    """What all prompts of a recipe begin with, against what its model caches."""

    def __init__(self, request: bytes, model: str) -> None:
        """`request`: JSON of the params of one that is nothing else."""
        self.tokens = guess_tokens(request, model)
        """Guessed."""
        self.shortest = SHORTEST.get(model) or SHORTEST.get(without_date(model))
        """Tokens from which on it is cached; None if nobody knows."""

    @property
    def fits(self) -> Literal["yes", "perhaps", "no"]:
        """Whether it is long enough; `perhaps` if that hangs on the guess."""
        if self.shortest is None:
            return "perhaps"
        if self.tokens >= self.shortest:
            return "yes"
        return "perhaps" if self.tokens * GUESS_HIGH >= self.shortest else "no"
