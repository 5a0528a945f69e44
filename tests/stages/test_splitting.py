"""A body that the API refuses is cut until the rows at fault stand alone; good rows never end with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from math import log2
from typing import Any

import pytest

from batchdrop.domain.errors import Refused
from batchdrop.domain.records import JobState
from tests.fakes.claude import greet
from tests.stack import Stack, row, rows
from tests.stages.harm import minutes, refused

DAY = 24 * 60


def refuse(stack: Stack, rule: Callable[[bytes], Refused | None]) -> None:
    """An API with one more rule."""
    check = stack.claude._check

    def stricter(body: bytes) -> list[dict[str, Any]]:
        refusal = rule(body)
        if refusal is not None:
            raise refusal
        return check(body)

    stack.claude._check = stricter  # type: ignore[method-assign]


def poison(stack: Stack, word: bytes, status: int = 400, text: str = "something in it") -> None:
    """The API refuses every body that holds a word."""
    refuse(stack, lambda body: refused(status, "invalid_request_error", text=text) if word in body else None)


def days(stack: Stack, number: int) -> None:
    """A tick every ten minutes: nothing here is about minutes. Ends with the last job."""
    for _ in range(number * DAY // 10):
        stack.clock.advance(540)
        stack.step()
        if all(job.state is JobState.done for job in stack.jobs()):
            return


def posts(stack: Stack) -> int:
    return stack.hooks.calls.count("claude.create")


def errored(stack: Stack) -> list[str]:
    return [line["custom_id"] for line in stack.lines("failed.jsonl") if line["_batchdrop"]["status"] == "errored"]


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("place", [1, 2, 17, 50])
def test_the_poison_stands_alone(place: int, status: int) -> None:
    stack = Stack()
    poison(stack, b"poison", status)
    lines = [row(f"row {i}", "poison" if i == place else "fine") for i in range(1, 51)]
    lines.insert(20, b"bad")
    stack.drop("inbox/a.jsonl", b"\n".join(lines))
    stack.run(60)
    failed = {line.get("custom_id"): line["_batchdrop"] for line in stack.lines("failed.jsonl")}
    assert failed[f"row {place}"]["status"] == "errored"
    assert failed[f"row {place}"]["attempts"] == 0
    assert len(failed) == 2
    assert len(stack.lines("results.jsonl")) == 49
    assert stack.job().splits <= 6
    assert stack.audit() == []


def test_six_bad_rows_of_16_000_end_alone() -> None:
    stack = Stack(max_requests=16_000, max_body_bytes=100_000_000)
    poison(stack, b"poison")
    bad = {1_501, 4_200, 7_000, 9_001, 12_345, 15_000}
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison" if i in bad else "fine") for i in range(1, 16_001)))
    stack.run(120)
    assert errored(stack) == [f"row {i}" for i in sorted(bad)]
    assert stack.document("manifest.json")["counts"]["succeeded"] == 15_994
    # Two more where a row is cut off while nobody knows whether all rows are refused.
    assert stack.job().splits <= len(bad) * log2(16_000) + 2
    assert posts(stack) <= 3 * stack.job().splits
    assert stack.audit() == []


@pytest.mark.parametrize("bad", [range(1, 9), range(43, 51), range(1, 51, 2)], ids=["first", "last", "every other"])
def test_bad_rows_side_by_side_end_without_the_good_ones(bad: range) -> None:
    stack = Stack()
    poison(stack, b"poison")
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison" if i in bad else "fine") for i in range(1, 51)))
    stack.run(DAY)
    assert errored(stack) == [f"row {i}" for i in bad]
    assert stack.audit() == []


def test_a_request_that_the_message_names_is_at_fault_without_any_other() -> None:
    stack = Stack()
    poison(stack, b"poison", text="requests.0.custom_id: String should have at most 64 characters")
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison") for i in range(3)))
    stack.run(10)
    assert errored(stack) == ["row 0", "row 1", "row 2"]
    assert posts(stack) == 5


def test_a_row_that_is_too_large_is_at_fault_without_any_other() -> None:
    stack = Stack()
    poison(stack, b"poison", 413)
    stack.drop("inbox/a.jsonl", row("huge", "poison"))
    stack.run(10)
    assert errored(stack) == ["huge"]
    assert posts(stack) == 1


def test_a_position_in_the_message_differs_from_piece_to_piece() -> None:
    stack = Stack()

    def positioned(body: bytes) -> Refused | None:
        place = body.find(b"poison")
        return None if place < 0 else refused(400, "invalid_request_error", text=f"body: bad value at line 1 column {place}")

    refuse(stack, positioned)
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison" if i in (20, 21) else "fine") for i in range(1, 51)))
    stack.run(60)
    assert errored(stack) == ["row 20", "row 21"]
    assert stack.audit() == []


# ---------------------------------------------------------------- where nobody knows whether the account is meant


def test_a_job_of_which_everything_is_refused_waits_and_says_so() -> None:
    stack = Stack(max_requests=50)
    poison(stack, b"params", text="Something new")
    stack.drop("inbox/a.jsonl", rows(1501))
    minutes(stack, 6 * 60)
    assert stack.job().state is JobState.running
    assert stack.lines("failed.jsonl") == []
    message = stack.document("status.json")["message"]
    assert "has refused everything of this file that was sent: 400 invalid_request_error (Something new)." in message
    assert "Some of its rows at a time are tried until they are accepted." in message
    # Of 31 batches that were admitted together 29 come back unsent. 16 tries within minutes, then after 5, 10, 20 ... minutes.
    assert posts(stack) <= 16 + 7


def test_a_hold_in_unknown_words_that_begins_and_ends_costs_no_row() -> None:
    stack = Stack(max_requests=100, queue_limit=300)
    held = [False]
    refuse(stack, lambda _: refused(400, "invalid_request_error", text="This organization is resting.") if held[0] else None)
    stack.drop("inbox/a.jsonl", rows(1501))
    for _ in range(3):
        minutes(stack, 2)
        held[0] = True
        days(stack, 1)
        held[0] = False
        minutes(stack, 2)
    days(stack, 2)
    assert stack.document("manifest.json")["counts"]["succeeded"] == 1501
    assert posts(stack) <= 250
    assert stack.audit() == []


def test_a_hold_that_comes_back_in_the_same_words_costs_no_row() -> None:
    stack = Stack()
    held = [True]
    refuse(stack, lambda _: refused(400, "invalid_request_error", text="Something new") if held[0] else None)
    stack.drop("inbox/a.jsonl", rows(4))
    days(stack, 1)
    held[0] = False
    while not stack.claude.ids:
        stack.step()
    held[0] = True
    # By now each row was refused alone, and in the same words before and after another one was accepted.
    days(stack, 1)
    assert stack.lines("failed.jsonl") == []
    assert stack.job().state is JobState.running
    held[0] = False
    days(stack, 1)
    assert stack.document("manifest.json")["counts"]["succeeded"] == 4


@pytest.mark.parametrize("status", [400, 403])
def test_a_short_hold_that_comes_back_costs_no_row(status: int) -> None:
    """A row that was refused alone has been accepted in between: so it was not for the rows."""
    stack = Stack(queue_limit=100)
    stack.claude.seconds = 600
    held = [True]
    refuse(stack, lambda _: refused(status, "permission_error", text="Something new") if held[0] else None)
    stack.drop("inbox/a.jsonl", rows(400))
    minutes(stack, 6)
    held[0] = False
    minutes(stack, 8)
    held[0] = True
    minutes(stack, 90)
    held[0] = False
    stack.run(DAY)
    assert stack.document("manifest.json")["counts"]["succeeded"] == 400
    assert posts(stack) <= 100
    assert stack.audit() == []


def test_a_hold_while_a_bad_row_is_looked_for_costs_no_good_one() -> None:
    stack = Stack()
    words = [""]

    def rule(body: bytes) -> Refused | None:
        if words[0]:
            return refused(400, "invalid_request_error", text=words[0])
        return refused(400, "invalid_request_error", text="something in it") if b"poison" in body else None

    refuse(stack, rule)
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison" if i == 20 else "fine") for i in range(1, 51)))
    minutes(stack, 3)
    words[0] = "This organization is resting."
    days(stack, 1)
    assert stack.lines("failed.jsonl") == []
    words[0] = ""
    stack.run(DAY)
    assert errored(stack) == ["row 20"]
    assert stack.audit() == []


def test_rows_that_are_all_refused_end_after_seven_days() -> None:
    stack = Stack(max_requests=500, max_body_bytes=10_000_000)
    poison(stack, b"poison")
    started = stack.clock.now()
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison") for i in range(1000)))
    days(stack, 8)
    assert timedelta(days=7) <= stack.clock.now() - started <= timedelta(days=7, hours=12)
    assert stack.job().state is JobState.done
    assert stack.document("manifest.json")["counts"]["errored"] == 1000
    (reason,) = {line["_batchdrop"]["error"]["message"] for line in stack.lines("failed.jsonl")}
    assert reason == "The API refused the request: something in it"
    # About fifty tries, which leave half as many pieces: each is tried once more.
    assert posts(stack) <= 80
    assert stack.ledger.get_admission().queued == 0
    assert stack.audit() == []


def test_a_row_alone_waits_as_well() -> None:
    stack = Stack()
    held = [True]
    refuse(stack, lambda _: refused(400, "invalid_request_error", text="Something new") if held[0] else None)
    stack.drop("inbox/a.jsonl", row("alone"))
    minutes(stack, 120)
    assert stack.job().state is JobState.running
    held[0] = False
    stack.run(DAY)
    assert stack.document("manifest.json")["counts"]["succeeded"] == 1


def test_a_job_that_waits_can_be_canceled() -> None:
    stack = Stack(max_requests=10)
    poison(stack, b"params")
    stack.drop("inbox/a.jsonl", rows(50))
    minutes(stack, 60)
    stack.command("cancel", stack.job().id)
    stack.run(10)
    assert stack.document("manifest.json")["counts"]["canceled"] == 50
    assert stack.audit() == []


def test_rows_that_were_accepted_before_wait_instead_of_being_cut() -> None:
    stack = Stack()
    overloaded = {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}}
    held = [False]
    stack.claude.answer = lambda custom_id, params: greet(custom_id, params) if stack.attempt_of(custom_id) == 2 else overloaded
    refuse(stack, lambda _: refused(400, "invalid_request_error", text="Something new") if held[0] else None)
    stack.drop("inbox/a.jsonl", rows(20))
    minutes(stack, 1)
    held[0] = True
    minutes(stack, DAY)
    held[0] = False
    stack.run(DAY)
    assert stack.document("manifest.json")["counts"]["succeeded"] == 20
    assert stack.job().splits == 0
    assert stack.audit() == []


def test_the_halves_are_rendered_to_their_announced_size() -> None:
    stack = Stack()
    poison(stack, b"poison", 400)
    lines = [row(f"row {i}", "poison" if i == 3 else "fine") for i in range(1, 9)]
    stack.drop("inbox/a.jsonl", b"\n".join(lines))
    stack.run()
    sizes = {body_of["requests"][0]["custom_id"]: len(body) for body in stack.claude.bodies if (body_of := json.loads(body))}
    for batch in stack.batches():
        if batch.api_id is not None:
            assert sizes[stack.claude.requests_of(batch.api_id)[0]] == batch.body_bytes
