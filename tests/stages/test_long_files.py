"""A file that takes `plan` several invocations: whatever is killed, the next one goes on from the last checkpoint."""

from __future__ import annotations

import io
from typing import NamedTuple

import pytest

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.messages import Queue
from batchdrop.domain.records import Batch, BatchState, JobState, ObjectRef, Span
from batchdrop.formats.invalid_line import InvalidLine, read_invalid_lines
from tests.fakes.clock import FakeDeadline
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects
from tests.stack import Killed, Stack, row, rows

KEY = "inbox/long.jsonl"
# `plan` takes lines some thousand at a time, and looks at the clock in between. Blank ones cost a test no time.
CHUNK_LINES = 4_000
CHUNKS = 13
ROW_BYTES = 25_000
# What is read from a stream at once.
READ_BYTES = 256 * 1024
# Calls that leave nothing behind: to die before one of them is to die before the next call.
READS = ("ledger.get", "ledger.list", "objects.writer.write", "switch")
# In one invocation that reads chunks for as long as it has time.
MOST_READ = 8 * CHUNK_LINES + 24 * ROW_BYTES + READ_BYTES
MINUTES = 24 * 60
# One that goes on, killed or not, needs a dozen; one that always begins anew would take all these minutes.
MOST_INVOCATIONS = 30


class CountedObjects(FakeObjects):
    """Counts the bytes that are read of the file."""

    bytes_read = 0

    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> io.BytesIO:
        body = super().read(ref, start, end).read()
        return _CountedBody(self, body) if ref.key == KEY else io.BytesIO(body)


class _CountedBody(io.BytesIO):
    def __init__(self, objects: CountedObjects, body: bytes) -> None:
        super().__init__(body)
        self._objects = objects

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._objects.bytes_read += len(data)
        return data


class SlowDeadline(FakeDeadline):
    """Each look at the time that is left takes ten seconds."""

    def remaining(self) -> float:
        self._clock.advance(10)
        return super().remaining()


class SlowStack(Stack):
    """An invocation of `plan` reads a few chunks."""

    def __init__(self) -> None:
        super().__init__(max_requests=5, parts=lambda clock, hooks: (CountedObjects(clock, hooks), FakeLedger(hooks)))

    def deadline(self) -> FakeDeadline:
        return SlowDeadline(self.clock, self.timeout)

    @property
    def bytes_read(self) -> int:
        assert isinstance(self.objects, CountedObjects)
        return self.objects.bytes_read


class Kill(NamedTuple):
    """Of the invocations that read the file the first ones are `spared`; the next ones die right before their `call`-th call."""

    call: int
    spared: int = 0
    times: int = 1


class Watcher:
    """Sees every call of `plan`, and kills."""

    def __init__(self, stack: Stack, kill: Kill | None) -> None:
        self._stack = stack
        self._kill = kill
        self._left = kill.times if kill else 0
        self._doing: object = None
        self._invocations: list[list[str]] = []
        stack.hooks.before = self._called

    def reading(self) -> list[list[str]]:
        """The calls of each invocation that began to read the file."""
        return [calls for calls in self._invocations if "objects.read" in calls]

    def _called(self, name: str) -> None:
        if self._stack.at_work != Queue.plan:
            return
        if self._stack.invocation is not self._doing:
            self._doing = self._stack.invocation
            self._invocations.append([])
        calls = self._invocations[-1]
        earlier = len(self.reading()) - ("objects.read" in calls)
        calls.append(name)
        if self._kill is not None and self._left and len(calls) == self._kill.call and earlier >= self._kill.spared:
            self._left -= 1
            raise Killed


class Planning(NamedTuple):
    """What it took to plan a file, and what came of it."""

    calls: list[list[str]]
    """Of each invocation that began to read the file."""
    bytes_read: int
    requests: int
    invalid: list[InvalidLine]


def long_file() -> bytes:
    """In each chunk rows for a batch or two: one is invalid, and one repeats a custom id of the chunk before."""
    chunks = []
    for number in range(CHUNKS):
        lines = [row(f"{number} {name}", "x" * ROW_BYTES) for name in "abc"]
        lines += [b"not json", row(f"{max(number - 1, 0)} a", "x" * ROW_BYTES), row(f"{number} d")]
        chunks.append(b"\n".join(lines) + b"\n" * (CHUNK_LINES - len(lines) + 1))
    return b"".join(chunks)


BODY = long_file()


