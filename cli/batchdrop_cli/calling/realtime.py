"""Send requests to the Messages API, each as it is, byte for byte; or have their tokens counted there.

Long output is for batches alone: without its beta, such requests ask for what the API writes in real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anthropic
import httpx2
import msgspec

from batchdrop.adapters.claude import WORKSPACE_HEADER
from batchdrop.domain.call_headers import LONG_OUTPUT, CallHeaders
from batchdrop.domain.errors import BatchdropError
from batchdrop_cli.calling.account import Access, unsafe

_PATH = "/v1/messages"
_COUNT_PATH = "/v1/messages/count_tokens"
_AT_ONCE = 4
# What is counted (SDK 2.12.0, `messages.count_tokens`); other params are errors there, `max_tokens` among them.
_COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
MOST_TOKENS = 128_000
"""The largest `max_tokens` of a model that has long output in batches (Anthropic, "Models overview")."""
_TRIES = 3
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 20.0
"""Seconds. Whoever is told to wait longer tries again by hand."""
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 300.0
_MAX_MESSAGE_CHARS = 300
# Certain refusals of what may be accepted a moment later (Anthropic, "Errors"). After anything else an answer may have been paid.
_AGAIN = frozenset({429, 529})
# These are about the one request; all others are about the key, the account or the API.
_OF_A_ROW = frozenset({400, 404, 413, 422})


class CannotAsk(Exception):
    """No row can be asked about. The message is a sentence for the person at the terminal."""


class NotSent(CannotAsk):
    """The request never left: nothing is paid."""


class NoAnswer(CannotAsk):
    """The request left, and no answer came: it may have been answered, and is paid then."""


class Reply(NamedTuple):
    """`message`: the API's answer as it came, or None; then `error_type` and `error` say why, in the API's words."""

    message: bytes | None
    error_type: str = ""
    error: str = ""


class Answer(NamedTuple):
    """What the API said to one POST, as it came. Without `error_type` an error is not one of the API's own."""

    status: int
    body: bytes
    error_type: str = ""
    error: str = ""
    code: str = ""
    """`error.details.error_code`."""
    retry_after: float = 0.0
    """Seconds; 0 if it did not say."""


type Send = Callable[[bytes, float], Awaitable[Answer]]
"""POSTs a request once: its params, and after how many seconds no answer is one that will not come. Raises CannotAsk."""


class _Count(msgspec.Struct):
    input_tokens: int


class _Details(msgspec.Struct):
    error_code: str = ""


class _Trouble(msgspec.Struct):
    type: str
    message: str = ""
    details: _Details | None = None


class _Error(msgspec.Struct):
    error: _Trouble


