"""One line of a batch's results, as the API streams them. The answer itself is never decoded."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Annotated, NamedTuple

import msgspec

from batchdrop.domain.errors import Incomplete
from batchdrop.domain.ids import LINE, PREFIX, parse_custom_id
from batchdrop.formats import rawjson

# An id that comes first and needs no decoding, as ours are.
_ID = rb'\{"custom_id": ?"%b"'
_FIRST_ID = re.compile(_ID % rb"([a-zA-Z0-9_-]+)")
# The same, with the result right behind it.
_head = re.compile(_FIRST_ID.pattern + rb', ?"result": ?').match
# One that has the form of ours.
_ours = re.compile(_ID % f"({PREFIX})-({LINE})".encode()).match


class Refusal(NamedTuple):
    """The model's classifiers broke an answer off, or did not let it begin (Anthropic, "Refusals and fallback")."""

    category: str | None
    """`cyber`, `bio`, ...; None where the API names none."""
    has_output: bool
    """Something was written before it. What was written is delivered: an answer without content never began."""


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
    metered: bool = False
    """The API told the tokens of prompt and answer: without them nobody knows what it costs."""
    inference_geo: str | None = None
    """Where it ran, by the answer's own usage: a workspace may choose for a request that says nothing."""
    web_searches: int = 0
    other_tools: tuple[str, ...] = ()
    """Tools that ran at the API and are not priced by `usage`, such as `code_execution`."""
    refusal: Refusal | None = None


# Far above what any request can take; sums of them fit wherever they are stored.
type _Tokens = Annotated[int, msgspec.Meta(ge=0, le=10**12)] | None


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: _Tokens = None
    ephemeral_1h_input_tokens: _Tokens = None


class _Usage(msgspec.Struct):
    input_tokens: _Tokens = None
    output_tokens: _Tokens = None
    cache_creation_input_tokens: _Tokens = None
    cache_read_input_tokens: _Tokens = None
    cache_creation: _CacheCreation | None = None
    inference_geo: str | None = None
    server_tool_use: dict[str, object] | None = None
    """How often each tool of the API's own was used: `web_search_requests`, `web_fetch_requests`, ..."""


class _Container(msgspec.Struct):
    """Of an answer for which code ran in one."""


class _Message(msgspec.Struct):
    model: str = ""
    stop_reason: str | None = None
    container: _Container | None = None
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
_text = msgspec.json.Decoder(str).decode
_usage = msgspec.json.Decoder(_Usage).decode
_container = msgspec.json.Decoder(_Container | None).decode
_error = msgspec.json.Decoder(_Error).decode
_NO_MESSAGE, _NO_USAGE, _NO_ERROR = _Message(), _Usage(), _Error()
_NO_TOOLS: tuple[int, tuple[str, ...]] = (0, ())
_MOST_USES = 10**6
_NAME_CHARS = 80
_REFUSED = (msgspec.DecodeError, ValueError, LookupError, RecursionError)


def parse_result(line: bytes) -> ApiResult:
    """Reads one line, with or without its newline. Raises ValueError, with the reason, when it is not a result line.

    A line that names its row and its type is always an answer, even if the rest is not as documented, or is what msgspec refuses
    (half a surrogate pair as an escape, thousands of levels): it may have been paid for.
    """
    custom_id, result, raw = _in_one_pass(line) or _in_two(line)
    message = result.message or _NO_MESSAGE
    usage = message.usage or _NO_USAGE
    outer_error = result.error or _NO_ERROR
    inner_error = outer_error.error or outer_error
    cache = usage.cache_creation
    if cache is None:
        # Before there were two lifetimes every cache write was one of five minutes.
        cache = _CacheCreation(usage.cache_creation_input_tokens)
    searches, tools = _NO_TOOLS if usage.server_tool_use is None and message.container is None else _tools(message, usage)
    # As in `lines_in`: the generated constructor takes twice as long.
    return tuple.__new__(
        ApiResult,
        (
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
            usage.input_tokens is not None and usage.output_tokens is not None,
            usage.inference_geo,
            searches,
            tools,
            _refusal(raw) if message.stop_reason == "refusal" else None,
        ),
    )


def peek_custom_id(line: bytes) -> str:
    """The custom id alone; if it comes first, the rest is not read. Raises ValueError when there is none."""
    found = _FIRST_ID.match(line)
    if found:
        return found[1].decode()
    try:
        return _line(line).custom_id
    except _REFUSED as error:
        if (custom_id := _if_readable(_custom_id, line)) is not None:
            return custom_id
        raise ValueError(f"not a result line: {error}") from None


