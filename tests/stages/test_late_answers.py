"""Results that come late or never, and counts that lag: a row that may have been answered is not sent again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import BatchState, JobState
from batchdrop.domain.retries import next_look
from tests.fakes.claude import Withheld
from tests.fakes.clock import START
from tests.faults.scenarios import EXPIRED
from tests.stack import TICK, Stack, rows
from tests.stages.harm import minutes
from tests.stages.test_retries import always, attempts_sent

HOUR = 3600.0
DAY = 24 * HOUR


def late(seconds: float, *lines: int) -> Callable[[str], float]:
    """A lag of these lines, whatever comes before the line in their custom ids."""
    return lambda custom_id: seconds if int(custom_id.rsplit("-", 1)[1]) in lines else 0.0


def play(stack: Stack, *, days: float = 1.0) -> Stack:
    stack.drop("inbox/a.jsonl", rows(4))
    stack.run(minutes=round(days * 24 * 60))
    return stack


@pytest.mark.parametrize("seconds", [30.0, HOUR, 3 * DAY])
def test_answers_that_come_late_are_delivered_and_nothing_is_sent_again(seconds: float) -> None:
    stack = Stack()
    stack.claude.line_lag = late(seconds, 2, 3)
    play(stack, days=5)
    assert stack.job().state is JobState.done
    assert [line["line"] for line in stack.lines("results.jsonl")] == [1, 2, 3, 4]
    assert attempts_sent(stack) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert stack.job().batches_incomplete == 0
    assert stack.failures == []
    assert stack.audit() == []


def test_a_batch_that_waits_says_so_and_is_seen() -> None:
    stack = Stack()
    stack.claude.line_lag = late(5 * DAY, 2)
    play(stack, days=1.1)
    (batch,) = stack.batches()
    assert batch.state is BatchState.ended
    assert "not yet delivered every answer to rows of this file that it counts" in stack.document("status.json")["message"]
    assert [one.name for one in stack.ledger.list_open_batches(OpenWork.incomplete)] == [batch.name]
    stack.metrics.totals.clear()
    stack.tick()
    assert stack.metrics.totals["Stalled"] == 1
    assert "StuckRepaired" not in stack.metrics.totals
    assert stack.audit() == []


def test_looks_become_rarer() -> None:
    pauses = []
    now = START
    while now < START + timedelta(days=7):
        later = next_look(START, now)
        pauses.append((later - now) / timedelta(minutes=1))
        now = later
    assert pauses[:8] == [2, 2, 4, 8, 16, 32, 64, 128]
    assert set(pauses[9:]) == {360}
    assert len(pauses) < 40


def test_a_look_whose_message_is_lost_is_repeated() -> None:
    stack = Stack()
    stack.claude.line_lag = late(600.0, 2)
    stack.drop("inbox/a.jsonl", rows(4))
    minutes(stack, 2)
    assert stack.batches()[0].collect_at is not None
    while stack.batches()[0].collect_at is not None:
        stack.clock.advance(60)
        stack.tick()
    stack.queues.waiting.clear()
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.metrics.totals["StuckRepaired"] == 1
    assert len(stack.claude.ids) == 1


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_an_answer_that_never_comes_ends_its_row_as_missing(max_attempts: int) -> None:
    stack = Stack(max_attempts=max_attempts)
    stack.claude.answer = always(stack, Withheld("succeeded"), of=2)
    play(stack, days=6.9)
    assert stack.job().state is JobState.running
    stack.run(minutes=12 * 60)
    assert stack.job().state is JobState.done
    assert [line["line"] for line in stack.lines("results.jsonl")] == [1, 3, 4]
    (failed,) = stack.lines("failed.jsonl")
    assert failed["_batchdrop"]["status"] == "missing"
    assert failed["_batchdrop"]["error"]["type"] == "answer_not_delivered"
    assert failed["_batchdrop"]["attempts"] == 1
    assert "may have been answered and paid for" in failed["_batchdrop"]["error"]["message"]
    assert attempts_sent(stack) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert stack.audit() == []


def test_after_a_cancel_a_day_is_enough() -> None:
    stack = Stack()
    stack.claude.answer = always(stack, Withheld("succeeded"), of=2)
    play(stack, days=0.5)
    stack.command("cancel", stack.job().id)
    stack.run(minutes=24 * 60)
    assert stack.job().state is JobState.canceled
    assert [line["line"] for line in stack.lines("results.jsonl")] == [1, 3, 4]


def test_a_line_that_never_comes_goes_again_once_the_others_are_there() -> None:
    """Both lines are missing at first: the one of an answer, and the one of a request that expired."""
    stack = Stack()
    stack.claude.answer = always(stack, Withheld("expired"), of=3, until_attempt=1)
    stack.claude.line_lag = late(HOUR, 2)
    play(stack)
    assert stack.job().state is JobState.done
    assert [(line["line"], line["attempts"]) for line in stack.lines("results.jsonl")] == [(1, 1), (2, 1), (3, 2), (4, 1)]
    assert attempts_sent(stack) == {1: 1, 2: 1, 3: 2, 4: 1}
    assert stack.audit() == []


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("line_lag", [0.0, HOUR])
def test_counts_that_lag_behind_the_end(line_lag: float, *, hidden: bool) -> None:
    """An ended batch still counts requests as `processing`, or not at all: they may be answers."""
    stack = Stack()
    stack.claude.answer = always(stack, EXPIRED, of=3, until_attempt=1)
    stack.claude.hide_uncounted = hidden
    stack.claude.count_lag = late(600.0, 1, 2, 3)
    stack.claude.line_lag = late(line_lag, 2, 3)
    play(stack)
    assert [(line["line"], line["attempts"]) for line in stack.lines("results.jsonl")] == [(1, 1), (2, 1), (3, 2), (4, 1)]
    assert attempts_sent(stack) == {1: 1, 2: 1, 3: 2, 4: 1}
    assert stack.audit() == []


def test_lines_beyond_the_counts_are_kept() -> None:
    stack = Stack()
    stack.claude.hide_uncounted = True
    stack.claude.count_lag = late(99 * DAY, 1, 2, 3, 4)
    play(stack, days=0.1)
    assert stack.job().state is JobState.done
    assert len(stack.lines("results.jsonl")) == 4


@pytest.mark.parametrize("wrong_look", ["at the end", "when collected"])
def test_two_looks_at_the_counts_have_to_agree(wrong_look: str) -> None:
    """One look says that the request without a line expired, the other that it was answered."""
    stack = Stack()
    stack.claude.line_lag = late(HOUR, 2)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()
    right = stack.claude.answer
    wrong = always(stack, Withheld("expired"), of=2)
    stack.clock.advance(TICK)
    stack.claude.answer = wrong if wrong_look == "at the end" else right
    stack.tick()
    stack.claude.answer = right if wrong_look == "at the end" else wrong
    stack.pump()
    stack.claude.answer = right
    assert stack.batches()[0].state is BatchState.ended
    stack.run()
    assert [line["line"] for line in stack.lines("results.jsonl")] == [1, 2, 3, 4]
    assert len(stack.claude.ids) == 1