class Api(msgspec.Struct, frozen=True):
    access: Access

    def ask(
        self, requests: Sequence[bytes], headers: CallHeaders, done: Callable[[Reply], None], *, at_once: int = _AT_ONCE
    ) -> list[Reply]:
        """The answers, in order. `done` is called with each as it comes. Raises CannotAsk."""
        if LONG_OUTPUT in headers.betas:
            requests = [lowered(params) for params in requests]
        return asyncio.run(self._ask_all(_PATH, requests, headers, done, at_once))

    def count(self, requests: Sequence[bytes], headers: CallHeaders, done: Callable[[Reply], None]) -> list[int | None]:
        """Tokens of the prompts, in order, free of charge; None where the API refuses to count. Raises CannotAsk."""
        replies = asyncio.run(self._ask_all(_COUNT_PATH, list(map(_to_count, requests)), headers, done, _AT_ONCE))
        return [None if reply.message is None else _counted(reply.message) for reply in replies]

    async def _ask_all(
        self, path: str, requests: Sequence[bytes], headers: CallHeaders, done: Callable[[Reply], None], at_once: int
    ) -> list[Reply]:
        few = asyncio.Semaphore(at_once)

        async def ask(params: bytes) -> Reply:
            async with few:
                reply = await self._ask(client, path, params, headers)
            done(reply)
            return reply

        async with self._client() as client:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(ask(params)) for params in requests]
            except* CannotAsk as problems:
                raise _first(problems) from None
        return [task.result() for task in tasks]

    @asynccontextmanager
    async def sending(self, headers: CallHeaders) -> AsyncIterator[Send]:
        """Raises CannotAsk. What is sent is not sent again here, whatever the answer."""
        async with self._client() as client:

            async def send(params: bytes, within: float) -> Answer:
                return self._read(await self._post(client, _PATH, params, headers, within))

            yield send

    def refused(self, answer: Answer) -> str:
        """A sentence about what the API does not do for anybody with this key."""
        return _sentence(answer.status, answer.error, minted=bool(self.access.workspace))

    def _client(self) -> anthropic.AsyncAnthropic:
        if why := unsafe(self.access.url):
            raise CannotAsk(why)
        workspace = {WORKSPACE_HEADER: self.access.workspace} if self.access.workspace else {}
        return anthropic.AsyncAnthropic(api_key=self._key(), base_url=self.access.url, max_retries=0, default_headers=workspace)

    def _read(self, response: httpx2.Response) -> Answer:
        if response.is_success:
            return Answer(response.status_code, response.content)
        trouble = _trouble_of(response) or _Trouble("")
        said = (trouble.message or trouble.type).replace(self._key(), "<key>")[:_MAX_MESSAGE_CHARS]
        code = trouble.details.error_code if trouble.details else ""
        return Answer(response.status_code, b"", trouble.type, said, code, _retry_after(response))

    async def _ask(self, client: anthropic.AsyncAnthropic, path: str, params: bytes, headers: CallHeaders) -> Reply:
        for attempt in range(1, _TRIES + 1):
            response = await self._post(client, path, params, headers)
            if response.is_success:
                return Reply(response.content)
            wait = max(_FIRST_WAIT * 2 ** (attempt - 1), _retry_after(response))
            if response.status_code not in _AGAIN or attempt == _TRIES or wait > _LONGEST_WAIT:
                break
            await asyncio.sleep(wait)
        answer = self._read(response)
        if answer.status in _OF_A_ROW and answer.error_type:
            return Reply(None, answer.error_type, refused_row(answer))
        raise CannotAsk(self.refused(answer))

    def _key(self) -> str:
        """As of now: a minted one is another every few minutes."""
        try:
            return self.access.key.get()
        except BatchdropError as error:
            raise CannotAsk(f"There is no API key: {error}. Sign in to AWS (aws sso login), or set AWS_PROFILE.") from None

    async def _post(
        self, client: anthropic.AsyncAnthropic, path: str, params: bytes, headers: CallHeaders, within: float = _ANSWER_SECONDS
    ) -> httpx2.Response:
        betas = tuple(beta for beta in headers.betas if beta != LONG_OUTPUT)
        options: Any = {
            "headers": {"Content-Type": "application/json", **msgspec.structs.replace(headers, betas=betas).as_sent()},
            "timeout": httpx2.Timeout(within, connect=_CONNECT_SECONDS),
            # It would take the key to an address that nobody chose.
            "follow_redirects": False,
        }
        try:
            return await client.with_options(api_key=self._key()).post(
                path, cast_to=httpx2.Response, content=params, options=options
            )
        except anthropic.APIStatusError as error:
            return error.response
        except anthropic.APITimeoutError as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):
                raise NotSent(_unreachable(client)) from None
            raise NoAnswer(f"No answer came within {within:.0f} seconds. Lower `max_tokens` or `thinking`.") from None
        except anthropic.APIConnectionError as error:
            kind = NotSent if isinstance(error.__cause__, httpx2.ConnectError) else NoAnswer
            raise kind(_unreachable(client)) from None


def refused_row(answer: Answer) -> str:
    return f"The API refused the request: {answer.error}"


class _MaxTokens(msgspec.Struct):
    max_tokens: int = 0


def lowered(params: bytes) -> bytes:
    """With no more `max_tokens` than a model writes in real time."""
    if msgspec.json.decode(params, type=_MaxTokens).max_tokens <= MOST_TOKENS:
        return params
    fields = msgspec.json.decode(params, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(fields | {"max_tokens": MOST_TOKENS})


def _to_count(params: bytes) -> bytes:
    fields = msgspec.json.decode(params, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: fields[name] for name in _COUNTED if name in fields})


def _counted(answer: bytes) -> int | None:
    try:
        return msgspec.json.decode(answer, type=_Count).input_tokens
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _first(problems: BaseExceptionGroup[CannotAsk]) -> CannotAsk:
    found: BaseException = problems
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return CannotAsk(*found.args)


def _unreachable(client: anthropic.AsyncAnthropic) -> str:
    return f"The API at {client.base_url.host} cannot be reached. Look at the network, and at ANTHROPIC_BASE_URL if it is set."


_OF_THE_ROLE = (
    "AWS does not let you call the workspace ({}). "
    "Look at ANTHROPIC_AWS_WORKSPACE_ID, and at the permissions of your AWS profile."
)
_SENTENCES = {
    401: "The API does not accept the key (401). Put a valid one into ANTHROPIC_API_KEY.",
    402: "The account has no credit (402). Add some in the Console.",
    403: "The key may not do this (403). Take one of a workspace that may.",
    404: "There is no Messages API at this address (404). Look at ANTHROPIC_BASE_URL.",
    429: "The rate limit is used up (429). Wait a minute, or take fewer rows.",
    529: "The API is overloaded (529). Try again in a few minutes.",
}


def _sentence(status: int, said: str, *, minted: bool) -> str:
    usual = _SENTENCES.get(status, f"The API answered with {status}. Try again in a few minutes.")
    sentence = _OF_THE_ROLE.format(status) if minted and status in {401, 403} else usual
    return f"{sentence} It says: {said}" if said else sentence


def _trouble_of(response: httpx2.Response) -> _Trouble | None:
    """None: an edge in between speaks HTML."""
    try:
        return msgspec.json.decode(response.content, type=_Error).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _retry_after(response: httpx2.Response) -> float:
    """Seconds; 0 for a date or nonsense."""
    try:
        seconds = float(response.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return seconds if seconds > 0 else 0.0
