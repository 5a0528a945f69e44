"""A file that costs more than may be spent unasked: some rows are tried first, then somebody is asked about the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop.domain import transitions
from batchdrop.domain.records import PILOT, BatchState, Job, JobState
from tests.fakes.claude import FakeClaude, greet
from tests.money import purses_kept
from tests.stack import Stack, row

ROWS = 60
# At worst $0.0025 a row as a batch (Haiku 4.5, $5 a million): 20 of them are $0.20, and the file is $0.60.
MAX_TOKENS = 4_000
FILE = b"\n".join(row(f"row {number}", f"Hello {number}", max_tokens=MAX_TOKENS) for number in range(1, ROWS + 1))


def stack_of(answer: Any = None, *, ask_above: str = "0.30", max_requests: int = 25, **more: Any) -> Stack:
    return Stack(
        ask_above=ask_above,
        max_requests=max_requests,
        api=lambda clock, hooks: FakeClaude(clock, hooks, answer=answer or long_answer),
        **more,
    )


def long_answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
    """So long that the rest of the file costs more than may be spent unasked."""
    result = json.loads(json.dumps(greet(custom_id, params)))
    result["message"]["usage"] = {"input_tokens": 20, "output_tokens": 3_500}
    return dict(result)


def until_asked(stack: Stack, body: bytes = FILE, key: str = "inbox/team/file.jsonl") -> Job:
    stack.drop(key, body)
    return asked(stack)


def asked(stack: Stack) -> Job:
    for _ in range(120):
        stack.step()
        job = stack.jobs()[-1]
        if job.state is JobState.held and job.question is not None:
            return job
    raise AssertionError(f"nobody was asked: {job.state} {job.needs} {job.reason}")


def sent(stack: Stack) -> Counter[int]:
    """How often each line was sent."""
    return Counter(int(custom_id.rpartition("-")[2]) for custom_id in stack.claude.custom_ids())


def approve(stack: Stack, job: Job, suffix: str = "") -> None:
    assert job.question is not None
    stack._control(f"control/approve/team/{job.id}-{job.question.code}{suffix}")


def test_twenty_rows_go_first_and_then_somebody_is_asked() -> None:
    stack = stack_of()
    job = until_asked(stack)
    assert job.question is not None
    assert (sent(stack).total(), job.tried, job.question.rows) == (20, 20, 40)
    status = stack.document("status.json")
    assert (status["state"], status["needs"]) == ("held", "approval")
    assert "20 of 60 rows were tried" in status["message"]
    assert status["message"].endswith(f"approve with the code {job.question.code}.")
    assert status["next"]["command"].endswith(f" --key control/approve/team/{job.id}-{job.question.code}")
    tried = stack.lines("tried.jsonl")
    assert len(tried) == 20
    assert [line["line"] for line in tried] == sorted(sent(stack))
    assert stack.audit() == []


def test_two_that_admit_the_rows_to_try_at_once_ask_nothing() -> None:
    """The second finds the sum used that may be spent unasked, by the reservation of the first: there is no question in that."""
    stack = stack_of()
    beside: list[str] = []

    def admit_beside(name: str) -> None:
        if name == "ledger.get_purses" and stack.jobs()[0].trying and not beside:
            beside.append(name)
            stack.poll.admit()

    stack.hooks.before = admit_beside
    stack.drop("inbox/team/file.jsonl", FILE)
    assert beside
    assert (stack.job().state, stack.job().question) == (JobState.running, None)
    stack.hooks.clear()
    question = asked(stack).question
    assert question is not None
    assert (sent(stack).total(), question.rows) == (20, 40)


def test_after_a_yes_the_others_go_and_no_row_goes_twice() -> None:
    stack = stack_of()
    job = until_asked(stack)
    approve(stack, job, "/")
    stack.run()
    job = stack.job()
    assert job.state is JobState.done
    assert sent(stack) == Counter(range(1, ROWS + 1))
    lines = stack.lines("results.jsonl")
    assert [line["line"] for line in lines] == list(range(1, ROWS + 1))
    assert [line["custom_id"] for line in lines] == [f"row {number}" for number in range(1, ROWS + 1)]
    assert {line["attempts"] for line in lines} == {1}
    assert stack.audit() == []
    (purse,) = stack.ledger.get_purses([f"unasked {job.created_at:%Y-%m-%d} team"])
    manifest = stack.document("manifest.json")
    # 20 tokens at $0.50 and 3,500 at $2.50 a million.
    assert manifest["cost"]["usd"] == pytest.approx(60 * (20 * 0.5 + 3_500 * 2.5) / 1e6)
    assert manifest["usage"]["claude-haiku-4-5"]["requests"] == ROWS
    assert purse.used == purse.spent
    assert job.used == job.spent


def short_answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
    result = json.loads(json.dumps(long_answer(custom_id, params)))
    result["message"]["usage"]["output_tokens"] = 800
    return dict(result)


def test_a_yes_to_the_pilot_is_none_to_the_others() -> None:
    """Although they fit into what was approved: who said yes to it wants to see its answers."""
    stack = stack_of(short_answer, ask_above="0.04")
    job = until_asked(stack)
    assert job.question is not None
    assert (job.question.for_pilot, job.question.rows) == (True, 20)
    approve(stack, job)
    again = asked(stack)
    assert again.question is not None
    assert (again.question.for_pilot, again.question.rows) == (False, 40)
    assert job.used + again.question.high < job.question.high
    assert sent(stack).total() == 20
    approve(stack, again)
    stack.run()
    assert stack.job().state is JobState.done
    assert sent(stack) == Counter(range(1, ROWS + 1))


def test_what_is_canceled_before_its_pilot_was_approved_has_tried_nothing() -> None:
    stack = stack_of(ask_above="0.04")
    job = until_asked(stack)
    stack.command("cancel", job.id)
    stack.run()
    assert stack.job().state is JobState.canceled
    assert "tried" not in stack.document("manifest.json")["message"]
    assert [key for key in stack.objects.keys("outbox/") if "tried" in key] == []


def test_without_a_yes_nothing_more_is_sent_and_its_answers_are_delivered() -> None:
    stack = stack_of()
    job = until_asked(stack)
    stack.run(minutes=60 * 24 * 8)
    job = stack.job()
    assert job.state is JobState.canceled
    assert "approved" in stack.document("manifest.json")["message"]
    assert sent(stack).total() == 20
    assert len(stack.lines("results.jsonl")) == 20
    assert len(stack.lines("failed.jsonl")) == 40
    assert {line["_batchdrop"]["status"] for line in stack.lines("failed.jsonl")} == {"canceled"}
    assert stack.audit() == []


def test_where_the_rest_is_cheap_nobody_is_asked() -> None:
    stack = stack_of(greet)
    stack.drop("inbox/team/file.jsonl", FILE)
    stack.run()
    assert stack.job().state is JobState.done
    assert sent(stack) == Counter(range(1, ROWS + 1))
    assert stack.batches()[0].name == PILOT
    assert stack.audit() == []


@pytest.mark.parametrize("tried", [True, False])
def test_a_long_row_that_was_not_tried_counts_whole(tried: bool) -> None:
    """What was known of it before is known of it after. One that was tried counts no more."""
    long = row("long", "the cat sat on the mat " * 20_000, max_tokens=10)
    body = [row(f"row {number}", f"Hello {number}", max_tokens=10) for number in range(1, 25)]
    for place in range(len(body)):
        stack = stack_of(greet, ask_above="0.03")
        stack.drop("inbox/team/file.jsonl", b"\n".join([*body[:place], long, *body[place + 1 :]]))
        pilot = stack.batches()[0]
        if pilot.tries and any(sample.line == place + 1 for sample in pilot.tries) == tried:
            break
    if stack.job().question:
        approve(stack, stack.job())
    while stack.job().trying:
        stack.step()
    (rest,) = stack.batches()[1:]
    (size,) = rest.sizes.values()
    assert size.requests == rest.requests == 24 - len(pilot.tries)
    assert (size.input_tokens > 90_000) != tried


def test_what_a_job_waited_for_is_not_said_when_it_is_done() -> None:
    stack = stack_of(ask_above="0.01")
    job = until_asked(stack, b"\n".join(row(f"row {number}", max_tokens=MAX_TOKENS) for number in range(7)))
    approve(stack, job)
    stack.run()
    assert stack.job().state is JobState.done
    assert (
        stack.document("manifest.json")["message"]
        == stack.document("status.json")["message"]
        == "All 7 rows have an answer. 3 minutes, $0.061."
    )


def test_a_short_file_is_its_own_pilot() -> None:
    stack = stack_of(ask_above="0.10")
    stack.drop("inbox/team/file.jsonl", b"\n".join([*FILE.split(b"\n")[:9], b"no json"]))
    stack.run()
    assert stack.job().state is JobState.done
    assert (sent(stack), len(stack.claude.ids)) == (Counter(range(1, 10)), 1)
    assert stack.audit() == []


def until_out(stack: Stack) -> None:
    """The pilot is at the API."""
    stack.drop("inbox/team/file.jsonl", FILE)
    while stack.batches()[0].state is not BatchState.in_progress:
        stack.step(20)


def test_a_pilot_needs_nothing_under_work() -> None:
    stack = stack_of()
    until_out(stack)
    stack.objects.remove_all("work/", limit=1_000)
    approve(stack, asked(stack))
    stack.run()
    assert [line["custom_id"] for line in stack.lines("results.jsonl")] == [f"row {number}" for number in range(1, ROWS + 1)]
    assert (stack.failures, stack.audit()) == ([], [])


def test_answers_of_a_pilot_are_delivered_although_its_file_is_gone() -> None:
    stack = stack_of()
    until_out(stack)
    stack.objects.purge("inbox/team/file.jsonl")
    approve(stack, asked(stack))
    stack.run()
    tried = sorted(sent(stack))
    assert [(line["line"], line["custom_id"]) for line in stack.lines("results.jsonl")] == [(one, f"line-{one}") for one in tried]
    assert [line["_batchdrop"]["error"]["type"] for line in stack.lines("failed.jsonl")] == ["input_deleted"] * (ROWS - 20)
    assert (stack.job().state, stack.failures) == (JobState.done, [])


@pytest.mark.parametrize("first", [True, False], ids=["pilot first", "pilot last"])
@pytest.mark.parametrize("sent_too", [1, 3])
def test_batches_that_a_version_without_pilots_sends_meanwhile_keep_their_rows(sent_too: int, first: bool) -> None:
    """During an update or a roll-back. These rows are paid twice and delivered once, and the job ends."""
    stack = stack_of(greet)
    stack.claude.seconds = 600
    until_out(stack)
    stack.claude.seconds = 1_200 if first else 60
    pilot, *others = stack.batches()
    for batch in others[:sent_too]:
        stack.poll.commit(transitions.admitted(batch, now=stack.clock.now(), queue_limit=100_000))
    stack.run()
    twice = {sample.line for sample in pilot.tries if sample.line <= others[sent_too - 1].last_line}
    assert {line for line, times in sent(stack).items() if times > 1} == twice
    assert [line["line"] for line in stack.lines("results.jsonl")] == list(range(1, ROWS + 1))
    assert (stack.job().state, stack.failures, list(purses_kept(stack.ledger))) == (JobState.done, [], [])
    assert {(found.kind, found.line) for found in stack.audit()} == {("answered_twice", line) for line in twice}
