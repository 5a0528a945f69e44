"""The Message Batches API over Anthropic's SDK.

The SDK brings the headers, the credentials and the connection. Its own retries are off: they would send a create again after a
lost answer, and a body from disk the second time as nothing. Results are parsed here, straight from bytes.

Importing the SDK costs most of a second, so it happens at the first call.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import quote

import msgspec

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import Ambiguous, BatchdropError, ConfigurationError, Incomplete, NotFound, Refused, Unavailable
from batchdrop.domain.model_list import ListedModel
from batchdrop.domain.records import ApiCounts
from batchdrop.domain.refusals import KEY_MISSING, ROLE_REFUSED
from batchdrop.ports import DEFAULT_HEADERS, ApiBatch, ApiPage, Clock

if TYPE_CHECKING:
    import anthropic
    import httpx2

_PATH = "/v1/messages/batches"
PAGE_LIMIT = 1000
"""Batches of one list call (API reference, "List Message Batches")."""
_MODELS_PATH = "/v1/models"
# There are some twenty. A list that does not end is none.
_MOST_MODELS = 1000
CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
_CREATE_SECONDS = 600.0
LONGEST_CREATE = timedelta(seconds=CONNECT_SECONDS + _CREATE_SECONDS)
LONGEST_WAIT = 20.0
"""Seconds that a read waits between two tries. An API that asks for more is left alone until the next tick."""
_READ_TRIES = 3
_FIRST_WAIT = 1.0
_CHUNK = 1024 * 1024
_LONGEST_MESSAGE = 300

# With a well-formed API error these are a definite no; 408, 409 and 5xx are not.
_DEFINITE = frozenset({400, 401, 402, 403, 404, 413, 422, 429, 529})
_WORTH_ANOTHER_TRY = frozenset({408, 409, 425, 429})
_KEY_REFUSED = frozenset({401, 403})
WORKSPACE_HEADER = "anthropic-workspace-id"
# How IAM begins its refusals, and what an account without that federation is answered (Claude Platform on AWS, "Enable outbound
# web identity federation").
_OF_THE_ROLE = re.compile(r"user: \S+ is not authorized to perform|outbound web identity federation", re.IGNORECASE)
# After these, another key may do (Anthropic, "Errors"). A create is sent again by the stage, with an intent of its own.
_READ_WITH_ANOTHER_KEY = frozenset({401, 402, 403})


class Key(Protocol):
    """Where the API key comes from. Both may raise a BatchdropError."""

    def get(self) -> str: ...

    def refresh(self) -> str:
        """Reads the key again, as it may have been replaced."""


class _Message(msgspec.Struct):
    id: str
    processing_status: str
    request_counts: ApiCounts
    created_at: datetime
    ended_at: datetime | None = None
    results_url: str | None = None

    def to_batch(self) -> ApiBatch:
        return ApiBatch(
            id=self.id,
            status=self.processing_status,
            counts=self.request_counts,
            created_at=self.created_at,
            ended_at=self.ended_at,
            has_results=self.results_url is not None,
        )


class _List(msgspec.Struct):
    data: list[_Message]
    has_more: bool = False
    last_id: str | None = None


class _Support(msgspec.Struct):
    supported: bool


class _Thinking(msgspec.Struct):
    types: dict[str, _Support]


class _Capabilities(msgspec.Struct):
    batch: _Support | None = None
    structured_outputs: _Support | None = None
    thinking: _Thinking | None = None
    effort: dict[str, _Support | bool | None] | None = None


class _Model(msgspec.Struct):
    id: str
    lifecycle: str = "active"
    deprecated_at: datetime | None = None
    retires_at: datetime | None = None
    max_tokens: int | None = None
    capabilities: _Capabilities | None = None

    def to_listed(self) -> ListedModel:
        can = self.capabilities or _Capabilities()
        return ListedModel(
            id=self.id,
            lifecycle=self.lifecycle,
            deprecated_at=self.deprecated_at,
            retires_at=self.retires_at,
            max_tokens=self.max_tokens,
            batch=None if can.batch is None else can.batch.supported,
            structured_outputs=None if can.structured_outputs is None else can.structured_outputs.supported,
            thinking=None if can.thinking is None else _supported(can.thinking.types),
            efforts=None if can.effort is None else _supported(can.effort),
        )


class _Models(msgspec.Struct):
    data: list[_Model]
    has_more: bool = False
    last_id: str | None = None


class _Trouble(msgspec.Struct):
    type: str
    message: str = ""
    details: Any = None


class _Error(msgspec.Struct, tag_field="type", tag="error"):
    error: _Trouble


class _AwsError(msgspec.Struct, rename={"kind": "__type", "capital": "Message"}):
    """As AWS's own services say it, in one case or the other."""

    kind: str = ""
    message: str = ""
    capital: str = ""


