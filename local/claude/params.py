"""The parameters of one request, read and judged as the Messages API judges them.

In a batch this happens when the row is processed, not when the batch is created: what is wrong here makes the row
``errored`` and never refuses the batch (source: Claude API documentation, "Batch processing").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from local.claude import catalogue, files, schemas, thinking
from local.claude.errors import explain
from local.claude.jsontypes import Json

SAMPLING_DROPPED_IN = "2026-10-21"  # the API version from which temperature and its kin are errors for every model

MOST_MARKS = 4  # cache marks of a request

ABSENT = Raw()  # a raw part that was not sent


class InvalidParams(Exception):
    """The request cannot be answered: an error ``kind`` of the API and a message."""

    def __init__(self, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class CacheControl(Struct):
    """A cache mark; ``ttl`` is how long the entry lives."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Source(Struct):
    """Where a file is: in the request itself, or elsewhere."""

    type: str
    media_type: str | None = None
    data: str | None = None


class Block(Struct):
    """A content block: the fields that matter for an answer, whatever its type."""

    type: str
    text: str | None = None
    cache_control: CacheControl | None = None
    source: Source | None = None
    content: str | list[Block] | None = None
    tokens: int = msgspec.field(default=0, name="(tokens)")
    """Of a file that was looked at: nothing that a request says."""
    document: str = msgspec.field(default="", name="(document)")
    """The text on the first page of a document that was looked at, or what a text begins with."""


class Turn(Struct, forbid_unknown_fields=True):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Params(Struct, forbid_unknown_fields=True):
    """What a request may hold (source: the request types of the Python SDK 2.12.0, beta fields included).

    What an answer does not depend on stays raw.
    """

    model: str
    messages: list[Turn]
    max_tokens: int
    system: str | list[Block] = ""
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    speed: Literal["standard", "fast"] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    inference_geo: str | None = None
    cache_control: CacheControl | None = None
    tools: Raw = ABSENT
    tool_choice: Raw = ABSENT
    output_config: Raw = ABSENT
    billing_policy: Raw = ABSENT
    store: Raw = ABSENT
    compaction: Raw = ABSENT
    container: Raw = ABSENT
    context_management: Raw = ABSENT
    diagnostics: Raw = ABSENT
    fallback_credit_token: Raw = ABSENT
    fallbacks: Raw = ABSENT
    mcp_servers: Raw = ABSENT
    metadata: Raw = ABSENT
    service_tier: Literal["auto", "standard_only"] | None = None
    thinking: Raw = ABSENT
    thread: Raw = ABSENT
    user_profile_id: Raw = ABSENT


class CountParams(Params, kw_only=True):
    """The same for ``count_tokens``, which needs no ``max_tokens``."""

    max_tokens: int = 1


_DECODER = msgspec.json.Decoder(Params)
_COUNT_DECODER = msgspec.json.Decoder(CountParams)


