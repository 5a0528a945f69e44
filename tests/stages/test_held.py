"""A file of plain rows waits for a recipe and wakes when one arrives: in any order, late, twice, and whoever dies in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

import msgspec
import pytest

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace, Throttled, Waits
from batchdrop.domain.messages import Queue, ResumePlanning, Upload
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Checkpoint, Job, JobState, ObjectRef
from tests.fakes.objects import FakeObjects
from tests.faults.ledger import LateLedger
from tests.stack import Killed, Stack, once, rows
from tests.stages.harm import fail, minutes

DAY = 86_400
FILE = "inbox/team/a/reviews.csv"
RECIPE = "inbox/team/recipe.yaml"
GOOD = b"model: claude-haiku-4-5\nprompt: About {{ text }}\n"
FAULTY = b"model: claude-haiku-4-5\npromt: About {{ text }}\n"


def table(rows: int) -> bytes:
    return b"text\n" + b"".join(b"row %d\n" % number for number in range(rows))


def stack_of(*, late: float = 0.0) -> Stack:
    if not late:
        return Stack()
    stack = Stack(parts=lambda clock, hooks: (FakeObjects(clock, hooks), LateLedger(clock, hooks)))
    assert isinstance(stack.ledger, LateLedger)
    stack.ledger.late = late
    return stack


def waiting(*, late: float = 0.0) -> Stack:
    stack = stack_of(late=late)
    stack.drop(FILE, table(3))
    held(stack)
    stack.hooks.calls.clear()
    return stack


def held(stack: Stack) -> Job:
    job = stack.job()
    assert (job.state, job.needs, stack.batches()) == (JobState.held, "recipe", [])
    assert stack.claude.bodies == []
    return job


def done(stack: Stack) -> None:
    """Once, with every row."""
    stack.run()
    stack.clock.advance(60)  # now the index shows everything
    assert [job.state for job in stack.jobs()] == [JobState.done] * len(stack.jobs())
    assert len(stack.claude.bodies) == len(stack.jobs())
    assert stack.audit() == []


def test_a_table_in_another_encoding_tells_its_columns_and_the_remedy() -> None:
    stack = stack_of()
    stack.drop(FILE, "id;Größe;text\n1;2;schön\n".encode("cp1252"))
    said = held(stack).reason
    assert "Byte 0xF6 at row 1 (offset 5) is not UTF-8" in said
    assert "`encoding: windows-1252`" in said


def test_the_starter_has_the_columns_of_the_file() -> None:
    stack = stack_of()
    stack.drop(FILE, "id;text\n1;schön\n".encode("cp1252"))
    assert "Columns of the file: id, text." in held(stack).reason
    assert b"{{ text }}" in stack.output("recipe.yaml")


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [("a.csv", b"text,text\n1,2\n", "more than once"), ("a.xlsx", b"PK\x03\x04 no workbook", "cannot be read as a table")],
)
def test_a_table_that_no_recipe_can_help_does_not_wait(name: str, body: bytes, sentence: str) -> None:
    stack = stack_of()
    stack.drop(f"inbox/team/{name}", body)
    stack.run(3)
    assert stack.job().state is JobState.rejected
    assert sentence in stack.job().reason


# ---------------------------------------------------------------- in any order


def test_a_file_without_a_recipe_waits_and_says_so() -> None:
    stack = waiting()
    status = stack.document("status.json")
    assert status["message"] == (
        "Waiting for a recipe that says what to ask about each row. Columns of the file: text. A starter, recipe.yaml, is beside "
        "this file: change its prompt and put it into inbox/team/a/ or a folder above it. The file then runs; it need not be "
        "uploaded again."
    )
    assert (status["state"], status["needs"], status["expected_end"]) == ("held", "recipe", None)
    minutes(stack, 60)
    held(stack)


@pytest.mark.parametrize("key", ["inbox/team/recipe.yaml", "inbox/team/a/recipe.yml"])
def test_its_recipe_wakes_it(key: str) -> None:
    stack = waiting()
    stack.drop(key, GOOD)
    done(stack)
    recipe = stack.job().recipe
    assert recipe is not None
    assert recipe.key == key
    assert stack.document("status.json")["needs"] is None


def test_a_recipe_that_is_there_already_is_found() -> None:
    stack = stack_of()
    stack.drop(RECIPE, GOOD)
    stack.drop(FILE, table(3))
    done(stack)
    assert "ledger.commit.held" not in stack.hooks.calls


def test_a_file_of_requests_needs_none() -> None:
    stack = stack_of()
    stack.drop("inbox/team/a.jsonl", rows(3))
    done(stack)


@pytest.mark.parametrize("key", ["inbox/recipe.yaml", "inbox/other/recipe.yaml", "inbox/other/team/a/recipe.yaml"])
def test_a_recipe_of_another_team_wakes_nobody(key: str) -> None:
    stack = waiting()
    stack.drop(key, GOOD)
    minutes(stack, 3)
    held(stack)
    assert "ledger.commit.woken" not in stack.hooks.calls


def test_files_at_the_root_have_their_recipe_there() -> None:
    stack = stack_of()
    stack.drop("inbox/reviews.csv", table(3))
    stack.drop(RECIPE, GOOD)
    minutes(stack, 3)
    held(stack)
    stack.drop("inbox/recipe.yaml", GOOD)
    done(stack)


def test_a_recipe_that_does_not_serve_the_file_lets_it_wait_on() -> None:
    stack = waiting()
    stack.drop("inbox/team/b/recipe.yaml", GOOD)
    minutes(stack, 3)
    assert held(stack).arrivals == 1
    assert stack.hooks.calls.count("ledger.commit.woken") == 1
    stack.drop(RECIPE, GOOD)
    done(stack)


def test_a_faulty_recipe_is_corrected() -> None:
    stack = waiting()
    stack.drop(RECIPE, FAULTY)
    stack.pump()
    assert held(stack).recipe is None
    assert "did you mean `prompt`?" in stack.document("status.json")["message"]
    stack.drop(RECIPE, GOOD)
    done(stack)


def test_a_recipe_that_s3_refuses_is_named() -> None:
    stack = waiting()
    stack.objects.forbid(RECIPE, head=True)
    stack.drop(RECIPE, GOOD)
    stack.pump()
    held(stack)
    assert f"The recipe {RECIPE} could not be read" in stack.document("status.json")["message"]


def test_litter_is_no_job() -> None:
    stack = stack_of()
    for name in (".DS_Store", "~$reviews.xlsx", "Thumbs.db", "desktop.ini", "._reviews.csv"):
        stack.drop(f"inbox/team/{name}", b"x")
    assert stack.jobs() == []


# ---------------------------------------------------------------- races


def test_a_recipe_that_arrives_before_the_move_to_held_is_not_missed() -> None:
    stack = stack_of()
    once(stack, "ledger.commit.held", lambda: stack.drop(RECIPE, GOOD))
    stack.drop(FILE, table(3))
    assert stack.job().state is JobState.planning
    assert "ledger.commit.woken" not in stack.hooks.calls
    done(stack)
    assert stack.hooks.calls.count("ledger.commit.looked_again") == 1


def test_a_recipe_that_arrives_between_count_and_look_is_found() -> None:
    stack = stack_of()
    once(stack, "objects.head", lambda: stack.drop(RECIPE, GOOD), nth=2)
    stack.drop(FILE, table(3))
    done(stack)


def test_a_recipe_that_arrives_after_the_look_is_not_missed() -> None:
    """The first HEAD is about the file, the fourth about this very recipe."""
    stack = stack_of()
    once(stack, "objects.head", lambda: stack.drop(RECIPE, GOOD), nth=5)
    stack.drop(FILE, table(3))
    assert "ledger.commit.held" not in stack.hooks.calls
    done(stack)


def test_a_corrected_recipe_that_arrives_after_the_faulty_one_was_found_is_not_missed() -> None:
    stack = stack_of()
    stack.drop(RECIPE, FAULTY)
    once(stack, "ledger.commit.pinned", lambda: stack.drop(RECIPE, GOOD))
    stack.drop(FILE, table(3))
    done(stack)
    assert "ledger.commit.held" not in stack.hooks.calls


def test_a_corrected_recipe_is_not_missed_by_the_planner_that_takes_over() -> None:
    """The count that counts is the one before the faulty recipe was found, by whomever."""
    stack = stack_of()
    stack.drop(RECIPE, FAULTY)
    fail(stack, "ledger.commit.sourced", Killed())  # type: ignore[arg-type]
    stack.drop(FILE, table(3))
    stack.hooks.clear()
    stack.drop(RECIPE, GOOD)
    done(stack)


def test_a_job_is_planned_with_the_version_that_it_found() -> None:
    stack = stack_of()
    first = stack.drop(RECIPE, GOOD)
    once(stack, "ledger.commit.sourced", lambda: stack.drop(RECIPE, FAULTY))
    stack.drop(FILE, table(3))
    done(stack)
    recipe = stack.job().recipe
    assert recipe is not None
    assert recipe.version_id == first.version_id


def test_one_event_twice() -> None:
    stack = waiting()
    recipe = stack.drop(RECIPE, GOOD)
    stack.deliver(recipe)
    done(stack)
    assert stack.ledger.get_arrivals("team").count == 2


def test_two_recipes_at_once_are_both_counted() -> None:
    stack = waiting()
    once(stack, "ledger.commit.recipe_arrived", lambda: stack.drop("inbox/team/a/recipe.yaml", GOOD))
    stack.drop(RECIPE, GOOD)
    assert stack.ledger.get_arrivals("team").count == 2
    done(stack)


def test_recipes_that_cannot_be_counted_come_again() -> None:
    stack = waiting()
    fail(stack, "ledger.commit.recipe_arrived", LostRace("busy"), times=10)
    stack.drop(RECIPE, GOOD)
    assert [str(error) for _, error in stack.failures] == ["recipes of one team arrive faster than they can be counted"]
    held(stack)
    done(stack)


def test_two_wake_one_job() -> None:
    stack = waiting()
    once(stack, "ledger.commit.woken", stack.tick)
    stack.drop(RECIPE, GOOD)
    assert stack.hooks.calls.count("ledger.commit.woken") == 2
    assert stack.queues.messages(Queue.plan) == [ResumePlanning(job_id=stack.job().id)]
    done(stack)
    assert stack.failures == []


def test_a_late_index_is_looked_at_again() -> None:
    stack = waiting(late=50)
    stack.drop(RECIPE, GOOD)
    assert "ledger.commit.woken" not in stack.hooks.calls
    held(stack)
    done(stack)


def test_whoever_dies_between_the_count_and_the_wake_leaves_it_to_the_tick() -> None:
    stack = waiting()
    fail(stack, "ledger.commit.woken", Killed())  # type: ignore[arg-type]
    stack.drop(RECIPE, GOOD)
    (event,) = stack.queues.waiting
    assert isinstance(event.message, Upload)
    held(stack)
    stack.queues.waiting.clear()  # and its event is lost
    done(stack)


def test_whoever_dies_before_the_status_says_so_leaves_it_to_the_next_delivery() -> None:
    stack = stack_of()
    fail(stack, "ledger.commit.held", Killed(), after=True)  # type: ignore[arg-type]
    stack.drop(FILE, table(3))
    assert stack.document("status.json")["state"] == "planning"
    minutes(stack, 7)
    held(stack)
    assert stack.document("status.json")["state"] == "held"


def test_a_planner_without_the_lease_holds_nothing() -> None:
    stack = stack_of()

    def take_the_lease() -> None:
        job = stack.job()
        until = stack.clock.now().replace(year=2030)
        stack.ledger.commit(transitions.leased(job, until=until))

    once(stack, "objects.head", take_the_lease, nth=2)
    stack.drop(FILE, table(3))
    assert stack.job().state is JobState.planning
    assert "ledger.commit.held" not in stack.hooks.calls


def test_rows_that_are_stored_already_end_as_canceled() -> None:
    """It cannot wait with batches behind it: another recipe would make others of them."""
    stack = stack_of()
    stack.drop(RECIPE, GOOD)
    cut = stack.plan.cut_file

    def cut_then_wait(job: Job, source: ObjectRef, go_on: Callable[[], bool]) -> Checkpoint:
        cut(job, source, go_on)
        raise Waits("The recipe has no column for row 4.")

    stack.plan = msgspec.structs.replace(stack.plan, cut_file=cut_then_wait)
    stack.drop(FILE, table(3))
    stack.run()
    assert stack.job().state is JobState.rejected
    assert stack.claude.bodies == []
    assert len(stack.lines("failed.jsonl")) == 3
    assert stack.audit() == []


# ---------------------------------------------------------------- seven days


def test_after_seven_days_it_is_rejected() -> None:
    stack = waiting()
    stack.clock.advance(7 * DAY - 120)
    minutes(stack, 1)
    held(stack)
    minutes(stack, 2)
    assert stack.job().state is JobState.rejected
    assert stack.claude.bodies == []
    document = stack.document("manifest.json")
    assert document["state"] == "rejected"
    message = stack.document("status.json")["message"]
    assert message.startswith("Nothing was sent: no recipe that fits came within 7 days.")
    assert stack.document("status.json")["needs"] is None
    stack.drop(RECIPE, GOOD)
    minutes(stack, 3)
    assert stack.job().state is JobState.rejected
    assert stack.claude.bodies == []


def test_the_days_count_from_the_last_recipe_that_did_not_fit() -> None:
    stack = waiting()
    stack.clock.advance(5 * DAY)
    stack.drop(RECIPE, FAULTY)
    stack.pump()
    stack.clock.advance(5 * DAY)
    minutes(stack, 2)
    held(stack)
    stack.clock.advance(2 * DAY)
    minutes(stack, 2)
    assert stack.job().state is JobState.rejected
    assert "did you mean `prompt`?" in stack.document("status.json")["message"]


def test_a_faulty_recipe_on_the_last_day_begins_the_days_anew() -> None:
    """It arrives while the job is planned for the last time."""
    stack = waiting()
    stack.clock.advance(7 * DAY)
    once(stack, "ledger.commit.leased", lambda: stack.drop(RECIPE, FAULTY))
    minutes(stack, 2)
    assert "did you mean `prompt`?" in held(stack).reason


def test_a_recipe_whose_event_was_lost_counts_at_the_last_look() -> None:
    stack = waiting()
    stack.drop(RECIPE, GOOD, deliver=False)
    minutes(stack, 3)
    held(stack)
    stack.clock.advance(7 * DAY)
    done(stack)


# ---------------------------------------------------------------- commands


def canceled(stack: Stack) -> None:
    assert stack.job().state is JobState.canceled
    assert stack.document("manifest.json")["state"] == "canceled"
    assert stack.document("status.json")["message"] == "Stopped before a row of the file was read; nothing was sent."
    stack.drop(RECIPE, GOOD)
    minutes(stack, 3)
    assert stack.job().state is JobState.canceled
    assert stack.claude.bodies == []
    assert stack.audit() == []


def test_a_cancel_ends_it() -> None:
    stack = waiting()
    stack.command("cancel", stack.job().id)
    canceled(stack)


def test_a_cancel_that_dies_in_between_ends_it_with_the_tick() -> None:
    stack = waiting()
    fail(stack, "ledger.commit.canceled_unread", Killed())  # type: ignore[arg-type]
    stack.command("cancel", stack.job().id)
    stack.commands.clear()
    assert held(stack).cancel_requested
    stack.drop(RECIPE, GOOD)
    minutes(stack, 1)
    canceled(stack)


def test_a_cancel_before_the_move_to_held_ends_it() -> None:
    stack = stack_of()
    once(stack, "ledger.commit.held", lambda: stack.command("cancel", stack.job().id))
    stack.drop(FILE, table(3))
    minutes(stack, 1)
    canceled(stack)


def test_a_cancel_while_a_recipe_wakes_it_sends_nothing() -> None:
    stack = waiting()
    once(stack, "ledger.commit.woken", lambda: stack.command("cancel", stack.job().id))
    stack.drop(RECIPE, GOOD)
    minutes(stack, 1)
    canceled(stack)


@pytest.mark.parametrize(
    ("command", "answer"),
    [("approve", "There is nothing to approve: the job waits for a recipe."), ("retry", "only after it has ended")],
)
def test_other_commands_have_an_answer_and_change_nothing(command: str, answer: str) -> None:
    stack = waiting()
    stack.command(command, stack.job().id)
    assert answer in stack.document("status.json")["message"]
    stack.drop(RECIPE, GOOD)
    done(stack)


# ---------------------------------------------------------------- many


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are woken at once."""
    monkeypatch.setattr("batchdrop.stages.plan.wake._WOKEN", 2)
    monkeypatch.setattr("batchdrop.stages.poll.held._WOKEN", 2)