class _NoAnswer(Exception):
    """The exchange broke off. `sent`: something may have reached the API."""

    def __init__(self, what: str, *, sent: bool) -> None:
        super().__init__(what)
        self.sent = sent


def fingerprint(key: str) -> str:
    """Tells keys apart and may be stored: a key is about 100 random characters, which no search through hashes finds."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


class AnthropicClaude:
    """`create_seconds` bounds a create: one half for sending the body, the other for the answer, besides connecting.

    `workspace`: of Claude Platform on AWS; named with every call, its keys are minted and end soon. Left out, the key has one.
    `transport` takes the network's place in tests.
    """

    def __init__(
        self,
        key: Key,
        base_url: str,
        clock: Clock,
        *,
        workspace: str = "",
        create_seconds: float = _CREATE_SECONDS,
        read_seconds: float = READ_SECONDS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._key = key
        self._base_url = base_url
        self._clock = clock
        self._workspace = workspace
        self._create_seconds = create_seconds
        self._read_seconds = read_seconds
        self._transport = transport
        self._client: anthropic.Anthropic | None = None

    def key(self, *, fresh: bool = False) -> str:
        try:
            key = self._key.refresh() if fresh else self._key.get()
        except BatchdropError as error:
            # What is configured wrongly does not pass by itself.
            code = self._code_of_the_key if isinstance(error, ConfigurationError) else ""
            raise Refused(f"there is no API key to send: {error}", status=None, kind="no_api_key", code=code) from error
        self._use(key)
        return self._fingerprint

    def create(self, body: Path, headers: CallHeaders = DEFAULT_HEADERS, *, within: float = 600.0) -> ApiBatch:
        if self._client is None:
            self.key()
        seconds = min(within, self._create_seconds)
        end = time.monotonic() + seconds
        response = self._post_once(body, headers, seconds / 2)
        if self._has_expired(response) and (left := end - time.monotonic()) > seconds / 2 and self._key_has_changed():
            # A definite no, and the next key is of the same workspace: an answer that is lost is looked for in the right place.
            response = self._post_once(body, headers, left / 2)
        if not response.is_success:
            raise self._error_of(response)
        try:
            return msgspec.json.decode(response.content, type=_Message).to_batch()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Ambiguous(
                "the API answered a create with something else than a batch", status=response.status_code, kind="unreadable"
            ) from None

    def models(self) -> tuple[ListedModel, ...]:
        found: list[ListedModel] = []
        after: dict[str, str] = {}
        while len(found) < _MOST_MODELS:
            # Without the last one, retired models are left out (SDK 2.12.0, `models.list`).
            query = {"limit": str(PAGE_LIMIT), "lifecycle": ["active", "deprecated", "retired"], **after}
            page = _decode(self._read("GET", _MODELS_PATH, query), _Models)
            found += [one.to_listed() for one in page.data]
            if not (page.has_more and page.data and page.last_id):
                break
            after = {"after_id": page.last_id}
        return tuple(found[:_MOST_MODELS])

    def page(self, after: str | None = None) -> ApiPage:
        query = {"limit": str(PAGE_LIMIT), **({"after_id": after} if after else {})}
        found = _decode(self._read("GET", _PATH, query), _List)
        return ApiPage(
            batches=tuple(one.to_batch() for one in found.data),
            next=found.last_id if found.has_more else None,
            key=self._fingerprint,
        )

    def retrieve(self, api_id: str) -> ApiBatch:
        return _decode(self._read("GET", _batch_path(api_id), {}), _Message).to_batch()

    def cancel(self, api_id: str) -> ApiBatch:
        try:
            response = self._read("POST", f"{_batch_path(api_id)}/cancel", {})
        except Unavailable as error:
            # Whether an ended batch may be canceled again is not documented: a definite no leads to a look at it.
            if error.status not in {400, 409, 422}:
                raise
            batch = self.retrieve(api_id)
            if batch.status == "in_progress":
                raise
            return batch
        return _decode(response, _Message).to_batch()

    def delete(self, api_id: str) -> None:
        """It may be tried again like a read: what is gone is answered with 404."""
        self._read("DELETE", _batch_path(api_id), {})

    @contextmanager
    def results(self, api_id: str) -> Iterator[Iterator[bytes]]:
        response = self._read("GET", f"{_batch_path(api_id)}/results", {}, stream=True)
        try:
            yield _chunks(response, api_id)
        finally:
            response.close()

    # ---------------------------------------------------------------- create

    def _post_once(self, body: Path, headers: CallHeaders, half: float) -> httpx2.Response:
        """`half`: seconds for sending the body, and again for the answer to begin."""
        with body.open("rb", buffering=0) as file:
            size = body.stat().st_size
            try:
                return self._send(
                    "POST",
                    _PATH,
                    content=_until(time.monotonic() + CONNECT_SECONDS + half, file),
                    headers={"Content-Length": str(size), "Content-Type": "application/json", **headers.as_sent()},
                    timeout=half,
                )
            except _NoAnswer as error:
                if error.sent:
                    raise Ambiguous(f"no answer to a create: {error}", kind="connection_lost") from None
                raise Refused(f"the API could not be reached: {error}", status=None, kind="connection_error") from None

    def _error_of(self, response: httpx2.Response) -> Refused | Ambiguous:
        status = response.status_code
        trouble = self._trouble_of(response)
        if status in _DEFINITE and trouble is not None:
            return self._refusal(response, trouble)
        if status == 413:
            return Refused("the request body is too large (413)", status=status, kind="request_too_large")
        return Ambiguous(f"the API answered a create with {status}", status=status, kind=trouble.type if trouble else "")

    def _refusal(self, response: httpx2.Response, trouble: _Trouble) -> Refused:
        code = trouble.details.get("error_code", "") if isinstance(trouble.details, dict) else ""
        if self._workspace and (response.status_code == 401 or _OF_THE_ROLE.match(trouble.message)):
            code = ROLE_REFUSED
        return Refused(
            self._presentable(trouble.message or trouble.type),
            status=response.status_code,
            kind=trouble.type,
            retry_after=_retry_after(response.headers),
            code=str(code),
        )

    # ---------------------------------------------------------------- reads

    def _read(self, method: str, path: str, query: Mapping[str, object], *, stream: bool = False) -> httpx2.Response:
        """A few tries within a bound. Raises NotFound, Refused (401, 403), Unavailable."""
        for attempt in range(1, _READ_TRIES + 1):
            wait = _FIRST_WAIT * 2 ** (attempt - 1)
            try:
                response = self._read_once(method, path, query, stream=stream)
            except _NoAnswer as error:
                unavailable = Unavailable(f"no answer from the API: {error}", kind="connection_error")
            else:
                if response.is_success:
                    return response
                unavailable = self._failed_read(response)
                wait = max(wait, _retry_after(response.headers) or 0.0)
                if not _is_passing(response.status_code):
                    raise unavailable
            if attempt == _READ_TRIES or wait > LONGEST_WAIT:
                raise unavailable
            self._clock.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _read_once(self, method: str, path: str, query: Mapping[str, object], *, stream: bool) -> httpx2.Response:
        try:
            self._use(self._key.get())
        except BatchdropError as error:
            raise Unavailable(f"there is no API key to send: {error}", kind="no_api_key") from error
        response = self._send(method, path, params=query, timeout=self._read_seconds, stream=stream)
        if response.status_code in _READ_WITH_ANOTHER_KEY and self._key_has_changed():
            return self._send(method, path, params=query, timeout=self._read_seconds, stream=stream)
        return response

    def _failed_read(self, response: httpx2.Response) -> Unavailable:
        """Raises what is more definite than Unavailable."""
        status = response.status_code
        trouble = self._trouble_of(response)
        if status in _KEY_REFUSED and trouble is not None:
            raise self._refusal(response, trouble)
        kind = trouble.type if trouble else ""
        if status == 404:
            raise NotFound("the API does not know this batch (404)", status=status, kind=kind)
        return Unavailable(f"the API answered a read with {status}", status=status, kind=kind)

    # ---------------------------------------------------------------- the SDK

    def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        content: Iterator[bytes] | None = None,
        stream: bool = False,
    ) -> httpx2.Response:
        """One exchange. Returns whatever was answered; raises _NoAnswer."""
        import anthropic  # noqa: PLC0415 - the import costs 0.9 s; only functions that call the API pay it
        import httpx2  # noqa: PLC0415 - comes with the SDK

        options: Any = {
            "headers": headers or {},
            "params": params or {},
            "timeout": httpx2.Timeout(timeout, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
            # A redirect would repeat a create, and take the key to an address that nobody chose.
            "follow_redirects": False,
            "max_retries": 0,
        }
        client = self._client
        if client is None:
            raise AssertionError("a key is named before anything is sent")
        try:
            if method == "GET":
                # With this type the SDK hands out the response as it is, read or still to be read.
                return client.get(path, cast_to=httpx2.Response, options=options, stream=stream)
            if method == "DELETE":
                return client.delete(path, cast_to=httpx2.Response, options=options)
            return client.post(path, cast_to=httpx2.Response, content=content, options=options)
        except anthropic.APIStatusError as error:
            return error.response
        except Exception as error:
            # Whatever it was, and that includes what the SDK wraps: unless the connection never came about, bytes may be out.
            cause = error.__cause__ or error
            never_connected = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
            raise _NoAnswer(type(cause).__name__, sent=not isinstance(cause, never_connected)) from None

    def _use(self, key: str) -> None:
        """From here on, everything is sent with this key."""
        if self._client is None:
            self._client = self._new_client(key)
        elif self._client.api_key != key:
            self._client = self._client.copy(api_key=key)

    @property
    def _key_in_use(self) -> str:
        return (self._client and self._client.api_key) or ""

    @property
    def _fingerprint(self) -> str:
        """Of minted keys, each of which is another, that of their workspace: all of them see the same batches."""
        return fingerprint(self._workspace or self._key_in_use)

    @property
    def _code_of_the_key(self) -> str:
        return ROLE_REFUSED if self._workspace else KEY_MISSING

    def _new_client(self, key: str) -> anthropic.Anthropic:
        import anthropic  # noqa: PLC0415 - see _send
        import httpx2  # noqa: PLC0415 - see _send

        # No idle connections: one that died while the function was frozen would swallow a create and leave it ambiguous.
        limits = httpx2.Limits(max_connections=10, max_keepalive_connections=0)
        # The SDK's default client looks at whether a transport is named at all, not at its value.
        network: dict[str, Any] = {} if self._transport is None else {"transport": self._transport}
        http_client = anthropic.DefaultHttpxClient(base_url=self._base_url, limits=limits, **network)
        return anthropic.Anthropic(
            api_key=key,
            base_url=self._base_url,
            max_retries=0,
            default_headers={WORKSPACE_HEADER: self._workspace} if self._workspace else {},
            http_client=http_client,
            open_telemetry=False,
        )

    def _has_expired(self, response: httpx2.Response) -> bool:
        """Whether a minted key may have ended before its time, with the credentials that it was minted from."""
        trouble = self._trouble_of(response) if self._workspace and response.status_code in _KEY_REFUSED else None
        return trouble is not None and (response.status_code == 401 or trouble.type.startswith("Expired"))

    def _trouble_of(self, response: httpx2.Response) -> _Trouble | None:
        """The API's error, or None when the answer is not one: an edge in between speaks HTML.

        On Claude Platform on AWS, AWS checks a key before anything reaches Anthropic, and may say no in words of its own.
        """
        try:
            return msgspec.json.decode(response.content, type=_Error).error
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _aws_trouble_of(response) if self._workspace and response.status_code in _KEY_REFUSED else None

    def _key_has_changed(self) -> bool:
        """Whether the secret holds another key by now, which is then used."""
        used = self._key_in_use
        try:
            self._use(self._key.refresh())
        except BatchdropError:
            return False
        return self._key_in_use != used

    def _presentable(self, message: str) -> str:
        """The API's own sentence, without the key and without end."""
        key = self._key_in_use
        text = message.replace(key, "<key>") if key else message
        return text[:_LONGEST_MESSAGE]


