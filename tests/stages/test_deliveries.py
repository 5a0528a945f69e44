"""What fails comes back within seconds, what is killed after the visibility timeout; and `poll` waits for longer than both."""

from __future__ import annotations

import gzip
from datetime import timedelta
from itertools import pairwise

import pytest

from batchdrop.domain.errors import Throttled, Unavailable
from batchdrop.domain.messages import Queue, ResumePlanning
from batchdrop.domain.records import BatchState, JobState
from batchdrop.domain.redelivery import MAX_RECEIVES, TELL_CUT_OFF, pause_after
from tests.stack import VISIBILITY, Killed, Stack, rows
from tests.stages.harm import fail, minutes

KEY = "inbox/a.jsonl"
BUSY = Throttled("busy")
# A call that each function makes once it is at work.
CALLS = {
    "plan": "objects.read",
    "submit": "claude.key",
    "collect": "claude._results",
    "finish": "ledger.commit.finished",
}
FUNCTIONS = list(CALLS)


def done(stack: Stack) -> None:
    assert stack.job().state is JobState.done
    assert stack.audit() == []
    assert stack.dead_letters == []


def kill(stack: Stack, call: str, times: int) -> None:
    """The first processes that make this call die of it."""
    killed = [0]

    def die(name: str) -> None:
        if name == call and killed[0] < times:
            killed[0] += 1
            raise Killed

    stack.hooks.before = die


def by_seconds(stack: Stack, hours: float = 1) -> float:
    """Lets time pass in small steps, a tick each minute, until the job has ended. Returns for how long, in seconds."""
    began = stack.clock.now()
    tick = began
    while not stack.jobs() or stack.job().state not in (JobState.done, JobState.canceled):
        stack.pump()
        stack.clock.advance(5)
        if stack.clock.now() >= tick:
            stack.tick()
            tick += timedelta(minutes=1)
        assert stack.clock.now() - began < timedelta(hours=hours)
    return (stack.clock.now() - began).total_seconds()


def as_usual() -> float:
    stack = Stack()
    stack.drop(KEY, rows(2))
    return by_seconds(stack)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_error_costs_less_than_a_minute_and_no_alarm(function: str) -> None:
    stack = Stack()
    fail(stack, CALLS[function], BUSY)
    stack.drop(KEY, rows(2))
    took = by_seconds(stack)
    assert [who for who, _ in stack.failures] == [function]
    # What was submitted later ends later, and is seen by the next tick.
    assert took - as_usual() < (60 if function in ("collect", "finish") else 120)
    assert "StuckRepaired" not in stack.metrics.totals
    done(stack)


def test_a_failed_read_of_results_is_repeated_after_half_a_minute() -> None:
    stack = Stack()
    fail(stack, "claude._results", Unavailable("no answer", status=503), times=6)
    failed = []
    stack.drop(KEY, rows(2))
    for _ in range(4000):
        before = len(stack.failures)
        stack.pump()
        failed += [stack.clock.now()] * (len(stack.failures) - before)
        stack.clock.advance(1)
        if stack.clock.now().second == 0:
            stack.tick()
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(failed)]
    assert pauses == [30, 60, 120, 240, 480]
    done(stack)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_six_hours_of_errors_need_nobody(function: str) -> None:
    stack = Stack()
    stack.max_receives = MAX_RECEIVES
    fail(stack, CALLS[function], BUSY, times=10_000)
    stack.drop(KEY, rows(2))
    minutes(stack, 6 * 60)
    stack.hooks.clear()
    minutes(stack, 20)
    assert len(stack.failures) >= MAX_RECEIVES - 2
    assert "StuckRepaired" not in stack.metrics.totals, "a message that its queue still had was sent again"
    done(stack)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_five_that_were_killed_are_told(function: str) -> None:
    stack = Stack()
    kill(stack, CALLS[function], TELL_CUT_OFF + 1)
    stack.drop(KEY, rows(2))
    said: list[tuple[int, bool]] = []
    for _ in range(60):
        minutes(stack, 1)
        text = stack.document("status.json")["message"]
        said.append((len(stack.failures), f"5 invocations of the function {function} were cut off" in text))
    assert {told for failed, told in said if failed < TELL_CUT_OFF} == {False}
    assert any(told for _, told in said)
    assert [who for who, _ in stack.failures] == [function] * (TELL_CUT_OFF + 1)
    stack.run()
    assert "cut off" not in stack.document("status.json")["message"]
    assert "StuckRepaired" not in stack.metrics.totals, "a message that its queue still had was sent again"
    done(stack)


def test_what_is_over_is_not_told_any_more() -> None:
    stack = Stack(max_requests=1)
    stack.claude.seconds = 10_000
    stack.drop(KEY, rows(1))
    kill(stack, "claude.key", TELL_CUT_OFF)
    while stack.batches()[0].state is not BatchState.in_progress:
        minutes(stack, 1)
        told = "were cut off" in stack.document("status.json")["message"]
        assert not told or stack.batches()[0].state is BatchState.ready
    assert len(stack.failures) == TELL_CUT_OFF


