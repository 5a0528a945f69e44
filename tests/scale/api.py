"""The Message Batches API at the highest tier: it counts and enforces the limits that are documented, in rows."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Any

from batchdrop.domain.errors import Refused
from batchdrop.ports import ApiBatch
from tests.fakes.claude import FakeClaude, _Held, greet
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks

QUEUED_REQUESTS = 500_000
CALLS_A_MINUTE = 4_000
"""Both are those of the highest tier (Anthropic, "Rate limits")."""
SHORTEST, LONGEST = 300.0, 3600.0
"""Seconds of a batch, each as likely as any other: "most batches finish within an hour" (Anthropic, "Batch processing")."""


class TierApi(FakeClaude):
    """`weight`: rows that one request stands for. A request in about `busy` fails when it is first sent."""

    def __init__(self, clock: ManualClock, hooks: Hooks, *, weight: int, busy: int, seed: int) -> None:
        super().__init__(clock, hooks, answer=self._greet)
        self.weight = weight
        self.refused = 0
        self.most_queued = 0
        self.most_calls = 0
        """Within any minute."""
        self.area = 0.0
        """Rows times the seconds that they were queued."""
        self.creates: list[tuple[float, str, int, float]] = []
        """When, what the first request asks, rows, seconds."""
        self._busy = busy
        self._first_prefix: dict[str, str] = {}
        self._draw = random.Random(f"api {seed}")
        self._queue: list[tuple[float, int]] = []
        self._queued = 0
        self._calls: deque[float] = deque()
        self._ended: dict[str, ApiBatch] = {}

    def call(self) -> None:
        """One of the endpoint's, whatever it asks."""
        now = self._clock.now().timestamp()
        self._calls.append(now)
        while self._calls[0] <= now - 60:
            self._calls.popleft()
        self.most_calls = max(self.most_calls, len(self._calls))

    def _accept(self, body: bytes, workspace: str) -> ApiBatch:
        now = self._clock.now().timestamp()
        while self._queue and self._queue[0][0] <= now:
            self._queued -= heappop(self._queue)[1]
        rows = body.count(b'"custom_id"') * self.weight
        if self._queued + rows > QUEUED_REQUESTS:
            self.refused += 1
            raise Refused("too many queued requests", status=429, kind="rate_limit_error")
        self.seconds = self._draw.uniform(SHORTEST, LONGEST)
        created = super()._accept(body, workspace)
        heappush(self._queue, (now + self.seconds, rows))
        self._queued += rows
        self.most_queued = max(self.most_queued, self._queued)
        self.area += rows * self.seconds
        asks = self._held[created.id].requests[0]["params"]["messages"][0]["content"]
        self.creates.append((now, asks, rows, self.seconds))
        return created

    def _greet(self, custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        prompt = params["messages"][0]["content"]
        prefix = custom_id.rpartition("-")[0]
        if random.Random(prompt).randrange(self._busy) == 0 and self._first_prefix.setdefault(prompt, prefix) == prefix:
            return {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}}
        return greet(custom_id, params)

    def _view(self, held: _Held) -> ApiBatch:
        """What has ended changes no more."""
        if held.id in self._ended:
            return self._ended[held.id]
        view = super()._view(held)
        if view.status == "ended":
            self._ended[held.id] = view
        return view
