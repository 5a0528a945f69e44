"""What subscribers are told when a job has ended."""

from __future__ import annotations

import msgspec
import pytest

from batchdrop.adapters.sns import MAX_SUBJECT, subject_line
from batchdrop.domain.open_work import APPROVAL
from batchdrop.domain.records import Counts, JobState, ObjectRef, Question
from batchdrop.reports.notice import of_end, of_question
from batchdrop.reports.visible import unlinked
from tests.adapters.records import job
from tests.fakes.clock import START

EVIL = "inbox/team/see http://evil.example www.evil.example bob@evil.example\r\nNext: rm -rf /\u202e\x1b.csv"


@pytest.mark.parametrize(
    ("state", "counts", "key", "subject"),
    [
        (JobState.done, Counts(total=60, succeeded=60), "inbox/a/b.csv", "Done: b.csv, all 60 rows have an answer"),
        (
            JobState.done,
            Counts(total=60, succeeded=42, errored=18),
            "inbox/b.csv",
            "Done: b.csv, 18 of 60 rows without an answer",
        ),
        (JobState.done, Counts(total=9, errored=9), "inbox/b.csv", "No answers: b.csv, 9 of 9 rows without an answer"),
        (JobState.canceled, Counts(total=9, canceled=9), "inbox/b.csv", "Stopped: b.csv, 9 of 9 rows without an answer"),
        (JobState.rejected, Counts(total=9, invalid=9), "inbox/b.csv", "Rejected: b.csv, 9 of 9 rows without an answer"),
    ],
)
def test_the_subject_says_what_happened(state: JobState, counts: Counts, key: str, subject: str) -> None:
    assert of_end(job(state=state, counts=counts, input=ObjectRef(bucket="b", key=key), finished_at=START)).subject == subject


@pytest.mark.parametrize("name", ["Übersicht.csv", EVIL.rpartition("/")[2], "x" * 900 + ".csv", "a\u202eb.csv"])
def test_any_name_of_a_file_fits(name: str) -> None:
    ended = job(state=JobState.done, counts=Counts(total=10**8), input=ObjectRef(bucket="b", key=f"inbox/{name}"))
    subject = of_end(ended).subject
    assert len(subject) <= MAX_SUBJECT
    assert subject.isascii()
    assert subject.isprintable()


@pytest.mark.parametrize(
    "name", ["@" * 32, "@" * 900, "x" * 900 + ".csv", "ü" * 40, "www." * 8, " ", "b" * 40 + "@evil.examples", "a.csv"]
)
def test_what_is_asked_is_cut_by_no_name(name: str) -> None:
    question = Question(code="7kq2mx", low=12_345_678_000_000, high=23_456_789_000_000, rows=123_456_789, asked_at=START)
    asking = job(state=JobState.held, needs=APPROVAL, question=question, input=ObjectRef(bucket="b", key=f"inbox/{name}"))
    subject = of_question([asking]).subject
    assert subject.startswith("Waiting for you: ")
    assert subject_line(subject).endswith(", $12,345,678.00 to $23,456,789.00 for 123,456,789 rows")
    assert "www.w" not in subject
    assert " @" in subject or "@" not in subject
    assert ": ," not in subject_line(subject), "it is named in any case"


def test_a_mail_has_no_link_but_ours_and_no_line_of_strangers() -> None:
    ended = job(
        state=JobState.canceled,
        reason="A newer recipe http://evil.example took its place",
        counts=Counts(total=2, succeeded=1, canceled=1),
        input=ObjectRef(bucket="bucket", key=EVIL),
    )
    told = of_end(ended, "eu-west-1")
    lines = told.text.split("\n")
    ours = (
        "Stopped: ",
        "File:   ",
        "Folder: ",
        "Look:   https://eu-west-1.console.aws.amazon.com/s3/object/bucket?",
        "Job:    ",
        "",
    )
    for line in lines:
        assert line == "" or line.startswith(ours[:-1])
        if line.startswith("Look: "):
            assert line.count("://") == 1
            assert " " not in line.removeprefix("Look:   ")
        else:
            assert "://" not in line
            assert "www." not in line
    assert "bob@" not in told.text
    assert "newer recipe" not in told.text
    assert "[U+202E]\u241b" in told.text


def test_a_folder_of_a_command_is_no_link_either() -> None:
    question = Question(code="7kq2mx", low=1, high=2, rows=3, asked_at=START)
    key = ObjectRef(bucket="bucket", key="inbox/team/http://a.csv")
    text = of_question([job(state=JobState.held, needs="approval", question=question, input=key)]).text
    assert "folder control/approve/team/http: //, Create" in text


def test_what_programs_get_is_told_once_more_by_attributes() -> None:
    recipe = ObjectRef(bucket="b", key="inbox/team/recipe.yaml")
    told = of_end(
        job(
            state=JobState.done,
            counts=Counts(total=1, succeeded=1),
            recipe=recipe,
            input=ObjectRef(bucket="b", key="inbox/team/x/a.csv", version_id="v"),
        )
    )
    assert told.attributes == {"folder": "team", "state": "done", "recipe": "inbox/team/recipe.yaml"}
    document = msgspec.json.decode(msgspec.json.encode(told.document))
    assert document["input"] == {"key": "inbox/team/x/a.csv", "version_id": "v"}
    assert (document["state"], document["word"], document["recipe"]) == ("done", "done", recipe.key)
    assert of_end(job(state=JobState.done, input=ObjectRef(bucket="b", key="inbox/a.csv"))).attributes == {"state": "done"}


def test_links_are_broken_up() -> None:
    assert unlinked("HTTP://a WWW.b c@d\ne") == "HTTP: //a WWW .b c @d e"
