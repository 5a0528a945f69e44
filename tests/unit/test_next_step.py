"""What somebody can do about a job now."""

from __future__ import annotations

import shlex

import pytest

from batchdrop.domain.records import Counts, GroupQuestion, JobState, ObjectRef, Question
from batchdrop.reports.next_step import Left, NextStep, console_url, next_step
from batchdrop.reports.sentences import NO_TEAM, NOTHING_TO_RETRY, already_retried, retried
from tests.adapters.records import job
from tests.fakes.clock import START

EVIL = "inbox/a b; rm -rf $(HOME)/it's.csv"
OLD_NOTE = "3 failed rows are being retried as inbox/a.jsonl; the answers will be in an outbox folder of that name."
"""Of an earlier version."""
QUESTION = Question(code="7kq2mx", low=1, high=2, rows=3, asked_at=START)


@pytest.mark.parametrize("state", JobState)
def test_every_state_has_a_next_step_without_data_in_its_words(state: JobState) -> None:
    found = next_step(
        job(state=state, input=ObjectRef(bucket="bucket", key=EVIL), counts=Counts(total=2, errored=2)), "eu-west-1"
    )
    assert found.text
    assert found.text.endswith(".")
    assert "rm" not in found.text
    if found.command is not None:
        *_, bucket, option, key = shlex.split(found.command)
        assert (bucket, option) == ("bucket", "--key")
        assert key.startswith("control/")
        assert key.count("a b; rm -rf $(HOME)") == 1


@pytest.mark.parametrize(
    ("needs", "key"), [("approval", "control/approve/team/{}-7kq2mx"), ("limit", "control/raise/team/{}-7kq2mx")]
)
def test_a_question_names_the_command_that_answers_it(needs: str, key: str) -> None:
    asking = job(state=JobState.held, needs=needs, question=QUESTION, input=ObjectRef(bucket="bucket", key="inbox/team/a.csv"))
    found = next_step(asking, "eu-west-1")
    assert found.command == f"aws s3api put-object --bucket bucket --key {key.format(asking.id)}"
    folder = key.rpartition("/")[0]
    assert found.console_url == f"https://eu-west-1.console.aws.amazon.com/s3/buckets/bucket?region=eu-west-1&prefix={folder}/"


def test_who_asks_for_several_files_names_the_answer_for_all() -> None:
    asking = job(state=JobState.held, needs="approval", question=QUESTION)
    group = GroupQuestion(leader=asking.id, code="aaaaaa", covers=("a", "b"))
    command = next_step(job(state=JobState.held, needs="approval", question=QUESTION, group=group)).command
    assert command is not None
    assert command.endswith("/all-aaaaaa")


@pytest.mark.parametrize(
    ("counts", "retries"),
    [
        (Counts(total=2, succeeded=2), False),
        (Counts(total=2, succeeded=1, invalid=1), False),
        (Counts(total=2, succeeded=1, expired=1), True),
    ],
)
def test_a_retry_is_proposed_where_it_can_bring_an_answer(counts: Counts, retries: bool) -> None:
    assert ("control/retry/" in (next_step(job(state=JobState.done, counts=counts)).command or "")) is retries


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-east-1", "console.amazonaws-us-gov.com"),
        ("ap-south-1", "console.aws.amazon.com"),
    ],
)
def test_the_console_of_each_partition(region: str, host: str) -> None:
    url = console_url("bucket", "outbox/a b/ü/report.html", region)
    assert url == f"https://{region}.{host}/s3/object/bucket?region={region}&prefix=outbox/a%20b/%C3%BC/report.html"


def test_without_a_region_there_is_no_address() -> None:
    assert console_url("bucket", "outbox/", "") is None


@pytest.mark.parametrize(("passes", "stays"), [(True, True), (True, False), (False, True)])
def test_where_the_reasons_are_known_they_decide_on_a_retry(passes: bool, stays: bool) -> None:
    counts = Counts(total=3, succeeded=1, errored=2)
    step = next_step(job(state=JobState.done, counts=counts), left=Left(passes=passes, stays=stays))
    assert ("control/retry/" in (step.command or "")) is passes
    assert ("Correct failed.jsonl" in step.text) is stays
    assert "if any did" not in step.text


@pytest.mark.parametrize("counts", [Counts(total=9, canceled=9), Counts(total=9, succeeded=3, canceled=2, expired=4)])
def test_nobody_is_told_to_correct_what_was_not_asked(counts: Counts) -> None:
    """A job that was stopped, or whose deadline has passed, has nothing to correct."""
    step = next_step(job(state=JobState.canceled, counts=counts))
    assert step.text.startswith("If you want the answers that are missing, put failed.jsonl in again, or run this command")
    assert "control/retry/" in (step.command or "")


def test_where_nothing_is_known_of_errors_a_retry_is_a_guess() -> None:
    assert ", if any did, run" in next_step(job(state=JobState.done, counts=Counts(total=2, errored=2))).text


@pytest.mark.parametrize("note", [retried(3, "inbox/a.jsonl"), already_retried("inbox/a.jsonl"), OLD_NOTE])
@pytest.mark.parametrize("invalid", [0, 1])
def test_a_retry_is_not_proposed_again(note: str, invalid: int) -> None:
    step = next_step(job(state=JobState.done, counts=Counts(total=4, expired=3, invalid=invalid), note=note))
    assert step.command is None
    assert ("Take them out of failed.jsonl" in step.text) is bool(invalid)


def test_a_retry_that_found_nothing_is_not_proposed_again() -> None:
    step = next_step(job(state=JobState.done, counts=Counts(total=2, errored=2), note=NOTHING_TO_RETRY))
    assert step == NextStep(text="Correct failed.jsonl and put it in again.")


def test_rows_that_are_in_no_file_are_not_put_in_again() -> None:
    step = next_step(job(state=JobState.done, counts=Counts(total=2, missing=2), rows_lost=2))
    assert (step.command, "failed" in step.text) == (None, False)


def test_where_a_retry_found_nothing_since_all_may_be_paid_nobody_is_told_to_correct() -> None:
    step = next_step(job(state=JobState.done, counts=Counts(total=2, missing=2), note=NOTHING_TO_RETRY))
    assert step.text.startswith("These rows may have been answered and paid for.")


def test_a_job_without_a_row_has_no_answers_beside_it() -> None:
    assert "answers are beside" not in next_step(job(state=JobState.canceled, counts=Counts())).text


@pytest.mark.parametrize("others", [0, 1])
def test_what_may_have_been_paid_is_not_paid_again_without_a_word(others: int) -> None:
    left = Left(passes=others > 0, stays=False, may_be_paid=True)
    step = next_step(job(state=JobState.done, counts=Counts(total=3, succeeded=1, missing=1, expired=others)), left=left)
    assert ("control/retry/" in (step.command or "")) is bool(others)
    assert "may have been answered and paid for" in step.text


def test_a_file_outside_of_the_teams_needs_no_correction() -> None:
    text = next_step(job(state=JobState.rejected, reason=NO_TEAM)).text
    assert text == "Put the file into the folder of a team, below inbox/."