def _batch_path(api_id: str) -> str:
    return f"{_PATH}/{quote(api_id, safe='')}"


def _until(deadline: float, file: BinaryIO) -> Iterator[bytes]:
    """The file in chunks, while there is time. A generator is sent with the length that the header names."""
    while chunk := file.read(_CHUNK):
        if time.monotonic() > deadline:
            raise TimeoutError("the time for sending is over")
        yield chunk


def _chunks(response: httpx2.Response, api_id: str) -> Iterator[bytes]:
    import httpx2  # noqa: PLC0415 - the response has brought it in already

    try:
        yield from response.iter_bytes()
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        raise Incomplete(f"the results of {api_id} broke off ({type(error).__name__})") from None


def _supported(words: Mapping[str, _Support | bool | None]) -> tuple[str, ...]:
    return tuple(word for word, support in words.items() if isinstance(support, _Support) and support.supported)


def _decode[T](response: httpx2.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unavailable("the API's answer could not be understood", status=response.status_code, kind="unreadable") from None


def _aws_trouble_of(response: httpx2.Response) -> _Trouble | None:
    try:
        error = msgspec.json.decode(response.content, type=_AwsError)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    # Header and field may carry a namespace before the name and an address after it (Smithy, "AWS restJson1 protocol").
    kind = (response.headers.get("x-amzn-errortype") or error.kind).split(":")[0].rpartition("#")[2]
    message = error.message or error.capital
    return _Trouble(type=kind or "aws_error", message=message) if kind or message else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; None for a date or nonsense."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _is_passing(status: int) -> bool:
    return status in _WORTH_ANOTHER_TRY or status >= 500
