"""What one job's rows make the API refuse is no concern of the others, and nothing that they read."""

from __future__ import annotations

import logging

import pytest

from batchdrop.domain.errors import Refused
from batchdrop.domain.records import JobState
from tests.stack import Stack, row, rows
from tests.stages.harm import minutes, refused
from tests.stages.test_splitting import days, errored, posts, refuse

SECRET = "file_of_team_a does not exist"
REFUSALS = {
    403: refused(403, "permission_error", text=SECRET),
    404: refused(404, "not_found_error", text=SECRET),
}


def forbid(stack: Stack, word: bytes, status: int) -> None:
    """The API answers 403 or 404 to every body that holds a word."""
    refuse(stack, lambda body: REFUSALS[status] if word in body else None)


def everything_for(stack: Stack, name: str) -> str:
    """What stands in the output folders of a job."""
    keys = [key for key in stack.objects.keys("outbox/") if key.startswith(f"outbox/{name}/")]
    assert keys
    return "".join(stack.objects.body(key).decode() for key in keys)


@pytest.mark.parametrize("status", [403, 404])
def test_a_row_that_the_api_forbids_stops_nobody_else(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stack = Stack()
    forbid(stack, b"poison", status)
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison" if i == 3 else "fine") for i in range(1, 9)))
    stack.drop("inbox/b.jsonl", rows(5))
    notices = set()
    for _ in range(60):
        stack.step()
        notices.add(stack.ledger.get_admission().notice)
    assert notices == {""}
    first, second = stack.jobs()
    first, second = (first, second) if first.input.key == "inbox/a.jsonl" else (second, first)
    assert (first.state, second.state) == (JobState.done, JobState.done)
    assert [line["custom_id"] for line in stack.lines("failed.jsonl", first)] == ["row 3"]
    assert stack.document("manifest.json", second)["counts"]["succeeded"] == 5
    assert SECRET in everything_for(stack, "a")
    assert SECRET not in everything_for(stack, "b")
    assert SECRET not in str(stack.notices.published)
    assert not any(SECRET in str(vars(record)) for record in caplog.records)
    assert stack.audit() == []


def test_one_job_alone_finds_its_row_by_itself() -> None:
    stack = Stack()
    forbid(stack, b"poison", 404)
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison" if i == 3 else "fine") for i in range(1, 9)))
    stack.run(60)
    assert errored(stack) == ["row 3"]


def test_one_job_that_is_refused_altogether_waits_alone_and_says_so() -> None:
    stack = Stack(max_requests=2)
    forbid(stack, b"poison", 403)
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison") for i in range(1, 9)))
    minutes(stack, 60)
    assert stack.ledger.get_admission().blocked == ""
    message = stack.document("status.json")["message"]
    assert f"has refused everything of this file that was sent: 403 permission_error ({SECRET})." in message
    stack.drop("inbox/b.jsonl", rows(2))
    minutes(stack, 10)
    # Another job was accepted: so it is about the rows.
    assert {job.state for job in stack.jobs()} == {JobState.done}
    assert stack.audit() == []


def test_what_two_jobs_meet_stops_everybody_without_the_words_of_the_api() -> None:
    stack = Stack()
    forbid(stack, b"params", 403)
    for name in "abc":
        stack.drop(f"inbox/{name}.jsonl", rows(2))
    minutes(stack, 10)
    blocked = stack.ledger.get_admission().blocked
    assert blocked.startswith("Nothing is being submitted: Anthropic answered 403 permission_error. To fix it, ")
    for job in stack.jobs():
        assert blocked in stack.document("status.json", job)["message"]
    assert posts(stack) <= 6


def test_two_jobs_that_both_have_such_a_row_are_not_stopped_for_long() -> None:
    stack = Stack()
    forbid(stack, b"poison", 404)
    for name in "ab":
        stack.drop(f"inbox/{name}.jsonl", b"\n".join(row(f"row {i}", "poison" if i == 3 else "fine") for i in range(1, 9)))
    stack.run(2 * 60)
    for job in stack.jobs():
        assert [line["custom_id"] for line in stack.lines("failed.jsonl", job)] == ["row 3"]
    assert stack.audit() == []


def test_two_jobs_of_which_every_row_is_forbidden_end_as_well() -> None:
    stack = Stack()
    forbid(stack, b"poison", 404)
    for name in "ab":
        stack.drop(f"inbox/{name}.jsonl", b"\n".join(row(f"row {i}", "poison") for i in range(1, 9)))
    days(stack, 8)
    assert {job.state for job in stack.jobs()} == {JobState.done}
    assert stack.audit() == []


def test_a_file_that_is_gone_does_not_use_up_the_probes() -> None:
    stack = Stack(max_requests=1)
    refused_now = True
    refuse(stack, lambda body: refused(401, "authentication_error") if refused_now else None)
    stack.drop("inbox/a.jsonl", rows(1))
    minutes(stack, 10)
    stack.drop("inbox/gone.jsonl", rows(60))
    stack.objects.purge("inbox/gone.jsonl")
    refused_now = False
    minutes(stack, 15)
    assert stack.ledger.get_admission().blocked == ""
    assert {job.input.key: job.state for job in stack.jobs()}["inbox/a.jsonl"] is JobState.done


def test_what_is_accepted_of_another_job_is_no_evidence_in_words_that_nobody_knows() -> None:
    """Not even if both were tried while submission was blocked."""
    stack = Stack()
    key_refused = True

    def rule(body: bytes) -> Refused | None:
        if key_refused:
            return refused(401, "authentication_error")
        return refused(400, "invalid_request_error", text="not today") if b"odd" in body else None

    refuse(stack, rule)
    stack.drop("inbox/a.jsonl", row("a", "odd"))
    minutes(stack, 2)
    key_refused = False
    minutes(stack, 10)
    stack.drop("inbox/b.jsonl", rows(1))
    minutes(stack, 30)
    odd, other = sorted(stack.jobs(), key=lambda job: job.input.key)
    assert (other.state, odd.state) == (JobState.done, JobState.running)


def test_probes_take_turns_among_the_jobs() -> None:
    stack = Stack(max_requests=2)
    asked: list[str] = []

    def refuse_all(body: bytes) -> Refused:
        asked.append(next(name for name in "abc" if f"prompt of {name}".encode() in body))
        return refused(401, "authentication_error")

    refuse(stack, refuse_all)
    for name in "abc":
        stack.drop(f"inbox/{name}.jsonl", b"\n".join(row(f"row {i}", f"prompt of {name}") for i in range(8)))
    minutes(stack, 60)
    assert len(asked) >= 10
    assert all(len(set(asked[start : start + 3])) == 3 for start in range(1, len(asked) - 2))
