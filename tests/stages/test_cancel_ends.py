"""A cancel ends a job in every state within a bounded time, in a world in which its input can never be read again."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from batchdrop.domain.errors import Forbidden
from batchdrop.domain.records import BatchState, JobState, ObjectRef
from batchdrop_cli.audit.findings import Severity
from tests.stack import Killed, Stack, rows
from tests.stages.harm import LOST, fail, minutes


def unreadable(stack: Stack) -> None:
    """From now on the input, and the copy of it, kills planners and is refused to the others."""
    cut = stack.objects.cut

    def refuse(ref: ObjectRef, start: int, end: int | None) -> bytes:
        if ref.key.startswith("inbox/") or ref.key.endswith("/input.jsonl"):
            raise Killed if stack.job().state is JobState.planning else Forbidden(ref.key, code="AccessDenied")
        return cut(ref, start, end)

    stack.objects.cut = refuse  # type: ignore[method-assign]  # the world changes


def readable(stack: Stack) -> None:
    del stack.objects.cut


def canceled_within(stack: Stack, hours: int) -> None:
    stack.command("cancel", stack.job().id)
    for minute in range(60 * hours):
        if stack.job().state is JobState.canceled:
            break
        # After two hours, a tick every quarter of an hour will do.
        stack.clock.advance(0 if minute < 120 else 14 * 60)
        stack.step()
    assert stack.job().state is JobState.canceled
    assert stack.document("status.json")["state"] == "canceled"
    assert stack.document("manifest.json")["state"] == "canceled"
    assert stack.ledger.get_admission().queued == 0
    assert {batch.state for batch in stack.batches()} <= {BatchState.collected}


def test_planning_of_a_file_that_kills_whoever_reads_it() -> None:
    stack = Stack()
    unreadable(stack)
    stack.drop("inbox/a.jsonl", rows(4))
    assert stack.job().state is JobState.planning
    canceled_within(stack, hours=2)
    assert stack.document("status.json")["message"] == "Stopped before a row of the file was read; nothing was sent."
    assert stack.claude.bodies == []
    minutes(stack, 60)
    assert stack.job().state is JobState.canceled, "a message that comes late plans nothing"
    readable(stack)
    assert stack.audit() == []


@pytest.mark.parametrize("name", ["inbox/a.jsonl", "inbox/a.jsonl.gz"])
def test_planning_that_was_killed_between_two_batches(name: str) -> None:
    stack = Stack(max_requests=2)
    stored = 0

    def kill(call: str) -> None:
        nonlocal stored
        stored += call == "ledger.commit.added"
        if stored == 2:
            raise Killed

    stack.hooks.after = kill
    stack.drop(name, gzip.compress(rows(8)) if name.endswith("gz") else rows(8))
    stack.hooks.clear()
    unreadable(stack)
    canceled_within(stack, hours=2)
    assert [line["_batchdrop"]["line"] for line in stack.lines("failed.jsonl")] == [1, 2, 3, 4]
    assert "only its first 4 lines were looked at" in stack.document("status.json")["message"]
    readable(stack)
    assert stack.audit() == []
    assert stack.claude.bodies == []


def test_a_planner_at_work_comes_to_its_end_first() -> None:
    stack = Stack(max_requests=2)

    def cancel_now(name: str) -> None:
        if name == "ledger.commit.added":
            stack.hooks.clear()
            stack.command("cancel", stack.job().id)
            stack.tick()

    stack.hooks.before = cancel_now
    stack.drop("inbox/a.jsonl", rows(4))
    stack.run()
    assert stack.job().state is JobState.canceled
    assert len(stack.lines("failed.jsonl")) == 4
    assert stack.audit() == []


def _waiting(stack: Stack) -> None:
    stack.switch.text = "pause"
    stack.drop("inbox/a.jsonl", rows(4))


def _admitted(stack: Stack) -> None:
    """Queue room is taken, and the input can no longer be read to submit it."""
    stack.drop("inbox/a.jsonl", rows(4))


def _submitting(stack: Stack) -> None:
    fail(stack, "claude.create", LOST, after=True, times=2)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()


def _at_the_api(stack: Stack) -> None:
    stack.claude.seconds = 100_000
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()


def _adopted(stack: Stack) -> None:
    stack.claude.seconds = 100_000
    fail(stack, "claude.create", LOST, after=True)
    stack.drop("inbox/a.jsonl", rows(3))
    stack.pump()
    stack.hooks.clear()
    for _ in range(60):
        stack.clock.advance(60)
        stack.tick()
        if any(batch.adopted for batch in stack.batches()):
            break
    assert any(batch.adopted for batch in stack.batches())


def _ended(stack: Stack) -> None:
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()
    stack.clock.advance(60)
    stack.tick()
    assert {batch.state for batch in stack.batches()} == {BatchState.ended}


@pytest.mark.parametrize("arrive", [_waiting, _admitted, _submitting, _at_the_api, _adopted, _ended])
def test_running(arrive: Callable[[Stack], None]) -> None:
    stack = Stack(max_requests=2)
    arrive(stack)
    assert stack.job().state is JobState.running
    stack.hooks.clear()
    unreadable(stack)
    canceled_within(stack, hours=30)
    assert [finding for finding in stack.audit() if finding.severity is Severity.error] == []


def test_finishing_is_too_late_and_says_so() -> None:
    stack = Stack()

    def cancel_now(name: str) -> None:
        if name == "notices.publish":
            stack.hooks.clear()
            stack.command("cancel", stack.job().id)

    stack.hooks.before = cancel_now
    stack.drop("inbox/a.jsonl", rows(2))
    stack.run()
    assert stack.job().state is JobState.done
    assert "too late" in stack.document("status.json")["message"]
