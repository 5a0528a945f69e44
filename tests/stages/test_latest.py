"""`latest.json` names the newest job of a file's name that has ended, by the time of its drop, and never goes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchdrop.domain.ids import uploaded_at
from batchdrop.domain.messages import FinishJob
from batchdrop.domain.records import Job, JobState
from tests.stack import Killed, Stack, rows

KEY = "outbox/team/a/latest.json"


def _named(stack: Stack) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(stack.objects.body(KEY))
    return document


def _jobs(stack: Stack) -> list[Job]:
    return sorted(stack.jobs(), key=lambda job: job.id)


def _two(stack: Stack) -> None:
    """Dropped a minute apart: the first is not at the end of its first batch yet when the second comes."""
    stack.drop("inbox/team/a.jsonl", rows(3))
    stack.clock.advance(60)
    stack.drop("inbox/team/a.jsonl", rows(2))


def test_it_says_where_the_answers_of_the_newest_job_are() -> None:
    stack = Stack()
    stack.drop("inbox/team/a.jsonl", rows(3), {"batchdrop-reference": "run 7"})
    assert not stack.objects.exists(KEY)
    stack.run()
    job = stack.job()
    named = _named(stack)
    assert named["job_id"] == job.id
    assert named["state"] == "done"
    assert named["folder"] == f"outbox/team/a/{job.id}/"
    assert named["dropped_at"] == f"{uploaded_at(job.id):%Y-%m-%dT%H:%M:%SZ}"
    assert named["reference"] == "run 7"
    assert named["counts"] == stack.document("manifest.json")["counts"]
    assert named["cost"]["usd"] == stack.document("status.json")["cost"]["usd"]
    assert stack.objects.exists(named["folder"] + "manifest.json")


def test_the_next_file_of_that_name_takes_its_place() -> None:
    stack = Stack()
    for number in range(3):
        stack.drop("inbox/team/a.jsonl", rows(number + 1))
        stack.run()
        assert _named(stack)["job_id"] == _jobs(stack)[-1].id
        assert _named(stack)["counts"]["total"] == number + 1
        stack.clock.advance(60)
    stack.drop("inbox/team/other.jsonl", rows(1))
    stack.run()
    assert _named(stack)["counts"]["total"] == 3


def test_an_older_job_that_ends_later_is_not_named() -> None:
    """Its message is late: the newer one comes to its end first."""
    stack = Stack()
    _two(stack)
    older, newer = _jobs(stack)
    _until_both_are_finishing(stack)
    stack.finish(FinishJob(job_id=newer.id), stack.deadline())
    assert _named(stack)["job_id"] == newer.id
    stack.finish(FinishJob(job_id=older.id), stack.deadline())
    assert [job.state for job in _jobs(stack)] == ["done", "done"]
    assert _named(stack)["job_id"] == newer.id


def _until_both_are_finishing(stack: Stack) -> None:
    def die(name: str) -> None:
        if stack.invocation is not None and stack.invocation.stage == "finish":
            raise Killed

    stack.hooks.before = die
    for _ in range(60):
        stack.step()
    stack.hooks.clear()
    assert {job.state for job in _jobs(stack)} == {JobState.finishing}


def test_a_file_that_is_rejected_is_named_too() -> None:
    stack = Stack()
    stack.drop("inbox/team/a.jsonl", rows(3))
    stack.run()
    stack.clock.advance(60)
    stack.drop("inbox/team/a.jsonl", b"")
    stack.run()
    assert (_named(stack)["job_id"], _named(stack)["state"]) == (_jobs(stack)[-1].id, "rejected")


@pytest.mark.parametrize("moment", ["objects.put", "objects.overwrite", "notices.publish", "ledger.commit.finished"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_who_dies_at_the_end_names_it_all_the_same(moment: str, when: str) -> None:
    stack = Stack()
    stack.drop("inbox/team/a.jsonl", rows(3))
    stack.run()
    stack.clock.advance(60)
    died: list[str] = []

    def die(name: str) -> None:
        if name == moment and not died and stack.invocation is not None and stack.invocation.stage == "finish":
            died.append(name)
            raise Killed

    setattr(stack.hooks, when, die)
    stack.drop("inbox/team/a.jsonl", rows(2))
    stack.run()
    assert died
    assert [job.state for job in _jobs(stack)] == ["done", "done"]
    assert _named(stack)["job_id"] == _jobs(stack)[-1].id


def test_of_two_that_end_at_once_the_newer_is_named() -> None:
    """The newer one ends between the look and the write of the older one."""
    stack = Stack()
    stack.drop("inbox/team/a.jsonl", rows(1))
    stack.run()
    stack.clock.advance(60)
    stack.drop("inbox/team/a.jsonl", rows(2))
    stack.clock.advance(60)
    stack.drop("inbox/team/a.jsonl", rows(3))
    _, older, newer = _jobs(stack)
    began: list[str] = []

    def end_in_between(name: str) -> None:
        if name == "objects.overwrite" and not began:
            began.append(name)
            stack.finish.publish.latest(newer)

    stack.hooks.before = end_in_between
    stack.finish.publish.latest(older)
    assert began
    assert _named(stack)["job_id"] == newer.id


@pytest.mark.parametrize(
    "document",
    [
        b"[]",
        b'{"job_id":"20200101T000000Z-aaaaaaaaaaaaaaaa","state":"done","more":%b}' % (b"[" * 100_000 + b"]" * 100_000),
        b'{"job_id":"99991231T235959Z-aaaaaaaaaaaaaaaa","state":"done"}',
    ],
    ids=["another thing", "too deep", "of the future"],
)
def test_what_somebody_has_written_there_is_replaced(document: bytes) -> None:
    stack = Stack()
    stack.objects.drop(KEY, document)
    stack.drop("inbox/team/a.jsonl", rows(3))
    stack.run()
    assert _named(stack)["job_id"] == stack.job().id
