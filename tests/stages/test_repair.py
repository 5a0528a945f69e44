"""Whatever stands still is set going again: a lost message, a dead function, a redriven letter."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from batchdrop.domain.errors import NotFound, Throttled
from batchdrop.domain.messages import CollectBatch, FinishJob, Queue, ResumePlanning, SubmitBatch, Upload
from batchdrop.domain.records import BatchState, JobState
from batchdrop.domain.transitions import Move
from tests.stack import VISIBILITY, Killed, Stack, rows
from tests.stages.harm import LOST, fail, minutes


def done(stack: Stack) -> None:
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.audit() == []


def lose(stack: Stack, queue: Queue) -> None:
    """Everything sent to a queue from now on is lost, once."""
    lost = [False]

    def drop(name: str) -> None:
        if name == "queues.send" and not lost[0] and stack.queues.waiting and stack.queues.waiting[-1].queue is queue:
            lost[0] = True
            stack.queues.waiting.pop()

    stack.hooks.after = drop


@pytest.mark.parametrize("queue", [Queue.submit, Queue.collect, Queue.finish])
def test_a_lost_message_is_sent_again(queue: Queue) -> None:
    stack = Stack()
    lose(stack, queue)
    stack.drop("inbox/a.jsonl", rows(2))
    done(stack)
    assert stack.metrics.totals["StuckRepaired"] == 1


def test_a_lost_handover_of_a_long_file_is_sent_again() -> None:
    stack = Stack(max_requests=10_000)
    lose(stack, Queue.plan)
    drop = stack.hooks.after

    def slowly(name: str) -> None:
        if name == "ledger.commit.added":
            stack.clock.advance(50)
        drop(name)

    stack.hooks.after = slowly
    stack.drop("inbox/a.jsonl", rows(9000))
    assert stack.job().state is JobState.planning
    done(stack)
    assert stack.metrics.totals["StuckRepaired"] >= 1


def test_a_planner_that_died_is_replaced_even_if_its_message_is_lost() -> None:
    stack = Stack()
    fail(stack, "ledger.commit.added", Throttled("busy"))
    stack.drop("inbox/a.jsonl", rows(2))
    stack.queues.waiting.clear()
    done(stack)


def test_a_job_planned_by_a_function_that_died_right_after() -> None:
    stack = Stack()

    def die(name: str) -> None:
        if name == "ledger.commit.planned":
            stack.hooks.clear()
            raise Killed

    stack.hooks.after = die
    stack.drop("inbox/a.jsonl", b"bad\n" + rows(2))
    stack.queues.waiting.clear()
    done(stack)


def test_patience_doubles_and_is_counted() -> None:
    stack = Stack()
    fail(stack, "claude._results", NotFound("not here", status=404), times=10_000)
    stack.drop("inbox/a.jsonl", rows(2))
    moments: list[datetime] = []
    for _ in range(24 * 60):
        stack.step()
        stack.queues.waiting = [sent for sent in stack.queues.waiting if sent.queue is not Queue.collect]
        if stack.batches()[0].repairs > len(moments):
            moments.append(stack.clock.now())
    pauses = [(later - earlier) / timedelta(minutes=1) for earlier, later in pairwise(moments)]
    assert pauses[:5] == [16, 32, 64, 128, 256]
    assert max(pauses) <= 360
    assert stack.metrics.totals["StuckRepaired"] == len(moments)
    stack.hooks.clear()
    stack.run(minutes=400)
    assert stack.job().state is JobState.done
    assert stack.audit() == []


def test_a_batch_that_cannot_be_collected_shows_in_the_metric_long_before_day_29() -> None:
    stack = Stack()
    fail(stack, "claude._results", NotFound("not here", status=404), times=10_000)
    stack.drop("inbox/a.jsonl", rows(2))
    minutes(stack, 30)
    stack.clock.advance(20 * 86_400 - 3_600)
    stack.tick()
    assert "AnswersAtRisk" not in stack.metrics.totals
    stack.clock.advance(3_600)
    stack.tick()
    assert stack.metrics.totals["AnswersAtRisk"] == 2


@pytest.mark.parametrize("kept", [True, False])
def test_a_job_that_does_not_end_shows_in_the_metric(kept: bool) -> None:
    stack = Stack()
    stack.switch.text = "pause" if kept else "run"
    stack.drop("inbox/a.jsonl", rows(2))
    minutes(stack, 30)
    stack.metrics.latest.clear()
    stack.clock.advance(86_400)
    stack.tick()
    if kept:
        assert 24 < stack.metrics.latest["OldestJobHours"] < 25
    else:
        assert stack.metrics.latest == {}, "a metric costs money for as long as it has values"


def test_a_transient_404_on_a_known_batch_is_not_an_end() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(2))
    stack.pump()
    stack.claude.list_lag = 1800
    fail(stack, "claude.retrieve", NotFound("not here", status=404), times=20)
    minutes(stack, 20)
    assert stack.batches()[0].state is BatchState.in_progress
    done(stack)
    assert len(stack.claude.ids) == 1


@pytest.mark.parametrize("queue", list(Queue))
def test_a_dead_letter_redriven_much_later_completes_its_job(queue: Queue) -> None:
    stack = Stack(max_requests=2)
    upload = stack.drop("inbox/a.jsonl", rows(4), deliver=False)
    kept = []
    if queue is not Queue.plan:
        stack.deliver(upload)
    for _ in range(3):
        kept += [sent for sent in stack.queues.waiting if sent.queue is queue]
        stack.queues.waiting = [sent for sent in stack.queues.waiting if sent.queue is not queue]
        stack.step()
    stack.clock.advance(86_400)
    if queue is Queue.plan:
        stack.deliver(upload)
    for sent in kept:
        stack.receive(sent.queue, sent.message)
    done(stack)


def test_a_message_of_a_job_that_is_not_there_is_dropped() -> None:
    stack = Stack()
    nobody, nothing = "20261122T003115Z-aaaaaaaaaaaaaaaa", "000000000001.01"
    stack.receive(Queue.plan, ResumePlanning(job_id=nobody))
    stack.receive(Queue.submit, SubmitBatch(job_id=nobody, batch=nothing))
    stack.receive(Queue.collect, CollectBatch(job_id=nobody, batch=nothing))
    stack.receive(Queue.finish, FinishJob(job_id=nobody))
    assert not stack.failures


def test_one_broken_step_of_a_tick_stops_no_other() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(2))
    fail(stack, "ledger.list_open_jobs", Throttled("busy"), times=10_000)
    stack.tick()
    assert "claude.models" in stack.hooks.calls, "the last step"
    stack.run()
    assert stack.job().state is JobState.done
    assert any(isinstance(error, Throttled) for _, error in stack.failures)


def test_the_finish_message_of_a_job_whose_planning_was_repaired_is_not_waited_for_longer() -> None:
    stack = Stack()
    upload = stack.drop("inbox/a.jsonl", rows(2), deliver=False)
    fail(stack, "objects.read", Throttled("busy"), times=4)
    stack.deliver(upload)
    repairs = 0
    while stack.job().state is JobState.planning:
        # What failed is not delivered again: poll alone sends it.
        stack.queues.waiting = [sent for sent in stack.queues.waiting if not isinstance(sent.message, Upload)]
        repairs = stack.job().repairs
        stack.step()
    assert repairs > 0
    lost = False

    def lose_the_finish_message(name: str) -> None:
        nonlocal lost
        if name == "queues.send" and stack.job().state is JobState.finishing and not lost:
            lost = True
            raise Throttled("busy")

    stack.hooks.before = lose_the_finish_message
    while stack.job().state is not JobState.finishing:
        stack.step()
    assert stack.job().repairs == 0
    since = stack.clock.now()
    done(stack)
    assert lost
    assert (stack.clock.now() - since).total_seconds() <= 2 * VISIBILITY


def test_an_error_that_nobody_thought_of_stops_no_other_step() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(2))
    fail(stack, "ledger.list_open_jobs", ZeroDivisionError(), times=10_000)
    stack.tick()
    assert "claude.models" in stack.hooks.calls, "the last step"
    stack.run()
    assert stack.job().state is JobState.done
    assert any(isinstance(error, ZeroDivisionError) for _, error in stack.failures)


@pytest.mark.parametrize("edge", ["ended", "adopted"])
def test_what_goes_wrong_with_one_batch_stops_no_other(edge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack()
    if edge == "adopted":
        fail(stack, "claude.create", LOST, after=True, times=3)
    # Of different sizes, so that nothing has to tell them apart; in whatever order they are looked at, one comes after it.
    for name, number in (("a", 2), ("stuck", 3), ("z", 4)):
        stack.drop(f"inbox/{name}.jsonl", rows(number))
        stack.pump()
        stack.clock.advance(1)
    stack.hooks.clear()
    write = stack.ledger._commit

    def deny(move: Move[Any]) -> Any:
        if move.edge == edge and "stuck" in stack.ledger.jobs[move.after.job_id].input.key:
            raise RuntimeError("no permission")
        return write(move)

    monkeypatch.setattr(stack.ledger, "_commit", deny)
    minutes(stack, 10)
    assert {job.input.key for job in stack.jobs() if job.state is not JobState.done} == {"inbox/stuck.jsonl"}
    assert "no permission" in {str(error) for who, error in stack.failures if who == "poll"}
    monkeypatch.undo()
    stack.run()
    assert {job.state for job in stack.jobs()} == {JobState.done}
    assert stack.audit() == []