def test_what_is_killed_comes_back_after_the_visibility_timeout() -> None:
    stack = Stack()
    kill(stack, "claude._results", 1)
    stack.drop(KEY, rows(2))
    while not stack.failures:
        stack.step()
    (waiting,) = stack.queues.waiting
    assert waiting.due - stack.clock.now() == timedelta(seconds=VISIBILITY)


def test_a_message_that_cannot_be_put_off_comes_back_all_the_same() -> None:
    stack = Stack()

    def refuse(name: str) -> None:
        if name == "queues.put_off":
            raise BUSY.with_traceback(None)
        if name == "claude._results" and not stack.failures:
            raise BUSY.with_traceback(None)

    stack.hooks.before = refuse
    stack.drop(KEY, rows(2))
    while not stack.failures:
        stack.step()
    (waiting,) = stack.queues.waiting
    assert waiting.due - stack.clock.now() == timedelta(seconds=VISIBILITY)
    stack.run()
    done(stack)


def test_a_message_for_a_job_that_is_at_work_waits_for_its_lease() -> None:
    stack = Stack()
    fail(stack, "objects.read", BUSY)
    give_back = stack.ledger._commit

    def lost(move: object) -> object:
        if getattr(move, "edge", "") == "planning_failed":
            raise BUSY.with_traceback(None)
        return give_back(move)  # type: ignore[arg-type]

    stack.ledger._commit = lost  # type: ignore[method-assign, assignment]  # the lease cannot be given back
    stack.drop(KEY, rows(2))
    lease = stack.job().lease_until
    assert lease is not None
    stack.clock.advance(pause_after(1))
    stack.pump()
    assert stack.job().state is JobState.planning
    (waiting,) = stack.queues.waiting
    assert timedelta() <= waiting.due - lease < timedelta(seconds=1)
    assert len(stack.failures) == 1, "to wait is no failure"
    stack.run()
    done(stack)


def test_a_command_in_between_does_not_lose_the_rest_of_a_file() -> None:
    stack = Stack()
    fail(stack, "objects.read", BUSY)
    stack.drop(KEY, rows(2))
    commanded = [False]

    def command(name: str) -> None:
        if name == "ledger.commit.leased" and not commanded[0]:
            commanded[0] = True
            stack.command("approve", f"{stack.job().id}-2345")

    stack.hooks.before = command
    stack.receive(Queue.plan, ResumePlanning(job_id=stack.job().id))
    assert commanded == [True]
    assert stack.job().state is JobState.running


@pytest.mark.parametrize("at", ["objects.resumed.write", "ledger.commit.sourced", "ledger.commit.leased", "objects.read"])
@pytest.mark.parametrize("error", [True, False])
def test_a_cancel_during_unpacking_ends_the_job_within_a_minute(at: str, error: bool) -> None:
    stack = Stack()
    canceled = [False]

    def cancel(name: str) -> None:
        if name == at and not canceled[0]:
            canceled[0] = True
            stack.command("cancel", stack.job().id)
            if error:
                raise BUSY.with_traceback(None)

    if at == "ledger.commit.leased":
        fail(stack, "objects.read", BUSY)
    else:
        stack.hooks.before = cancel
    stack.drop("inbox/a.jsonl.gz", gzip.compress(rows(200)))
    stack.hooks.before = cancel
    errors = error + (at == "ledger.commit.leased")
    assert by_seconds(stack) <= sum(map(pause_after, range(1, errors + 1))) + 10
    assert canceled == [True]
    assert stack.job().state is JobState.canceled
    assert stack.claude.bodies == []
    assert stack.audit() == []


def test_a_cancel_ends_the_unpacking_of_a_file_that_takes_long() -> None:
    stack = Stack(timeout=900)
    written = [0]

    def slow(name: str) -> None:
        if name == "objects.read":
            stack.command("cancel", stack.job().id)
        elif name == "objects.resumed.write":
            written[0] += 1
            stack.clock.advance(10)

    stack.hooks.after = slow
    began = stack.clock.now()
    stack.drop("inbox/a.jsonl.gz", gzip.compress(rows(60_000)))
    assert stack.job().state is JobState.canceled
    assert stack.clock.now() - began < timedelta(minutes=1)
    assert written[0] > 1
    assert stack.document("manifest.json")["state"] == "canceled"
    assert stack.audit() == []


def test_a_command_that_is_tried_in_vain_is_told_in_the_status() -> None:
    stack = Stack()
    stack.switch.text = "pause"
    stack.drop(KEY, rows(2))
    fail(stack, "ledger.commit.cancel_requested", BUSY, times=TELL_CUT_OFF + 1)
    stack.command("cancel", stack.job().id)
    minutes(stack, TELL_CUT_OFF)
    assert "could not be carried out" not in stack.document("status.json")["message"]
    minutes(stack, 15)
    assert "could not be carried out" in stack.document("status.json")["message"]
    stack.run()
    assert stack.job().state is JobState.canceled
    assert "could not be carried out" not in stack.document("status.json")["message"]
