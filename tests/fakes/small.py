"""The fakes that only remember: queues, switch, notices, metrics; and one that looks at files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from batchdrop.domain.file_facts import FileFacts
from batchdrop.domain.messages import Message, Queue, Upload
from batchdrop.formats.file_look import look_at_file
from batchdrop.ports import Metrics, SwitchState
from tests.event_schema import check_event
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks, hooked


class Sent(NamedTuple):
    queue: Queue
    message: Message | Upload
    delay: int
    due: datetime
    receives: int = 0
    """So far."""


class FakeQueues:
    name = "queues"

    def __init__(self, clock: ManualClock, hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()
        self._clock = clock
        self.waiting: list[Sent] = []
        self.put_off_to: dict[str, datetime] = {}
        """Of messages that were received and put off, by receipt: when they are delivered again."""

    @hooked
    def send(self, message: Message, *, delay: int = 0) -> None:
        seconds = max(0, min(delay, 900))
        self.waiting.append(Sent(message.queue, message, seconds, self._clock.now() + timedelta(seconds=seconds)))

    @hooked
    def put_off(self, queue: Queue, receipt: str, seconds: int) -> None:
        self.put_off_to[receipt] = self._clock.now() + timedelta(seconds=seconds)

    def take(self, queue: Queue) -> Sent | None:
        """The oldest message of a queue that is due by now."""
        for place, sent in enumerate(self.waiting):
            if sent.queue is queue and sent.due <= self._clock.now():
                return self.waiting.pop(place)
        return None

    def messages(self, queue: Queue) -> list[Message | Upload]:
        """Everything in a queue, due or not; nothing is taken."""
        return [sent.message for sent in self.waiting if sent.queue is queue]


class FakeSwitch:
    name = "switch"

    def __init__(self, text: str = "run", hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()
        self.text: str | None = text
        """As an operator wrote it; None for a parameter that cannot be read."""

    @hooked
    def state(self) -> SwitchState:
        try:
            return SwitchState((self.text or "").strip().lower())
        except ValueError:
            return SwitchState.pause


class FakeNotices:
    name = "notices"

    def __init__(self, hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()
        self.published: list[tuple[str, dict[str, object]]] = []
        self.mails: list[str] = []
        self.attributes: list[dict[str, str]] = []

    @hooked
    def publish(self, subject: str, text: str, document: Mapping[str, object], attributes: Mapping[str, str]) -> None:
        self.published.append((subject, json.loads(msgspec.json.encode(document))))
        self.mails.append(text)
        self.attributes.append(dict(attributes))


class FakeEvents:
    name = "events"

    def __init__(self, hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()
        self.details: list[dict[str, object]] = []

    @hooked
    def put(self, details: Sequence[Mapping[str, object]]) -> None:
        for detail in details:
            event = json.loads(msgspec.json.encode(detail))
            check_event(event)
            self.details.append(event)


class FakeInspector:
    """Looks at files in this process."""

    name = "inspector"

    def __init__(self, hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()

    @hooked
    def __call__(self, path: Path) -> FileFacts:
        return look_at_file(path)

    def close(self) -> None:
        """It keeps nothing."""


class FakeMetrics:
    name = "metrics"

    def __init__(self, hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()
        self.totals: dict[str, float] = {}
        self.latest: dict[str, float] = {}
        self.also: Metrics | None = None
        """Is told everything too."""

    @hooked
    def count(self, /, name: str, value: float = 1, **dimensions: str) -> None:
        if self.also is not None:
            self.also.count(name, value, **dimensions)
        name = " ".join((name, *(f"{dimension}={text}" for dimension, text in dimensions.items())))
        self.totals[name] = self.totals.get(name, 0) + value
        self.latest[name] = value
