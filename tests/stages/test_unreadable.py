"""A file that cannot be read never stays in planning: it is rejected with a sentence, at once or after a number of tries."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import JobState
from batchdrop.domain.retries import MAX_PLAN_CUT_OFF, MAX_PLAN_TRIES
from tests.stack import Killed, Stack, row, rows
from tests.stages.harm import fail, minutes, refused
from tests.stages.test_long_files import CHUNK_LINES, SlowStack, plan
from tests.stages.test_splitting import refuse

KEY = "inbox/team/a.jsonl"
KMS_KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DAYS = 2


def rejected(stack: Stack) -> str:
    """The sentence of the rejection, in status and manifest alike."""
    status, manifest = stack.document("status.json"), stack.document("manifest.json")
    assert (status["state"], manifest["state"], stack.job().state) == ("rejected", "rejected", JobState.rejected)
    assert status["message"] == manifest["message"]
    assert not stack.claude.bodies
    assert not stack.queues.waiting
    return str(status["message"])


@pytest.mark.parametrize(
    ("code", "storage_class", "kms_key", "words"),
    [
        ("InvalidObjectState", "GLACIER", "", "storage class GLACIER"),
        ("InvalidObjectState", "DEEP_ARCHIVE", "", "storage class DEEP_ARCHIVE"),
        ("AccessDenied", "", KMS_KEY, KMS_KEY),
        ("KMS.DisabledException", "", KMS_KEY, KMS_KEY),
        ("AccessDenied", "", "", "S3 answered AccessDenied"),
    ],
)
def test_a_file_that_s3_does_not_hand_out_is_rejected_at_once(code: str, storage_class: str, kms_key: str, words: str) -> None:
    stack = Stack()
    stack.objects.forbid(KEY, code, storage_class=storage_class, kms_key=kms_key)
    stack.drop(KEY, rows(2))
    assert words in rejected(stack)
    assert stack.failures == []


def test_a_file_whose_head_is_refused_is_answered_without_a_job() -> None:
    stack = Stack()
    upload = stack.drop(KEY, rows(2), deliver=False)
    stack.objects.forbid(KEY, head=True)
    stack.deliver(upload)
    assert stack.failures == []
    assert stack.jobs() == []
    bodies = {key.rsplit("/", 1)[1]: stack.objects.body(key) for key in stack.objects.keys("outbox/team/a/")}
    assert set(bodies) == {"status.json", "manifest.json", "report.html", "latest.json"}
    documents = {name: json.loads(body) for name, body in bodies.items() if name.endswith(".json")}
    assert {document["state"] for document in documents.values()} == {"rejected"}
    assert b"S3 answered 403" in bodies["report.html"]
    assert "S3 answered 403" in documents["status.json"]["message"]


def test_a_late_event_of_a_file_that_is_refused_by_now_leaves_its_job_alone() -> None:
    stack = Stack()
    upload = stack.drop(KEY, rows(2))
    stack.objects.forbid(KEY, head=True, when=lambda: stack.at_work == "plan")
    stack.deliver(upload)
    stack.run()
    assert stack.document("manifest.json")["state"] == "done"


def test_a_file_that_is_refused_half_read_is_rejected_and_leaves_nothing_waiting() -> None:
    stack = Stack(max_requests=1_000)

    def slow_and_then_refused(name: str) -> None:
        if name == "ledger.commit.added":
            stack.clock.advance(50)
            stack.objects.forbid(KEY)

    stack.hooks.after = slow_and_then_refused
    stack.drop(KEY, b"\n".join(row(f"id {i}") for i in range(9_000)))
    stack.hooks.clear()
    assert stack.job().batches_total > 0
    stack.run()
    assert "S3 answered AccessDenied" in stack.document("manifest.json")["message"]
    assert stack.job().state is JobState.rejected
    assert not list(stack.ledger.list_open_batches(OpenWork.waiting))


@pytest.mark.parametrize("stage", ["submit", "collect"])
def test_a_file_that_one_stage_may_not_read_for_an_hour_is_answered(stage: str) -> None:
    stack = Stack()
    back = stack.clock.now() + timedelta(hours=1)
    stack.objects.forbid(KEY, when=lambda: stack.at_work == stage and stack.clock.now() < back)
    stack.drop(KEY, rows(2))
    stack.run(DAYS * 24 * 60)
    assert [result["custom_id"] for result in stack.lines("results.jsonl")] == ["row 1", "row 2"]
    assert stack.audit() == []


def test_a_file_that_submit_may_never_read_ends_its_rows() -> None:
    stack = Stack()
    stack.objects.forbid(KEY, when=lambda: stack.at_work != "plan")
    stack.drop(KEY, rows(2))
    stack.run(DAYS * 24 * 60)
    assert {row["_batchdrop"]["error"]["type"] for row in stack.lines("failed.jsonl")} == {"input_unreadable"}
    assert (stack.job().state, stack.ledger.get_admission().queued) == (JobState.done, 0)


def test_a_job_that_waits_ends_although_its_file_cannot_be_read_any_more() -> None:
    stack = Stack(max_requests=2)
    refuse(stack, lambda _: refused(400, "invalid_request_error", text="Something new"))
    stack.drop(KEY, rows(10))
    minutes(stack, 5)
    stack.objects.forbid(KEY)
    for _ in range(9 * 24 * 6):
        stack.step(600)
    assert (stack.job().state, stack.ledger.get_admission().queued) == (JobState.done, 0)
    assert {line["_batchdrop"]["error"]["type"] for line in stack.lines("failed.jsonl")} == {"input_unreadable"}


def test_answers_of_a_file_that_collect_may_never_read_are_delivered() -> None:
    stack = Stack()
    stack.objects.forbid(KEY, when=lambda: stack.at_work == "collect")
    stack.drop(KEY, rows(2))
    stack.run(DAYS * 24 * 60)
    assert [result["custom_id"] for result in stack.lines("results.jsonl")] == ["line-1", "line-2"]
    assert stack.job().state is JobState.done


def days(stack: Stack) -> None:
    stack.run(DAYS * 24 * 60)
    stack.hooks.clear()
    stack.run(60)


def test_planning_that_always_fails_is_rejected_after_a_number_of_tries() -> None:
    stack = Stack()
    fail(stack, "objects.read", RuntimeError("what nobody thought of"), times=10**6)
    stack.drop(KEY, rows(2))
    assert stack.document("status.json")["message"] == "Reading and checking the file."
    began = stack.clock.now()
    days(stack)
    assert len(stack.failures) == MAX_PLAN_TRIES
    finished = stack.job().finished_at
    assert finished is not None
    assert finished - began > timedelta(hours=6), "an outage is no fault of the file"
    assert f"could not be read: {MAX_PLAN_TRIES} tries failed" in rejected(stack)


def test_planning_that_is_always_killed_takes_its_batches_along() -> None:
    stack = Stack(max_requests=1)
    killed = [0]

    def die(name: str) -> None:
        if stack.at_work == "plan" and name == "ledger.commit.planned" and killed[0] < MAX_PLAN_CUT_OFF:
            killed[0] += 1
            raise Killed

    stack.hooks.before = die
    stack.drop(KEY, rows(3))
    days(stack)
    assert killed[0] == MAX_PLAN_CUT_OFF
    assert stack.job().counts.canceled == 3
    assert "could not be read" in rejected(stack)
    assert stack.audit() == []


def test_a_try_is_told() -> None:
    stack = Stack()
    fail(stack, "objects.read", RuntimeError("what nobody thought of"), times=3)
    stack.drop(KEY, rows(2))
    while stack.job().tries < 3:
        stack.step()
    assert stack.document("status.json")["message"] == "Reading and checking the file, try 3."
    stack.run()
    assert stack.job().state is JobState.done


def test_a_file_may_take_more_invocations_than_tries() -> None:
    planned = plan(SlowStack(), row("first") + b"\n" * (60 * CHUNK_LINES))
    assert len(planned.calls) > MAX_PLAN_CUT_OFF
