"""What a recipe says, in types. The descriptions are those that an editor shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

DEFAULT_MAX_TOKENS = 4_096
"""Of a recipe that names none. Thinking counts towards it, and a model that thinks unasked spends some 1,000 to 2,000 tokens
before a short answer (Anthropic, "Troubleshooting thinking"); only what is written is billed. Far more would make batches
smaller, since the worst case of all answers of a batch is reserved."""

type Thinking = Literal["off", "on", "low", "medium", "high", "xhigh", "max"]
type Priority = Literal["high", "normal", "low"]
type Cache = Literal["off", "5m", "1h", "auto"]
_MOST_USD = 1_000_000_000
type Retryable = Literal["truncated", "refused", "empty", "paused", "not_json", "off_schema", "errored"]
type Block = dict[str, Any]
type _Name = Annotated[str, Meta(min_length=1)]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn of `messages`."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[str | list[Block], Meta(description="Text, or the blocks of the Messages API. Texts may use columns.")]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job with this recipe may cost, in US dollars."""

    cost_usd: Annotated[
        Annotated[float, Meta(gt=0, le=_MOST_USD)] | None, Meta(description="The job never reserves or spends more than this.")
    ] = None
    ask_above_usd: Annotated[
        Annotated[float, Meta(ge=0, le=_MOST_USD)] | None,
        Meta(description="From which amount on somebody is asked; it can only be lower than that of the folder."),
    ] = None
    strict: Annotated[bool, Meta(description="Limits count what rows cost at worst, so that they are never exceeded.")] = False


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is different when a row is asked again. What is left out stays."""

    model: Annotated[Annotated[str, Meta(min_length=1)] | None, Meta(description="Another model.")] = None
    max_tokens: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="The longest answer in tokens.")] = None
    thinking: Annotated[Thinking | None, Meta(description="Whether the model thinks, or with how much effort.")] = None


type _How = Changes | msgspec.UnsetType | None


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By reason, what is different when a row is asked again: a field for each of Retryable."""

    truncated: _How = msgspec.UNSET
    refused: _How = msgspec.UNSET
    empty: _How = msgspec.UNSET
    paused: _How = msgspec.UNSET
    not_json: _How = msgspec.UNSET
    off_schema: _How = msgspec.UNSET
    errored: _How = msgspec.UNSET


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What turns the rows of a table into requests to Claude, and the answers into columns."""

    model: Annotated[str, Meta(min_length=1, description="The model that answers, such as claude-haiku-5-5.")]
    prompt: Annotated[
        str | None,
        Meta(description='What is asked about each row. {{ text }} is the column text, {{ row["Customer name"] }} any column.'),
    ] = None
    messages: Annotated[
        list[Message] | None, Meta(description="Instead of prompt: the whole conversation, as the Messages API has it.")
    ] = None
    documents: Annotated[
        list[_Name],
        Meta(
            description="PDFs and texts that go with each row: their names, such as {{ path }}. A name is s3://bucket/key, or a "
            "path from the folder of the file on."
        ),
    ] = msgspec.field(default_factory=list)
    images: Annotated[
        list[_Name], Meta(description="PNG, JPEG, GIF and WebP images that go with each row, named like documents.")
    ] = msgspec.field(default_factory=list)
    system: Annotated[
        str | list[Block] | None, Meta(description="Who Claude is, and what holds for every row. May use columns.")
    ] = None
    max_tokens: Annotated[
        int,
        Meta(ge=1, description="The longest answer in tokens, thinking included. An answer that needs more is cut off."),
    ] = DEFAULT_MAX_TOKENS
    long_output: Annotated[
        bool,
        Meta(
            description="Answers of up to 300,000 tokens, for models that have them (the beta output-300k-2026-03-24). "
            "Set max_tokens too."
        ),
    ] = False
    output: Annotated[
        Any,
        Meta(
            description="The columns of the answer: a list of choices, string, number, integer or boolean for each, or a JSON "
            "Schema below schema. Left out: plain text in a column answer."
        ),
    ] = None
    thinking: Annotated[
        Thinking | None, Meta(description="Whether the model thinks before it answers, or with how much effort.")
    ] = None
    stop_sequences: Annotated[list[str] | None, Meta(description="Texts at which the answer ends.")] = None
    metadata: Annotated[dict[str, Any] | None, Meta(description="As the Messages API has it.")] = None
    inference_geo: Annotated[str | None, Meta(description="Where the model runs, such as us.")] = None
    tools: Annotated[list[Block] | None, Meta(description="As the Messages API has them.")] = None
    tool_choice: Annotated[Block | None, Meta(description="As the Messages API has it.")] = None
    cache: Annotated[
        Cache | None,
        Meta(
            description="How long the API keeps what all prompts begin with, so that most rows pay little for it. auto: an hour, "
            "if rows that are tried first show that it pays. Left out: off, nothing is kept."
        ),
    ] = None
    params: Annotated[
        dict[str, Any], Meta(description="Every other parameter of the Messages API, such as cache_control: sent as it stands.")
    ] = msgspec.field(default_factory=dict)
    priority: Annotated[Priority | None, Meta(description="Before or after other jobs.")] = None
    attempts: Annotated[Annotated[int, Meta(ge=1, le=99)] | None, Meta(description="How often a row is sent at most.")] = None
    retry: Annotated[
        list[Retryable] | Retry,
        Meta(description="Which rows are asked again, by reason, and paid again; and what is different then."),
    ] = msgspec.field(default_factory=list)
    deadline: Annotated[
        _Name | None,
        Meta(
            description="When the job ends, such as 3h after it was let go, or 07:00 Europe/Berlin. What is not answered by then "
            "is canceled."
        ),
    ] = None
    dedupe: Annotated[
        bool,
        Meta(description="Rows of a batch that ask for exactly the same are sent once, and each of them gets the answer."),
    ] = False
    limits: Annotated[Limits | None, Meta(description="What a job with this recipe may cost.")] = None
    id: Annotated[_Name | None, Meta(description="The column that holds a name of your own for each row.")] = None
    expected: Annotated[
        _Name | None, Meta(description="The column that holds the right answer: the manifest then counts how many match.")
    ] = None
    encoding: Annotated[str | None, Meta(description="Of a CSV file that is not UTF-8, such as windows-1252.")] = None
    separator: Annotated[str | None, Meta(description='Between the columns of a CSV file, such as ";", if it is not found.')] = (
        None
    )
    sheet: Annotated[_Name | None, Meta(description="Of a spreadsheet; left out, the first.")] = None
    csv: Annotated[
        Literal["raw"] | None, Meta(description="raw: cells that a spreadsheet would run as formulas stay as they are.")
    ] = None
    betas: Annotated[list[str], Meta(description="Beta features (anthropic-beta) of all requests.")] = msgspec.field(
        default_factory=list
    )
    anthropic_version: Annotated[str | None, Meta(description="API version of all requests, such as 2023-06-01.")] = None


FIELDS = frozenset(Recipe.__struct_fields__)
SENT = ("model", "max_tokens", "system", "messages", "stop_sequences", "metadata", "inference_geo", "tools", "tool_choice")
"""The parameters of the Messages API that have a field of their own, in the order in which they are sent."""
HEADERS = {"betas": "betas", "anthropic-beta": "betas", "anthropic_beta": "betas", "anthropic-version": "anthropic_version"}
"""What is a header of the API and no parameter, and the field it has in a recipe."""


def changes_of(recipe: Recipe) -> dict[str, Changes]:
    """By each reason for which rows are asked again."""
    if isinstance(recipe.retry, list):
        return {reason: Changes() for reason in recipe.retry}
    said = {reason: getattr(recipe.retry, reason) for reason in recipe.retry.__struct_fields__}
    return {reason: changes or Changes() for reason, changes in said.items() if changes is not msgspec.UNSET}


def changed(recipe: Recipe, changes: Changes) -> Recipe:
    """As if the recipe had been written so."""
    given = {name: value for name in changes.__struct_fields__ if (value := getattr(changes, name)) is not None}
    return msgspec.structs.replace(recipe, **given)


def powers(recipe: Recipe) -> frozenset[str]:
    """What in the recipe reaches beyond the model: tools that Anthropic runs or defines, by their type, and `mcp_servers`,
    `container`, `fallbacks`, `file_id`. Each is refused unless the operator names it."""
    tools = [*(recipe.tools or ()), *_objects(recipe.params.get("tools"))]
    typed = {str(tool["type"]) for tool in tools if tool.get("type") not in (None, "custom")}
    named = {name for name in recipe.params if name in ("mcp_servers", "container") or name.startswith("fallback")}
    blocks = [recipe.system, *(message.content for message in recipe.messages or ()), recipe.params]
    return frozenset(typed | named | ({"file_id"} if any(map(_names_a_file, blocks)) else set()))


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    return (part for part in value if isinstance(part, dict)) if isinstance(value, list) else iter(())


def _names_a_file(value: object) -> bool:
    if isinstance(value, dict):
        return "file_id" in value or any(map(_names_a_file, value.values()))
    return isinstance(value, list) and any(map(_names_a_file, value))
