"""Where the prompts of a recipe stop being the same, and the mark of the prompt cache that stands there.

The API puts tools first, then the system text, then the messages, and caches everything up to a mark (Anthropic, "Prompt
caching", 2026-10-08). One mark at the end of what all rows share is all it takes: a mark behind a row's own text, such as
`cache_control` beside `model`, is written by every row and read by none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batchdrop.recipes.faults import RecipeFault

if TYPE_CHECKING:  # a function that only decides on a cache loads no recipe
    from batchdrop.recipes.recipe import Recipe
    from batchdrop.recipes.templates import Template

CONTROL = "cache_control"
AUTO = "auto"
_FOR_AN_HOUR = "1h"


def mark(ttl: str) -> dict[str, str]:
    return {"type": "ephemeral", "ttl": _FOR_AN_HOUR if ttl == AUTO else ttl}


def is_marked(value: object) -> bool:
    """Whether the recipe has a mark of its own."""
    if isinstance(value, Mapping):
        return CONTROL in value or any(map(is_marked, value.values()))
    return isinstance(value, list) and any(map(is_marked, value))


def check_marks(recipe: Recipe) -> None:
    """Raises RecipeFault."""
    if recipe.cache in (None, "off"):
        return
    contents = [message.content for message in recipe.messages or ()]
    if any(map(is_marked, (recipe.system, recipe.tools, recipe.params, contents))):
        raise RecipeFault(
            f"`cache` and `{CONTROL}` both say what is cached: leave one out. `cache` puts the mark where rows begin to differ.",
            field=("cache",),
        )


def head_of(template: Template) -> str:
    """The text before the first column, which is the same for every row."""
    ends = [tag.start for tag in template.tags[:1]]
    if template.comments:
        ends.append(template.source.index("{#"))
    end = min(ends, default=len(template.source))
    head = template.source[:end]
    # A tag that trims takes away space that the engine knows as such: what Python does is a little more of it.
    return head.rstrip() if template.source[end + 2 : end + 3] == "-" else head


def mark_shared(params: dict[str, Any], ttl: str, slot: object, head: str) -> dict[str, Any] | None:
    """Marks the end of what comes before the first slot, in the params. Returns a request of that alone; None if it is nothing.

    `slot` stands where a row's own text begins, or its files do, and `head` is how that text begins in all rows: it becomes a
    block of its own.
    """
    places = [(params, "system")] if "system" in params else []
    shared: list[dict[str, Any]] = []
    last: tuple[dict[str, Any], str, list[dict[str, Any]], int] | None = None
    for holder, name in (*places, *((turn, "content") for turn in params["messages"])):
        content = holder[name]
        blocks = list(content) if isinstance(content, list) else [{"type": "text", "text": content}]
        end = next((number for number, block in enumerate(blocks) if block is slot or block.get("text") is slot), None)
        if end is not None and head.strip():
            blocks.insert(end, {"type": "text", "text": head})
            end += 1
        before = blocks[:end]
        shared += before
        # The API refuses a mark on an empty text.
        while before and not str(before[-1].get("text", "-")).strip():
            before.pop()
        if before:
            last = holder, name, blocks, len(before) - 1
        if end is not None:
            break
    tools = params.get("tools")
    if last is not None:
        holder, name, blocks, place = last
        blocks[place] = {**blocks[place], CONTROL: mark(ttl)}
        holder[name] = blocks
    elif tools:
        params["tools"] = [*tools[:-1], {**tools[-1], CONTROL: mark(ttl)}]
    else:
        return None
    return {"max_tokens": 1, "messages": [{"role": "user", "content": shared}], **({"tools": tools} if tools else {})}