def crowd(*names: str) -> Stack:
    stack = stack_of()
    for name in names:
        stack.drop(f"inbox/{name}.csv", table(1))
    stack.hooks.calls.clear()
    return stack


def states(stack: Stack, state: JobState) -> Counter[str]:
    """How many jobs of each team are in that state."""
    return Counter(job.input.key.split("/")[1] for job in stack.jobs() if job.state is state)


@pytest.mark.usefixtures("few")
def test_what_is_not_woken_at_once_is_woken_by_the_ticks() -> None:
    stack = crowd("a/1", "a/2", "a/3", "a/4", "a/5")
    stack.drop("inbox/a/recipe.yaml", GOOD)
    assert states(stack, JobState.held) == {"a": 3}
    stack.tick()
    assert states(stack, JobState.held) == {"a": 1}
    done(stack)


@pytest.mark.usefixtures("few")
def test_each_team_has_its_turn_before_another_has_a_second_one() -> None:
    stack = crowd(*(f"{team}/{number}" for team in ("big", "small") for number in range(1, 7 if team == "big" else 2)))
    for team in ("big", "small"):
        fail(stack, "ledger.commit.woken", Killed())  # type: ignore[arg-type]
        stack.drop(f"inbox/{team}/recipe.yaml", GOOD)
    stack.tick()
    stack.tick()
    assert states(stack, JobState.held) == {"big": 4}
    stack.hooks.clear()
    for _ in range(3):
        stack.tick()
    assert states(stack, JobState.held) == {}


