"""A recipe is improved while its job waits for money: the job gives way to a new one, and nothing is paid twice."""

from __future__ import annotations

import pytest

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.messages import Queue, ResumePlanning
from batchdrop.domain.records import Job, JobState
from tests.fakes.claude import FakeClaude
from tests.money import purses_kept
from tests.stack import Killed, Stack, once
from tests.stages.harm import fail
from tests.stages.test_groups import FOLDER, RECIPE, approve_all, asking, done, leaders, long_answer, rows, stack_of, wait

FILE = f"{FOLDER}a.csv"
KEY = f"{FOLDER}recipe.yaml"
BETTER = RECIPE.replace(b"Label this review", b"Is this review positive or negative?")
BEST = RECIPE.replace(b"Label this review", b"What does this review say?")
ROWS = 60
FAULTY = RECIPE.replace(b"prompt:", b"promt:")
MISFIT = RECIPE.replace(b"{{ text }}", b"{{ review }}")


def waiting() -> Stack:
    """One file that has tried twenty rows, and asks. As many again may be tried unasked."""
    stack = stack_of(ask_above="0.40")
    stack.drop(FILE, rows(ROWS))
    wait(stack)
    (job,) = stack.jobs()
    assert (job.state, job.needs) == (JobState.held, "approval")
    return stack


def newest(stack: Stack) -> Job:
    """The job that is not asked to cancel."""
    (job,) = [job for job in stack.jobs() if not job.cancel_requested]
    return job


def approve(stack: Stack, job: Job) -> None:
    assert job.question is not None
    stack._control(f"control/approve/{job.id}-{job.question.code}")


def approved(stack: Stack) -> None:
    """Whatever asks now is approved until all is done."""
    for _ in range(4):
        wait(stack)
        for job in asking(stack):
            approve(stack, job)
    done(stack)


def replaced(stack: Stack, old: Job, recipe: bytes) -> Job:
    """One new job with that recipe; the old one has ended with the rows that were tried."""
    (new,) = [job for job in stack.jobs() if job.state is JobState.done]
    assert stack.output("recipe.yaml", new) == recipe
    ended = stack.ledger.jobs[old.id]
    assert ended.state is JobState.canceled
    assert new.id in stack.document("status.json", ended)["message"]
    assert "A newer recipe took its place" in stack.document("manifest.json", ended)["message"]
    status = stack.document("status.json", ended)
    assert status["next"] == {
        "text": f"Nothing to do here: job {new.id} has taken its place.",
        "command": None,
        "console_url": None,
    }
    # Who puts these rows in again pays them twice.
    said = stack.output("report.html", ended).decode() + status["message"]
    assert "failed." not in said
    assert "control/" not in said
    assert len(stack.lines("results.jsonl", ended)) == ended.tried
    assert len(stack.lines("results.jsonl", new)) == ROWS
    assert len(stack.claude.custom_ids()) == ended.tried + ROWS
    return new


def test_an_improved_recipe_opens_a_job_of_its_own() -> None:
    stack = waiting()
    (old,) = stack.jobs()
    assert old.question is not None
    stack.drop(KEY, BETTER)
    wait(stack)
    new = newest(stack)
    assert (new.state, new.needs, new.tried) == (JobState.held, "approval", 20)
    assert new.question is not None
    assert new.question.code != old.question.code
    assert new.id.split("-")[0] == old.id.split("-")[0]
    assert old.id in stack.document("status.json", new)["message"]
    approve(stack, old)
    wait(stack, 2)
    assert newest(stack).state is JobState.held
    approve(stack, new)
    done(stack)
    replaced(stack, old, BETTER)
    assert stack.ledger.jobs[old.id].approvals == ()


def test_the_event_twice_and_late_is_one_job() -> None:
    stack = waiting()
    (old,) = stack.jobs()
    upload = stack.drop(KEY, BETTER)
    stack.deliver(upload)
    wait(stack)
    stack.deliver(upload)
    stack.plan(ResumePlanning(job_id=old.id), stack.deadline())
    wait(stack)
    assert len(stack.jobs()) == 2
    approved(stack)
    stack.deliver(upload)
    wait(stack, 3)
    assert len(stack.jobs()) == 2
    replaced(stack, old, BETTER)


def test_a_recipe_that_changes_twice_in_a_row() -> None:
    stack = waiting()
    (old,) = stack.jobs()
    stack.drop(KEY, BETTER)
    stack.drop(KEY, BEST)
    approved(stack)
    assert len(stack.jobs()) == 2
    replaced(stack, old, BEST)


def test_a_recipe_that_changes_while_the_new_job_is_tried() -> None:
    stack = waiting()
    once(stack, "claude.create", lambda: stack.drop(KEY, BEST))
    stack.drop(KEY, BETTER)
    stack.pump()
    stack.hooks.clear()
    second = newest(stack)
    assert (second.state, second.trying) == (JobState.running, True)
    approved(stack)
    states = [job.state for job in stack.jobs()]
    assert sorted(states) == [JobState.canceled, JobState.canceled, JobState.done]
    (last,) = [job for job in stack.jobs() if job.state is JobState.done]
    assert stack.output("recipe.yaml", last) == BEST
    assert last.id in stack.document("status.json", second)["message"]


