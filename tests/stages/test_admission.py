"""How much goes to the API, who goes first, and what a 429 or a dead key does."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from batchdrop.domain.messages import Queue
from batchdrop.domain.records import BatchState
from tests.stack import Killed, Stack, row, rows
from tests.stages.harm import fail, minutes, refused

BLOCKING = {
    "401": refused(401, "authentication_error"),
    "402": refused(402, "billing_error"),
    "403": refused(403, "permission_error"),
    "spend limit": refused(429, "rate_limit_error", code="enforced_spend_limit_reached"),
    "contract": refused(429, "rate_limit_error", code="contract_spend_limit_reached"),
    "no credit": refused(400, "invalid_request_error", text="Your credit balance is too low to access the Anthropic API."),
    "usage limit": refused(400, "invalid_request_error", text="You have reached your specified API usage limits."),
    "hold": refused(400, "invalid_request_error", code="organization_on_hold"),
}


def order_of_creates(stack: Stack) -> str:
    """First letter of the name of each job, in the order in which the API accepted its batches."""
    owners = [stack.ledger.claims[api_id][0] for api_id in stack.claude.ids]
    names = {job.id: job.input.key.removeprefix("inbox/")[0] for job in stack.jobs()}
    return "".join(names[owner] for owner in owners)


def test_queued_requests_stay_under_the_limit() -> None:
    stack = Stack(max_requests=3, queue_limit=10)
    stack.drop("inbox/a.jsonl", rows(30))
    most = 0
    for _ in range(30):
        stack.step()
        most = max(most, stack.ledger.get_admission().queued)
    assert most == 9
    assert stack.job().state == "done"
    assert stack.ledger.get_admission().queued == 0


def test_two_ticks_at_once_stay_under_the_limit() -> None:
    stack = Stack(max_requests=3, queue_limit=4)
    stack.switch.text = "pause"
    stack.drop("inbox/a.jsonl", rows(6))
    stack.switch.text = "run"

    def overtake(name: str) -> None:
        if name == "ledger.commit.admitted":
            stack.hooks.clear()
            stack.tick()

    stack.hooks.before = overtake
    stack.tick()
    assert stack.ledger.get_admission().queued == 3
    assert len(stack.queues.messages(Queue.submit)) == 1
    stack.run()
    assert stack.audit() == []


def test_creates_stay_under_the_rate() -> None:
    stack = Stack(max_requests=1, per_tick=4)
    stack.drop("inbox/a.jsonl", rows(20))
    stack.pump()
    seen = [len(stack.claude.ids)]
    for _ in range(4):
        stack.step()
        seen.append(len(stack.claude.ids))
    assert seen == [4, 8, 12, 16, 20]


def test_a_small_file_is_at_the_api_without_waiting_for_a_tick() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(2))
    stack.pump()
    assert len(stack.claude.ids) == 1


def test_priorities() -> None:
    stack = Stack(max_requests=2, queue_limit=2)
    stack.drop("inbox/first.jsonl", rows(2))  # takes all the room, so that the others wait
    stack.pump()
    stack.drop("inbox/low.jsonl", rows(2), {"batchdrop-priority": "low"})
    stack.drop("inbox/normal.jsonl", rows(2))
    stack.drop("inbox/high.jsonl", rows(2), {"batchdrop-priority": "HIGH"})
    stack.drop("inbox/odd.jsonl", rows(2), {"batchdrop-priority": "whatever"})
    stack.run()
    assert order_of_creates(stack) in ("fhnol", "fhonl")


def test_two_jobs_take_turns() -> None:
    stack = Stack(max_requests=100, queue_limit=100)
    stack.drop("inbox/a.jsonl", rows(500))
    stack.drop("inbox/b.jsonl", rows(500))
    stack.run()
    order = order_of_creates(stack)
    assert sorted(order) == list("aaaaabbbbb")
    assert all(abs(order[:length].count("a") - order[:length].count("b")) <= 1 for length in range(2, 11))


def test_a_huge_job_does_not_starve_a_small_one() -> None:
    stack = Stack(max_requests=1000, queue_limit=2000)
    stack.drop("inbox/huge.jsonl", rows(9000))
    stack.pump()
    stack.clock.advance(1)
    stack.drop("inbox/small.jsonl", rows(3))
    stack.run()
    assert order_of_creates(stack).index("s") <= 3


def test_small_jobs_do_not_starve_a_huge_one() -> None:
    """A batch that needs all the room lets smaller ones pass for an hour, then it holds the line."""
    stack = Stack(max_requests=10, queue_limit=10)
    stack.claude.seconds = 600
    stack.drop("inbox/0.jsonl", rows(2))
    stack.pump()
    stack.drop("inbox/whole.jsonl", rows(10))
    for number in range(100):
        stack.drop(f"inbox/{number}s.jsonl", rows(2))
        stack.step()
    stack.run()
    assert "w" in order_of_creates(stack)
    started = stack.claude.created_at(stack.claude.ids[order_of_creates(stack).index("w")])
    dropped = next(job.created_at for job in stack.jobs() if "whole" in job.input.key)
    assert 60 <= (started - dropped).total_seconds() / 60 <= 75


def test_a_job_that_nobody_can_finish_planning_does_not_keep_others_from_the_api() -> None:
    stack = Stack(max_requests=1)

    def die_at_the_end(name: str) -> None:
        if name == "ledger.commit.planned":
            raise Killed

    stack.hooks.before = die_at_the_end
    stack.drop("inbox/stuck.jsonl", rows(1200))
    assert stack.job().state == "planning"
    stack.clock.advance(60)  # later than the start tag of any of its batches
    stack.hooks.clear()
    stack.drop("inbox/quick.jsonl", rows(1))
    minutes(stack, 1)
    assert order_of_creates(stack) == "q"


def test_a_batch_that_must_wait_longer_keeps_no_other_job_from_the_api() -> None:
    stack = Stack(max_requests=1, per_tick=1000)
    stack.switch.text = "pause"
    stack.drop("inbox/refused.jsonl", rows(300))
    stack.switch.text = "run"
    for key, batch in stack.ledger.stored.items():
        stack.ledger.stored[key] = replace(batch, not_before=stack.clock.now() + timedelta(days=1))
    stack.drop("inbox/quick.jsonl", rows(1))
    minutes(stack, 1)
    assert order_of_creates(stack) == "q"


def test_a_small_file_does_not_wait_for_a_tick_behind_a_job_with_its_turn_later() -> None:
    stack = Stack(max_requests=100, queue_limit=150)
    stack.claude.seconds = 3600
    stack.drop("inbox/huge.jsonl", rows(1000))
    stack.pump()
    stack.clock.advance(1)
    stack.drop("inbox/small.jsonl", rows(3))
    stack.pump()
    assert order_of_creates(stack) == "hs"


def test_a_batch_larger_than_a_lowered_limit_goes_alone() -> None:
    stack = Stack(max_requests=10, queue_limit=5)
    stack.drop("inbox/a.jsonl", rows(10))
    stack.run()
    assert stack.job().state == "done"


@pytest.mark.parametrize("retry_after", [None, 120.0])
def test_a_429_slows_down_and_loses_nothing(retry_after: float | None) -> None:
    stack = Stack(max_requests=2)
    fail(stack, "claude.create", refused(429, "rate_limit_error", retry_after=retry_after), times=3)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()
    asked = stack.hooks.calls.count("claude.create")
    assert asked == 1, "after a 429 the next one waits too"
    assert {batch.state for batch in stack.batches()} == {BatchState.ready}
    stack.clock.advance(20)
    stack.tick()
    assert stack.hooks.calls.count("ledger.commit.admitted") == 2, "and is not admitted again before"
    assert stack.document("status.json")["state"] == "running"
    stack.run()
    assert stack.job().state == "done"
    assert stack.ledger.get_admission().throttles == 0
    assert stack.audit() == []


def test_a_429_waits_as_long_as_it_was_told() -> None:
    stack = Stack()
    fail(stack, "claude.create", refused(429, "rate_limit_error", retry_after=300.0))
    stack.drop("inbox/a.jsonl", rows(1))
    minutes(stack, 4)
    assert stack.claude.ids == []
    assert "slow down" in stack.document("status.json")["message"]
    minutes(stack, 2)
    assert len(stack.claude.ids) == 1


def test_a_529_without_end_keeps_asking_ever_more_rarely() -> None:
    stack = Stack()
    fail(stack, "claude.create", refused(529, "overloaded_error"), times=1000)
    stack.drop("inbox/a.jsonl", rows(1))
    minutes(stack, 120)
    assert 8 <= stack.hooks.calls.count("claude.create") <= 20
    stack.hooks.clear()
    stack.run()
    assert stack.job().state == "done"


@pytest.mark.parametrize("kind", BLOCKING)
def test_what_needs_a_person_stops_submission_and_says_so(kind: str) -> None:
    stack = Stack(max_requests=2)
    fail(stack, "claude.create", BLOCKING[kind], times=100)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.drop("inbox/b.jsonl", rows(4))
    minutes(stack, 30)
    assert stack.claude.ids == []
    # One probe every five minutes, and those admitted before the first answer, or, of a 403, before the second job met it.
    assert stack.hooks.calls.count("claude.create") <= (10 if kind == "403" else 8)
    for job in stack.jobs():
        message = stack.document("status.json", job)["message"]
        assert "Nothing is being submitted" in message
        assert f" {BLOCKING[kind].status} {BLOCKING[kind].kind}. To fix it, " in message
    stack.hooks.clear()
    minutes(stack, 6)
    assert len(stack.claude.custom_ids()) == 8
    for job in stack.jobs():
        assert "Nothing is being submitted" not in stack.document("status.json", job)["message"]
    stack.run()
    assert {job.state for job in stack.jobs()} == {"done"}
    assert stack.audit() == []


def test_a_job_without_credit_waits_for_it_and_loses_no_row() -> None:
    stack = Stack(max_requests=100)
    fail(stack, "claude.create", BLOCKING["no credit"], times=1000)
    stack.drop("inbox/a.jsonl", rows(1501))
    minutes(stack, 60)
    # The first one, and one every five minutes.
    assert stack.hooks.calls.count("claude.create") <= 13
    assert stack.job().splits == 0
    stack.hooks.clear()
    stack.run()
    assert stack.document("manifest.json")["counts"]["succeeded"] == 1501
    assert stack.audit() == []


def test_a_ramp_limit_is_waited_for() -> None:
    stack = Stack()
    ramp = refused(429, "rate_limit_error", retry_after=3600, code="ramp_limit_exceeded")
    fail(stack, "claude.create", ramp)
    stack.drop("inbox/a.jsonl", rows(1))
    minutes(stack, 59)
    assert stack.hooks.calls.count("claude.create") == 1
    assert "slow down" in stack.document("status.json")["message"]
    minutes(stack, 2)
    assert len(stack.claude.ids) == 1


def test_a_block_stops_what_the_same_tick_goes_on_admitting() -> None:
    """Submissions start while a tick is still admitting; only what is admitted after the refusal is a probe."""
    stack = Stack(max_requests=1)
    stack.switch.text = "pause"
    stack.drop("inbox/a.jsonl", rows(30))
    stack.switch.text = "run"
    still = stack.clock.now

    def passing() -> datetime:
        stack.clock.advance(0.01)
        return still()

    def submit_at_once(name: str) -> None:
        if name == "claude.create":
            raise refused(401, "authentication_error")
        if name == "queues.send":
            stack.pump()

    stack.clock.now = passing  # type: ignore[method-assign]
    stack.hooks.before = submit_at_once
    stack.tick()
    stack.pump()
    assert stack.hooks.calls.count("claude.create") == 1


def test_a_submit_message_delivered_twice_sends_once() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", row("a"))
    (message,) = stack.queues.messages(Queue.submit)
    for _ in range(3):
        stack.receive(Queue.submit, message)
    assert stack.failures == []
    stack.run()
    assert len(stack.claude.ids) == 1


def test_a_submit_message_of_a_batch_that_waits_again_sends_nothing() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", row("a"))
    (message,) = stack.queues.messages(Queue.submit)
    stack.switch.text = "pause"
    stack.receive(Queue.submit, message)
    stack.switch.text = "run"
    stack.receive(Queue.submit, message)
    assert stack.claude.ids == []
    stack.run()
    assert len(stack.claude.ids) == 1
    assert stack.audit() == []


def test_a_retry_keeps_the_priority() -> None:
    stack = Stack(max_attempts=1)
    stack.drop("inbox/low.jsonl", rows(2), {"batchdrop-priority": "low"})
    stack.claude.seconds = 26 * 3600
    stack.pump()
    stack.command("cancel", stack.job().id)
    stack.run()
    stack.command("retry", stack.job().id)
    key = f"inbox/low.retry-of-{stack.job().id}.jsonl"
    assert stack.objects.head(key).metadata["batchdrop-priority"] == "low"