def _decode[P: Params](decoder: msgspec.json.Decoder[P], raw: bytes | Raw) -> P:
    try:
        params = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidParams(explain(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParams(f"The request body is not valid JSON: {error}") from None
    if not params.messages:
        raise InvalidParams("messages: at least one message is required")
    for place, turn in enumerate(params.messages):
        if not turn.content and turn.role == "user":
            raise InvalidParams(f"messages.{place}: user messages must have non-empty content")
    if not catalogue.exists(params.model):
        raise InvalidParams(f"model: {params.model}", "not_found_error")
    return params


def read(raw: bytes | Raw, *, version: str, betas: frozenset[str], batch: bool) -> Params:
    """The parameters in these bytes, for a call made under this API ``version`` with these ``betas``.

    ``batch`` adds what only a batch refuses. Raises InvalidParams.
    """
    params = _decode(_DECODER, raw)
    long_output = batch and catalogue.LONG_OUTPUT_BETA in betas and _traits(params).long_output
    longest = catalogue.LONG_OUTPUT_TOKENS if long_output else catalogue.MAX_OUTPUT_TOKENS
    least = 1 if batch else 0
    if params.max_tokens < least:
        raise InvalidParams(f"max_tokens: must be greater than or equal to {least}")
    if params.max_tokens > longest:
        raise InvalidParams(
            f"max_tokens: {params.max_tokens} > {longest}, which is the maximum for {params.model} in this request"
        )
    _check_sampling(params, version)
    _check_output(params)
    _check_turns(params)
    _check_marks(params)
    if len(raw) > files.MAX_REQUEST_BYTES:
        raise InvalidParams("Request exceeds the maximum size", "request_too_large")
    if (wrong := files.fault(params.messages, params.model)) is not None:
        raise InvalidParams(wrong)
    if batch:
        _refuse_what_batches_refuse(params)
    return params


def _traits(params: Params) -> catalogue.Traits:
    found = catalogue.traits(params.model)
    if found is None:
        raise AssertionError("the model was looked up before")
    return found


def _check_sampling(params: Params, version: str) -> None:
    for name, highest, usual in (("temperature", 1, 1), ("top_p", 1, 0.99), ("top_k", None, None)):
        value = getattr(params, name)
        if value is None:
            continue
        if version >= SAMPLING_DROPPED_IN:
            raise InvalidParams(f"{name}: Extra inputs are not permitted")
        takes = _traits(params).sampling
        if takes == "none" or (takes == "default" and value != usual):
            raise InvalidParams(f"{name}: not supported by {params.model}")
        if value < 0 or (highest is not None and value > highest):
            raise InvalidParams(f"{name}: must be between 0 and 1" if highest else f"{name}: must not be negative")


def _check_output(params: Params) -> None:
    """Thinking, effort and the schema of the answer."""
    if not bytes(params.thinking) and not bytes(params.output_config):
        return
    config = generic(params.output_config)
    if config is not None and not isinstance(config, dict):
        raise InvalidParams("output_config: Input should be an object")
    fault = thinking.fault(_traits(params), generic(params.thinking), (config or {}).get("effort"), params.max_tokens)
    form = (config or {}).get("format")
    if fault is None and form is not None:
        if not isinstance(form, dict) or form.get("type") != "json_schema":
            fault = "output_config.format.type: Input should be 'json_schema'"
        else:
            fault = schemas.fault(form.get("schema"))
    if fault is not None:
        raise InvalidParams(fault)


def _check_turns(params: Params) -> None:
    """A prefilled answer, and a tool that the model is made to use."""
    model = _traits(params)
    if params.messages[-1].role == "assistant" and (not model.prefill or answer_format(params) is not None):
        raise InvalidParams("messages: This model does not support assistant message prefill.")
    choice = generic(params.tool_choice)
    if isinstance(choice, dict) and choice.get("type") in ("any", "tool") and not model.forced_tools:
        raise InvalidParams("tool_choice: forcing tool use is not supported for this model")


def marks(params: Params) -> Iterator[str]:
    """How long each cache mark keeps its prefix, in the order of the prompt."""
    if bytes(params.tools):
        yield from _marks_of_tools(params)
    for content in (params.system, *(turn.content for turn in params.messages)):
        if isinstance(content, list):
            yield from (block.cache_control.ttl for block in content if block.cache_control is not None)
    if params.cache_control is not None:
        yield params.cache_control.ttl


def tools_ttl(params: Params) -> str:
    """Of the last mark in the tools, or empty."""
    return next(reversed(_marks_of_tools(params)), "")


def _marks_of_tools(params: Params) -> list[str]:
    tools = generic(params.tools) if b'"cache_control"' in bytes(params.tools) else None
    found = [tool.get("cache_control") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [str(mark.get("ttl", "5m")) for mark in found if isinstance(mark, dict)]


def _check_marks(params: Params) -> None:
    found = list(marks(params))
    if len(found) > MOST_MARKS:
        raise InvalidParams(f"A maximum of {MOST_MARKS} blocks with cache_control may be provided. Found {len(found)}.")
    if found != sorted(found):
        raise InvalidParams("cache_control: a ttl of 1h must not come after a ttl of 5m")


def answer_format(params: Params) -> dict[str, Json] | None:
    """``output_config.format``, if it asks for JSON."""
    config = generic(params.output_config)
    form = config.get("format") if isinstance(config, dict) else None
    return form if isinstance(form, dict) and form.get("type") == "json_schema" else None


def thinking_tokens(params: Params) -> int:
    """How many tokens the model thinks before it answers."""
    config = generic(params.output_config)
    effort = config.get("effort") if isinstance(config, dict) else None
    return thinking.tokens(_traits(params), generic(params.thinking), effort)


def _refuse_what_batches_refuse(params: Params) -> None:
    if params.stream:
        raise InvalidParams("stream: streaming is not supported in a batch")
    if params.speed == "fast":
        raise InvalidParams("speed: fast mode is not supported in a batch")
    if bytes(params.store):
        raise InvalidParams("store: not supported in a batch")
    policy = generic(params.billing_policy)
    if isinstance(policy, dict) and policy.get("bill_to") == "user_profile":
        raise InvalidParams("billing_policy: billing a user profile is not supported in a batch")


def read_for_counting(raw: bytes) -> Params:
    """The parameters of a ``count_tokens`` call. Raises InvalidParams."""
    return _decode(_COUNT_DECODER, raw)


def generic(raw: Raw) -> Json:
    """A raw part as plain Python values; None if it is absent."""
    value: Json = msgspec.json.decode(raw) if bytes(raw) else None
    return value
