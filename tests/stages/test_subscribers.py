"""Who waits for a person, and who has ended, is told: once, to people and to programs, whatever happens in between."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchdrop.domain.errors import ConfigurationError, Throttled
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import JobState
from batchdrop.stages.poll.subscribers import MAILS_APART
from tests.stack import Killed, Stack, rows
from tests.stages.harm import fail, minutes
from tests.stages.row_jobs import said

TABLE = b"id,text\n1,good\n2,bad\n"
RECIPE = b"model: claude-haiku-4-5\nprompt: 'Label: {{ text }}'\noutput: {label: [good, bad]}\n"
_A_QUARTER = round(MAILS_APART.total_seconds() / 60)
GOOD = said('{"label": "good"}')


def subjects(stack: Stack) -> list[str]:
    return [subject for subject, _ in stack.notices.published]


def told(stack: Stack) -> list[tuple[object, object]]:
    return [(event["job_id"], event["state"]) for event in stack.events.details]


def test_a_file_without_a_recipe_asks_once() -> None:
    stack = Stack()
    stack.drop("inbox/team/a.csv", TABLE, {"batchdrop-reference": "run-7"})
    minutes(stack, 60)
    assert subjects(stack) == ["Waiting for you: a.csv, a recipe is needed"]
    assert "Go on:  put recipe.yaml into inbox/team/\n" in stack.notices.mails[0]
    assert stack.notices.attributes == [{"folder": "team", "state": "held"}]
    (event,) = stack.events.details
    assert (event["state"], event["needs"], event["reference"]) == ("held", "recipe", "run-7")


def test_another_question_is_told_and_so_is_the_end() -> None:
    stack = Stack(ask_above="0")
    stack.claude.answer = lambda *_: GOOD
    stack.drop("inbox/team/a.csv", TABLE)
    minutes(stack, 2)
    stack.drop("inbox/team/recipe.yaml", b"prompt: '{{ nothing }}'\nmodel: claude-haiku-4-5\n")
    minutes(stack, 2)
    assert subjects(stack) == ["Waiting for you: a.csv, a recipe is needed"] * 2
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    minutes(stack, 10)
    assert subjects(stack)[2].startswith("Waiting for you: a.csv, $")
    question = stack.job().question
    assert question is not None
    assert f"Go on:  batchdrop approve {stack.job().id}-{question.code}\n" in stack.notices.mails[2]
    assert question.code not in str(stack.events.details), "who reads events need not be who may approve"
    stack.command("approve", f"{stack.job().id}-{question.code}")
    stack.run()
    assert subjects(stack)[3:] == ["Done: a.csv, all 2 rows have an answer"]
    assert [state for _, state in told(stack)] == ["held", "held", "held", "done"]


def test_a_mail_shows_what_was_tried() -> None:
    stack = Stack(ask_above="0")
    stack.claude.answer = lambda *_: GOOD
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.drop("inbox/team/a.csv", b"text\n" + b"".join(b"row %d\n" % number for number in range(40)))
    minutes(stack, 5)
    job = stack.job()
    assert job.question is not None
    if job.question.for_pilot:
        stack.command("approve", f"{job.id}-{job.question.code}")
    minutes(stack, 90)
    assert subjects(stack)[-1].startswith("Waiting for you: a.csv, $")
    assert subjects(stack)[-1].endswith(" for 20 rows")
    assert "20 of 40 rows were tried." in stack.notices.mails[-1]
    assert "\nTried:  20 good\n" in stack.notices.mails[-1]
    assert "Not answered by then, it is stopped" in stack.notices.mails[-1]


def test_files_of_one_folder_share_a_mail_and_later_ones_the_next() -> None:
    stack = Stack()
    for number in range(40):
        stack.drop(f"inbox/team/{number}.csv", TABLE)
    stack.drop("inbox/others/a.csv", TABLE)
    minutes(stack, 2)
    assert sorted(subjects(stack)) == [
        "Waiting for you: 40 files, a recipe is needed",
        "Waiting for you: a.csv, a recipe is needed",
    ]
    for number in range(40, 60):
        stack.drop(f"inbox/team/{number}.csv", TABLE)
    minutes(stack, 3)
    assert len(subjects(stack)) == 2
    assert len(set(told(stack))) == len(told(stack)) == 61, "programs wait for no mail"
    minutes(stack, _A_QUARTER)
    assert subjects(stack)[2:] == ["Waiting for you: 20 files, a recipe is needed"]
    minutes(stack, 60)
    assert len(subjects(stack)) == 3
    assert len(told(stack)) == 61


def test_a_limit_that_passes_by_itself_is_no_question() -> None:
    stack = Stack(daily_limit="0.000001")
    stack.drop("inbox/team/a.jsonl", rows(3))
    minutes(stack, 30)
    assert stack.job().needs == "limit"
    assert stack.notices.published == []
    assert stack.events.details == []


@pytest.mark.parametrize("many", [1, 30])
def test_files_rejected_before_a_row_was_read_are_told_of(many: int) -> None:
    stack = Stack(separate_teams=True)
    for number in range(many):
        stack.drop(f"inbox/{number}.jsonl", rows(1))
    minutes(stack, 3)
    assert {job.state for job in stack.jobs()} == {JobState.rejected}
    assert subjects(stack) == (["Rejected: 0.jsonl, nothing was sent"] if many == 1 else ["Rejected: 30 files"])
    assert sorted(told(stack)) == [(job.id, "rejected") for job in stack.jobs()]
    assert not stack.ledger.has_open_work()


def test_a_file_that_is_canceled_before_it_was_read_is_told_of() -> None:
    stack = Stack()
    stack.drop("inbox/team/a.csv", TABLE)
    stack.command("cancel", stack.job().id)
    minutes(stack, 3)
    assert subjects(stack) == ["Stopped: a.csv, nothing was sent"]
    assert told(stack) == [(stack.job().id, "canceled")]


@pytest.mark.parametrize(
    "key", ["inbox/two\nlines/a\nb.jsonl", "inbox/\x01/\u202e.jsonl", "inbox/../..jsonl", "inbox/%2F/%0A.jsonl"]
)
def test_a_file_of_any_name_is_told_of(key: str) -> None:
    """On one line in a mail, and in an event as its schema says."""
    stack = Stack()
    stack.drop(key, rows(1))
    stack.run()
    assert [event["input"]["key"] for event in stack.events.details] == [key]  # type: ignore[index]
    (subject,) = subjects(stack)
    assert subject.isprintable()
    assert not list(stack.ledger.list_open_jobs(OpenWork.untold))


@pytest.mark.parametrize("call", ["events.put", "notices.publish"])
@pytest.mark.parametrize("error", [Throttled("busy"), ConfigurationError("no permission")])
@pytest.mark.parametrize("key", ["inbox/team/a.csv", "inbox/team/a.jsonl"])
def test_what_cannot_be_told_holds_no_job_and_is_told_later(call: str, error: Exception, key: str) -> None:
    """A question and an end, the event and the mail: for half an hour neither is taken."""
    stack = Stack()
    fail(stack, call, error, times=30)
    stack.drop(key, TABLE if key.endswith("csv") else rows(3))
    minutes(stack, 10)
    assert stack.job().state in (JobState.held, JobState.done)
    assert stack.failures == []
    assert stack.metrics.totals["ReportFailed"] > 0
    if call == "notices.publish":
        assert stack.notices.published == []
    minutes(stack, 60)
    assert len(stack.notices.published) == 1
    assert len({event["job_id"] for event in stack.events.details}) == 1
    assert not list(stack.ledger.list_open_jobs(OpenWork.untold))


@pytest.mark.parametrize("call", ["events.put", "notices.publish"])
@pytest.mark.parametrize("key", ["inbox/team/a.csv", "inbox/rejected.jsonl"])
def test_who_can_be_told_is_told_once_while_others_cannot(call: str, key: str) -> None:
    """A bus that is gone must not keep people from a question, nor a topic from which nobody hears make an event each minute."""
    stack = Stack(separate_teams=True)
    fail(stack, call, ConfigurationError("it is gone"), times=10_000)
    stack.drop(key, TABLE if key.endswith("csv") else rows(1))
    minutes(stack, 60)
    mails, events = stack.notices.published, stack.events.details
    assert (len(mails), len(events)) == ((1, 0) if call == "events.put" else (0, 1))
    stack.hooks.clear()
    minutes(stack, 30)
    assert (len(mails), len(events)) == (1, 1)
    assert not list(stack.ledger.list_open_jobs(OpenWork.untold))


@pytest.mark.parametrize("call", ["events.put", "notices.publish", "ledger.commit.told", "ledger.commit.end_told"])
@pytest.mark.parametrize("after", [False, True])
def test_a_tick_killed_while_it_tells_tells_at_least_once(call: str, after: bool) -> None:
    stack = Stack(separate_teams=True)
    killed: list[str] = []

    def die(name: str) -> None:
        if name == call and not killed:
            killed.append(name)
            raise Killed

    if after:
        stack.hooks.after = die
    else:
        stack.hooks.before = die
    stack.drop("inbox/team/a.csv", TABLE)
    stack.drop("inbox/rejected.jsonl", rows(1))
    minutes(stack, 60)
    assert killed
    assert set(told(stack)) == {(job.id, str(job.state)) for job in stack.jobs()}
    assert 2 <= len(stack.notices.published) <= 3
    assert {document["state"] for _, document in stack.notices.published} == {"held", "rejected"}


def test_an_index_that_is_late_makes_no_second_mail() -> None:
    stack = Stack()
    stack.drop("inbox/team/a.csv", TABLE)
    late = list(stack.jobs())
    minutes(stack, 2)
    seen = stack.ledger.list_open_jobs
    stack.ledger.list_open_jobs = lambda work, **limits: iter(late) if work is OpenWork.held else seen(work, **limits)  # type: ignore[method-assign]
    stack.clock.advance(timedelta(hours=1).total_seconds())
    stack.poll.tell_subscribers()
    assert len(stack.notices.published) == 1
    assert len(stack.events.details) == 1
