"""The example of Step Functions, execution after execution, against a stack in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.live_stack import LiveStack, live_stack
from tests.stack import BUCKET
from tests.workflows.state_machine import DEFINITION, Execution

# Of one execution: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MOST_EVENTS = 25_000
_EVENTS_OF_A_LOOK = 9
"""Wait entered and exited; task entered, scheduled, started, succeeded, exited; choice entered and exited."""
RECIPE = b'model: claude-haiku-4-5\nprompt: "{{ text }}"\noutput: {label: [positive, negative]}\n'


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveStack]:
    with live_stack(monkeypatch) as stack:
        yield stack


def request(custom_id: str, text: str = "Hello") -> dict[str, Any]:
    params = {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": text}]}
    return {"custom_id": custom_id, "params": params}


def run(stack: LiveStack, rows: list[dict[str, Any]] | None, execution: str = "night-7", **more: Any) -> Execution:
    given = {"bucket": BUCKET, "folder": "workflows", **({} if rows is None else {"rows": rows}), **more}
    return Execution(stack.client, given, execution, stack.pass_time)


@pytest.mark.parametrize("number", [1, 3])
def test_rows_become_answers(stack: LiveStack, number: int) -> None:
    ran = run(stack, [request(f"row «{n}»", "Line\none") for n in range(number)])
    assert (ran.status, ran.cause) == ("SUCCEEDED", "")
    (job,) = stack.pipeline.jobs()
    assert (job.input.key, job.reference) == ("inbox/workflows/night-7.jsonl", "night-7")
    assert ran.output["job_id"] == job.id
    assert ran.output["counts"]["succeeded"] == len(ran.output["answers"]) == number
    assert ran.output["answers"][0].keys() == {"line", "custom_id", "answer"}
    assert ran.output["answers"][-1]["custom_id"] == f"row «{number - 1}»"
    assert ran.output["answers"][0]["answer"]
    assert ran.output["results"]["Size"] == len(stack.body(ran.output["results"]["Key"]))


def test_rows_of_a_recipe_come_back_with_its_columns(stack: LiveStack) -> None:
    stack.put("inbox/workflows/recipe.yaml", RECIPE)
    ran = run(stack, [{"text": "Lovely"}, {"text": "Awful"}])
    assert [one["answer"] for one in ran.output["answers"]] == [{"label": "positive"}] * 2


def test_an_execution_of_the_same_name_finds_the_job_and_pays_nothing(stack: LiveStack) -> None:
    first = run(stack, [request("one")], "first", name="night-7")
    again = run(stack, [request("one")], "second", name="night-7")
    assert again.output == first.output
    assert again.calls.count("put_object") == 4  # the refusal may have been one of those that pass
    assert len(stack.pipeline.jobs()) == 1


def test_a_file_that_an_earlier_step_has_put_is_waited_for(stack: LiveStack) -> None:
    stack.put("inbox/workflows/night-7.jsonl", json.dumps(request("one")).encode())
    ran = run(stack, None)
    assert "put_object" not in ran.calls
    assert ran.output["counts"]["succeeded"] == 1


def test_answers_that_do_not_fit_are_named(stack: LiveStack) -> None:
    stack.put("inbox/workflows/recipe.yaml", RECIPE)
    ran = run(stack, [{"text": "a" * 60_000}, {"text": "b" * 60_000}])
    assert ran.status == "SUCCEEDED"
    assert ran.output["results"]["Size"] >= 100_000
    assert "answers" not in ran.output
    assert len(stack.body(ran.output["results"]["Key"]).splitlines()) == 2


@pytest.mark.parametrize(
    ("rows", "error", "cause"),
    [
        ([], "Batchdrop.Rejected", "The file is empty"),
        ([request("one", "gone")], "Batchdrop.NoAnswers", "1"),
    ],
)
def test_without_answers_it_fails_with_the_sentence_of_the_job(
    stack: LiveStack, rows: list[dict[str, Any]], error: str, cause: str
) -> None:
    stack.expired.add("gone")
    ran = run(stack, rows)
    assert ran.status == "FAILED"
    assert error in ran.error
    assert cause in ran.cause


def test_a_job_that_asks_is_waited_for_until_somebody_stops_it(stack: LiveStack) -> None:
    asked: list[str] = []

    def cancel() -> None:
        for job in stack.pipeline.jobs():
            if job.state.value == "held" and job.id not in asked:
                asked.append(job.id)
                stack.put(f"control/cancel/workflows/{job.id}", b"")

    stack.meanwhile = cancel
    stack.put("inbox/workflows/recipe.yaml", RECIPE + b"limits: {ask_above_usd: 0.000001}\n")
    ran = run(stack, [{"text": f"{n}"} for n in range(22)])
    assert (ran.error, len(asked)) == ("Batchdrop.Stopped", 1)
    assert ran.cause


def test_nobody_listens_to_the_bucket(stack: LiveStack) -> None:
    given = {"bucket": BUCKET, "folder": "workflows", "rows": [request("one")]}
    ran = Execution(stack.client, given, "night-7", lambda _: None)
    assert ran.error == "Batchdrop.NotBegun"
    assert "inbox/workflows/night-7.jsonl" in ran.cause
    assert 1800 < sum(ran.waits) <= 3600 + 12


@pytest.mark.parametrize(("bucket", "folder"), [("another", "workflows"), (BUCKET, "red")])
def test_where_its_role_may_not_write(stack: LiveStack, bucket: str, folder: str) -> None:
    ran = Execution(stack.client, {"bucket": bucket, "folder": folder, "rows": [request("one")]}, "x", stack.pass_time)
    assert ran.error == "Batchdrop.NotDropped"
    assert "403" in ran.cause
    assert stack.pipeline.jobs() == []


def test_a_name_that_another_file_has_taken(stack: LiveStack) -> None:
    stack.put("inbox/workflows/night-7.csv", b"text\nLovely\n")
    stack.put("inbox/workflows/recipe.yaml", RECIPE)
    stack.pass_time()
    ran = run(stack, None)
    assert ran.error == "Batchdrop.AnotherJob"
    assert "inbox/workflows/night-7.csv" in ran.cause


def test_its_history_has_room_for_all_that_it_may_wait() -> None:
    text = DEFINITION.read_text()
    longest = 600
    assert f"$min([$pause * 2, {longest}])" in text
    assert json.loads(text)["TimeoutSeconds"] / longest * _EVENTS_OF_A_LOOK < MOST_EVENTS * 0.8
