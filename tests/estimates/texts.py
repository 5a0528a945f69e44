"""Texts of many scripts and kinds, and how many tokens they are to an older tokenizer of Claude that is public.

`texts.json` was measured once, with `tokenizer.json` of PyPI `anthropic` 0.38.0 and PyPI `tokenizers` 0.23.3. Newer models have
tokenizers of their own, which are not public.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from batchdrop.money.token_guess import guess_tokens

_OLDER = "claude-opus-4-5"
# What the API puts around a message of one text.
_FRAME = 8


class Text(NamedTuple):
    name: str
    tokens: int
    text: str

    def guess(self, *, escaped: bool = False) -> int:
        """Of a request that says nothing else, written with or without `\\u` escapes."""
        messages = [{"role": "user", "content": self.text}]
        params = {"model": _OLDER, "max_tokens": 1_000, "messages": messages}
        return guess_tokens(json.dumps(params, ensure_ascii=escaped).encode(), _OLDER)

    def share(self, *, escaped: bool = False) -> float:
        """Of the guess, what the prompt takes."""
        return (self.tokens + _FRAME) / self.guess(escaped=escaped)


TEXTS = [Text(**one) for one in json.loads(Path(__file__).with_name("texts.json").read_text(encoding="utf-8"))]
BEYOND = {"Spaces and rules", "Random letters"}
"""Texts that take far fewer or more tokens than is guessed."""
