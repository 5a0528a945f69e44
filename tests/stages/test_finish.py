"""The end of a job, and what can come in between."""

from __future__ import annotations

import pytest

from batchdrop.domain.records import JobState
from tests.stack import Killed, Stack, rows
from tests.stages.harm import minutes


@pytest.mark.parametrize("command", ["approve", "cancel", "retry", "nonsense"])
@pytest.mark.parametrize("moment", ["notices.publish", "ledger.commit.finished", "objects.put", "objects.get"])
def test_a_command_while_a_job_is_finished_does_not_keep_it(command: str, moment: str) -> None:
    """Its answer changes the job's record under the run that finishes it."""
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(3))
    asked = 0

    def ask(name: str) -> None:
        nonlocal asked
        if name == moment and not asked and stack.jobs() and stack.job().state is JobState.finishing:
            asked += 1
            stack.command(command, stack.job().id)

    stack.hooks.before = ask
    stack.run()
    assert asked
    assert "ledger.commit.job_message_repeated" not in stack.hooks.calls
    assert stack.job().state is JobState.done
    assert stack.document("status.json")["state"] == "done"
    assert stack.failures == []
    assert stack.audit() == []
    assert not [key for key in stack.objects.keys("work/") if "/results-" in key or "/failed-" in key]


def test_a_job_whose_outputs_are_written_ends_without_its_pieces() -> None:
    """Version 0.1.0 deleted the pieces of a job that it had not ended."""
    stack = Stack()

    def die(name: str) -> None:
        if name == "notices.publish":
            for key in stack.objects.keys("work/"):
                stack.objects.purge(key)
            raise Killed

    stack.hooks.before = die
    stack.drop("inbox/a.jsonl", rows(3))
    minutes(stack, 3)
    stack.hooks.clear()
    assert stack.job().state is JobState.finishing
    assert stack.document("manifest.json")["state"] == "done"
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.document("status.json")["state"] == "done"
    assert stack.notices.published
    assert stack.audit() == []
