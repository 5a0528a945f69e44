"""What Anthropic has deleted cannot be collected; the job ends all the same, and nothing is sent again on a guess."""

from __future__ import annotations

from batchdrop.domain.errors import NotFound
from batchdrop.domain.records import BatchState
from tests.stack import Stack, rows

DAY = 86_400.0


def hide(stack: Stack, *calls: str) -> None:
    def not_found(name: str) -> None:
        if name in calls:
            raise NotFound("gone", status=404, kind="not_found_error")

    stack.hooks.before = not_found


def test_results_that_cannot_be_found_are_waited_for_until_they_are_deleted() -> None:
    stack = Stack()
    hide(stack, "claude._results")
    stack.drop("inbox/a.jsonl", rows(3))
    for _ in range(30):
        stack.step()
    assert stack.batches()[0].state is BatchState.ended
    stack.clock.advance(30 * DAY)
    stack.run()
    assert stack.document("manifest.json")["counts"]["missing"] == 3
    assert {line["_batchdrop"]["error"]["type"] for line in stack.lines("failed.jsonl")} == {"results_deleted"}
    assert len(stack.claude.bodies) == 1


def test_a_batch_that_is_never_seen_again_is_overdue_and_ends_with_its_results() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(3))
    stack.pump()
    stack.claude.list_lag = 40 * DAY
    hide(stack, "claude.retrieve", "claude._results")
    stack.clock.advance(27 * 3600)
    stack.step()
    assert stack.batches()[0].state is BatchState.in_progress
    assert stack.metrics.totals["Stalled"] == 1
    stack.clock.advance(29 * DAY)
    stack.run()
    assert stack.document("manifest.json")["counts"]["missing"] == 3
    assert len(stack.claude.bodies) == 1
