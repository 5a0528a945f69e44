"""Sentences that count, and sentences that advise."""

from __future__ import annotations

import re

import pytest

from batchdrop.domain.errors import Refused
from batchdrop.domain.records import Counts, JobState
from batchdrop.domain.refusals import Cause
from batchdrop.reports import sentences
from tests.adapters.records import job


@pytest.mark.parametrize(
    ("total", "succeeded", "sentence"),
    [
        (1, 1, "Done: 1 of 1 row succeeded."),
        (1, 0, "Done: 0 of 1 row succeeded; it is in failed.jsonl with the reason."),
        (4, 0, "Done: 0 of 4 rows succeeded; all are in failed.jsonl with the reason."),
        (4, 3, "Done: 3 of 4 rows succeeded; the other one is in failed.jsonl with the reason."),
        (60_000, 5, "Done: 5 of 60,000 rows succeeded; the other 59,995 are in failed.jsonl with the reason."),
    ],
)
def test_a_job_that_is_done(total: int, succeeded: int, sentence: str) -> None:
    assert sentences.state_of(job(state=JobState.done, counts=Counts(total=total, succeeded=succeeded))) == sentence


@pytest.mark.parametrize(
    ("total", "succeeded", "sentence"),
    [
        (1, 1, "Canceled: 1 of 1 row succeeded."),
        (2, 1, "Canceled: 1 of 2 rows succeeded; the rest are in failed.jsonl."),
    ],
)
def test_a_job_that_was_canceled(total: int, succeeded: int, sentence: str) -> None:
    assert sentences.state_of(job(state=JobState.canceled, counts=Counts(total=total, succeeded=succeeded))) == sentence


@pytest.mark.parametrize(
    ("total", "lost", "start"),
    [
        (3, 1, "Done: 2 of 3 rows succeeded. 1 row is in no file and counts as missing: "),
        (4, 1, "Done: 2 of 4 rows succeeded; 1 is in failed.jsonl with the reason. 1 row is in no file and counts as missing: "),
        (
            6,
            2,
            "Done: 2 of 6 rows succeeded; 2 are in failed.jsonl with the reason. 2 rows are in no file and count as missing: ",
        ),
    ],
)
def test_rows_that_are_in_no_file(total: int, lost: int, start: str) -> None:
    ended = job(state=JobState.done, counts=Counts(total=total, succeeded=2, missing=total - 2), rows_lost=lost)
    assert sentences.state_of(ended).startswith(start)


@pytest.mark.parametrize(("canceled", "time"), [(False, "7 days"), (True, "1 day")])
def test_how_long_counted_answers_are_waited_for(canceled: bool, time: str) -> None:
    waiting = job(state=JobState.running, batches_incomplete=1, cancel_requested=canceled)
    assert f"Batchdrop looks again for up to {time}, " in sentences.state_of(waiting)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (0, "The file is empty; nothing was sent."),
        (1, "The file has no rows: its only line is blank; nothing was sent."),
        (2_000, "The file has no rows: all of its 2,000 lines are blank; nothing was sent."),
    ],
)
def test_a_file_without_rows(lines: int, sentence: str) -> None:
    assert sentences.no_rows(lines) == sentence


def test_one_row_is_not_spoken_of_as_many() -> None:
    one, many = job(counts=Counts(total=1)), job(counts=Counts(total=2_000), kind="csv")
    assert sentences.no_valid_rows(one) == "The only row cannot be sent; failed.jsonl gives the reason."
    assert sentences.no_valid_rows(many) == "None of the 2,000 rows can be sent; failed.csv gives the reason for each."
    assert sentences.retried(1, "inbox/a").startswith("1 failed row is being retried as inbox/a;")
    assert sentences.retried(2_000, "inbox/a").startswith("2,000 failed rows are being retried as inbox/a;")


def test_what_stops_everything_is_told_with_advice_and_without_the_words_of_the_api() -> None:
    refusal = Refused("file_0123 is not yours", status=402, kind="billing_error")
    assert sentences.blocked(refusal, Cause.credit) == (
        "Nothing is being submitted: Anthropic answered 402 billing_error. "
        "To fix it, add credit to the Anthropic organization; submission then resumes automatically within a few minutes."
    )


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_its_advice(cause: Cause) -> None:
    said = sentences.blocked(Refused("no", status=400, kind="invalid_request_error"), cause)
    assert re.search(r"To fix it, (?:\w+ )+.*; submission then", said)


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("inbox/a.csv", "inbox/. The file then runs"),
        ("inbox/team/a.csv", "inbox/team/. The file then runs"),
        ("inbox/team/b/a.csv", "inbox/team/b/ or a folder above it. The file then runs"),
    ],
)
def test_where_a_recipe_is_waited_for(key: str, where: str) -> None:
    """At the root and in a team's own folder there is no folder above that counts."""
    assert f"put it into {where}" in sentences.waits_for_recipe(key)


def test_what_is_said_about_recipes_is_short_however_long_the_key() -> None:
    key = f"inbox/{'x' * 900}/a.csv"
    for sentence in (sentences.waits_for_recipe(key), sentences.recipe_unreadable(key, "403")):
        assert len(sentence) < 400
    assert sentences.no_recipe_came("Why.").endswith("Its last message was: Why.")


def test_a_job_that_waits_has_nothing_to_approve() -> None:
    assert sentences.nothing_to_approve(job(state=JobState.held, needs="recipe")).endswith("the job waits for a recipe.")
    assert sentences.nothing_to_approve(job(state=JobState.running)).endswith("the job is running, not held.")
