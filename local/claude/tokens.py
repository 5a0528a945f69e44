"""How many tokens a text counts for, and which of them come from the prompt cache.

The real tokenizer is not public: four characters to a token is the usual rough figure, the same everywhere here, so that
counting, answering in real time and answering in a batch agree with one another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from local.claude import catalogue
from local.claude.params import Block, Params, marks, tools_ttl

_CHARACTERS_PER_TOKEN = 4
_PER_TURN = 3
_IMAGE = 1_500
_DOCUMENT = 3_000
_TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}
_LOOK_BACK = 20  # blocks before a mark in which an earlier prefix is found


class Usage(Struct):
    """Input tokens by what they cost: uncached, written to the cache for 5 minutes or 1 hour, read from it."""

    plain: int
    written_5m: int = 0
    written_1h: int = 0
    read: int = 0


def of_text(text: str) -> int:
    """Tokens of a text; an empty one has none."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _of_block(block: Block) -> int:
    if block.type in ("image", "document"):
        return block.tokens or (_IMAGE if block.type == "image" else _DOCUMENT)
    return of_text(block.text or "")


def _of_content(content: str | list[Block]) -> int:
    return of_text(content) if isinstance(content, str) else sum(map(_of_block, content))


def of_input(params: Params) -> int:
    """Tokens of everything a request sends: system, tools and the whole conversation."""
    total = _of_content(params.system) + sum(_PER_TURN + _of_content(turn.content) for turn in params.messages)
    return total + -(-len(bytes(params.tools)) // _CHARACTERS_PER_TOKEN)


class Cache:
    """A prompt cache: prefix -> when its entry expires, in emulated seconds since 1970.

    A mark caches everything before it, tools and system first. The longest prefix still alive is read, the rest up to the last
    mark is written (source: Claude API documentation, "Prompt caching"). ``minimum``: tokens of the shortest prefix that is
    cached; None for that of the model. ``hits``: the share of lookups that find what is there, spread evenly over them; a miss
    writes it again. ``phase``, from 0 to 1: how near the first lookup is to a hit.
    """

    def __init__(self, entries: dict[str, float], now: float, minimum: int | None, hits: float = 1.0, phase: float = 0.5) -> None:
        self.entries = entries
        self.now = now
        self.visible = entries
        """What can be found: rows that start together do not find what the others write."""
        self._minimum = minimum
        self._hits = hits
        self._due = phase

    def use(self, params: Params) -> Usage:
        """Looks a request up in the cache, writes what is new and says what it costs."""
        total = of_input(params)
        if not _caches(params):
            return Usage(plain=total)
        ends = list(_ends(params))
        marks = [place for place, end in enumerate(ends) if end.ttl]
        read = self._read(ends, marks)
        usage = Usage(plain=total, read=read)
        minimum = catalogue.shortest_prefix(params.model) if self._minimum is None else self._minimum
        done = read
        for end in (ends[place] for place in marks):
            if end.size <= done or end.size < minimum:
                continue
            if end.ttl == "1h":
                usage.written_1h += end.size - done
            else:
                usage.written_5m += end.size - done
            self.entries[end.key] = self.now + _TTL_SECONDS[end.ttl]
            done = end.size
        usage.plain = total - done
        return usage

    def _read(self, ends: list[_End], marks: list[int]) -> int:
        """Tokens of the longest prefix that is found. A hit keeps its entry alive."""
        for mark in reversed(marks):
            for end in reversed(ends[max(0, mark - _LOOK_BACK + 1) : mark + 1]):
                if self.visible.get(end.key, 0.0) > self.now:
                    self._due += self._hits
                    if self._due < 1:
                        return 0
                    self._due -= 1
                    self.entries[end.key] = self.now + _TTL_SECONDS[ends[mark].ttl]
                    return end.size
        return 0


class _End(NamedTuple):
    """Of one block: the prefix up to it, its tokens, and how long it is to be kept if there is a mark."""

    key: str
    size: int
    ttl: str


def _caches(params: Params) -> bool:
    """Whether there is any mark at all: most requests have none, and need not be hashed."""
    return next(marks(params), None) is not None


def _ends(params: Params) -> Iterator[_End]:
    """Another setting, or images where there were none, is another prefix."""
    digest = hashlib.blake2b(params.model.encode(), digest_size=16)
    images = any(block.type == "image" for turn in params.messages if isinstance(turn.content, list) for block in turn.content)
    for part in (params.tool_choice, params.thinking, params.output_config, b"images" * images, params.tools):
        digest.update(b"\0%b" % bytes(part))
    tools = bytes(params.tools)
    size = -(-len(tools) // _CHARACTERS_PER_TOKEN)
    if tools and (ttl := tools_ttl(params)):
        yield _End(digest.hexdigest(), size, ttl)
    contents = [(0, params.system), *((_PER_TURN, turn.content) for turn in params.messages)]
    for place, (overhead, content) in enumerate(contents):
        size += overhead
        blocks = [Block("text", content)] if isinstance(content, str) else content
        for number, block in enumerate(blocks):
            digest.update((block.text or block.type).encode())
            size += _of_block(block)
            ttl = block.cache_control.ttl if block.cache_control else ""
            if params.cache_control is not None and place == len(contents) - 1 and number == len(blocks) - 1:
                ttl = params.cache_control.ttl
            yield _End(digest.hexdigest(), size, ttl)
