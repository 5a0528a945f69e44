"""The end of a job, and what can come in between."""

from __future__ import annotations

import pytest

from batchdrop.domain.records import JobState
from tests.faults.scenarios import fated, mixed_rows
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


def _finished(moment: str = "", piece: str = "") -> Stack:
    """A job of which somebody deletes pieces just before it is finished."""
    stack = Stack(max_requests=4)
    stack.claude.answer = fated(stack.attempt_of)

    def purge(call: str) -> None:
        if call == moment and stack.jobs() and stack.job().state is JobState.finishing:
            for key in stack.objects.keys("work/"):
                if f"/{piece}-" in key:
                    stack.objects.purge(key)

    stack.hooks.before = purge
    stack.drop("inbox/a.jsonl", mixed_rows())
    stack.run()
    stack.hooks.clear()
    return stack


@pytest.mark.parametrize("moment", ["objects.get", "objects.join"])
@pytest.mark.parametrize("piece", ["results", "failed"])
def test_rows_of_deleted_pieces_are_told_as_lost(piece: str, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = _finished()
    if moment == "objects.join":
        monkeypatch.setattr("batchdrop.stages.finish.outputs._THROUGH_BYTES", 0)
    stack = _finished(moment, piece)
    lost = len(sound.lines(f"{piece}.jsonl"))
    counts = stack.document("manifest.json")["counts"]
    assert stack.job().state is JobState.done
    assert stack.failures == []
    assert counts["missing"] == lost + (sound.job().counts.missing if piece == "results" else 0)
    assert sum(counts.values()) - counts["total"] == counts["total"] == sound.job().counts.total
    assert len(stack.lines("results.jsonl")) + len(stack.lines("failed.jsonl")) == counts["total"] - lost
    assert stack.output("failed.jsonl" if piece == "results" else "results.jsonl") == sound.output(
        "failed.jsonl" if piece == "results" else "results.jsonl"
    )
    assert f"{lost} rows are in no file" in stack.document("status.json")["message"]
    assert stack.metrics.totals["AnswersAtRisk"] == lost
    assert stack.audit()


def test_pieces_of_a_file_that_is_written_are_not_missed() -> None:
    stack = _finished("notices.publish", "results")
    assert stack.job().state is JobState.done
    assert stack.job().rows_lost == 0
    assert stack.audit() == []


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
