"""What one folder may ask of the stack: open files, high priority, and batches of a file."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from batchdrop.domain.purses import open_jobs
from batchdrop.stages.plan import batches
from tests.stack import Killed, Stack, rows
from tests.stages.harm import minutes

HIGH = {"batchdrop-priority": "high"}
RECIPE = b"model: claude-haiku-4-5\nprompt: 'Label this: {{ text }}'\npriority: high\n"


def drop(stack: Stack, number: int, team: str = "team") -> None:
    for n in range(number):
        stack.drop(f"inbox/{team}/{n:04d}.jsonl", rows(1))


def states(stack: Stack) -> list[str]:
    return [job.state.value for job in stack.jobs()]


def open_now(stack: Stack, team: str = "team") -> int:
    return stack.ledger.purses[open_jobs(team)].used


# ---------------------------------------------------------------- how many files are open


def test_further_files_wait_in_line_say_so_and_go_on_by_themselves() -> None:
    stack = Stack(open_jobs=2)
    drop(stack, 5)
    waiting = [job for job in stack.jobs() if job.state == "held"]
    assert len(waiting) == 3
    status = stack.document("status.json", waiting[0])
    assert (status["state"], status["needs"]) == ("held", "place")
    assert status["message"].startswith("Waiting in line: 2 files of the folder team may be open at a time, and as many are.")
    assert status["batches"]["total"] == 0
    stack.run()
    assert states(stack) == ["done"] * 5
    assert open_now(stack) == 0
    assert "Waiting" not in stack.document("status.json", waiting[0])["message"]
    assert stack.audit() == []


def test_the_longest_in_line_goes_first() -> None:
    stack = Stack(open_jobs=1)
    for n in range(4):
        stack.drop(f"inbox/team/{9 - n}.jsonl", rows(1))
        stack.clock.advance(1)
    stack.run()
    ended = sorted(stack.jobs(), key=lambda job: job.finished_at or job.created_at)
    assert [job.input.key[-7] for job in ended] == ["9", "8", "7", "6"]


def test_each_folder_has_a_limit_of_its_own() -> None:
    stack = Stack(open_jobs=2)
    drop(stack, 3, "a")
    drop(stack, 2, "b")
    stack.drop("inbox/c.jsonl", rows(1))
    assert sorted(states(stack)) == ["held", *["running"] * 5]


def test_thousands_at_once_are_all_done() -> None:
    stack = Stack(open_jobs=50, per_tick=300)
    stack.claude.seconds = 60
    drop(stack, 300)
    assert states(stack).count("held") == 250
    most = 0
    for _ in range(40):
        stack.step()
        most = max(most, sum(state not in ("held", "done") for state in states(stack)))
    assert most == 50
    assert set(states(stack)) == {"done"}
    assert open_now(stack) == 0


def test_a_cancel_ends_one_that_waits_in_line() -> None:
    stack = Stack(open_jobs=1)
    drop(stack, 3)
    second = next(job for job in stack.jobs() if job.state == "held")
    stack.command("cancel", second.id)
    assert stack.ledger.jobs[second.id].state == "canceled"
    assert "nothing was sent" in stack.document("status.json", second)["message"]
    assert stack.document("manifest.json", second)["state"] == "canceled"
    stack.run()
    assert sorted(states(stack)) == ["canceled", "done", "done"]
    assert open_now(stack) == 0


def test_every_end_of_a_job_leaves_its_place_to_another() -> None:
    stack = Stack(open_jobs=1)
    stack.drop("inbox/team/0.jsonl", b"")  # rejected at once
    assert open_now(stack) == 0
    stack.drop("inbox/team/1.csv", b"text\nfine\n")  # waits for a recipe
    stack.drop("inbox/team/2.jsonl", rows(1))
    waiting = next(job for job in stack.jobs() if job.needs == "recipe")
    minutes(stack, 5)
    assert sorted(states(stack)) == ["held", "held", "rejected"]
    stack.command("cancel", waiting.id)
    stack.run()
    assert sorted(states(stack)) == ["canceled", "done", "rejected"]
    assert open_now(stack) == 0


def test_an_event_that_comes_twice_takes_one_place() -> None:
    stack = Stack(open_jobs=2)
    first = stack.drop("inbox/team/a.jsonl", rows(1))
    stack.deliver(first)
    assert open_now(stack) == 1
    stack.drop("inbox/team/b.jsonl", rows(1))
    third = stack.drop("inbox/team/c.jsonl", rows(1))
    stack.deliver(third)
    assert open_now(stack) == 2
    stack.run()
    assert states(stack) == ["done"] * 3
    assert open_now(stack) == 0


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("call", ["ledger.commit.opened", "ledger.commit.lined_up", "ledger.commit.called", "objects.put"])
def test_a_kill_anywhere_loses_no_file_and_no_place(call: str, after: bool) -> None:
    stack = Stack(open_jobs=1)
    left = [2]

    def die(name: str) -> None:
        if name == call and left[0]:
            left[0] -= 1
            raise Killed

    if after:
        stack.hooks.after = die
    else:
        stack.hooks.before = die
    for n in range(4):
        stack.drop(f"inbox/team/{n}.jsonl", rows(1))
    for _ in range(60):
        stack.step()
    stack.run()
    assert left == [0]
    assert states(stack) == ["done"] * 4
    assert open_now(stack) == 0
    for job in stack.jobs():
        assert stack.document("status.json", job)["state"] == "done"
    assert stack.audit() == []


def test_two_ticks_at_once_call_no_more_than_there_are_places() -> None:
    stack = Stack(open_jobs=2)
    drop(stack, 6)
    most = 0

    def overtake(name: str) -> None:
        nonlocal most
        if name == "ledger.commit.called":
            stack.hooks.before = lambda name: None
            stack.tick()
            stack.hooks.before = overtake

    stack.hooks.before = overtake
    for _ in range(30):
        stack.step()
        most = max(most, open_now(stack))
    assert most == 2
    assert states(stack) == ["done"] * 6


def test_a_lower_limit_calls_nobody_until_fewer_are_open() -> None:
    stack = Stack(open_jobs=3)
    drop(stack, 5)
    lower = Stack(open_jobs=1)
    stack.poll = replace(stack.poll, wake_held=lower.poll.wake_held)
    stack.poll.wake_held._ledger = stack.ledger
    stack.poll.wake_held._commit = stack.poll.commit
    stack.poll.wake_held._clock = stack.clock
    for _ in range(30):
        stack.step()
        assert "planning" not in states(stack) or open_now(stack) <= 1
    assert states(stack) == ["done"] * 5


def test_a_job_from_before_the_upgrade_gives_back_no_place_that_it_never_took() -> None:
    stack = Stack(open_jobs=2)
    stack.drop("inbox/team/old.jsonl", rows(1))
    (old,) = stack.jobs()
    stack.ledger.jobs[old.id] = replace(old, place="", waits_from=0)
    stack.ledger.purses.clear()
    drop(stack, 3)
    assert states(stack).count("held") == 1
    stack.run()
    assert states(stack) == ["done"] * 4
    assert open_now(stack) == 0


def test_those_in_line_do_not_hide_those_that_wait_for_a_recipe() -> None:
    stack = Stack(open_jobs=2)
    stack.drop("inbox/team/a.csv", b"text\nfine\n")
    stack.drop("inbox/team/b.csv", b"text\nfine\n")
    drop(stack, 3)
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.run()
    assert states(stack) == ["done"] * 5
    assert open_now(stack) == 0


# ---------------------------------------------------------------- who may use high priority


@pytest.mark.parametrize(
    ("allowed", "key", "priority"),
    [
        ("", "inbox/team/a.jsonl", 5),
        ("team", "inbox/team/a.jsonl", 1),
        (" other , team/ ", "inbox/team/deep/a.jsonl", 1),
        ("team/urgent", "inbox/team/a.jsonl", 5),
        ("team/urgent", "inbox/team/urgent/a.jsonl", 1),
        ("team", "inbox/teams/a.jsonl", 5),
        ("team", "inbox/a.jsonl", 5),
        ("*", "inbox/a.jsonl", 1),
    ],
)
def test_high_priority_is_for_the_folders_that_an_operator_lists(allowed: str, key: str, priority: int) -> None:
    stack = Stack(high_priority=allowed)
    stack.drop(key, rows(1), HIGH)
    assert stack.job().priority == priority
    said = "It asks for high priority, which the stack's parameter HighPriorityFolders does not allow for its folder; it runs as"
    assert (said in stack.document("status.json")["message"]) == (priority == 5)
    stack.run()
    assert stack.job().state == "done"
    assert (said in stack.document("status.json")["message"]) == (priority == 5)


def test_what_does_not_count_is_said_to_the_end_whatever_is_answered() -> None:
    """A command's answer takes the place of that to the one before, and of nothing else."""
    stack = Stack(high_priority="", ask_above="0.00001")
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.drop("inbox/team/a.csv", b"text\nfine\n")
    said = "HighPriorityFolders"
    stack.run(5)
    while (question := stack.job().question) is not None:
        assert stack.document("status.json")["message"].count(said) == 1
        stack.command("approve", f"{stack.job().id}-{question.code}/")
        stack.run(5)
    assert stack.job().state == "done"
    assert stack.document("status.json")["message"].count(said) == 1


