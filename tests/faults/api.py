"""The Message Batches API as a stack may find it: late to show what it has done, and used by others too.

What it bills is counted here, by the rows that were sent and not by anything that Batchdrop has recorded.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from batchdrop.domain.errors import NotFound
from batchdrop.domain.records import ApiCounts
from batchdrop.ports import ApiBatch, ApiPage
from tests.fakes.claude import WORKSPACE, FakeClaude, Withheld, _Held
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks, hooked

# What becomes of a row, attempt after attempt; the last one holds for all later ones. `lost` is billed and has no result line,
# `silent` has none and is not billed; `truncated`, `refused` and `off_schema` are answers that a recipe cannot use; anything
# else is the type of a result, or of its error.
FATES: Mapping[str, tuple[str, ...]] = {
    "ok": ("succeeded",),
    "busy": ("overloaded_error", "succeeded"),
    "expires": ("expired", "api_error", "succeeded"),
    "hopeless": ("timeout_error", "expired", "rate_limit_error"),
    "bad": ("invalid_request_error",),
    "silent": ("silent", "succeeded"),
    "lost": ("lost",),
    "cut": ("truncated", "succeeded"),
    "refuses": ("refused",),
    "strays": ("off_schema",),
}
# What is truncated goes again by the recipe of these tests, and is paid again.
_BILLED = ("succeeded", "lost", "refused", "off_schema")
_STOPS = {"succeeded": "end_turn", "off_schema": "end_turn", "truncated": "max_tokens", "refused": "refusal"}
_COUNTED_AS = {**dict.fromkeys((*_STOPS, "lost"), "succeeded"), "expired": "expired", "canceled": "canceled"}
UNUSABLE = ("truncated", "refused", "off_schema")
FORGED = "FORGED"


def prompt_of(params: Mapping[str, Any]) -> str:
    """What tells one row from every other, whatever custom id it travels under."""
    return str(params["messages"][0]["content"])


def fate_of(prompt: str) -> tuple[str, ...]:
    """The last word of a prompt is its row's fate."""
    return FATES.get(prompt.rsplit(" ", 1)[-1], FATES["ok"])


def answer_to(prompt: str) -> str:
    return f"answer to {prompt}"


@dataclass
class Trace:
    """What really happened to a batch, whatever the API shows of it."""

    held: _Held
    ours: bool
    posted_at: datetime
    listed_at: datetime
    status_at: datetime
    results_at: datetime
    counts_at: datetime
    outcomes: list[str]
    """Of each request, in order, if it is not canceled."""
    places: dict[str, int]
    """Of each custom id among the requests."""
    unanswered: bool = False
    """The POST had no definite answer."""

    def outcome(self, place: int) -> str:
        """A cancel comes too late for every other request."""
        return "canceled" if self.held.canceled_at and place % 2 else self.outcomes[place]


