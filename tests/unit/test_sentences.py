"""Sentences that count, and sentences that advise."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from pathlib import Path

import pytest

from batchdrop.domain.errors import Refused
from batchdrop.domain.records import Counts, JobState
from batchdrop.domain.refusals import Cause
from batchdrop.reports import sentences
from tests.adapters.records import job
from tests.fakes.clock import START


@pytest.mark.parametrize(
    ("total", "succeeded", "sentence"),
    [
        (1, 1, "The row has an answer."),
        (1, 0, "The row has no answer: see failed.jsonl for the reason."),
        (4, 0, "None of the 4 rows has an answer: see failed.jsonl for the reason."),
        (4, 3, "3 of 4 rows have an answer; 1 does not: see failed.jsonl."),
        (60_000, 5, "5 of 60,000 rows have an answer; 59,995 do not: see failed.jsonl."),
    ],
)
def test_a_job_that_is_done(total: int, succeeded: int, sentence: str) -> None:
    assert sentences.state_of(job(state=JobState.done, counts=Counts(total=total, succeeded=succeeded))) == sentence


@pytest.mark.parametrize(
    ("total", "succeeded", "sentence"),
    [
        (1, 1, "Stopped: 1 of 1 row has an answer."),
        (2, 1, "Stopped: 1 of 2 rows has an answer; the other 1 does not: see failed.jsonl."),
    ],
)
def test_a_job_that_was_canceled(total: int, succeeded: int, sentence: str) -> None:
    assert sentences.state_of(job(state=JobState.canceled, counts=Counts(total=total, succeeded=succeeded))) == sentence


@pytest.mark.parametrize(
    ("total", "lost", "start"),
    [
        (3, 1, "2 of 3 rows have an answer. 1 row is in no file and counts as missing: "),
        (4, 1, "2 of 4 rows have an answer; 1 does not: see failed.jsonl. 1 row is in no file and counts as missing: "),
        (
            6,
            2,
            "2 of 6 rows have an answer; 2 do not: see failed.jsonl. 2 rows are in no file and count as missing: ",
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
    assert sentences.retried(1, "inbox/a").startswith("1 failed row was put in again as inbox/a;")
    assert sentences.retried(2_000, "inbox/a").startswith("2,000 failed rows were put in again as inbox/a;")


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
    assert sentences.nothing_to_approve(job(state=JobState.running)).endswith("asks nothing now; it is running.")


# Words of the machine: people read of rows, answers, and of what waits, runs, is done or stopped.
MACHINE_WORDS = re.compile(r"\b(batch(es)?|collect(ed)?|held|errored|custom_id)\b")
ALLOWED = ("Message Batches API", "custom_id values")


def spoken() -> list[str]:
    """Every text of the module but its docstrings."""
    tree = ast.parse(Path(sentences.__file__).read_text(encoding="utf-8"))
    documented = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documented)
    return [node.value for node in texts if isinstance(node.value, str)]


def test_people_are_told_in_their_own_words() -> None:
    texts = [text for text in spoken() if " " in text]
    assert len(texts) > 200
    for text in texts:
        for allowed in ALLOWED:
            text = text.replace(allowed, "")  # noqa: PLW2901 - what is left of it
        assert not MACHINE_WORDS.search(text), text


def test_no_sentence_takes_the_name_of_another() -> None:
    tree = ast.parse(Path(sentences.__file__).read_text(encoding="utf-8"))
    names = [
        target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)
    ]
    names += [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("end", [".", ", with a question of its own."])
def test_the_job_that_took_the_place_of_another_is_found_in_its_sentence(end: str) -> None:
    newer = "20261122T003115Z-bbbbbbbbbbbbbbbb"
    reason = sentences.superseded(job(id=newer)).removesuffix(".") + end
    assert sentences.successor_of(job(state=JobState.canceled, reason=reason)) == newer
    assert sentences.successor_of(job(state=JobState.canceled, reason=f"x is now job {newer}.")) == ""
    assert sentences.successor_of(job(state=JobState.canceled)) == ""


def test_no_good_word_covers_a_job_without_an_answer() -> None:
    nothing = job(state=JobState.done, counts=Counts(total=9, errored=9))
    assert sentences.word_of(nothing) == "no answers"
    assert sentences.word_of(job(state=JobState.done, counts=Counts(total=9, succeeded=1, errored=8))) == "done"
    assert sentences.state_of(nothing) == "None of the 9 rows has an answer: see failed.jsonl for the reason."


@pytest.mark.parametrize(
    ("needs", "word"),
    [("recipe", "waiting for you"), ("approval", "waiting for you"), ("limit", "waiting"), ("place", "waiting")],
)
def test_only_what_asks_a_person_waits_for_one(needs: str, word: str) -> None:
    assert sentences.word_of(job(state=JobState.held, needs=needs)) == word


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(29, "less than a minute"), (60, "1 minute"), (3_060, "51 minutes"), (7_200, "2 hours"), (200_000, "2 days")],
)
def test_how_long_it_took(seconds: int, said: str) -> None:
    ended = job(
        state=JobState.done, counts=Counts(total=2, succeeded=2), finished_at=START + timedelta(seconds=seconds), spent=1_840_000
    )
    assert sentences.state_of(ended) == f"All 2 rows have an answer. {said[0].upper()}{said[1:]}, $1.84."
