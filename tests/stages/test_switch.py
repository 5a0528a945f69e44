"""The switch: closed for spending at once, open for collecting always."""

from __future__ import annotations

import pytest

from batchdrop.domain.errors import Throttled
from batchdrop.domain.records import JobState
from tests.stack import Stack, rows
from tests.stages.harm import fail, minutes


@pytest.mark.parametrize("text", ["pause", "stop", "PAUSE ", "no such word", "", None])
def test_nothing_is_sent_unless_it_says_run(text: str | None) -> None:
    stack = Stack()
    stack.switch.text = text
    stack.drop("inbox/a.jsonl", rows(3))
    minutes(stack, 20)
    assert stack.claude.ids == []
    assert "ledger.commit.admitted" not in stack.hooks.calls
    assert stack.job().state is JobState.running
    assert "until an operator sets" in stack.document("status.json")["message"]
    stack.switch.text = "run"
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.audit() == []


@pytest.mark.parametrize("text", ["pause", "stop", None])
def test_what_was_admitted_is_asked_again_before_it_is_sent(text: str | None) -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(3))
    assert stack.ledger.get_admission().queued == 3
    stack.switch.text = text
    stack.pump()
    assert stack.claude.ids == []
    assert stack.ledger.get_admission().queued == 0
    stack.switch.text = "run"
    stack.run()
    assert stack.job().state is JobState.done


def test_pause_still_collects() -> None:
    stack = Stack(max_requests=2, queue_limit=2)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()
    stack.switch.text = "pause"
    minutes(stack, 5)
    assert (stack.job().counts.succeeded, len(stack.claude.ids)) == (2, 1)
    stack.switch.text = "run"
    stack.run()
    assert stack.job().counts.succeeded == 4
    assert stack.audit() == []


def test_stop_cancels_at_the_api_and_keeps_what_has_finished() -> None:
    stack = Stack(max_requests=2)
    stack.drop("inbox/done.jsonl", rows(2))
    stack.pump()
    stack.clock.advance(59)
    stack.claude.seconds = 100_000
    stack.drop("inbox/open.jsonl", rows(2))
    stack.pump()
    stack.switch.text = "stop"
    minutes(stack, 3)
    done, still_open = sorted(stack.jobs(), key=lambda job: job.input.key)
    assert (done.counts.succeeded, still_open.counts.canceled) == (2, 2)
    assert len(stack.lines("failed.jsonl", still_open)) == 2
    assert stack.audit() == []


def test_a_switch_that_cannot_be_asked_sends_nothing_and_collects_all_the_same() -> None:
    stack = Stack(max_requests=2, queue_limit=2)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()
    fail(stack, "switch.state", Throttled("busy"), times=1000)
    minutes(stack, 5)
    assert (stack.job().counts.succeeded, len(stack.claude.ids)) == (2, 1)
    stack.hooks.clear()
    stack.run()
    assert stack.job().counts.succeeded == 4
    assert stack.audit() == []
