"""What is shown on a terminal of some width."""

from __future__ import annotations

from batchdrop.domain.records import JobState
from batchdrop.reports.samples import Sample
from batchdrop_cli.dropping.shown_progress import beside
from batchdrop_cli.dropping.tried import tried_lines
from batchdrop_cli.terminal import fitted
from batchdrop_client.job_status import Input, JobStatus, Question


def test_lines_break_between_words_and_commands_stay_whole() -> None:
    told = "The job goes on, and ends within an hour. Look again with: batchdrop status 20261122T014233Z-ocgoouztvi7v6pls --watch"
    assert fitted(f"{told}\nshort", 40).splitlines() == [
        "The job goes on, and ends within an",
        "hour. Look again with:",
        "batchdrop status 20261122T014233Z-ocgoouztvi7v6pls --watch",
        "short",
    ]
    command = "batchdrop status 20261122T014233Z-ocgoouztvi7v6pls --watch"
    assert fitted(command, 40) == command


def test_answers_of_rows_that_were_tried_are_whole() -> None:
    answer = "The reviewer likes the lamp, and says twice that the cable could be somewhat longer than it is."
    row = {"id": "1", "shop": "the one at the corner", "text": "What a great lamp, I have never seen a better one"}
    samples = [Sample(line=2, row=row, output={"answer": answer}), Sample(line=3, row={"text": "ok"}, output={"answer": "yes"})]
    lines = list(tried_lines(samples, "batchdrop open 1", 80))
    assert lines[0] == "row 2  What a great lamp, I have never seen a bet ..."
    assert " ".join(" ".join(lines[1:-1]).split()) == answer
    assert lines[-1] == f"row 3  {'ok':<46}  yes"
    assert max(map(len, lines)) <= 80


def test_what_was_asked_does_not_stand_beside_the_bar_after_a_yes() -> None:
    question = Question(code="aaaaaa", answer="control/approve/20261122T014233Z-ocgoouztvi7v6pls-aaaaaa")
    status = JobStatus(
        "20261122T014233Z-ocgoouztvi7v6pls",
        JobState.held,
        "Waiting for approval.",
        Input("inbox/a.csv"),
        needs="approval",
        question=question,
    )
    assert beside(status, going=False, approved=False) == "Waiting for approval."
    assert beside(status, going=False, approved=True) == "approved"