def test_low_priority_is_for_everybody() -> None:
    stack = Stack(high_priority="")
    stack.drop("inbox/team/a.jsonl", rows(1), {"batchdrop-priority": "low"})
    assert stack.job().priority == 9
    assert "priority" not in stack.document("status.json")["message"]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_recipe_may_ask_for_no_more_than_its_folder(allowed: bool) -> None:
    stack = Stack(high_priority="team" if allowed else "other")
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.drop("inbox/team/a.csv", b"text\nfine\n")
    assert stack.job().priority == (1 if allowed else 5)
    assert {batch.priority for batch in stack.batches()} == {stack.job().priority}
    assert stack.document("status.json")["message"].count("HighPriorityFolders") == (0 if allowed else 1)


# ---------------------------------------------------------------- how many batches a file makes


def test_a_file_that_makes_too_many_batches_is_rejected_with_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_BATCHES", 3)
    stack = Stack(max_requests=10)
    stack.drop("inbox/team/right.jsonl", rows(30))
    stack.drop("inbox/team/large.jsonl", rows(31))
    stack.run()
    right, large = (next(job for job in stack.jobs() if name in job.input.key) for name in ("right", "large"))
    assert right.state == "done"
    assert large.state == "rejected"
    assert large.reason == (
        "The file makes more than 3 parts, the most that a job may have: its first 30 rows make as many. Nothing was sent; "
        "split it and upload the parts."
    )
    assert len(stack.claude.custom_ids()) == 30
    assert stack.audit() == []


def test_batches_that_an_earlier_invocation_has_stored_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_BATCHES", 3)
    stack = Stack(max_requests=10)
    left = [2]

    def die(name: str) -> None:
        if name == "ledger.commit.added":
            left[0] -= 1
            if not left[0]:
                raise Killed

    stack.hooks.after = die
    stack.drop("inbox/team/large.jsonl", rows(35))
    stack.hooks.clear()
    stack.run()
    assert stack.job().state == "rejected"
    assert "more than 3 parts" in stack.job().reason
    assert len(stack.batches()) == 3
