"""Files of one folder with the same recipe ask one question, and an answer holds for later files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from batchdrop.domain.ids import question_code
from batchdrop.domain.records import Job, JobState
from tests.fakes.claude import FakeClaude
from tests.money import purses_kept
from tests.stack import Killed, Stack
from tests.stages.row_jobs import label

RECIPE = b"""\
model: claude-haiku-4-5
max_tokens: 4000
prompt: "Label this review: {{ text }}"
output:
  label: [positive, negative]
"""
FOLDER = "inbox/marketing/eu/"


def long_answer(custom_id: str, params: dict[str, Any], output_tokens: int = 3_000) -> Mapping[str, object]:
    result = json.loads(json.dumps(label(custom_id, params)))
    result["message"]["content"][-1]["text"] = '{"label": "positive"}'
    result["message"]["usage"] = {"input_tokens": 20, "output_tokens": output_tokens}
    return dict(result)


longer_answer = partial(long_answer, output_tokens=3_900)


def stack_of(*, ask_above: str = "0.25", output_tokens: int = 3_000, **more: Any) -> Stack:
    """Twenty rows cost 0.15 dollars: so much may be spent unasked, and little more."""
    answer = partial(long_answer, output_tokens=output_tokens)
    stack = Stack(ask_above=ask_above, api=lambda clock, hooks: FakeClaude(clock, hooks, answer=answer), **more)
    stack.drop(f"{FOLDER}recipe.yaml", RECIPE)
    return stack


def rows(number: int) -> bytes:
    return b"text\n" + b"".join(b"Good %d\n" % line for line in range(number))


def drop(stack: Stack, name: str, number: int = 40) -> Job:
    known = set(stack.ledger.jobs)
    stack.drop(f"{FOLDER}{name}.csv", rows(number))
    (job_id,) = set(stack.ledger.jobs) - known
    return stack.ledger.jobs[job_id]


def crowd(stack: Stack, of: Job, team: str, number: int, group: str = "") -> None:
    """So many jobs of another team ask as `of` does, and have for longer. Without `group` each asks on its own."""
    assert of.question is not None
    assert of.held_at is not None
    for place in range(number):
        one = replace(
            of,
            id=f"{of.id.partition('-')[0]}-{question_code(team, place)}{question_code(place, team)}2222",
            input=replace(of.input, key=f"inbox/{team}/{place}.csv"),
            held_at=of.held_at - timedelta(hours=1),
            question=replace(of.question, group=group or f"group {place:04d}"),
        )
        stack.ledger.jobs[one.id] = one


def wait(stack: Stack, minutes: int = 12) -> None:
    for _ in range(minutes):
        stack.step()


def asking(stack: Stack) -> list[Job]:
    return [job for job in stack.jobs() if job.state is JobState.held and job.question is not None]


def leaders(stack: Stack) -> list[Job]:
    return [job for job in stack.jobs() if job.group is not None and job.group.leader == job.id]


def approve_all(stack: Stack, code: str, folder: str = "marketing/eu") -> None:
    stack._control(f"control/approve/{folder}/all-{code}")


def approve_all_and_die(stack: Stack, leader: Job) -> list[str]:
    """Once the leader has been let go. What it died of."""
    assert leader.group is not None
    killed: list[str] = []

    def die(name: str) -> None:
        if name == "ledger.commit.let_go" and stack.ledger.jobs[leader.id].approvals and not killed:
            killed.append(name)
            raise Killed

    stack.hooks.before = die
    approve_all(stack, leader.group.code)
    return killed


def done(stack: Stack) -> None:
    stack.run()
    assert {job.state for job in stack.jobs()} <= {JobState.done, JobState.canceled}
    assert stack.audit() == []
    assert list(purses_kept(stack.ledger)) == []


def test_three_files_ask_one_question_and_one_of_them_is_tried() -> None:
    stack = stack_of()
    files = [drop(stack, name) for name in ("a", "b", "c")]
    wait(stack)
    (leader,) = leaders(stack)
    assert leader.id == min(job.id for job in files)
    assert leader.group is not None
    assert sorted(job.tried for job in stack.jobs()) == [0, 0, 20]
    assert leader.group.rows == 20 + 40 + 40
    assert len(stack.claude.custom_ids()) == 20
    assert leader.group.high == sum(job.question.high for job in asking(stack) if job.question)
    status = stack.document("status.json", leader)
    assert f"The code {leader.group.code} lets all of them go." in status["message"]
    assert f"control/approve/marketing/eu/all-{leader.group.code}" in status["next"]["command"]
    assert (status["question"]["together"]["files"], status["question"]["together"]["rows"]) == (3, 100)
    other = next(job for job in stack.jobs() if job.id != leader.id)
    assert leader.id in stack.document("status.json", other)["message"]
    approve_all(stack, leader.group.code)
    assert asking(stack) == []
    done(stack)
    for job in stack.jobs():
        (approval,) = stack.document("manifest.json", job)["approvals"]
        assert approval["key"] == f"control/approve/marketing/eu/all-{leader.group.code}"


def test_who_joins_or_leaves_changes_the_code() -> None:
    stack = stack_of()
    for name in ("a", "b", "c"):
        drop(stack, name)
    wait(stack)
    codes = [leaders(stack)[0].group.code]  # type: ignore[union-attr]
    drop(stack, "d")
    wait(stack, 3)
    codes.append(leaders(stack)[0].group.code)  # type: ignore[union-attr]
    stack.command("cancel", leaders(stack)[0].id)
    wait(stack, 3)
    codes.append(leaders(stack)[0].group.code)  # type: ignore[union-attr]
    assert len(set(codes)) == 3
    approve_all(stack, codes[0])
    assert len(asking(stack)) == 3
    assert "that code" in stack.document("status.json", leaders(stack)[0])["message"]
    approve_all(stack, codes[2])
    done(stack)
    assert [job.state for job in stack.jobs()].count(JobState.canceled) == 1


def test_one_of_them_can_be_approved_alone() -> None:
    stack = stack_of()
    for name in ("a", "b", "c"):
        drop(stack, name)
    wait(stack)
    other = asking(stack)[1]
    assert other.question is not None
    stack._control(f"control/approve/{other.id}-{other.question.code}")
    assert other.id not in {job.id for job in asking(stack)}


def test_another_folder_or_another_recipe_asks_on_its_own() -> None:
    stack = stack_of()
    drop(stack, "a")
    stack.drop("inbox/marketing/us/recipe.yaml", RECIPE)
    stack.drop("inbox/marketing/us/b.csv", rows(40))
    wait(stack)
    assert leaders(stack) == []
    assert len(asking(stack)) == 2


def test_a_later_file_is_covered_up_to_twice_the_amount_within_thirty_days() -> None:
    stack = stack_of()
    first = drop(stack, "first")
    wait(stack)
    (job,) = asking(stack)
    assert job.question is not None
    stack._control(f"control/approve/{first.id}-{job.question.code}")
    done(stack)
    later = drop(stack, "later")
    done(stack)
    covered = stack.ledger.jobs[later.id]
    assert covered.state is JobState.done
    assert covered.approvals == stack.ledger.jobs[first.id].approvals
    drop(stack, "beyond", 200)
    wait(stack)
    (asks,) = asking(stack)
    assert asks.question is not None
    stack.command("cancel", asks.id)
    done(stack)
    stack.clock.advance(timedelta(days=31).total_seconds())
    drop(stack, "too late")
    wait(stack)
    assert len(asking(stack)) == 1


def test_operators_can_have_every_file_asked_about() -> None:
    stack = stack_of()
    stack.objects.drop("config/limits.json", b'{"folders": {"marketing": {"ask_above_usd": 0.25, "earlier_approvals": false}}}')
    first = drop(stack, "first")
    wait(stack)
    (job,) = asking(stack)
    assert job.question is not None
    stack._control(f"control/approve/{first.id}-{job.question.code}")
    done(stack)
    drop(stack, "later")
    wait(stack)
    assert len(asking(stack)) == 1


@pytest.mark.parametrize(("rows", "tried"), [(5, 20), (19, 20), (20, 0)])
def test_earlier_files_take_the_place_of_a_pilot_from_as_many_rows_on(rows: int, tried: int) -> None:
    """Those of fewer may all have had short answers."""
    stack = stack_of(ask_above="1", output_tokens=20)
    drop(stack, "earlier", rows)
    done(stack)
    later = drop(stack, "later", 200)
    done(stack)
    job = stack.ledger.jobs[later.id]
    assert job.tried == tried
    assert job.expected is not None
    assert job.expected.by == ("tried" if tried else "earlier")


def test_with_nothing_to_spend_unasked_every_file_is_asked_about() -> None:
    stack = stack_of()
    stack.objects.drop("config/limits.json", b'{"folders": {"marketing": {"ask_above_usd": 0}}}')
    drop(stack, "first")
    for question in ("for the pilot", "for the others"):
        wait(stack)
        (job,) = asking(stack)
        assert job.question is not None, question
        stack._control(f"control/approve/{job.id}-{job.question.code}")
    done(stack)
    drop(stack, "later")
    wait(stack)
    assert len(asking(stack)) == 1


def test_what_a_job_costs_beyond_its_own_approval_is_asked_about() -> None:
    """And is not covered as a later file would be."""
    stack = stack_of(max_requests=10, queue_limit=10)
    drop(stack, "grows", 200)
    wait(stack)
    (job,) = asking(stack)
    assert job.question is not None
    stack.claude.answer = longer_answer
    stack._control(f"control/approve/{job.id}-{job.question.code}")
    wait(stack, 60)
    (again,) = asking(stack)
    assert again.question is not None
    assert len(again.approvals) == 1
    # Ten rows were under way.
    assert again.used <= job.used + job.question.high + 10 * 10_000


def test_files_that_were_planned_while_nothing_was_sent_learn_from_the_first() -> None:
    """None of them was to be asked about when it was planned; together they are."""
    stack = stack_of(ask_above="0.45", max_requests=40)
    stack.switch.text = "pause"
    for name in ("a", "b", "c"):
        drop(stack, name)
    stack.switch.text = "run"
    wait(stack, 20)
    first, *others = stack.jobs()
    assert (first.state, [job.needs for job in others]) == (JobState.done, ["approval", "approval"])
    for job in others:
        assert (job.expected and job.expected.by) == "earlier"
        assert job.question is not None
        assert 0.19e6 < job.question.low < 40 * 0.0075e6 < job.question.high
    (leader,) = leaders(stack)
    assert leader.group is not None
    approve_all(stack, leader.group.code)
    done(stack)


def test_the_next_one_is_tried_if_the_first_tells_nothing() -> None:
    stack = stack_of()
    first, *others = [drop(stack, name) for name in "abcd"]
    stack.command("cancel", first.id)
    wait(stack, 20)
    assert len(asking(stack)) == 3
    (leader,) = leaders(stack)
    assert (leader.id, leader.tried) == (min(job.id for job in others), 20)
    assert {job.expected and job.expected.by for job in asking(stack)} == {"tried", "earlier"}
    assert leader.group is not None
    approve_all(stack, leader.group.code)
    done(stack)
    assert [job.counts.succeeded for job in stack.jobs() if job.id != first.id] == [40, 40, 40]
    assert len(stack.claude.custom_ids()) <= 20 + 3 * 40


def test_each_job_that_costs_more_than_its_own_answer_is_asked_about() -> None:
    """A yes to one of them, or to a later file, is none to another that was answered before."""
    stack = stack_of(max_requests=10, queue_limit=10)
    for name in "ab":
        drop(stack, name, 200)
    wait(stack)
    (leader,) = leaders(stack)
    assert leader.group is not None
    stack.claude.answer = longer_answer
    approve_all(stack, leader.group.code)
    wait(stack, 60)
    one, other = asking(stack)
    assert one.question is not None
    stack._control(f"control/approve/{one.id}-{one.question.code}")
    wait(stack, 60)
    assert [job.id for job in asking(stack)] == [other.id]
    assert stack.ledger.jobs[other.id].approvals == other.approvals


def test_a_yes_to_all_that_is_delivered_again_says_nothing_to_others() -> None:
    stack = stack_of()
    for name in "abc":
        drop(stack, name)
    wait(stack)
    (leader,) = leaders(stack)
    assert leader.group is not None
    code = leader.group.code
    killed = approve_all_and_die(stack, leader)
    assert killed
    assert asking(stack)
    approve_all(stack, code)
    assert asking(stack) == []
    assert {job.note for job in stack.jobs()} == {""}
    done(stack)


def test_a_yes_to_one_is_none_to_others_that_ask_already() -> None:
    """For these there is a code that says yes to all."""
    stack = stack_of()
    one, other = drop(stack, "a"), drop(stack, "b")
    wait(stack)
    stack.clock.advance(1)
    question = stack.ledger.jobs[other.id].question
    assert question is not None
    stack._control(f"control/approve/{other.id}-{question.code}")
    wait(stack, 10)
    assert [job.id for job in asking(stack)] == [one.id]
    later = drop(stack, "c")
    stack.run(minutes=20)
    assert stack.ledger.jobs[later.id].state is JobState.done


def test_who_finishes_twice_teaches_once() -> None:
    stack = stack_of(ask_above="20")
    killed: list[str] = []

    def die(name: str) -> None:
        if name == "notices.publish" and len(killed) < 2:
            killed.append(name)
            raise Killed

    stack.hooks.before = die
    job = drop(stack, "a", 12)
    done(stack)
    assert len(killed) == 2
    group = stack.ledger.get_group(stack.ledger.jobs[job.id].group_key)
    assert group.taught.rows == 12


@pytest.mark.parametrize("folder", ["marketing", "marketing/eu/x", "other", ""])
def test_an_answer_for_another_folder_lets_nothing_go(folder: str) -> None:
    stack = stack_of()
    for name in ("a", "b"):
        drop(stack, name)
    wait(stack)
    code = leaders(stack)[0].group.code  # type: ignore[union-attr]
    approve_all(stack, code, folder)
    assert len(asking(stack)) == 2
    assert stack.metrics.totals["IgnoredCommands"] == 1


def test_two_hundred_small_files_ask_once() -> None:
    """One of them is canceled, and one is dropped after the approval."""
    stack = stack_of()
    for number in range(200):
        drop(stack, f"small {number:03d}", 3)
    wait(stack, 30)
    (leader,) = leaders(stack)
    assert leader.group is not None
    tried = len(stack.claude.custom_ids())
    assert tried < 50
    canceled = asking(stack)[-1]
    stack.command("cancel", canceled.id)
    wait(stack, 3)
    (leader,) = leaders(stack)
    assert leader.group is not None
    approve_all(stack, leader.group.code)
    drop(stack, "late", 3)
    done(stack)
    assert [job.state for job in stack.jobs()].count(JobState.canceled) == 1
    assert len(stack.claude.custom_ids()) == 200 * 3
    assert len({yes.code for job in stack.jobs() for yes in job.approvals}) == 1


@pytest.mark.parametrize("group", ["", "one for all"])
def test_those_that_ask_in_one_team_hide_none_of_another(group: str) -> None:
    stack = stack_of()
    first = drop(stack, "a")
    wait(stack)
    for team in ("earlier", "other"):
        crowd(stack, asking(stack)[0], team, 1_000, group)
    drop(stack, "b")
    wait(stack)
    (leader,) = [job for job in leaders(stack) if job.input.key.startswith(FOLDER)]
    assert leader.group is not None
    approve_all(stack, leader.group.code)
    stack.ledger.jobs = {job.id: job for job in stack.jobs() if job.input.key.startswith(FOLDER)}
    done(stack)
    assert [job.state for job in stack.jobs()] == [JobState.done] * 2
    assert stack.ledger.jobs[first.id].approvals[0].code == leader.group.code


def test_a_group_is_whole_although_a_tick_cannot_look_at_all_that_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.stages.poll.paused._ASKING", 5)
    stack = stack_of()
    for place in ("marketing/eu", "research", "sales"):
        stack.drop(f"inbox/{place}/recipe.yaml", RECIPE)
        for name in ("a", "b", "c"):
            stack.drop(f"inbox/{place}/{name}.csv", rows(40))
    wait(stack, 20)
    before = leaders(stack)
    assert [len(job.group.covers) for job in before if job.group] == [3, 3, 3]
    wait(stack, 6)
    assert leaders(stack) == before


def test_a_file_that_asks_for_its_pilot_is_found_among_many_of_another_team() -> None:
    stack = stack_of(ask_above="0.01")
    first = drop(stack, "a")
    assert stack.ledger.jobs[first.id].trying
    crowd(stack, asking(stack)[0], "other", 300)
    second = drop(stack, "b")
    assert stack.ledger.jobs[second.id].mate == first.id


def test_a_yes_to_one_leaves_those_covered_that_an_interrupted_yes_to_all_has_not_let_go() -> None:
    stack = stack_of()
    for name in ("a", "b", "c", "d"):
        drop(stack, name)
    wait(stack)
    (leader,) = leaders(stack)
    assert leader.group is not None
    code = leader.group.code
    killed = approve_all_and_die(stack, leader)
    one, *others = asking(stack)
    assert (len(others), killed) == (2, ["ledger.commit.let_go"])
    assert one.question is not None
    stack._control(f"control/approve/{one.id}-{one.question.code}")
    wait(stack, 1)
    assert asking(stack) == []
    done(stack)
    assert {job.approvals[0].code for job in stack.jobs()} == {code, one.question.code}
    assert [stack.ledger.jobs[job.id].approvals[0].code for job in others] == [code] * 2


def test_where_the_budget_pays_for_fewer_than_twenty_rows_small_files_ask_for_a_pilot_first() -> None:
    """Six of them go unasked. What their 18 rows tell is too little of the others."""
    stack = stack_of(ask_above="0.20")
    for number in range(30):
        drop(stack, f"small {number:03d}", 3)
    wait(stack, 30)
    (first,) = asking(stack)
    assert first.question is not None
    assert (first.question.rows, first.question.for_pilot) == (3, True)
    assert len(stack.claude.custom_ids()) == 18
    stack._control(f"control/approve/{first.id}-{first.question.code}")
    wait(stack, 30)
    (leader,) = leaders(stack)
    assert leader.group is not None
    approve_all(stack, leader.group.code)
    done(stack)
    assert len(stack.claude.custom_ids()) == 30 * 3
