"""One line of a batch's results, as the API streams them. The answer itself is never decoded."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import NamedTuple

import msgspec

# How long Anthropic keeps the results of a batch, from its creation (Anthropic, "Batch processing").
RESULTS_KEPT = timedelta(days=29)
# Errors that are not the request's own doing (Anthropic, API errors): the same request may succeed later.
_RETRYABLE_ERRORS = frozenset({"overloaded_error", "api_error", "rate_limit_error", "timeout_error"})
# The API did not get to the request, or returned no line for it; neither is billed.
_RETRYABLE_TYPES = frozenset({"expired", "missing"})

# An id that comes first and needs no decoding, as ours are.
_FIRST_ID = re.compile(rb'\{"custom_id": ?"([a-zA-Z0-9_-]+)"')
# The same, with the result right behind it.
_HEAD = re.compile(rb'\{"custom_id": ?"([a-zA-Z0-9_-]+)", ?"result": ?')


class ApiResult(NamedTuple):
    """What Batchdrop needs to know about one result; numbers are tokens, 0 where the API gave none."""

    custom_id: str
    type: str
    """`succeeded`, `errored`, `canceled`, `expired`, or a word that did not exist when this was written"""
    result: bytes
    """The `result` object as received."""
    error_type: str
    error_message: str
    model: str
    input_tokens: int
    output_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cache_read_tokens: int


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None


class _Message(msgspec.Struct):
    model: str = ""
    usage: _Usage | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""
    error: _Error | None = None
    """An errored result holds a whole error response, whose own `error` says what happened."""


class _Result(msgspec.Struct):
    type: str
    message: _Message | None = None
    error: _Error | None = None


class _Bare(msgspec.Struct):
    type: str


class _Line(msgspec.Struct):
    custom_id: str
    result: msgspec.Raw


_line = msgspec.json.Decoder(_Line).decode
_result = msgspec.json.Decoder(_Result).decode
_bare = msgspec.json.Decoder(_Bare).decode


def parse_result(line: bytes) -> ApiResult:
    """Reads one line (its newline may be there). Raises ValueError when it is no result line, saying why.

    A line that names its row and its type is always an answer, even if the rest is not as documented: it may have been paid.
    """
    custom_id, result, raw = _in_one_pass(line) or _in_two(line)
    message = result.message or _Message()
    usage = message.usage or _Usage()
    outer_error = result.error or _Error()
    inner_error = outer_error.error or outer_error
    cache = usage.cache_creation
    if cache is None:
        # Before there were two lifetimes every cache write was one of five minutes.
        cache = _CacheCreation(usage.cache_creation_input_tokens)
    return ApiResult(
        custom_id,
        result.type,
        raw,
        inner_error.type,
        inner_error.message,
        message.model,
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        cache.ephemeral_5m_input_tokens or 0,
        cache.ephemeral_1h_input_tokens or 0,
        usage.cache_read_input_tokens or 0,
    )


def peek_custom_id(line: bytes) -> str:
    """The custom id alone, without a look at the rest if it comes first. Raises ValueError when there is none."""
    found = _FIRST_ID.match(line)
    if found:
        return found[1].decode()
    try:
        return _line(line).custom_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a result line: {error}") from None


def retryable(type: str, error_type: str) -> bool:  # noqa: A002 - the API's word
    """Whether the same row may fare better in another batch.

    An error type that is not known is not retried: it may be billed, or fail again, and `failed.jsonl` offers the row anyway.
    """
    return type in _RETRYABLE_TYPES or (type == "errored" and error_type in _RETRYABLE_ERRORS)


def _in_one_pass(line: bytes) -> tuple[str, _Result, bytes] | None:
    """Custom id, result and its bytes, if the line is as lines are; None says nothing.

    What stands between the name `result` and the line's last brace is the result if it is one JSON value.
    """
    head = _HEAD.match(line)
    if head is None or not line.endswith(b"}"):
        return None
    raw = line[head.end() : -1]
    try:
        return head[1].decode(), _result(raw), raw
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _in_two(line: bytes) -> tuple[str, _Result, bytes]:
    try:
        outer = _line(line)
        return outer.custom_id, _details(outer.result), bytes(outer.result)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a result line: {error}") from None


def _details(result: msgspec.Raw) -> _Result:
    try:
        return _result(result)
    except msgspec.ValidationError:
        return _Result(_bare(result).type)