def test_a_job_looks_before_its_limit_lets_it_go() -> None:
    stack = stack_of(ask_above="", daily_limit="0.25")
    for name in ("first", "second"):
        stack.drop(f"{FOLDER}{name}.csv", rows(20))
        wait(stack)
    old = next(job for job in stack.jobs() if job.state is JobState.held)
    assert old.needs == "limit"
    stack.drop(KEY, BETTER, deliver=False)
    stack.ledger.commit(transitions.recipe_arrived(stack.ledger.get_arrivals("marketing")))  # who counted it died
    stack.clock.advance(86_400)
    done(stack)
    assert stack.ledger.jobs[old.id].state is JobState.canceled
    assert len(stack.claude.custom_ids()) == 40


def test_an_older_version_that_comes_back_has_had_its_job() -> None:
    stack = waiting()
    upload = stack.drop(KEY, BETTER)
    wait(stack)
    second = newest(stack)
    stack.drop(KEY, BEST)
    wait(stack)
    third = newest(stack)
    stack.objects._versions[KEY].pop()
    assert stack.objects.head(KEY).ref.version_id == upload.version_id
    stack.deliver(upload)
    wait(stack, 3)
    assert newest(stack).id == third.id
    assert second.id in stack.document("status.json", third)["message"]
    approve(stack, newest(stack))
    stack.run()
    assert stack.ledger.jobs[third.id].state is JobState.done


@pytest.mark.parametrize(("recipe", "said"), [(FAULTY, "did you mean `prompt`?"), (MISFIT, "review")])
def test_a_faulty_recipe_ends_nothing_and_is_named(recipe: bytes, said: str) -> None:
    stack = waiting()
    (old,) = stack.jobs()
    wait(stack, 5)
    stack.drop(KEY, recipe)
    wait(stack, 3)
    message = stack.document("status.json", old)["message"]
    assert "A changed recipe is not used for this job" in message
    assert message.endswith("With a corrected one, the file is tried and asked about anew.")
    assert said in message
    assert len(stack.document("status.json", old)["samples"]) == 20
    (same,) = stack.jobs()
    assert same.question == old.question
    stack.drop(KEY, BETTER)
    approved(stack)
    replaced(stack, old, BETTER)


def test_the_note_of_a_faulty_recipe_goes_with_it() -> None:
    stack = waiting()
    stack.drop(KEY, FAULTY)
    wait(stack, 3)
    stack.drop(KEY, RECIPE)
    wait(stack, 3)
    (job,) = stack.jobs()
    assert job.note == ""
    approve(stack, job)
    done(stack)


def test_the_same_bytes_again_change_nothing() -> None:
    stack = waiting()
    stack.drop(KEY, RECIPE)
    wait(stack, 3)
    (job,) = stack.jobs()
    approve(stack, job)
    done(stack)
    assert stack.hooks.calls.count("ledger.commit.recipe_kept") == 1


def test_a_deleted_recipe_and_one_for_others_change_nothing() -> None:
    stack = waiting()
    stack.objects.delete(KEY)
    stack.drop("inbox/marketing/us/recipe.yaml", BETTER)
    wait(stack, 3)
    (job,) = stack.jobs()
    approve(stack, job)
    done(stack)


def test_a_nearer_recipe_counts() -> None:
    stack = stack_of()
    stack.drop(f"{FOLDER}sub/a.csv", rows(ROWS))
    wait(stack)
    (old,) = stack.jobs()
    stack.drop(f"{FOLDER}sub/recipe.yaml", BETTER)
    approved(stack)
    replaced(stack, old, BETTER)


def test_another_team_s_recipe_is_not_looked_at() -> None:
    stack = waiting()
    stack.hooks.calls.clear()
    stack.drop("inbox/other/recipe.yaml", BETTER)
    wait(stack, 3)
    assert "ledger.commit.told_of_recipe" not in stack.hooks.calls
    assert len(stack.jobs()) == 1


def test_a_file_that_is_gone_goes_on_as_it_is() -> None:
    stack = waiting()
    (old,) = stack.jobs()
    stack.objects.purge(FILE)
    stack.drop(KEY, BETTER)
    wait(stack, 3)
    assert newest(stack).id == old.id
    assert "cannot be read any more" in stack.document("status.json", old)["message"]


def test_a_job_that_asks_for_its_pilot_gives_way() -> None:
    stack = stack_of(ask_above="0.01")
    stack.drop(FILE, rows(ROWS))
    wait(stack, 2)
    (old,) = stack.jobs()
    assert old.question is not None
    assert old.question.for_pilot
    stack.drop(KEY, BETTER)
    approved(stack)
    replaced(stack, old, BETTER)


