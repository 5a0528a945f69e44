"""What somebody can do about a job now."""

from __future__ import annotations

import shlex

import pytest

from batchdrop.domain.records import Counts, GroupQuestion, JobState, ObjectRef, Question
from batchdrop.reports.next_step import console_url, next_step
from batchdrop.reports.sentences import NO_TEAM
from tests.adapters.records import job
from tests.fakes.clock import START

EVIL = "inbox/a b; rm -rf $(HOME)/it's.csv"
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


@pytest.mark.parametrize("passes", [True, False])
def test_where_the_reasons_are_known_they_decide_on_a_retry(passes: bool) -> None:
    counts = Counts(total=3, succeeded=1, errored=2)
    step = next_step(job(state=JobState.done, counts=counts), passes=passes)
    assert ("control/retry/" in (step.command or "")) is passes


def test_a_file_outside_of_the_teams_needs_no_correction() -> None:
    text = next_step(job(state=JobState.rejected, reason=NO_TEAM)).text
    assert text == "Put the file into the folder of a team, below inbox/."