@pytest.mark.usefixtures("few")
def test_what_is_wrong_with_one_job_keeps_no_other_from_being_woken() -> None:
    stack = crowd("a/1", "b/1")
    for team in "ab":
        stack.drop(f"inbox/{team}/recipe.yaml", GOOD, deliver=False)
        stack.ledger.commit(transitions.recipe_arrived(stack.ledger.get_arrivals(team)))
    fail(stack, "ledger.commit.woken", Throttled("busy"))
    stack.tick()
    assert states(stack, JobState.held) == {"a": 1}
    assert [who for who, _ in stack.failures] == ["poll"]
    done(stack)


def test_a_tick_reads_one_job_of_a_team_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = crowd(*(f"{team}/{number}" for team in "abc" for number in range(40)))
    read: list[Job] = []
    list_open_jobs = stack.ledger.list_open_jobs

    def counting(work: OpenWork, *, behind: str = "", limit: int | None = None) -> Iterator[Job]:
        found = list(list_open_jobs(work, behind=behind, limit=limit))
        read.extend(found)
        return iter(found)

    monkeypatch.setattr(stack.ledger, "list_open_jobs", counting)
    for _ in range(3):
        read.clear()
        stack.poll.wake_held()
        assert len(read) == 3
    stack.clock.advance(7 * DAY)
    stack.poll.wake_held()
    assert sum(states(stack, JobState.planning).values()) == 100


