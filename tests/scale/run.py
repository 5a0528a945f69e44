"""Runs a stack through a load, one event after the other on its clock.

The functions are real, and so is everything they decide and write; only their time is not. A message is taken when it is due and
fewer than `MaximumConcurrency` invocations of its function are at work. What the function computes and moves takes as long as it
was measured (`bench/results.json`) for as many rows; then its code runs, and each of its calls takes `CALL_SECONDS`. So what an
invocation writes is written at its end. Between two calls of one invocation no other one comes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any, NamedTuple
from unittest.mock import patch

from batchdrop.domain import admission
from batchdrop.domain.messages import CollectBatch, FinishJob, Message, Queue, ResumePlanning, SubmitBatch, Upload
from batchdrop.domain.records import JobState
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks
from tests.scale.api import QUEUED_REQUESTS, TierApi
from tests.scale.load import WEIGHT, Dropped, Load, drops
from tests.scale.table import ManyLedger, ManyObjects
from tests.scale.times import Times
from tests.stack import BUCKET, Stack, row

_BUSY = 500
"""One row in about so many fails at first."""


class Invoked(NamedTuple):
    stage: str
    began: float
    ended: float
    waited: float
    """Seconds in the queue after it was due."""


class Tick(NamedTuple):
    began: float
    seconds: float
    calls: int
    items: int


class Run:
    """To the end of all files, or of so many `minutes`.

    Afterwards `invoked`, `ticks`, `stack.ledger.written`, `stack.claude` and `calls` tell what happened.
    """

    def __init__(self, load: Load, times: Times, *, seed: int = 0, weight: int = WEIGHT, minutes: float = inf) -> None:
        self.load = load
        self.times = times
        self.weight = weight
        self.invoked: list[Invoked] = []
        self.ticks: list[Tick] = []
        self.calls: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Of each stage."""
        self.dropped: dict[str, Dropped] = {}
        self.ended: dict[str, float] = {}
        """When each file had its manifest, by key."""
        self.stack = Stack(
            max_requests=100_000 // weight,
            queue_limit=QUEUED_REQUESTS // weight,
            per_tick=times.creates_per_tick,
            timeout=900.0,
            parts=self._parts,
            api=lambda clock, hooks: TierApi(clock, hooks, weight=weight, busy=_BUSY, seed=seed),
        )
        assert isinstance(self.stack.ledger, ManyLedger)
        assert isinstance(self.stack.claude, TierApi)
        self.ledger, self.api = self.stack.ledger, self.stack.claude
        self.start = self.stack.clock.now().timestamp()
        self._numbers = count(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._due: defaultdict[Queue, list[tuple[float, int, Any, int]]] = defaultdict(list)
        self._at_work: Counter[Queue] = Counter()
        self._left = 0
        self._seed = seed
        self._until = self.start + 60 * minutes
        self._stage = ""

    def __call__(self) -> Run:
        with patch.object(admission, "SLOT_REQUESTS", 100_000 // self.weight):
            self._drop_all()
            self._at(60.0, self._tick)
            self.stack.hooks.before = self._before
            while self._left and self._events and self._events[0][0] < self._until:
                at, _, event = heappop(self._events)
                self._set(at)
                event()
        return self

    # ---------------------------------------------------------------- what happens

    def _drop_all(self) -> None:
        for one in drops(self.load, self._seed):
            self.dropped[one.key] = one
            self._at(one.at, lambda one=one: self._drop(one))  # type: ignore[misc]
            self._left += one.rows > 0

    def _drop(self, one: Dropped) -> None:
        name = one.key.removeprefix("inbox/")
        lines = [row(f"r{n}", f"{name} {n}") for n in range(one.rows // self.weight)] if one.rows else [b"text", b"a", b"b"]
        upload = self.stack.drop(one.key, b"\n".join(lines) + b"\n", deliver=False)
        self._put(Queue.plan, upload, self._now() + self.times.event_seconds, 0)

    def _tick(self) -> None:
        began = self._now()
        items = self.ledger.items_listed
        with self._working("poll"):
            self.stack.clock.advance(self.times.of_tick)
            self.stack.tick()
            self.stack.clock.advance((self.ledger.items_listed - items) * self.times.of_item)
            calls = self.stack.hooks.calls
            self.ticks.append(Tick(began, self._now() - began, len(calls), self.ledger.items_listed - items))
        self.invoked.append(Invoked("poll", began, self._now(), 0.0))
        # A tick that outlasts a minute meets the next one on Lambda; here it delays it, and the figures show it.
        self._at(max(began + 60.0, self._now()) - self.start, self._tick)

    def _put(self, queue: Queue, message: Message | Upload, due: float, receives: int) -> None:
        heappush(self._due[queue], (due, next(self._numbers), message, receives))
        self._at(due - self.start, lambda: self._take(queue))

    def _take(self, queue: Queue) -> None:
        waiting, now = self._due[queue], self._now()
        while waiting and waiting[0][0] <= now and self._at_work[queue] < self.times.concurrency[queue]:
            due, _, message, receives = heappop(waiting)
            self._at_work[queue] += 1
            worked = self.times.seconds(queue, self._rows_of(message))
            self._at(
                now + worked - self.start,
                lambda message=message, due=due, receives=receives: self._run(queue, message, now, now - due, receives),  # type: ignore[misc]
            )

    def _run(self, queue: Queue, message: Message | Upload, began: float, waited: float, receives: int) -> None:
        with self._working(queue.value):
            self.stack.receive(queue, message, receives + 1)
        ended = self._now()
        self.invoked.append(Invoked(queue.value, began, ended, waited))
        if isinstance(message, FinishJob):
            self._note_end(message.job_id)
        self._at(ended - self.start, lambda: self._free(queue))

    def _free(self, queue: Queue) -> None:
        self._at_work[queue] -= 1
        self._take(queue)

    @contextmanager
    def _working(self, stage: str) -> Iterator[None]:
        self._stage = stage
        self.ledger.writer += 1
        yield
        self._stage = ""
        self.calls[stage].update(self.stack.hooks.calls)
        self.stack.hooks.calls.clear()
        sent, self.stack.queues.waiting = self.stack.queues.waiting, []
        for one in sent:
            self._put(one.queue, one.message, one.due.timestamp(), one.receives)

    def _before(self, name: str) -> None:
        if name.startswith("metrics.") or name.endswith(".write") or not self._stage:
            return
        if name.startswith("claude."):
            self.api.call()
        self.stack.clock.advance(self.times.of_call)

    def _note_end(self, job_id: str) -> None:
        job = self.stack.ledger.jobs[job_id]
        if job.state is JobState.done and job.input.key not in self.ended:
            self.ended[job.input.key] = self._now()
            self._left -= 1

    # ---------------------------------------------------------------- inside

    def _parts(self, clock: ManualClock, hooks: Hooks) -> tuple[ManyObjects, ManyLedger]:
        return ManyObjects(clock, hooks, bucket=BUCKET), ManyLedger(clock, hooks)

    def _rows_of(self, message: Message | Upload) -> int:
        match message:
            case Upload(key=key):
                return self.dropped[key].rows
            case ResumePlanning(job_id=job_id):
                return self.dropped[self.stack.ledger.jobs[job_id].input.key].rows
            case SubmitBatch() | CollectBatch():
                return self.stack.ledger.stored[message.job_id, message.batch].requests * self.weight
            case _:
                return 0

    def _at(self, seconds: float, event: Callable[[], None]) -> None:
        heappush(self._events, (self.start + seconds, next(self._numbers), event))

    def _now(self) -> float:
        return self.stack.clock.now().timestamp()

    def _set(self, at: float) -> None:
        self.stack.clock.advance(at - self._now())