def line_number_reader(prefixes: Collection[str]) -> Callable[[bytes], int]:
    """A function that tells the input line which a result line answers; 0 when its custom id has none of these prefixes.

    It raises ValueError for what is not a result line.
    """
    known = {prefix.encode() for prefix in prefixes}

    def number_of(line: bytes) -> int:
        if found := _ours(line):
            return int(found[2]) if found[1] in known else 0
        custom_id = parse_custom_id(peek_custom_id(line))
        return custom_id.line if custom_id is not None and custom_id.prefix in prefixes else 0

    return number_of


def result_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream of results, blank ones left out. Raises Incomplete when the stream ends within a line.

    Only a newline byte ends a line: U+2028 and U+0085 are content.
    """
    rest: list[bytes] = []
    for chunk in chunks:
        head, newline, tail = chunk.partition(b"\n")
        if not newline:
            rest.append(chunk)
            continue
        rest.append(head)
        first = b"".join(rest)
        if first.strip():
            yield first
        *lines, last = tail.split(b"\n")
        for line in lines:
            if line:
                yield line
        rest = [last]
    final = b"".join(rest)
    if final.strip():
        _check_whole(final)
        yield final


def first_custom_id(chunks: Iterable[bytes]) -> str:
    """Of a stream of results. Raises Incomplete when no line of it names a row: that proves nothing about whose batch it is."""
    for line in result_lines(chunks):
        try:
            return peek_custom_id(line)
        except ValueError:
            continue
    raise Incomplete("the results have no line that names a row")


def _tools(message: _Message, usage: _Usage) -> tuple[int, tuple[str, ...]]:
    """Web searches, and the names of what else ran: web pages are fetched free of charge (Anthropic, "Pricing", server tools)."""
    used = {
        name.removesuffix("_requests"): times
        for name, times in (usage.server_tool_use or {}).items()
        if isinstance(times, int) and 0 < times <= _MOST_USES
    }
    if message.container is not None:
        used.setdefault("code_execution", 1)
    searches = used.pop("web_search", 0)
    used.pop("web_fetch", 0)
    return searches, tuple(sorted(name[:_NAME_CHARS] for name in used))


def _refusal(result: bytes) -> Refusal:
    """Read only of the few that have one."""
    message = _members(_members(result).get("message"))
    content = message.get("content", b"null").strip()
    category = _if_readable(_text, _members(message.get("stop_details")).get("category"))
    return Refusal(category, has_output=content != b"null" and content[1:-1].strip() != b"")


def _check_whole(line: bytes) -> None:
    """A stream can end early without an error; half a line must not pass for a result."""
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except _REFUSED as error:
        if not rawjson.is_closed(line):
            raise Incomplete("the results end within a line") from error


def _in_one_pass(line: bytes) -> tuple[str, _Result, bytes] | None:
    """Custom id, result and its bytes, if the line is spelled as the API does it; None says nothing.

    What is between the name `result` and the line's last brace is the result if it is one JSON value.
    """
    head = _head(line)
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
    except _REFUSED as error:
        if (found := _if_readable(_by_brackets, line)) is not None:
            return found
        raise ValueError(f"not a result line: {error}") from None


def _details(result: msgspec.Raw) -> _Result:
    try:
        return _result(result)
    except msgspec.ValidationError:
        members = rawjson.values(bytes(result))
        return _Result(_bare(result).type, _if_readable(_by_members, members.get("message")))


def _by_brackets(line: bytes) -> tuple[str, _Result, bytes]:
    """Of a line that msgspec refuses as a whole. Its content is passed over; what can be read of the rest is."""
    outer = rawjson.values(line)
    raw = outer["result"]
    members = rawjson.values(raw)
    message = _if_readable(_by_members, members.get("message"))
    error = _if_readable(_mended_error, members.get("error"))
    return _text(outer["custom_id"]), _Result(_text(members["type"]), message, error), raw


def _custom_id(line: bytes) -> str:
    return _text(rawjson.values(line)["custom_id"])


def _by_members(message: bytes) -> _Message:
    """Of one that cannot be read as a whole: each member that can."""
    members = rawjson.values(message)

    def read[T](name: str, how: Callable[[bytes], T]) -> T | None:
        return _if_readable(lambda value: how(rawjson.mended(value)), members.get(name))

    model, stop_reason = read("model", _text), read("stop_reason", _text)
    return _Message(model or "", stop_reason, read("container", _container), read("usage", _usage))


def _members(data: bytes | None) -> dict[str, bytes]:
    return _if_readable(rawjson.values, data) or {}


def _mended_error(error: bytes) -> _Error:
    return _error(rawjson.mended(error))


def _if_readable[T](read: Callable[[bytes], T], data: bytes | None) -> T | None:
    try:
        return None if data is None else read(data)
    except _REFUSED:
        return None
