"""How many tokens a text counts for, and which of them come from the prompt cache.

The real tokenizer is not public: four characters to a token is the usual rough figure, the same everywhere here, so that
counting, answering in real time and answering in a batch agree with one another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from msgspec import Struct

from local.claude.params import Block, Params

_CHARACTERS_PER_TOKEN = 4
_PER_TURN = 3
_IMAGE = 1_500
_DOCUMENT = 3_000
_TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}


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
    """The prompt cache of one workspace: prefix -> when its entry expires, in emulated seconds since 1970.

    A breakpoint caches everything before it, tools and system first. The longest prefix still alive is read, the rest up
    to the last breakpoint is written. The real cache is best effort; this one always works.
    """

    def __init__(self, entries: dict[str, float], now: float, minimum: int) -> None:
        self.entries = entries
        self._now = now
        self._minimum = minimum

    def use(self, params: Params) -> Usage:
        """Looks a request up in the cache, writes what is new and says what it costs."""
        total = of_input(params)
        if not _caches(params):
            return Usage(plain=total)
        breakpoints = list(_breakpoints(params))
        read = 0
        for key, size, ttl in breakpoints:
            if self.entries.get(key, 0.0) > self._now:
                read = size
                self.entries[key] = self._now + _TTL_SECONDS[ttl]  # a hit keeps the entry alive
        usage = Usage(plain=total, read=read)
        done = read
        for key, size, ttl in breakpoints:
            if size <= done or size < self._minimum:
                continue
            if ttl == "1h":
                usage.written_1h += size - done
            else:
                usage.written_5m += size - done
            self.entries[key] = self._now + _TTL_SECONDS[ttl]
            done = size
        usage.plain = total - done
        return usage


def _caches(params: Params) -> bool:
    """Whether there is any breakpoint at all: most requests have none, and need not be hashed."""
    if params.cache_control is not None:
        return True
    contents = [params.system, *(turn.content for turn in params.messages)]
    return any(block.cache_control is not None for content in contents if isinstance(content, list) for block in content)


def _breakpoints(params: Params) -> Iterator[tuple[str, int, str]]:
    digest = hashlib.blake2b(params.model.encode(), digest_size=16)
    tools = bytes(params.tools)
    digest.update(tools)
    size = -(-len(tools) // _CHARACTERS_PER_TOKEN)
    last: tuple[str, int, str] | None = None
    for overhead, content in [(0, params.system), *((_PER_TURN, turn.content) for turn in params.messages)]:
        size += overhead
        blocks = [Block("text", content)] if isinstance(content, str) else content
        for block in blocks:
            digest.update((block.text or block.type).encode())
            size += _of_block(block)
            if block.cache_control is not None:
                yield digest.hexdigest(), size, block.cache_control.ttl
        if size:
            last = digest.hexdigest(), size, "5m"
    if params.cache_control is not None and last is not None:
        yield last[0], last[1], params.cache_control.ttl
