"""A finished message as the events of a streamed answer (source: Claude API documentation, "Streaming messages")."""

from __future__ import annotations

from typing import Any

import msgspec

from local.claude.messages import Message

_CHARACTERS_PER_DELTA = 24


def events(message: Message) -> bytes:
    """The whole stream of server-sent events for a message."""
    whole: dict[str, Any] = msgspec.to_builtins(message)
    blocks, reason, sequence = whole["content"], whole["stop_reason"], whole["stop_sequence"]
    usage = whole["usage"]
    start = {
        **whole,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
    }
    stream = [_event("message_start", message=start)]
    for index, block in enumerate(blocks):
        text = block.get("text")
        if block["type"] == "thinking":
            empty, kind, field, content = {**block, "thinking": ""}, "thinking_delta", "thinking", block["thinking"]
        elif text is None:
            empty, kind, field, content = (
                {**block, "input": {}},
                "input_json_delta",
                "partial_json",
                block["input"],
            )
            content = msgspec.json.encode(content).decode()
        else:
            empty, kind, field, content = {**block, "text": ""}, "text_delta", "text", text
        stream.append(_event("content_block_start", index=index, content_block=empty))
        for place in range(0, len(content), _CHARACTERS_PER_DELTA):
            delta = {"type": kind, field: content[place : place + _CHARACTERS_PER_DELTA]}
            stream.append(_event("content_block_delta", index=index, delta=delta))
        stream.append(_event("content_block_stop", index=index))
    ending = {"stop_reason": reason, "stop_sequence": sequence}
    stream.append(_event("message_delta", delta=ending, usage={"output_tokens": usage["output_tokens"]}))
    stream.append(_event("message_stop"))
    return b"".join(stream)


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))
