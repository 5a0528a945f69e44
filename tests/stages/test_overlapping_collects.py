"""Two deliveries of one collect message at the same time, which have not seen the same results."""

from __future__ import annotations

import pytest

from batchdrop.domain.errors import LostRace, Throttled
from batchdrop.domain.messages import CollectBatch, Queue
from tests.faults.scenarios import errored
from tests.stack import TICK, Stack, rows
from tests.stages.harm import fail
from tests.stages.test_retries import always

# Far more than one invocation of collect makes.
_MOST_CALLS = 60


def _ended(max_attempts: int) -> tuple[Stack, CollectBatch]:
    """A batch that is about to be collected: one of its rows has failed at the API's side."""
    stack = Stack(max_attempts=max_attempts)
    stack.claude.answer = always(stack, errored("overloaded_error"), of=2, until_attempt=1)
    stack.drop("inbox/a.jsonl", rows(3))
    stack.pump()
    stack.clock.advance(TICK)
    stack.tick()
    sent = stack.queues.take(Queue.collect)
    assert sent is not None
    assert isinstance(sent.message, CollectBatch)
    return stack, sent.message


def _without(line: int) -> bytes:
    return f'-{line}"'.encode()


def _shorter(stack: Stack, *, times: int) -> None:
    """The next results streams of the API lack the line that has failed."""
    left = [None] * times

    def cut(lines: bytes) -> bytes:
        left.pop()
        stack.claude.garble = cut if left else None
        return b"\n".join(line for line in lines.split(b"\n") if _without(2) not in line)

    stack.claude.garble = cut


def _play(call: int, *, max_attempts: int, first_is_short: bool) -> Stack | None:
    """At the given call of the one delivery the other comes, wholly. None: there is no such call."""
    stack, message = _ended(max_attempts)
    made = 0

    def other(name: str) -> None:
        nonlocal made
        made += 1
        if made == call:
            stack.hooks.before = lambda _: None
            before, stack.claude.garble = stack.claude.garble, None
            if not first_is_short:
                _shorter(stack, times=4)
            stack.receive(Queue.collect, message)
            stack.claude.garble = before

    stack.hooks.before = other
    if first_is_short:
        _shorter(stack, times=4)
    stack.receive(Queue.collect, message)
    if made < call:
        return None
    stack.hooks.clear()
    stack.claude.garble = None
    stack.run()
    return stack


@pytest.mark.parametrize("first_is_short", [True, False])
@pytest.mark.parametrize("max_attempts", [1, 2])
def test_the_files_hold_what_the_recorded_run_has_seen(max_attempts: int, first_is_short: bool) -> None:
    played = 0
    for call in range(1, _MOST_CALLS):
        stack = _play(call, max_attempts=max_attempts, first_is_short=first_is_short)
        if stack is None:
            break
        played += 1
        assert stack.failures == []
        assert stack.audit() == [], f"at call {call}"
        counts = stack.document("manifest.json")["counts"]
        assert counts["succeeded"] == len(stack.lines("results.jsonl"))
        assert counts["total"] == 3
        named = {part.key for batch in stack.batches() for part in (batch.results, batch.failed, batch.retry) if part}
        assert set(stack.objects.keys(f"work/{stack.job().id}/")) <= named, f"at call {call}"
    assert played > 10


@pytest.mark.parametrize("which", [1, 2])
def test_a_run_that_fails_leaves_no_parts(which: int) -> None:
    stack, message = _ended(max_attempts=2)
    closed = 0

    def throttle(name: str) -> None:
        nonlocal closed
        closed += name == "objects.writer.close"
        if closed == which and name == "objects.writer.close":
            raise Throttled

    stack.hooks.before = throttle
    with pytest.raises(Throttled):
        stack.collect(message)
    assert stack.objects.keys("work/") == []


def test_a_run_whose_record_was_written_without_an_answer_keeps_its_parts() -> None:
    """As it is written then, trying again looks like a lost race."""
    stack, message = _ended(max_attempts=2)
    fail(stack, "ledger.commit.collected", LostRace("the batch has changed"), after=True)
    stack.receive(Queue.collect, message)
    stack.hooks.clear()
    (batch, _) = stack.batches()
    assert stack.objects.keys("work/") == sorted(part.key for part in (batch.results, batch.failed, batch.retry) if part)
    stack.run()
    assert stack.failures == []
    assert stack.audit() == []
