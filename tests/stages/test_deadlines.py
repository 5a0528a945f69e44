"""A job with a deadline: what is not answered by then is canceled, the rest is collected, and the job says what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from batchdrop.domain.records import BatchState, JobState
from tests.fakes.clock import START
from tests.stack import Killed, Stack, rows
from tests.stages.harm import minutes
from tests.stages.row_jobs import EXPIRED, RECIPE, label, stack_of, table

DAY = 86_400.0
TEN = "id,text\n" + "".join(f"{number},Good {number}\n" for number in range(1, 11))


def started(stack: Stack, deadline: str = "3h", body: str = TEN, more: str = "") -> Stack:
    stack.drop("inbox/team/recipe.yaml", RECIPE + f"deadline: {deadline}\n{more}".encode())
    stack.drop("inbox/team/a.csv", body.encode())
    return stack


def two_batches() -> Stack:
    """The first five rows are answered within a minute, the others within a day."""
    stack = stack_of(max_requests=5)

    def slow_from_now_on(call: str) -> None:
        if call == "claude.create":
            stack.claude.seconds = DAY

    stack.hooks.after = slow_from_now_on
    started(stack)
    stack.pump()
    stack.hooks.clear()
    return stack


def failed(stack: Stack) -> dict[int, Mapping[str, Any]]:
    return {line["_batchdrop"]["line"]: line["_batchdrop"] for line in stack.lines("failed.jsonl")}


def test_what_is_not_answered_by_then_is_canceled_and_the_rest_is_kept() -> None:
    stack = two_batches()
    minutes(stack, 170)
    running = stack.document("status.json")
    assert running["state"] == "running"
    assert running["message"].endswith("What has no answer by 2026-11-22 03:31 UTC is given up.")
    assert running["deadline"] == {"recipe": "3h", "at": "2026-11-22T03:31:15Z", "not_answered": 0}
    minutes(stack, 20)
    job = stack.job()
    assert job.state is JobState.done
    assert (job.counts.succeeded, job.counts.canceled) == (5, 5)
    said = "The deadline of the job (3h: 2026-11-22 03:31 UTC) passed before 5 rows had an answer."
    for name in ("status.json", "manifest.json"):
        document = stack.document(name)
        assert document["state"] == "done"
        assert document["message"] == f"5 of 10 rows have an answer; 5 do not: see failed.csv. 3 hours, $0.000088. {said}"
        assert document["deadline"] == {"recipe": "3h", "at": "2026-11-22T03:31:15Z", "not_answered": 5}
    assert {row["error"]["type"] for row in failed(stack).values()} == {"deadline_passed"}
    assert {row["status"] for row in failed(stack).values()} == {"canceled"}
    (message,) = {row["error"]["message"] for row in failed(stack).values()}
    assert message == "The deadline of the job (3h: 2026-11-22 03:31 UTC) passed before this request was processed."
    assert len(table(stack)) == len(table(stack, "failed.csv")) + 5
    assert stack.audit() == []


def test_rows_that_were_never_sent_say_so() -> None:
    stack = started(stack_of(max_requests=5))
    stack.switch.text = "pause"
    minutes(stack, 190)
    job = stack.job()
    assert (job.state, job.counts.canceled) == (JobState.done, 10)
    assert stack.claude.bodies == []
    assert {row["error"]["message"] for row in failed(stack).values()} == {
        "The deadline of the job (3h: 2026-11-22 03:31 UTC) passed before this row was sent."
    }
    assert {row["attempts"] for row in failed(stack).values()} == {0}
    assert stack.audit() == []


def test_a_job_that_is_answered_in_time_says_nothing_of_it() -> None:
    stack = started(stack_of())
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.document("status.json")["message"].startswith("All 10 rows have an answer. ")
    minutes(stack, 200)
    assert not stack.job().overdue


def test_what_was_answered_is_collected_although_the_deadline_has_passed() -> None:
    """All of it has ended at the API when the time comes, and no result was fetched yet."""
    stack = started(stack_of(max_requests=5))
    stack.claude.seconds = 3 * 3600 - 30
    stack.pump()
    stack.clock.advance(3 * 3600 + 1)
    stack.run()
    job = stack.job()
    assert (job.state, job.counts.succeeded) == (JobState.done, 10)
    assert stack.document("manifest.json")["message"].startswith("All 10 rows have an answer. ")


def test_a_time_of_day() -> None:
    stack = started(stack_of(), "02:00 Europe/Berlin")
    stack.switch.text = "pause"
    # The clock starts at 00:31 UTC, half past one in Berlin.
    minutes(stack, 27)
    assert stack.job().state is JobState.running
    minutes(stack, 5)
    assert stack.job().state is JobState.done
    assert "(02:00 Europe/Berlin: 2026-11-22 01:00 UTC)" in stack.document("status.json")["message"]


def test_no_attempt_begins_after_it() -> None:
    """The rows expire right before the deadline, and are collected after it, before a tick has seen that it is over."""
    stack = stack_of(lambda *_: EXPIRED)
    stack.claude.seconds = 3 * 3600 - 60
    started(stack)
    stack.pump()
    stack.clock.advance(3 * 3600 - 30)
    stack.tick()
    stack.clock.advance(60)
    stack.pump()
    assert [batch.state for batch in stack.batches()] == [BatchState.collected]
    stack.run()
    assert stack.job().state is JobState.done
    assert {(row["status"], row["attempts"]) for row in failed(stack).values()} == {("expired", 1)}
    assert stack.audit() == []


def test_an_attempt_that_waits_is_not_sent() -> None:
    stack = stack_of(lambda *_: EXPIRED)
    started(stack)
    stack.claude.seconds = 2 * 3600
    stack.claude.answer = lambda *_: EXPIRED
    minutes(stack, 119)
    stack.switch.text = "pause"
    minutes(stack, 10)
    assert [batch.state for batch in stack.batches()] == [BatchState.collected, BatchState.ready]
    minutes(stack, 60)
    assert stack.job().state is JobState.done
    assert len(stack.claude.bodies) == 1
    assert {(row["status"], row["attempts"]) for row in failed(stack).values()} == {("canceled", 1)}


def test_nothing_is_admitted_after_it() -> None:
    """The tick admits before it looks at deadlines."""
    stack = started(stack_of())
    stack.switch.text = "pause"
    stack.pump()
    stack.clock.advance(3 * 3600)
    stack.switch.text = "run"
    stack.tick()
    assert "ledger.commit.admitted" not in stack.hooks.calls[stack.hooks.calls.index("ledger.commit.put_back") :]
    assert stack.job().overdue


def test_a_batch_that_was_admitted_before_it_is_not_submitted_after_it() -> None:
    stack = started(stack_of())
    assert [batch.state for batch in stack.batches()] == [BatchState.ready]
    stack.clock.advance(3 * 3600)
    stack.pump()
    assert stack.claude.bodies == []
    stack.run()
    assert (stack.job().state, stack.job().counts.canceled) == (JobState.done, 10)
    assert stack.claude.bodies == []


def dear(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
    """So long that the rest of the file costs more than may be spent unasked."""
    result = json.loads(json.dumps(label(custom_id, params)))
    result["message"]["usage"] = {"input_tokens": 20, "output_tokens": 3_500}
    return dict(result)


def approve(stack: Stack) -> None:
    question = stack.job().question
    assert question is not None
    stack.command("approve", f"{stack.job().id}-{question.code}")


def asking() -> Stack:
    stack = Stack(ask_above="0.30", max_requests=20)
    stack.claude.answer = dear
    body = "id,text\n" + "".join(f"{number},Good {number}\n" for number in range(1, 61))
    started(stack, body=body, more="max_tokens: 4000\n")
    for _ in range(30):
        stack.step()
    return stack


def test_it_counts_from_the_release_and_not_while_somebody_is_asked() -> None:
    stack = asking()
    minutes(stack, 5 * 60)
    job = stack.job()
    assert (job.state, job.due_at, job.overdue) == (JobState.held, None, False)
    assert stack.document("status.json")["deadline"]["at"] is None
    stack.claude.seconds = DAY
    approve(stack)
    released = stack.clock.now()
    assert stack.job().due_at == released + timedelta(hours=3)
    minutes(stack, 170)
    assert stack.job().state is JobState.running
    minutes(stack, 20)
    job = stack.job()
    assert (job.state, job.counts.succeeded, job.counts.canceled) == (JobState.done, 20, 40)
    assert stack.audit() == []


def test_it_counts_for_rows_that_are_tried_first_if_there_are_no_others() -> None:
    """Nothing is asked after these, so their approval is the release."""
    stack = Stack(ask_above="0.001", max_requests=20)
    stack.claude.answer = dear
    stack.claude.seconds = DAY
    started(stack, more="max_tokens: 4000\n")
    minutes(stack, 60)
    assert (stack.job().state, stack.job().due_at) == (JobState.held, None)
    approve(stack)
    assert stack.job().due_at == stack.clock.now() + timedelta(hours=3)
    minutes(stack, 190)
    assert (stack.job().state, stack.job().counts.canceled) == (JobState.done, 10)
    assert stack.audit() == []


def test_a_row_that_writes_the_cache_first_does_not_stop_the_clock() -> None:
    """It goes alone, and the API may take a day for it."""
    stack = stack_of()
    stack.claude.seconds = DAY
    body = "id,text\n" + "".join(f"{number},Good {number}\n" for number in range(1, 41))
    started(stack, body=body, more=f"system: {'Be kind to everybody. ' * 2_000}\ncache: 1h\n")
    minutes(stack, 170)
    job = stack.job()
    assert (job.state, job.warming, job.due_at) == (JobState.running, True, START + timedelta(hours=3))
    minutes(stack, 20)
    job = stack.job()
    assert (job.state, job.counts.canceled, job.overdue) == (JobState.done, 40, True)
    assert {row["error"]["type"] for row in failed(stack).values()} == {"deadline_passed"}
    assert stack.audit() == []


def test_a_limit_that_holds_the_job_does_not_stop_the_clock() -> None:
    stack = Stack(max_requests=2, daily_limit="0.05")
    stack.claude.answer = dear
    started(stack, more="max_tokens: 4000\n")
    minutes(stack, 60)
    assert stack.job().state is JobState.held
    due = stack.job().due_at
    assert due == START + timedelta(hours=3)
    minutes(stack, 125)
    job = stack.job()
    assert (job.state, job.overdue) == (JobState.done, True)
    assert job.counts.canceled
    assert job.counts.succeeded + job.counts.canceled == 10
    assert stack.audit() == []


@pytest.mark.parametrize("dies_at", ["ledger.commit.overdue", "claude.cancel", "ledger.commit.canceling", "objects.put"])
def test_who_dies_while_it_passes_leaves_a_job_that_ends(dies_at: str) -> None:
    stack = two_batches()
    minutes(stack, 178)
    armed = [True]

    def kill(call: str) -> None:
        if call == dies_at and stack.job().overdue and armed:
            armed.clear()
            raise Killed

    stack.hooks.after = kill
    minutes(stack, 20)
    assert not armed
    job = stack.job()
    assert (job.state, job.counts.succeeded, job.counts.canceled) == (JobState.done, 5, 5)
    assert {row["error"]["type"] for row in failed(stack).values()} == {"deadline_passed"}
    assert stack.audit() == []


def test_a_cancel_that_comes_before_it_is_a_cancel() -> None:
    stack = two_batches()
    minutes(stack, 60)
    stack.command("cancel", stack.job().id)
    minutes(stack, 200)
    job = stack.job()
    assert (job.state, job.overdue) == (JobState.canceled, False)
    assert {row["error"]["type"] for row in failed(stack).values()} == {"canceled"}


def test_what_is_missing_can_be_retried() -> None:
    stack = two_batches()
    minutes(stack, 200)
    first = stack.job()
    stack.command("retry", first.id)
    key = next(key for key in stack.objects.keys("inbox/") if f"retry-of-{first.id}" in key)
    assert stack.objects.body(key).count(b"\n") == 5


def test_a_file_of_many_batches_is_canceled_whole() -> None:
    stack = stack_of(max_requests=1)
    stack.claude.seconds = DAY
    started(stack)
    minutes(stack, 200)
    assert (stack.job().state, stack.job().counts.canceled) == (JobState.done, 10)
    assert stack.hooks.calls.count("claude.cancel") == 10


def test_requests_have_none() -> None:
    stack = Stack()
    stack.claude.seconds = DAY
    stack.drop("inbox/a.jsonl", rows(3))
    minutes(stack, 300)
    assert stack.job().state is JobState.running
    assert "deadline" not in stack.document("status.json")
