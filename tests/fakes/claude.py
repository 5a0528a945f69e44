"""The Message Batches API in memory, on a manual clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import Incomplete, NotFound, Refused, Unavailable
from batchdrop.domain.model_list import ListedModel
from batchdrop.domain.records import ApiCounts
from batchdrop.ports import DEFAULT_HEADERS, ApiBatch, ApiPage
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks, hooked


class Withheld(NamedTuple):
    """What the API makes of a request that it counts under a type, as `succeeded`, and never gives a line for."""

    type: str


type Answer = Callable[[str, dict[str, Any]], Mapping[str, object] | Withheld]
"""From a custom id and params to the `result` of its line."""


def greet(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
    """The usual answer. It names the line alone: the rest of a custom id is another in every run."""
    line = custom_id.rpartition("-")[2]
    return {
        "type": "succeeded",
        "message": {
            "id": f"msg_{line}",
            "type": "message",
            "role": "assistant",
            "model": params.get("model", "claude-haiku-4-5"),
            "content": [{"type": "text", "text": f"answer to {line}"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 10, "output_tokens": 5},
        },
    }


WORKSPACE = "the usual one"
"""Of every key of which nothing else is said."""


class _Held:
    """One batch as it lies at the API."""

    def __init__(
        self,
        api_id: str,
        body: bytes,
        requests: list[dict[str, Any]],
        workspace: str,
        created_at: datetime,
        ends_at: datetime,
    ) -> None:
        self.id = api_id
        self.workspace = workspace
        self.body = body
        self.requests = requests
        self.created_at = created_at
        self.ends_at = ends_at
        self.canceled_at: datetime | None = None
        self.deleted = False


class FakeClaude:
    """A batch ends `seconds` after its creation, or `cancel_seconds` after it was canceled.

    `answer` makes the results, one call for each request. `cut_results_at`: the next results stream breaks after so many bytes.
    `garble`: what becomes of the bytes of the next results stream, without an error. `list_lag`: seconds till a batch is listed.
    `line_lag`, `count_lag`: from a custom id to the seconds after the end of its batch till its line is in the results, and till
    it is counted under its type; until then it counts as `processing`, or not at all with `hide_uncounted`.

    `secret`: the key that the stack's secret holds; it is read anew after five minutes, when it is asked to, and when a read is
    refused. `workspaces`: those of keys that are not of the usual one. A key in `revoked` is refused.
    """

    name = "claude"

    def __init__(
        self,
        clock: ManualClock,
        hooks: Hooks | None = None,
        *,
        answer: Answer = greet,
        seconds: float = 60.0,
        cancel_seconds: float = 10.0,
        page_limit: int = 1000,
    ) -> None:
        self.hooks = hooks or Hooks()
        self.answer = answer
        self.seconds = seconds
        self.cancel_seconds = cancel_seconds
        self.page_limit = page_limit
        self.list_lag = 0.0
        self.secret = "key"
        self.workspaces: dict[str, str] = {}
        self.revoked: set[str] = set()
        self.line_lag: Callable[[str], float] = lambda _: 0.0
        self.count_lag: Callable[[str], float] = lambda _: 0.0
        self.hide_uncounted = False
        self.cut_results_at: int | None = None
        self.garble: Callable[[bytes], bytes] | None = None
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self.listed: tuple[ListedModel, ...] = ()
        self.headers: dict[str, CallHeaders] = {}
        """With which each batch was created, by its id."""
        self._key = ""
        self._key_read_at = datetime.min.replace(tzinfo=UTC)

    # ---------------------------------------------------------------- what a test sees

    @property
    def bodies(self) -> list[bytes]:
        """The raw body of every batch that was accepted, in order."""
        return [held.body for held in self._held.values()]

    @property
    def ids(self) -> list[str]:
        return list(self._held)

    @property
    def deleted(self) -> list[str]:
        return [held.id for held in self._held.values() if held.deleted]

    def custom_ids(self) -> list[str]:
        """Of every request that was ever accepted: a row that was paid for twice is in here twice."""
        return [request["custom_id"] for held in self._held.values() for request in held.requests]

    def requests_of(self, api_id: str) -> list[str]:
        """Custom ids of one batch."""
        return [request["custom_id"] for request in self._held[api_id].requests]

    def answered(self, api_id: str) -> set[str]:
        """Custom ids of the requests of one batch that have been answered and billed, with a line or without."""
        held = self._held[api_id]
        if not self._view(held).has_results:
            return set()
        return {one["custom_id"] for one in held.requests if _type_of(self._result(held, one)) == "succeeded"}

    def created_at(self, api_id: str) -> datetime:
        return self._held[api_id].created_at

    def shift(self, by: timedelta) -> None:
        """The API's clock differs from ours: what it has created so far was created at another time."""
        for held in self._held.values():
            held.created_at += by

    def forget(self, api_id: str) -> None:
        """The API deletes a batch."""
        del self._held[api_id]

    def inject(self, body: bytes) -> ApiBatch:
        """A batch that somebody else created in the usual workspace."""
        return self._accept(body, WORKSPACE)

    # ---------------------------------------------------------------- the port

    @hooked
    def key(self, *, fresh: bool = False) -> str:
        return self._read_key(fresh=fresh)

    @hooked
    def create(self, body: Path, headers: CallHeaders = DEFAULT_HEADERS, *, within: float = 600.0) -> ApiBatch:
        created = self._accept(body.read_bytes(), self._workspace())
        self.headers[created.id] = headers
        return created

    @hooked
    def models(self) -> tuple[ListedModel, ...]:
        self._workspace_read()
        return self.listed

    @hooked
    def page(self, after: str | None = None) -> ApiPage:
        workspace = self._workspace_read()
        listed = self._clock.now() - timedelta(seconds=self.list_lag)
        newest_first = [
            held.id
            for held in reversed(self._held.values())
            if held.created_at <= listed and held.workspace == workspace and not held.deleted
        ]
        start = newest_first.index(after) + 1 if after else 0
        ids = newest_first[start : start + self.page_limit]
        more = start + self.page_limit < len(newest_first)
        batches = tuple(self._view(self._held[one]) for one in ids)
        return ApiPage(batches=batches, next=ids[-1] if more else None, key=self._key)

    @hooked
    def retrieve(self, api_id: str) -> ApiBatch:
        return self._view(self._find(api_id))

    @hooked
    def cancel(self, api_id: str) -> ApiBatch:
        held = self._find(api_id)
        if self._view(held).status == "in_progress":
            held.canceled_at = self._clock.now()
            held.ends_at = held.canceled_at + timedelta(seconds=self.cancel_seconds)
        return self._view(held)

    @hooked
    def delete(self, api_id: str) -> None:
        held = self._find(api_id)
        if not self._has_ended(held):
            raise Unavailable("the batch has not ended", status=400, kind="invalid_request_error")
        held.deleted = True

    @contextmanager
    def results(self, api_id: str) -> Iterator[Iterable[bytes]]:
        yield self._results(api_id)

    # ---------------------------------------------------------------- inside

    @hooked
    def _results(self, api_id: str) -> Iterator[bytes]:
        held = self._find(api_id)
        if not self._view(held).has_results:
            raise NotFound("no results yet", status=404, kind="not_found_error")
        return self._stream(held)

    def _stream(self, held: _Held) -> Iterator[bytes]:
        """In the reverse of the order they were asked, in chunks that do not care for lines."""
        results = [
            (request["custom_id"], self._result(held, request))
            for request in reversed(held.requests)
            if self._has_passed(held, self.line_lag(request["custom_id"]))
        ]
        lines = b"".join(
            json.dumps({"custom_id": custom_id, "result": result}).encode() + b"\n"
            for custom_id, result in results
            if not isinstance(result, Withheld)
        )
        if self.garble is not None:
            garble, self.garble = self.garble, None
            lines = garble(lines)
        cut, self.cut_results_at = self.cut_results_at, None
        for start in range(0, len(lines[:cut]), 1000):
            yield lines[:cut][start : start + 1000]
        if cut is not None:
            raise Incomplete(f"the results of {held.id} broke off")

    def _result(self, held: _Held, request: dict[str, Any]) -> Mapping[str, object] | Withheld:
        return {"type": "canceled"} if held.canceled_at else self.answer(request["custom_id"], request["params"])

    def _read_key(self, *, fresh: bool = False) -> str:
        now = self._clock.now()
        if fresh or now >= self._key_read_at + timedelta(minutes=5):
            self._key, self._key_read_at = self.secret, now
        return self._key

    def _workspace(self) -> str:
        """Of the key in use."""
        key = self._key or self._read_key()
        if key in self.revoked:
            raise Refused("invalid x-api-key", status=401, kind="authentication_error")
        return self.workspaces.get(key, WORKSPACE)

    def _workspace_read(self) -> str:
        if self._read_key() in self.revoked:
            self._read_key(fresh=True)
        return self._workspace()

    def _accept(self, body: bytes, workspace: str) -> ApiBatch:
        requests = self._check(body)
        now = self._clock.now()
        api_id = f"msgbatch_{len(self._held) + 1:024d}"
        self._held[api_id] = _Held(api_id, body, requests, workspace, now, now + timedelta(seconds=self.seconds))
        return self._view(self._held[api_id])

    def _check(self, body: bytes) -> list[dict[str, Any]]:
        try:
            requests: list[dict[str, Any]] = json.loads(body)["requests"]
            ids = [request["custom_id"] for request in requests]
        except (ValueError, LookupError, TypeError):
            raise Refused("not a batch", status=400, kind="invalid_request_error") from None
        if not ids or len(ids) > 100_000 or len(set(ids)) != len(ids):
            raise Refused("requests: 1 to 100,000, each with its own custom_id", status=400, kind="invalid_request_error")
        return requests

    def _find(self, api_id: str) -> _Held:
        held = self._held.get(api_id)
        if held is None or held.deleted or held.workspace != self._workspace_read():
            raise NotFound("no such batch", status=404, kind="not_found_error")
        return held

    def _view(self, held: _Held) -> ApiBatch:
        ended = self._has_ended(held)
        unfinished = "in_progress" if held.canceled_at is None else "canceling"
        return ApiBatch(
            id=held.id,
            status="ended" if ended else unfinished,
            counts=self._counts(held) if ended else ApiCounts(processing=len(held.requests)),
            created_at=held.created_at,
            ended_at=held.ends_at if ended else None,
            has_results=ended,
        )

    def _has_ended(self, held: _Held) -> bool:
        return self._clock.now() >= held.ends_at

    def _counts(self, held: _Held) -> ApiCounts:
        counted = [one for one in held.requests if self._has_passed(held, self.count_lag(one["custom_id"]))]
        types = [_type_of(self._result(held, request)) for request in counted]
        return ApiCounts(
            processing=0 if self.hide_uncounted else len(held.requests) - len(counted),
            succeeded=types.count("succeeded"),
            errored=types.count("errored"),
            canceled=types.count("canceled"),
            expired=types.count("expired"),
        )

    def _has_passed(self, held: _Held, seconds: float) -> bool:
        """Since the batch ended."""
        return self._clock.now() >= held.ends_at + timedelta(seconds=seconds)


def _type_of(result: Mapping[str, object] | Withheld) -> str:
    return result.type if isinstance(result, Withheld) else str(result["type"])
