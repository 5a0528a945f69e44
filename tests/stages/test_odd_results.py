"""Result lines that are no good JSON, and pieces of earlier attempts that are gone: the job ends all the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from batchdrop.domain import keys
from batchdrop.domain.records import BatchState, JobState
from tests.fakes.claude import greet
from tests.stack import Stack, rows
from tests.stages.harm import minutes
from tests.stages.row_jobs import EXPIRED, RECIPE, label, prompt_of, said, stack_of

HALF = "\ud800"
DEEP = b"[" * 100_000 + b"]" * 100_000
LINES = 4
RECIPE_ROWS = b"id,text\n" + b"".join(b"%d,Good row %d\n" % (n, n) for n in range(1, LINES + 1))

type Result = Mapping[str, object]


def requests_job(answer: Callable[[int, int, Result], Result]) -> Stack:
    """`answer`: from the line, the attempt and the usual result to the one that is given."""
    stack = Stack(max_attempts=3)

    def result(custom_id: str, params: dict[str, Any]) -> Result:
        line = int(custom_id.rpartition("-")[2])
        return answer(line, stack.attempt_of(custom_id), greet(custom_id, params))

    stack.claude.answer = result
    stack.drop("inbox/a.jsonl", rows(LINES))
    return stack


def rows_job(answer: Callable[[int, int, Result], Result]) -> Stack:
    stack = stack_of(max_attempts=3)

    def result(custom_id: str, params: dict[str, Any]) -> Result:
        line = int(prompt_of(params).rpartition(" ")[2])
        return answer(line, stack.attempt_of(custom_id), label(custom_id, params))

    stack.claude.answer = result
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.drop("inbox/team/a.csv", RECIPE_ROWS)
    return stack


JOBS = pytest.mark.parametrize("job", [requests_job, rows_job])
type MadeJob = Callable[[Callable[[int, int, Result], Result]], Stack]


def numbers(stack: Stack, name: str) -> list[int]:
    return [line.get("line") or line["_batchdrop"]["line"] for line in stack.lines(name)]


# ---------------------------------------------------------------- lines


def odd(line: int, attempt: int, result: Result) -> Result:
    """Row 2 is answered at once and oddly; row 3 later, so that what came first is merged."""
    if line == 3 and attempt == 1:
        return EXPIRED
    return said(HALF) if line == 2 else result


def test_half_a_surrogate_pair_is_delivered_as_it_came() -> None:
    stack = requests_job(odd)
    stack.run()
    assert (stack.job().state, stack.failures) == (JobState.done, [])
    assert numbers(stack, "results.jsonl") == [1, 2, 3, 4]
    assert stack.lines("results.jsonl")[1]["result"] == said(HALF)
    assert stack.document("manifest.json")["usage"]["claude-haiku-4-5"]["output_tokens"] == 5 * LINES
    assert stack.audit() == []


def test_a_row_whose_answer_has_half_a_surrogate_pair_can_be_dropped_again() -> None:
    stack = rows_job(odd)
    stack.run()
    assert (stack.job().state, stack.failures) == (JobState.done, [])
    (failed,) = stack.lines("failed.jsonl")
    assert failed["_batchdrop"]["error"]["type"] == "not_json"
    assert "\\ud800" in failed["_batchdrop"]["result"]
    assert len(stack.lines("results.jsonl")) == LINES - 1
    assert stack.document("manifest.json")["usage"]["claude-haiku-4-5"]["output_tokens"] == 5 * LINES
    assert stack.audit() == []
    stack.drop("inbox/team/again.jsonl", stack.output("failed.jsonl"))
    stack.claude.answer = label
    stack.run()
    assert sorted(job.counts.succeeded for job in stack.jobs()) == [1, LINES - 1]


@JOBS
@pytest.mark.parametrize("what", [DEEP, b"1e999", b'"\xff"', b"NaN", b'"\x01"'])
def test_whatever_a_result_holds_its_row_ends_as_answered(job: MadeJob, what: bytes) -> None:
    stack = job(odd)
    for _ in range(10):
        stack.claude.garble = lambda stream: stream.replace(b'"\\ud800"', what)
        stack.step()
    stack.run()
    assert (stack.job().state, stack.failures) == (JobState.done, [])
    unusable = stack.output("failed.jsonl").count(b'"not_json"') if stack.job().counts.errored else 0
    unusable += stack.output("failed.jsonl").count(b'"unreadable"') if stack.job().counts.errored else 0
    assert stack.output("results.jsonl").count(b"\n") + unusable == LINES


@JOBS
@pytest.mark.parametrize("noise", [b'{"error":"\\ud800"}\n', b"<html>\n"])
def test_a_line_that_names_no_row_is_passed_over(job: MadeJob, noise: bytes) -> None:
    stack = job(lambda line, attempt, result: result)
    for _ in range(5):
        stack.claude.garble = lambda stream: noise + stream + noise
        stack.step()
    stack.run()
    assert (stack.job().state, stack.failures) == (JobState.done, [])
    assert len(stack.lines("results.jsonl")) == LINES
    assert stack.audit() == []


@JOBS
def test_a_line_that_does_not_say_what_became_of_its_row_is_waited_for(job: MadeJob) -> None:
    stack = job(lambda line, attempt, result: result)
    for _ in range(5):
        stack.claude.garble = lambda stream: stream.replace(b'"type": "succeeded"', b'"type": 1', 1)
        stack.step()
    assert stack.job().state is JobState.running
    stack.run(24 * 60)
    assert (stack.job().state, stack.failures) == (JobState.done, [])
    assert len(stack.lines("results.jsonl")) == LINES
    assert stack.audit() == []


# ---------------------------------------------------------------- pieces


def mixed(line: int, attempt: int, result: Result) -> Result:
    """In three attempts every one has answers, and a row fails for good in the first."""
    if line == 2:
        return {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}}
    return result if line == 1 or attempt == line - 1 else EXPIRED


@JOBS
@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("pieces", [("results",), ("failed",), ("results", "failed")])
def test_pieces_that_were_deleted_before_the_next_attempt_was_collected_are_told_as_lost(
    job: MadeJob, pieces: tuple[str, ...], after: int
) -> None:
    stack = job(mixed)
    while sum(batch.state is BatchState.collected for batch in stack.ledger.list_batches(stack.job().id)) < after:
        minutes(stack, 1)
    for key in stack.objects.keys(keys.WORK):
        if any(f"/{piece}-" in key for piece in pieces):
            stack.objects.purge(key)
    stack.run()
    lost = ("results" in pieces) * after + ("failed" in pieces)
    ended = stack.job()
    assert (ended.state, stack.failures) == (JobState.done, [])
    assert (ended.rows_lost, ended.counts.missing, ended.counts.total) == (lost, lost, LINES)
    assert len(stack.lines("results.jsonl")) + len(stack.lines("failed.jsonl")) == LINES - lost
    assert f"{lost} row" in stack.document("status.json")["message"]
    assert stack.metrics.totals["AnswersAtRisk"] == lost
    assert {finding.kind for finding in stack.audit()} == {"row_lost"}


@JOBS
def test_rows_that_are_lost_twice_count_once(job: MadeJob) -> None:
    """First the answers, before the follow-up is collected, then the failures, before the job is finished."""
    stack = job(mixed)

    def purge(piece: str) -> None:
        for key in stack.objects.keys(keys.WORK):
            if f"/{piece}-" in key:
                stack.objects.purge(key)

    while not any(batch.state is BatchState.collected for batch in stack.ledger.list_batches(stack.job().id)):
        minutes(stack, 1)
    purge("results")
    stack.hooks.before = lambda call: (
        purge("failed") if call == "objects.get" and stack.job().state is JobState.finishing else None
    )
    stack.run()
    stack.hooks.clear()
    ended = stack.job()
    assert (ended.state, ended.rows_lost, ended.counts.missing, ended.counts.total) == (JobState.done, 2, 2, LINES)
    assert stack.metrics.totals["AnswersAtRisk"] == 2
    # The tables were lost with the failures.
    assert {finding.kind for finding in stack.audit()} - {"table"} == {"row_lost"}