# ---------------------------------------------------------------- at any moment


def at_each_call(late: float, begin: Callable[[Stack], object], action: Callable[[Stack], object], *, after: bool) -> int:
    """Does something at each call that leaves a process while the file waits and runs; each time it ends well. Returns how many.

    `after`: once the call has been made.
    """
    for nth in count(1):
        stack = stack_of(late=late)
        calls = count(1)

        def hook(_: str, stack: Stack = stack, nth: int = nth, calls: Iterator[int] = calls) -> None:
            if next(calls) == nth:
                action(stack)

        if after:
            stack.hooks.after = hook
        else:
            stack.hooks.before = hook
        begin(stack)
        stack.run()
        if next(calls) <= nth:
            return nth - 1
        stack.hooks.clear()
        done(stack)
    raise AssertionError


def killed(_: Stack) -> None:
    raise Killed


@pytest.mark.parametrize("late", [0, 50])
@pytest.mark.parametrize("after", [False, True])
def test_whoever_is_killed_at_any_moment_loses_nothing(late: float, *, after: bool) -> None:
    def begin(stack: Stack) -> None:
        stack.drop(FILE, table(3))
        stack.drop(RECIPE, GOOD)

    assert at_each_call(late, begin, killed, after=after) > 50


@pytest.mark.parametrize("late", [0, 50])
@pytest.mark.parametrize("first", [b"", FAULTY])
def test_a_recipe_that_arrives_at_any_moment_is_not_missed(late: float, first: bytes) -> None:
    """Until the file has been planned with it, or held without one."""

    def begin(stack: Stack) -> None:
        if first:
            stack.drop(RECIPE, first)
        stack.drop(FILE, table(3))
        if stack.objects.keys(RECIPE) and stack.objects.body(RECIPE) == GOOD:
            return
        stack.hooks.clear()
        stack.drop(RECIPE, GOOD)

    def arrives(stack: Stack) -> None:
        stack.drop(RECIPE, GOOD)

    assert at_each_call(late, begin, arrives, after=False) > 10
