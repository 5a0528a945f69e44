"""Whose batch it is: custom ids that nobody else can know, strangers in the workspace, and what can never be found out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import msgspec
import pytest

from batchdrop.domain.errors import NotFound
from batchdrop.domain.records import BatchState
from tests.faults.scenarios import fated, mixed_rows
from tests.stack import Killed, Stack, rows
from tests.stages.harm import LOST, fail, keeping_bodies, minutes, refused
from tests.stages.test_reconcile import clean, lost, theirs

# ---------------------------------------------------------------- whose custom ids they are


def forged(prefix: str, lines: range) -> bytes:
    """A batch of a stranger who knows custom ids of ours."""
    return json.dumps({"requests": [{"custom_id": f"{prefix}-{line}", "params": {"model": "forged"}} for line in lines]}).encode()


@pytest.mark.parametrize("known", ["the first batch", "version 0.1.0"])
@pytest.mark.parametrize("accepted", [False, True])
def test_a_stranger_who_has_seen_earlier_results_has_nothing_delivered(known: str, accepted: bool) -> None:
    stack = Stack(max_requests=3, queue_limit=3)
    stack.drop("inbox/a.jsonl", rows(6))
    stack.pump()
    seen = stack.claude.custom_ids()[0].rpartition("-")[0] if known == "the first batch" else f"{stack.job().token}-1"
    fail(stack, "claude.create", LOST, after=accepted)
    minutes(stack, 1)
    stack.claude.inject(forged(seen, range(4, 7)))
    stack.hooks.clear()
    stack.run()
    assert [line["result"]["message"]["model"] for line in stack.lines("results.jsonl")] == ["claude-haiku-4-5"] * 6
    assert len(stack.claude.ids) == 3
    assert stack.job().state == "done"
    # The audit takes custom ids of ours for ours, whoever sent them: better one alarm too many.
    assert {finding.kind for finding in stack.audit()} <= {"accepted_twice", "answered_twice", "orphan"}


def test_no_two_creates_have_custom_ids_in_common() -> None:
    stack = Stack(max_requests=2)
    stack.claude.answer = fated(stack.attempt_of)
    fail(stack, "claude.create", refused(529, "overloaded_error"))
    stack.drop("inbox/a.jsonl", mixed_rows())
    stack.drop("inbox/b.jsonl", mixed_rows())
    stack.run()
    drawn = [prefix for job in stack.jobs() for batch in stack.batches(job) for prefix in batch.prefixes or ()]
    assert len(drawn) == len(set(drawn)) == len(stack.claude.bodies) + 1
    sent = [{request["custom_id"].rpartition("-")[0] for request in json.loads(body)["requests"]} for body in stack.claude.bodies]
    assert all(len(prefixes) == 1 and prefixes <= set(drawn) for prefixes in sent)
    assert not any(job.token in prefix for job in stack.jobs() for prefix in drawn)


def unsure_since_0_1_0(stack: Stack, lines: int = 3) -> bytes:
    """A batch as version 0.1.0 left it after a create without an answer. Returns the body of that create."""
    lost(stack, lines, accepted=False)
    (batch,) = stack.batches()
    stack.ledger.stored[batch.job_id, batch.name] = msgspec.structs.replace(batch, prefixes=None)
    stack._attempts.clear()
    params = json.loads(rows(1))["params"]
    ids = [f"{stack.job().token}-1-{line}" for line in range(1, lines + 1)]
    return json.dumps({"requests": [{"custom_id": custom_id, "params": params} for custom_id in ids]}).encode()


def test_a_batch_that_0_1_0_sent_is_confirmed_and_collected() -> None:
    stack = Stack()
    stack.claude.inject(unsure_since_0_1_0(stack))
    stack.run()
    (batch,) = stack.batches()
    assert (batch.adopted, batch.prefixes) == (True, None)
    assert len(stack.claude.bodies) == 1
    clean(stack)


def appears_late(stack: Stack, body: bytes, *, as_of_its_create: bool) -> None:
    """The batch of a released create shows up when a second create has no answer either: then created, or then listed at last."""
    before = stack.clock.now()
    fail(stack, "claude.create", LOST)
    minutes(stack, 20)
    stack.hooks.clear()
    assert len(stack.batches()[0].prefixes or ()) == 2
    held = stack.claude.inject(body)
    if as_of_its_create:
        stack.claude._held[held.id].created_at = before
    stack.run()


@pytest.mark.parametrize("as_of_its_create", [False, True])
def test_a_released_batch_is_recognized_when_its_first_create_appears_late(as_of_its_create: bool) -> None:
    stack = Stack(grace=900)
    with keeping_bodies(stack) as bodies:
        stack.drop("inbox/a.jsonl", rows(3))
        stack.pump()
    appears_late(stack, bodies[0], as_of_its_create=as_of_its_create)
    assert stack.claude.bodies == bodies
    assert len(stack.lines("results.jsonl")) == 3
    clean(stack)


def test_a_batch_that_0_1_0_sent_is_recognized_after_a_release() -> None:
    stack = Stack(grace=900)
    body = unsure_since_0_1_0(stack)
    appears_late(stack, body, as_of_its_create=False)
    assert stack.claude.bodies == [body]
    assert len(stack.lines("results.jsonl")) == 3
    clean(stack)


# ---------------------------------------------------------------- hundreds of strangers


def among_strangers(stack: Stack, number: int) -> None:
    """A batch of one request whose create got no answer, among ended batches of others that look like it."""
    for _ in range(number // 2):
        stack.claude.inject(theirs(1))
    lost(stack, 1, accepted=True)
    for _ in range(number // 2):
        stack.claude.inject(theirs(1))
    stack.clock.advance(300)


def reads_in_a_tick(stack: Stack) -> int:
    stack.hooks.calls.clear()
    stack.tick()
    return stack.hooks.calls.count("claude._results")


def test_strangers_are_told_apart_a_few_a_tick() -> None:
    stack = Stack(grace=900)
    among_strangers(stack, 400)
    reads = []
    for _ in range(11):
        reads.append(reads_in_a_tick(stack))
        assert len(stack.batches()[0].not_ours) == min(sum(reads), 200)
        stack.clock.advance(60)
    assert reads == [20] * 10 + [1]
    assert stack.batches()[0].state is BatchState.in_progress
    assert stack.batches()[0].not_ours == tuple(stack.claude.ids[:200])
    assert stack.failures == []
    stack.run()
    assert len(stack.claude.bodies) == 401
    clean(stack)


def test_a_tick_that_is_killed_keeps_what_it_has_found() -> None:
    stack = Stack()
    among_strangers(stack, 40)

    def kill_in_the_middle(name: str) -> None:
        if name == "claude._results" and stack.hooks.calls.count(name) > 7:
            raise Killed

    stack.hooks.before = kill_in_the_middle
    stack.tick()
    assert len(stack.batches()[0].not_ours) == 7
    stack.hooks.clear()
    stack.run()
    clean(stack)


def test_one_read_serves_every_batch_that_it_could_be() -> None:
    stack = Stack(max_requests=1)
    for _ in range(10):
        stack.claude.inject(theirs(1))
    fail(stack, "claude.create", LOST, after=True, times=3)
    stack.drop("inbox/a.jsonl", rows(3))
    stack.pump()
    stack.hooks.clear()
    stack.clock.advance(300)
    assert reads_in_a_tick(stack) == 13
    assert [batch.api_id for batch in stack.batches()] == stack.claude.ids[10:]
    stack.run()
    clean(stack)


def test_no_batch_waits_for_ever_behind_the_strangers_of_others() -> None:
    """The results of as many candidates as a tick reads never come; the batch behind them is found all the same."""
    stack = Stack()
    lonely = [stack.claude.inject(theirs(requests)).id for requests in range(2, 32) for _ in range(2)]
    fail(stack, "claude.create", LOST, after=False, times=30)
    for requests in range(2, 32):
        stack.drop(f"inbox/{requests}.jsonl", rows(requests))
    stack.pump()
    fail(stack, "claude.create", LOST, after=True)
    stack.drop("inbox/found.jsonl", rows(1))
    stack.pump()
    stack.hooks.clear()
    stack.claude.inject(theirs(1))
    found = next(job for job in stack.jobs() if job.input.key == "inbox/found.jsonl")
    results = stack.claude._results

    def unreadable(api_id: str) -> Iterator[bytes]:
        return iter(()) if api_id in lonely else results(api_id)

    stack.claude._results = unreadable  # type: ignore[method-assign]  # results without a line, whenever they are asked for
    minutes(stack, 10)
    assert [batch.state for batch in stack.batches(found)] == [BatchState.collected]


def test_reading_stops_when_the_api_is_slow() -> None:
    stack = Stack()
    among_strangers(stack, 40)

    def slow(name: str) -> None:
        if name == "claude._results":
            stack.clock.advance(25)

    stack.hooks.before = slow
    assert reads_in_a_tick(stack) == 3


# ---------------------------------------------------------------- what can never be found out


def not_found(*calls: str) -> Callable[[str], None]:
    def answer_404(name: str) -> None:
        if name in calls:
            raise NotFound("not found", status=404)

    return answer_404


@pytest.mark.parametrize("state", [BatchState.in_progress, BatchState.ended])
def test_an_adopted_batch_that_its_owner_deletes_is_given_back(state: BatchState) -> None:
    stack = Stack(grace=900)
    stack.claude.seconds = 600
    stranger = stack.claude.inject(theirs(3)).id
    lost(stack, accepted=False)
    ticks = 12 if state is BatchState.ended else 5
    for _ in range(ticks):
        stack.clock.advance(60)
        stack.tick()
    assert (stack.batches()[0].state, stack.batches()[0].api_id) == (state, stranger)
    stack.claude.forget(stranger)
    minutes(stack, 59)
    assert stack.batches()[0].api_id == stranger
    stack.run()
    assert not stack.batches()[0].adopted
    assert len(stack.claude.bodies) == 1
    assert len(stack.lines("results.jsonl")) == 3
    clean(stack)


def test_an_adopted_batch_whose_results_are_late_is_waited_for() -> None:
    stack = Stack()
    lost(stack, accepted=True)

    stack.hooks.before = not_found("claude._results")
    minutes(stack, 10 * 60)
    (batch,) = stack.batches()
    assert (batch.state, batch.adopted, batch.not_found) == (BatchState.ended, True, 0)
    stack.hooks.clear()
    stack.run(24 * 60)
    assert len(stack.claude.bodies) == 1
    clean(stack)


def test_a_404_of_an_ended_batch_that_passes_gives_nothing_back() -> None:
    stack = Stack()
    lost(stack, accepted=True)
    stack.hooks.before = not_found("claude._results", "claude.retrieve")
    minutes(stack, 30)
    (batch,) = stack.batches()
    assert (batch.state, batch.not_found > 0) == (BatchState.ended, True)
    stack.hooks.before = not_found("claude._results")
    minutes(stack, 10 * 60)
    assert stack.batches()[0].not_found == 0
    stack.hooks.clear()
    stack.run(24 * 60)
    assert len(stack.claude.bodies) == 1
    clean(stack)


def test_a_404_that_passes_gives_nothing_back() -> None:
    stack = Stack()
    stack.claude.seconds = 3 * 3600
    lost(stack, accepted=True)
    minutes(stack, 5)
    assert stack.batches()[0].adopted
    held = stack.claude._held
    for _ in range(2):
        (hidden,) = held.items()
        held.clear()
        minutes(stack, 50)
        assert stack.batches()[0].not_found == 50
        held.update([hidden])
        minutes(stack, 1)
        assert (stack.batches()[0].not_found, stack.batches()[0].not_found_since) == (0, None)
    stack.run()
    assert len(stack.claude.bodies) == 1
    clean(stack)


def test_a_batch_whose_first_answers_were_ours_is_never_given_back() -> None:
    """The list and both reads have lost it, longer than a batch that nothing has confirmed is waited for."""
    stack = Stack()
    stack.claude.line_lag = lambda custom_id: 24 * 3600.0 if custom_id.endswith("-1") else 0.0
    lost(stack, accepted=True)
    minutes(stack, 20)
    assert (stack.batches()[0].state, stack.batches()[0].incomplete_since is None) == (BatchState.ended, False)
    (held,) = stack.claude._held.values()
    workspace, held.workspace = held.workspace, "another"
    minutes(stack, 10 * 60)
    held.workspace = workspace
    stack.run(3 * 24 * 60)
    assert len(stack.claude.bodies) == 1
    clean(stack)


def test_a_batch_that_is_certainly_ours_is_never_given_back() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(3))
    stack.pump()
    (api_id,) = stack.claude.ids
    stack.claude.forget(api_id)
    minutes(stack, 240)
    assert (stack.batches()[0].api_id, stack.batches()[0].state) == (api_id, BatchState.in_progress)
    assert stack.claude.bodies == []


@pytest.mark.parametrize("accepted", [False, True])
def test_a_row_whose_end_nobody_can_tell_counts_the_attempt_that_may_be_paid(accepted: bool) -> None:
    stack = Stack(max_requests=2)
    if not accepted:
        stack.claude.inject(theirs(2))
    fail(stack, "claude.create", LOST, after=accepted, times=2)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()
    stack.hooks.before = not_found("claude._results")
    stack.clock.advance(timedelta(days=30).total_seconds())
    minutes(stack, 1)
    failed = [line["_batchdrop"] for line in stack.lines("failed.jsonl")]
    assert {(one["status"], one["error"]["type"], one["attempts"]) for one in failed} == {("missing", "unknown_outcome", 1)}
    # The audit, which knows every request of this API, says what nobody else can.
    assert {finding.kind for finding in stack.audit()} == ({"orphan"} if accepted else set())
    stack.hooks.clear()
    stack.command("retry", stack.job().id)
    # Whoever wants to risk it puts failed.jsonl in again.
    assert "There is nothing to retry" in stack.document("status.json")["message"]
    assert stack.objects.keys("inbox/") == ["inbox/a.jsonl"]
