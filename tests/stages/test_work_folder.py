"""`work/<job id>/` lives as long as its job, and not longer."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from batchdrop.domain import keys
from batchdrop.domain.records import JobState
from tests.faults.scenarios import fated, mixed_rows
from tests.stack import Killed, Stack, rows
from tests.stages.harm import minutes

HOURS = 3600.0


def _stack() -> Stack:
    stack = Stack(max_requests=3)
    stack.claude.answer = fated(stack.attempt_of)
    return stack


def _left(stack: Stack) -> list[str]:
    """Every key below `work/` that has a version or a delete marker."""
    return [key for key in stack.objects.all_keys() if key.startswith(keys.WORK)]


def _ended(state: JobState, stack: Stack) -> None:
    match state:
        case JobState.done:
            stack.drop("inbox/a.jsonl.gz", gzip.compress(mixed_rows()))
        case JobState.rejected:
            stack.drop("inbox/a.jsonl.gz", gzip.compress(b"nothing\nof use\n"))
        case JobState.canceled:
            stack.drop("inbox/a.jsonl.gz", gzip.compress(mixed_rows()))
            minutes(stack, 1)
            stack.command("cancel", stack.job().id)
    stack.run()
    assert stack.job().state is state


@pytest.mark.parametrize("state", [JobState.done, JobState.rejected, JobState.canceled])
def test_the_end_of_a_job_removes_its_folder_and_the_audit_does_not_miss_it(state: JobState) -> None:
    stack = _stack()
    _ended(state, stack)
    assert _left(stack) == []
    assert stack.audit() == []


@pytest.mark.parametrize("call", ["objects.remove_all", "ledger.commit.finished"])
def test_what_a_killed_run_has_left_is_removed_within_a_day(call: str) -> None:
    stack = _stack()
    stack.hooks.after = _kill_once(call)
    _ended(JobState.done, stack)
    assert stack.failures
    stack.clock.advance(24 * HOURS)
    stack.tick()
    assert _left(stack) == []
    assert stack.audit() == []


def _kill_once(call: str) -> Callable[[str], None]:
    killed: list[str] = []

    def hook(name: str) -> None:
        if name == call and not killed:
            killed.append(name)
            raise Killed

    return hook


def test_a_file_rejected_before_it_had_a_batch_leaves_nothing_for_long() -> None:
    stack = _stack()
    stack.drop("inbox/a.jsonl.gz", gzip.compress(b"\n\n"))
    assert stack.job().state is JobState.rejected
    assert _left(stack)
    stack.clock.advance(24 * HOURS)
    stack.tick()
    assert _left(stack) == []


def test_the_folder_of_a_job_that_waits_stays_for_months() -> None:
    stack = _stack()
    stack.switch.text = "pause"
    stack.drop("inbox/a.jsonl.gz", gzip.compress(mixed_rows()))
    kept = _left(stack)
    assert kept
    for _ in range(90):
        stack.clock.advance(24 * HOURS)
        stack.step()
    assert _left(stack) == kept
    stack.switch.text = "run"
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.audit() == []


def test_a_folder_without_a_job_is_left_alone() -> None:
    stack = _stack()
    stack.objects.put("work/notes/mine.txt", b"")
    stack.tick()
    assert _left(stack) == ["work/notes/mine.txt"]


def test_a_tick_looks_at_some_folders_and_the_next_one_goes_on() -> None:
    stack = Stack()
    for number in range(130):
        stack.drop(f"inbox/{number}.jsonl", rows(1))
    stack.run()
    stack.tick()  # looks once more at each job whose rows came back
    for job in stack.jobs():
        stack.objects.put(keys.work_folder(job.id) + "late", b"")
    for number in range(130):
        stack.objects.put(f"work/0{number:03d}/theirs", b"")
    stack.clock.advance(24 * HOURS)
    looked_at = []
    for _ in range(8):
        stack.hooks.calls.clear()
        stack.tick()
        looked_at.append(stack.hooks.calls.count("ledger.get_job"))
    assert max(looked_at) <= 50
    assert sum("theirs" not in key for key in _left(stack)) == 0
    stack.hooks.calls.clear()
    stack.tick()
    assert "objects.folders" not in stack.hooks.calls, "one pass has ended, and the next one has time"


def test_a_large_folder_is_removed_over_several_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.stages.poll.sweep._REMOVED", 10)
    stack = Stack()
    for number in range(2):
        stack.drop(f"inbox/{number}.jsonl", rows(1))
    stack.run()
    stack.tick()  # looks once more at each job whose rows came back
    for job in stack.jobs():
        for number in range(12):
            stack.objects.put(f"{keys.work_folder(job.id)}{number}", b"")
    stack.clock.advance(24 * HOURS)
    sizes = []
    for _ in range(4):
        stack.tick()
        sizes.append(len(_left(stack)))
    assert sizes == [14, 4, 0, 0]


@pytest.mark.parametrize(
    ("key", "body", "copy"),
    [
        ("inbox/a.jsonl.gz", gzip.compress(rows(4)), "input.jsonl"),
        ("inbox/team/a.csv", b"text\nprompt 1\nprompt 2\n", "rows-"),
    ],
)
def test_what_is_sent_is_what_was_checked(key: str, body: bytes, copy: str) -> None:
    """Whatever lies under the key of the lines by the time they are sent."""
    stack = Stack()
    stack.drop("inbox/team/recipe.yaml", b"model: claude-haiku-4-5\nprompt: '{{ text }}'\n")
    stack.drop(key, body)
    job = stack.job()
    (lines,) = [one for one in stack.objects.keys(f"work/{job.id}/") if f"/{copy}" in one]
    stack.objects.drop(lines, stack.objects.body(lines).replace(b"prompt", b"FORGED"))
    stack.run()
    assert stack.job().state is JobState.done
    assert b"prompt" in b"".join(stack.claude.bodies)
    assert b"FORGED" not in b"".join(stack.claude.bodies)