class SlowApi(FakeClaude):
    """`late`: how many seconds after the fact the list, a status, the counts and the results may be right.

    Each batch draws its own times up to that. `short`: results that are late are a stream that ends early, not a 404.
    """

    def __init__(self, clock: ManualClock, hooks: Hooks | None = None, *, seed: int = 0, seconds: float = 60.0) -> None:
        super().__init__(clock, hooks, seconds=seconds)
        self.late: dict[str, float] = {}
        self.short = False
        self.create_late = 0.0
        """The next batch is created so long after its POST."""
        self.frozen: list[tuple[datetime, datetime]] = []
        """While it is so, the list shows what it showed at the start."""
        self.traces: dict[str, Trace] = {}
        self.seen_late: Counter[str] = Counter()
        """How often something was asked for before it was right."""
        self._seed = seed
        self._accepted: Counter[str] = Counter()

    # ---------------------------------------------------------------- what a checker sees

    def paid(self) -> Iterator[tuple[str, Trace]]:
        """Every answer that is billed to us: the prompt and the batch."""
        for trace in self.traces.values():
            for place, request in enumerate(trace.held.requests):
                if trace.ours and trace.outcome(place) in _BILLED:
                    yield prompt_of(request["params"]), trace

    @property
    def last_of_ours(self) -> Trace:
        return next(trace for trace in reversed(self.traces.values()) if trace.ours)

    def lose(self, api_id: str) -> None:
        """Somebody else with a key of the workspace deletes it, which the API allows once it has ended."""
        self.traces[api_id].held.deleted = True

    # ---------------------------------------------------------------- the port

    @hooked
    def page(self, after: str | None = None) -> ApiPage:
        now, workspace = self._clock.now(), self._workspace_read()
        seen = [trace for trace in self.traces.values() if trace.held.workspace == workspace]
        newest_first = sorted(seen, key=lambda trace: (trace.held.created_at, trace.held.id), reverse=True)
        if after is not None:
            cursor = self.traces[after].held
            newest_first = [one for one in newest_first if (one.held.created_at, one.held.id) < (cursor.created_at, cursor.id)]
        listed = [one for one in newest_first if one.listed_at <= now and not one.held.deleted]
        if any(one.held.created_at <= now < one.listed_at for one in newest_first):
            self.seen_late["list"] += 1
        shown, rest = listed[: self.page_limit], listed[self.page_limit :]
        batches = tuple(self._view(one.held) for one in shown)
        return ApiPage(batches=batches, next=shown[-1].held.id if rest else None, key=self._key)

    @hooked
    def cancel(self, api_id: str) -> ApiBatch:
        held = self._find(api_id)
        if held.canceled_at is None and self._clock.now() < held.ends_at:
            trace = self.traces[api_id]
            ends_at = self._clock.now() + timedelta(seconds=self.cancel_seconds)
            trace.status_at += ends_at - held.ends_at
            trace.results_at += ends_at - held.ends_at
            trace.counts_at += ends_at - held.ends_at
            held.canceled_at, held.ends_at = self._clock.now(), ends_at
        return self._view(held)

    def inject(self, body: bytes) -> ApiBatch:
        return self._keep(body, WORKSPACE, ours=False)

    # ---------------------------------------------------------------- inside

    def _accept(self, body: bytes, workspace: str) -> ApiBatch:
        return self._keep(body, workspace, ours=True)

    def _keep(self, body: bytes, workspace: str, *, ours: bool) -> ApiBatch:
        requests = self._check(body)
        now = self._clock.now()
        api_id = f"msgbatch_{len(self._held) + 1:024d}"
        delay, self.create_late = (self.create_late, 0.0) if ours else (0.0, self.create_late)
        created_at = now + timedelta(seconds=delay)
        held = _Held(api_id, body, requests, workspace, created_at, created_at + timedelta(seconds=self.seconds))
        self._held[api_id] = held
        self.traces[api_id] = Trace(
            held=held,
            ours=ours,
            posted_at=now,
            listed_at=self._thawed(created_at + self._delay("list")),
            status_at=held.ends_at + self._delay("status"),
            results_at=held.ends_at + self._delay("results"),
            counts_at=held.ends_at + self._delay("counts"),
            outcomes=[self._draw_outcome(prompt_of(one["params"])) if ours else "succeeded" for one in held.requests],
            places={one["custom_id"]: place for place, one in enumerate(held.requests)},
        )
        return self._view(held)

    def _delay(self, what: str) -> timedelta:
        """Of the batch that is being created."""
        late = self.late.get(what, 0.0)
        drawn = random.Random(f"{self._seed} {what} {len(self._held)}").random() if late else 0.0
        return timedelta(seconds=late * drawn)

    def _thawed(self, moment: datetime) -> datetime:
        for since, until in self.frozen:
            if since <= moment < until:
                moment = until
        return moment

    def _draw_outcome(self, prompt: str) -> str:
        fate = fate_of(prompt)
        self._accepted[prompt] += 1
        return fate[min(self._accepted[prompt], len(fate)) - 1]

    def _has_ended(self, held: _Held) -> bool:
        return self._is_right("status", held, self.traces[held.id].status_at)

    def _counts(self, held: _Held) -> ApiCounts:
        """Those that are late still call every other request `processing`: the sum never changes."""
        trace = self.traces[held.id]
        right = self._is_right("counts", held, trace.counts_at)
        counted = Counter(
            _counted_as(trace, place) if right or not place % 2 else "processing" for place in range(len(held.requests))
        )
        return ApiCounts(**counted)

    @hooked
    def _results(self, api_id: str) -> Iterator[bytes]:
        held = self._find(api_id)
        late = not self._is_right("results", held, self.traces[api_id].results_at)
        if self._clock.now() < held.ends_at or (late and not self.short):
            raise NotFound("no results yet", status=404, kind="not_found_error")
        return self._stream(held)

    def _result(self, held: _Held, request: dict[str, Any]) -> Mapping[str, object] | Withheld:
        trace = self.traces[held.id]
        place = trace.places[request["custom_id"]]
        late = self._clock.now() < trace.results_at
        return Withheld(_counted_as(trace, place)) if late and not place % 2 else _result_of(trace, place, request["params"])

    def _is_right(self, what: str, held: _Held, since: datetime) -> bool:
        now = self._clock.now()
        if held.ends_at <= now < since:
            self.seen_late[what] += 1
        return now >= since


def _counted_as(trace: Trace, place: int) -> str:
    return _COUNTED_AS.get(trace.outcome(place), "errored")


def _result_of(trace: Trace, place: int, params: Mapping[str, Any]) -> Mapping[str, object] | Withheld:
    match trace.outcome(place):
        case "lost" | "silent":
            return Withheld(_counted_as(trace, place))
        case "succeeded" | "truncated" | "refused" | "off_schema" as outcome:
            text = _said(params, outcome) if trace.ours else FORGED
            usage = {"input_tokens": 10, "output_tokens": 5}
            content = [{"type": "text", "text": text}]
            message = {"id": "msg", "type": "message", "role": "assistant", "model": "claude-haiku-4-5"}
            return {
                "type": "succeeded",
                "message": message | {"content": content, "stop_reason": _STOPS[outcome], "usage": usage},
            }
        case "expired" | "canceled" as end:
            return {"type": end}
        case kind:
            return {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": f"a {kind}"}}}


def _said(params: Mapping[str, Any], outcome: str) -> str:
    """JSON if the request asks for it, with another type than asked for if it is off its schema."""
    text = answer_to(prompt_of(params))
    return json.dumps({"answer": 0 if outcome == "off_schema" else text}) if "output_config" in params else text


def batch_of(custom_ids: list[str], prompt: str = "theirs") -> bytes:
    """A body with those ids, as a stranger in the workspace would post it."""
    params = {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": prompt}]}
    return json.dumps({"requests": [{"custom_id": custom_id, "params": params} for custom_id in custom_ids]}).encode()
