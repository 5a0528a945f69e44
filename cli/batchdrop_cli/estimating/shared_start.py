"""How much of their beginning the prompts of a file have in common: that is what could be cached.

The API puts tools first, then the system text, then the messages, and caches up to a mark; other settings must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec

from batchdrop.formats.input_line import Row
from batchdrop.money.token_guess import guess_tokens

# What must be the same for a prompt to be found again, besides its text (Anthropic, "Prompt caching").
_SETTINGS = ("tool_choice", "thinking", "output_config")
_MOST_MODELS = 20
_NOTHING = msgspec.Raw(b"")
# Before a piece of a prompt: whose it is. JSON text may hold them too, which makes a shared beginning no longer.
_OURS, _THEIRS = "\0", "\1"
# The guess takes what every request has from its letters and signs, so a short one would come out as nothing.
_BEFORE = "x." * 100
_BOUNDARIES = str.maketrans({_OURS: "\n", _THEIRS: "\n"})


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None


class _Turn(msgspec.Struct):
    role: str = ""
    content: str | list[_Block] | None = None


class _Prompt(msgspec.Struct):
    model: str = ""
    system: str | list[_Block] | None = None
    tools: msgspec.Raw = _NOTHING
    tool_choice: msgspec.Raw = _NOTHING
    thinking: msgspec.Raw = _NOTHING
    output_config: msgspec.Raw = _NOTHING
    messages: list[_Turn] = []


_prompt = msgspec.json.Decoder(_Prompt).decode


class SharedStarts:
    """By the name of each model in the price list. A file names few models; of those of one that names many nothing is said."""

    def __init__(self, name_of: Callable[[str], str]) -> None:
        """`name_of`: a model as requests write it."""
        self._name_of = lru_cache(maxsize=_MOST_MODELS)(name_of)
        self._starts: dict[str, SharedStart] = {}

    def add(self, row: Row) -> None:
        name = self._name_of(row.model)
        if name in self._starts or len(self._starts) < _MOST_MODELS:
            self._starts.setdefault(name, SharedStart()).add(row.params)

    def tokens(self) -> dict[str, int]:
        return {name: start.tokens() for name, start in self._starts.items()}


class SharedStart:
    """Of the prompts of one model. Memory: the longest beginning so far."""

    def __init__(self) -> None:
        self.requests = 0
        self._model = ""
        self._settings: tuple[bytes, ...] = ()
        self._text = ""

    def add(self, params: bytes) -> None:
        """`params`: of a request that can be sent."""
        self.requests += 1
        if self.requests > 1 and not self._text:
            return
        try:
            prompt = _prompt(params)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._text = ""
            return
        settings = tuple(bytes(getattr(prompt, name)) for name in _SETTINGS)
        text = _text_of(prompt)
        if self.requests == 1:
            self._model, self._settings, self._text = prompt.model, settings, text
        else:
            self._text = common_start(self._text, text) if settings == self._settings and prompt.model == self._model else ""

    def tokens(self) -> int:
        """By the guess for prompts; 0 where a request has nobody to share with."""
        text = self._text.translate(_BOUNDARIES).strip()
        if self.requests < 2 or not text:
            return 0
        return _guessed(_BEFORE + text, self._model) - _guessed(_BEFORE, self._model)


def common_start(first: str, second: str) -> str:
    """The longest text that both begin with. Halving it, each step is one comparison of memory."""
    if second.startswith(first):
        return first
    same, differs = 0, min(len(first), len(second)) + 1
    while differs - same > 1:
        middle = (same + differs) // 2
        if second.startswith(first[same:middle], same):
            same = middle
        else:
            differs = middle
    return first[:same]


def _guessed(text: str, model: str) -> int:
    return guess_tokens(b'{"max_tokens":1,"messages":[{"role":"user","content":%b}]}' % msgspec.json.encode(text), model)


def _text_of(prompt: _Prompt) -> str:
    """In the API's order, up to the first image or document: what those take is another guess."""
    pieces = [bytes(prompt.tools).decode()]
    for role, content in (("system", prompt.system), *((turn.role, turn.content) for turn in prompt.messages)):
        mark = _THEIRS if role == "assistant" else _OURS
        for text in [content] if isinstance(content, str) else [block.text for block in content or ()]:
            if text is None:
                return "".join(pieces)
            pieces += (mark, text)
    return "".join(pieces)