def test_a_job_that_waits_for_a_limit_gives_way() -> None:
    stack = stack_of(ask_above="", daily_limit="0.01")
    stack.drop(FILE, rows(ROWS))
    wait(stack, 2)
    (old,) = stack.jobs()
    assert old.needs == "limit"
    stack.drop(KEY, BETTER)
    wait(stack, 3)
    new = newest(stack)
    assert new.id != old.id
    assert (new.state, new.needs) == (JobState.held, "limit")
    assert stack.claude.custom_ids() == []


def test_a_job_of_which_batches_were_sent_is_left_alone() -> None:
    stack = Stack(
        max_requests=10,
        ask_above="10",
        daily_limit="0.30",
        api=lambda clock, hooks: FakeClaude(clock, hooks, answer=long_answer),
    )
    stack.drop(KEY, RECIPE)
    stack.drop(FILE, rows(100))
    wait(stack)
    (old,) = stack.jobs()
    assert (old.state, old.needs) == (JobState.held, "limit")
    assert stack.claude.custom_ids()
    stack.drop(KEY, BETTER)
    wait(stack, 3)
    assert newest(stack).id == old.id
    assert stack.hooks.calls.count("ledger.commit.recipe_kept") == 1


# ---------------------------------------------------------------- races


def test_an_approval_that_is_first_wins() -> None:
    stack = waiting()
    (old,) = stack.jobs()
    once(stack, "ledger.commit.superseded", lambda: approve(stack, old))
    stack.drop(KEY, BETTER)
    done(stack)
    (job,) = stack.jobs()
    assert job.state is JobState.done
    assert stack.output("recipe.yaml", job) == RECIPE
    assert len(stack.claude.custom_ids()) == ROWS


def test_a_recipe_that_is_first_wins() -> None:
    stack = waiting()
    (old,) = stack.jobs()

    def improve() -> None:
        stack.drop(KEY, BETTER)
        stack.pump()

    once(stack, "ledger.commit.let_go", improve)
    approve(stack, old)
    stack.hooks.clear()
    assert stack.ledger.jobs[old.id].cancel_requested
    approved(stack)
    replaced(stack, old, BETTER)


def test_a_cancel_leaves_no_successor() -> None:
    stack = waiting()
    (old,) = stack.jobs()
    once(stack, "ledger.commit.superseded", lambda: stack.command("cancel", old.id))
    stack.drop(KEY, BETTER)
    done(stack)
    assert [job.state for job in stack.jobs()] == [JobState.canceled]


def test_a_message_that_is_lost_is_sent_again() -> None:
    stack = waiting()
    (old,) = stack.jobs()
    stack.drop(KEY, BETTER)
    assert stack.queues.messages(Queue.plan) == [ResumePlanning(job_id=old.id)]
    stack.queues.waiting.clear()
    approved(stack)
    replaced(stack, old, BETTER)


def test_whoever_dies_between_the_count_and_the_message_leaves_it_to_the_tick() -> None:
    stack = waiting()
    (old,) = stack.jobs()
    fail(stack, "ledger.commit.told_of_recipe", Killed())  # type: ignore[arg-type]
    stack.drop(KEY, BETTER)
    stack.queues.waiting.clear()
    approved(stack)
    replaced(stack, old, BETTER)


def test_a_job_that_changes_all_the_time_is_looked_at_again() -> None:
    stack = waiting()
    (old,) = stack.jobs()
    fail(stack, "ledger.commit.superseded", LostRace("busy"), times=10)
    stack.drop(KEY, BETTER)
    stack.pump()
    assert str(stack.failures[-1][1]).endswith("changes faster than its recipe can be looked for")
    approved(stack)
    replaced(stack, old, BETTER)


# ---------------------------------------------------------------- many


def test_files_that_ask_together_give_way_together() -> None:
    stack = stack_of()
    for name in ("a", "b", "c"):
        stack.drop(f"{FOLDER}{name}.csv", rows(40))
    wait(stack)
    (leader,) = leaders(stack)
    assert leader.group is not None
    stack.drop(KEY, BETTER)
    wait(stack, 15)
    (new,) = leaders(stack)
    assert new.group is not None
    assert new.group.code != leader.group.code
    assert len(new.group.covers) == 3
    assert len(asking(stack)) == 3
    approve_all(stack, leader.group.code)
    assert len(asking(stack)) == 3
    approve_all(stack, new.group.code)
    done(stack)
    states = [job.state for job in stack.jobs()]
    assert (states.count(JobState.done), states.count(JobState.canceled)) == (3, 3)
    assert len(stack.claude.custom_ids()) == 20 + 3 * 40


def test_at_most_a_hundred_look_at_a_time() -> None:
    stack = stack_of()
    for number in range(130):
        stack.drop(f"{FOLDER}small {number:03d}.csv", rows(3))
    wait(stack, 12)
    number = len(asking(stack))
    assert number > 100
    stack.hooks.calls.clear()
    stack.drop(KEY, BETTER)
    assert stack.hooks.calls.count("ledger.commit.told_of_recipe") == 100
    wait(stack, 20)
    assert sum(job.cancel_requested for job in stack.jobs()) == number
    assert list(purses_kept(stack.ledger)) == []
