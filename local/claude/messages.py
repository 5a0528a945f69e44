"""Message objects: the answer of ``/v1/messages`` and of every succeeded row (source: the API's OpenAPI description)."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from local.claude import answers, markers
from local.claude.jsontypes import Json
from local.claude.params import Params
from local.claude.tokens import Cache


class TextContent(Struct, kw_only=True):
    """A text block of an answer."""

    type: str = "text"
    text: str
    citations: None = None


class ThinkingContent(Struct, kw_only=True):
    """What the model thought; it comes before the answer."""

    type: str = "thinking"
    thinking: str
    signature: str


class StopDetails(Struct, kw_only=True):
    """Why a request was refused."""

    type: str = "refusal"
    category: str | None
    explanation: str | None = None


class OutputDetails(Struct):
    """What of the output was thinking."""

    thinking_tokens: int


class DirectCaller(Struct, frozen=True):
    """Says that the model itself called the tool."""

    type: str = "direct"


class ToolUse(Struct, kw_only=True):
    """A call of a tool; ``input`` fits the tool's schema."""

    type: str = "tool_use"
    id: str
    name: str
    input: Json
    caller: DirectCaller = DirectCaller()


class CacheCreation(Struct):
    """Tokens written to the prompt cache, by how long they stay."""

    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class UsageBody(Struct):
    """What a message is billed for, in tokens."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: CacheCreation
    service_tier: str
    inference_geo: str | None
    server_tool_use: None = None
    output_tokens_details: OutputDetails | None = None


class Message(Struct, kw_only=True):
    """A whole answer."""

    type: str = "message"
    id: str
    role: str = "assistant"
    model: str
    content: list[ThinkingContent | TextContent | ToolUse]
    stop_reason: str
    stop_sequence: str | None
    stop_details: StopDetails | None = None
    container: None = None
    usage: UsageBody


def build(
    params: Params, message_id: str, cache: Cache, *, tier: str, length: int = 0, marks: markers.Marks = markers.NO_MARKS
) -> Message:
    """The message that answers a request; ``tier`` is ``batch`` or ``standard``, ``length`` as in answers.compose."""
    answer = answers.compose(params, length, marks.answer)
    usage = cache.use(params)
    content: list[ThinkingContent | TextContent | ToolUse] = []
    if answer.thinking:
        signature = f"sig_{message_id.removeprefix('msg_')}"
        content.append(ThinkingContent(thinking=answer.thinking, signature=signature))
    if answer.tool is not None:
        content.append(ToolUse(id=f"toolu_{message_id.removeprefix('msg_')}", name=answer.tool, input=answer.tool_input))
    elif answer.text:
        content.append(TextContent(text=answer.text))
    return Message(
        id=message_id,
        model=params.model,
        content=content,
        stop_reason=answer.stop_reason,
        stop_sequence=answer.stop_sequence,
        stop_details=StopDetails(category=marks.category or answer.category) if answer.stop_reason == "refusal" else None,
        usage=UsageBody(
            input_tokens=usage.plain,
            output_tokens=answer.output_tokens,
            cache_creation_input_tokens=usage.written_5m + usage.written_1h,
            cache_read_input_tokens=usage.read,
            cache_creation=CacheCreation(usage.written_5m, usage.written_1h),
            service_tier=tier,
            inference_geo=params.inference_geo,
            output_tokens_details=OutputDetails(answer.thinking_tokens) if answer.thinking else None,
        ),
    )


encode = msgspec.json.Encoder().encode