def plan(stack: SlowStack, body: bytes, kill: Kill | None = None) -> Planning:
    """Lets time pass until the file is planned; nothing is sent."""
    stack.switch.text = "pause"
    watcher = Watcher(stack, kill)
    stack.drop(KEY, body)
    for _ in range(MINUTES):
        if stack.jobs() and stack.job().state is not JobState.planning:
            break
        assert len(watcher.reading()) < MOST_INVOCATIONS
        stack.step()
    stack.hooks.clear()
    assert stack.job().state is JobState.running
    batches = stack.batches()
    invalid = [
        line
        for batch in batches
        if batch.invalid_key
        for line in read_invalid_lines(io.BytesIO(stack.objects.body(batch.invalid_key)))
        if batch.first_line <= line.line <= batch.last_line
    ]
    assert [batch.span.first_line for batch in batches] == [batch.first_line for batch in batches]
    return Planning(watcher.reading(), stack.bytes_read, sum(batch.requests for batch in batches), invalid)


@pytest.fixture(scope="module")
def undisturbed() -> Planning:
    return plan(SlowStack(), BODY)


def test_a_line_is_read_by_one_invocation_only(undisturbed: Planning) -> None:
    assert len(undisturbed.calls) >= 4
    assert undisturbed.bytes_read <= len(BODY) + READ_BYTES * len(undisturbed.calls)
    assert undisturbed.requests == 4 * CHUNKS
    assert len(undisturbed.invalid) == 2 * CHUNKS


@pytest.mark.parametrize("spared", [0, 1, 2])
def test_a_kill_costs_one_invocation(undisturbed: Planning, spared: int) -> None:
    for call, name in enumerate(undisturbed.calls[spared], start=1):
        if name.startswith(READS):
            continue
        killed = plan(SlowStack(), BODY, Kill(call, spared))
        assert len(killed.calls) <= len(undisturbed.calls) + 1, name
        assert killed.bytes_read <= undisturbed.bytes_read + MOST_READ, name
        assert (killed.requests, killed.invalid) == (undisturbed.requests, undisturbed.invalid), name


def test_a_stage_killed_again_and_again_comes_to_its_end(undisturbed: Planning) -> None:
    kills = 6
    for call in range(1, max(map(len, undisturbed.calls)) + 1, 3):
        stack = SlowStack()
        killed = plan(stack, BODY, Kill(call, times=kills))
        assert len(killed.calls) <= len(undisturbed.calls) + kills
        assert killed.bytes_read <= undisturbed.bytes_read + kills * MOST_READ
        assert (killed.requests, killed.invalid) == (undisturbed.requests, undisturbed.invalid)
    stack.switch.text = "run"
    stack.run(MINUTES)
    assert stack.job().state is JobState.done
    assert stack.audit() == []


def test_blank_lines_without_end_come_to_an_end() -> None:
    body = row("first") + b"\n" * (20 * CHUNK_LINES) + row("last")
    planned = plan(SlowStack(), body)
    assert planned.requests == 2
    assert 5 <= len(planned.calls) <= 12


def test_custom_ids_that_are_gone_are_read_again(undisturbed: Planning) -> None:
    stack = SlowStack()

    def expire(name: str) -> None:
        if name == "ledger.commit.handed_over" and stack.bytes_read > len(BODY) / 2:
            stack.hooks.after = lambda _: None
            for key in stack.objects.keys("work/"):
                if "/ids-" in key:
                    stack.objects.purge(key)

    stack.hooks.after = expire
    planned = plan(stack, BODY)
    assert planned.bytes_read > undisturbed.bytes_read + READ_BYTES
    assert (planned.requests, planned.invalid) == (undisturbed.requests, undisturbed.invalid)


def test_a_batch_that_another_invocation_cut_shorter_is_not_taken_for_our_own() -> None:
    """Two at a time do not happen while clocks are right. When they do, the rows between the two ends must not be lost."""
    stack = Stack(max_requests=3)

    def cut_shorter(name: str) -> None:
        if name == "ledger.list_batches":
            stack.hooks.after = lambda _: None
            (job,) = stack.jobs()
            source = job.source or job.input
            end = len(row("row 1", "prompt 1")) + 1
            span = Span(object=source, start=0, end=end, first_line=1)
            ready = Batch(
                job_id=job.id, first_line=1, last_line=1, state=BatchState.ready, span=span, requests=1, start_tag=job.created_at
            )
            stack.ledger.commit(transitions.added(ready))

    stack.hooks.after = cut_shorter
    stack.drop("inbox/a.jsonl", rows(4))
    stack.run(MINUTES)
    assert [len(stack.lines("results.jsonl")), stack.job().counts.total] == [4, 4]
    assert [type(error) for _, error in stack.failures] == [LostRace]
