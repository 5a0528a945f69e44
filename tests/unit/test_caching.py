"""Where the mark of the prompt cache stands, and that it changes nothing else of what is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.money.cache_rules import SHORTEST, Prefix
from batchdrop.recipes.faults import RecipeFault, RowFault
from batchdrop.recipes.reading import read_recipe
from batchdrop.recipes.rendering import Renderer

ROW = {"text": "Great", "name": "Lamp", "empty": ""}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def renderer(cache: str | None = "1h", **recipe: Any) -> Renderer:
    recipe = {"model": "claude-haiku-5-5", **recipe, **({"cache": cache} if cache else {})}
    return Renderer(read_recipe(json.dumps(recipe).encode(), "recipe.yaml").recipe, list(ROW))


def request(row: Mapping[str, Any] = ROW, cache: str | None = "1h", **recipe: Any) -> dict[str, Any]:
    return dict(json.loads(renderer(cache, **recipe).render(row)))


def asked(params: Mapping[str, Any]) -> list[str]:
    """The texts of a request in the order of the prompt, blocks of one content joined."""
    contents = [params.get("system", ""), *(message["content"] for message in params["messages"])]
    return [content if isinstance(content, str) else "".join(block["text"] for block in content) for content in contents]


def marks(params: Mapping[str, Any]) -> int:
    return json.dumps(params).count('"cache_control"')


@pytest.mark.parametrize(
    ("recipe", "before"),
    [
        ({"prompt": "Rules.\nText: {{ text }}"}, ["Rules.\nText: "]),
        ({"system": "Rules.", "prompt": "{{ text }}"}, ["Rules."]),
        ({"system": "Rules.", "prompt": "Label: {{ text }}"}, ["Label: "]),
        ({"system": "For {{ name }}.", "prompt": "Label: {{ text }}"}, ["For "]),
        ({"system": [{"type": "text", "text": "A"}, {"type": "text", "text": "B {{ name }}"}], "prompt": "x"}, ["A", "B "]),
        ({"prompt": "Rules.   {{- text }}"}, ["Rules."]),
        ({"prompt": "Rules. {# not sent #}Text: {{ text }}"}, ["Rules. "]),
        ({"prompt": "Rules. {% if name %}{{ name }}{% endif %}{{ text }}"}, ["Rules. "]),
        (
            {"messages": [{"role": "user", "content": "One"}, {"role": "user", "content": "  {{ text }}"}]},
            ["One"],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "{{ text }}"}]}]},
            ["A"],
        ),
    ],
)
def test_the_mark_stands_where_rows_begin_to_differ(recipe: dict[str, Any], before: list[str]) -> None:
    params = request(**recipe)
    assert marks(params) == 1
    contents = [params["system"]] if isinstance(params.get("system"), list) else []
    contents += [message["content"] for message in params["messages"] if isinstance(message["content"], list)]
    (blocks,) = [blocks for blocks in contents if marks({"system": blocks, "messages": []})]
    place = next(number for number, block in enumerate(blocks) if "cache_control" in block)
    assert [block["text"] for block in blocks[: place + 1]] == before
    assert blocks[place]["cache_control"] == HOUR
    assert asked(params) == asked(request(cache=None, **recipe)), "the same is asked"


def test_what_is_not_asked_to_be_cached_is_sent_as_ever() -> None:
    recipe = {"system": "Rules.", "prompt": "Label: {{ text }}"}
    for word in (None, "off"):
        plain = renderer(word, **recipe)
        assert json.loads(plain.render(ROW))["messages"] == [{"role": "user", "content": "Label: Great"}]
        assert not plain.shared


def test_tools_alone_can_be_shared() -> None:
    tools = [{"name": "a", "input_schema": {"type": "object"}}, {"name": "b", "input_schema": {"type": "object"}}]
    params = request(prompt="{{ text }}", tools=tools)
    assert params["tools"] == [tools[0], {**tools[1], "cache_control": HOUR}]
    assert marks(params) == 1


def test_five_minutes_are_said_too() -> None:
    assert request(cache="5m", prompt="Label: {{ text }}")["messages"][0]["content"][0]["cache_control"]["ttl"] == "5m"


@given(st.text(max_size=40), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), st.sampled_from(["", "-"]))
def test_the_same_text_reaches_the_model(head: str, text: str, trims: str) -> None:
    head = head.replace("{", "(")
    recipe = {"system": "Rules.", "prompt": f"{head}{{{{{trims} text }}}}!"}
    row = {**ROW, "text": text if text.strip() else "x"}
    try:
        plain = request(row, cache=None, **recipe)
    except RecipeFault:
        return
    assert asked(request(row, **recipe)) == asked(plain)


def test_two_rows_share_every_byte_up_to_the_mark() -> None:
    made = renderer(system="Rules.", prompt="Text of {{ name }}: {{ text }}")
    one, two = (made.render({**ROW, "name": name}) for name in ("Lamp", "Chair"))
    end = one.index(b'"cache_control"')
    assert one[:end] == two[:end]
    assert one[:end].endswith(b'"text":"Text of ",')


def test_a_row_with_nothing_behind_the_shared_part_is_not_sent() -> None:
    made = renderer(prompt="Rules. {{ empty }}{% if text == 'x' %}x{% endif %}")
    with pytest.raises(RowFault, match="behind what all rows share"):
        made.render(ROW)


def test_nothing_shared_is_refused() -> None:
    with pytest.raises(RecipeFault, match="every prompt begins with the row's own text") as raised:
        renderer(prompt="{{ text }}: what is this?")
    assert raised.value.field == ("cache",)


@pytest.mark.parametrize(
    "own",
    [
        {"params": {"cache_control": {"type": "ephemeral"}}},
        {"system": [{"type": "text", "text": "Rules.", "cache_control": {"type": "ephemeral"}}]},
        {"tools": [{"name": "a", "input_schema": {}, "cache_control": {"type": "ephemeral"}}]},
    ],
)
def test_a_mark_of_ones_own_and_a_cache_are_one_too_many(own: dict[str, Any]) -> None:
    with pytest.raises(RecipeFault, match="`cache` and `cache_control` both say"):
        renderer(prompt="Label: {{ text }}", **own)
    assert marks(request(cache=None, prompt="Label: {{ text }}", **own)) == 1, "without `cache` it is sent as it stands"


@pytest.mark.parametrize("model", sorted(SHORTEST))
def test_a_prefix_is_measured_against_its_model(model: str) -> None:
    def prefix(words: int) -> Prefix:
        return Prefix(renderer(model=model, prompt=f"{'word ' * words}{{{{ text }}}}").shared, model)

    found = prefix(3_000)
    assert found.tokens > 2_000
    words = round(SHORTEST[model] * 3_000 / found.tokens)
    assert [prefix(round(words * share)).fits for share in (0.5, 0.8, 1.1)] == ["no", "perhaps", "yes"]


def test_of_an_unknown_model_nobody_knows() -> None:
    assert Prefix(renderer(model="m", prompt="Label: {{ text }}").shared, "m").fits == "perhaps"
