"""Every parameter of the Messages API that a batch allows can be given in a recipe, and reaches the request unharmed."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming as BetaParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from batchdrop.recipes.reading import read_recipe
from batchdrop.recipes.recipe import FIELDS, HEADERS, SENT
from batchdrop.recipes.rendering import Renderer

# Anthropic, "Batch processing": not in a batch. The headers have fields of their own.
REFUSED = {"stream", "speed"}
OLD = {"temperature", "top_p", "top_k"}
"""Under the API version 2023-06-01."""
ALL = (
    (get_type_hints(MessageCreateParamsNonStreaming).keys() | get_type_hints(BetaParams).keys() | OLD) - REFUSED - HEADERS.keys()
)

VALUES: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 17,
    "system": [{"type": "text", "text": "é \u202e \\", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [{"role": "user", "content": "{{ a }}"}],
    "stop_sequences": ["\n\n", "."],
    "metadata": {"user_id": "u"},
    "inference_geo": "us",
    "tools": [{"name": "t", "input_schema": {"type": "object", "properties": {"x": {"enum": ["{{ a }}", None, 1.5, True]}}}}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
}
OTHER = {"nested": [1, 2.5, None, True, "{{ a }}", {"z": "", "a": "off"}]}


def test_the_sdk_names_the_parameters_of_the_recipe() -> None:
    assert set(SENT) <= ALL
    assert VALUES.keys() == set(SENT)
    assert set(SENT) <= FIELDS


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_parameter_reaches_the_request(name: str) -> None:
    recipe = {"model": "m", "messages": VALUES["messages"]}
    if name in VALUES:
        recipe[name] = VALUES[name]
    else:
        recipe["params"] = {name: OTHER}
    text = json.dumps(recipe, ensure_ascii=False, indent=1)
    params = json.loads(Renderer(read_recipe(text.encode(), "recipe.yaml").recipe, ["a"]).render({"a": "text"}))
    wanted = VALUES.get(name, OTHER)
    assert params[name] == (json.loads(json.dumps(wanted).replace("{{ a }}", "text")) if name == "messages" else wanted)
    assert params.keys() == {"model", "max_tokens", "messages", name}
