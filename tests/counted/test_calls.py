"""Calls that leave the process, per job and per tick."""

from __future__ import annotations

import json
from collections import Counter

from msgspec.structs import replace

from batchdrop.domain import ids
from batchdrop.domain.transitions import opened
from batchdrop.reports.job_index import read_index
from tests.adapters.records import SOURCE, job
from tests.fakes.clock import START
from tests.stack import Stack

# As many as the rows fill parts; everything else is a call per batch or per job.
BY_THE_BYTE = {"objects.writer.write"}
ROW = {"params": {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}}


def rows(count: int) -> bytes:
    return b"".join(json.dumps({"custom_id": f"row {number}", **ROW}).encode() + b"\n" for number in range(count))


def calls_of_a_job(count: int) -> Counter[str]:
    stack = Stack(max_requests=10_000)
    stack.drop("inbox/rows.jsonl", rows(count))
    stack.run()
    assert len(stack.lines("results.jsonl")) == count
    return Counter(call for call in stack.hooks.calls if call not in BY_THE_BYTE)


def open_batches(count: int) -> Stack:
    """A stack with that many batches in progress, none of which ends by itself."""
    stack = Stack(max_requests=1, queue_limit=10 * count, per_tick=count)
    stack.claude.seconds = 10.0**6
    stack.drop("inbox/rows.jsonl", rows(count))
    while stack.pump():
        pass
    assert len(stack.claude.ids) == count
    # The first tick tells the job's status; what is counted is the next one.
    stack.tick()
    stack.hooks.calls.clear()
    return stack


def writes(calls: list[str]) -> int:
    return sum(call.startswith("ledger.commit.") for call in calls)


def test_a_job_of_a_batch_makes_as_many_calls_for_3000_rows_as_for_3() -> None:
    many, few = calls_of_a_job(3_000), calls_of_a_job(3)
    # Of a long file the report shows rows from five places.
    assert many.pop("objects.read") == few.pop("objects.read") + 4
    assert many == few


def test_a_job_of_a_batch_makes_few_calls() -> None:
    calls = calls_of_a_job(3)
    assert calls["claude.create"] == 1
    assert calls["claude._results"] + calls["claude.results"] <= 2
    # The first batch of a day is kept as the proof of its key's workspace; that is no job's own write.
    assert calls.pop("ledger.commit.proven") == 1
    assert writes(list(calls.elements())) <= 10
    # Input twice to look at it and to plan, once each to submit and to collect; results once to join; the report reads some of
    # them, and the manifest.
    assert calls["objects.read"] + calls["objects.get"] <= 7
    # The report twice: as the job begins to run, and at its end. One names it as the newest job of its name. The index of all
    # jobs is two, as is each that replaces it.
    assert calls["objects.put"] + calls["objects.writer"] <= 17
    assert calls["objects.overwrite"] <= 4


def test_a_tick_lists_what_is_open_once_and_writes_nothing() -> None:
    stack = open_batches(1_200)
    stack.tick()
    calls = Counter(stack.hooks.calls)
    assert calls["claude.page"] == 2
    assert calls["claude.retrieve"] == 0
    assert writes(stack.hooks.calls) == 0
    assert not any(call.startswith("objects.") for call in calls)


def test_a_tick_writes_once_for_each_batch_that_changed() -> None:
    stack = open_batches(40)
    for api_id in stack.claude.ids[:3]:
        stack.claude._held[api_id].ends_at = stack.clock.now()
    stack.tick()
    calls = Counter(stack.hooks.calls)
    assert calls["claude.page"] == 1
    assert writes(stack.hooks.calls) == calls["ledger.commit.ended"] == calls["queues.send"] == 3
    # One job changed, so one status is told.
    assert calls["objects.put"] == 1


def test_a_tick_with_nothing_open_is_one_read() -> None:
    stack = Stack(monthly_limit="100")
    stack.drop("inbox/rows.jsonl", rows(3))
    stack.run()
    # The first ticks of a process look at what others may have left, the others do nothing of it for minutes.
    stack.tick()
    stack.hooks.clear()
    for _ in range(10):
        stack.clock.advance(60)
        stack.tick()
    assert Counter(stack.hooks.calls) == {"ledger.has_open_work": 10}


def test_2000_jobs_that_change_at_once_are_two_writes_of_an_index_a_tick() -> None:
    stack = Stack(queue_limit=10**6, per_tick=2_000)
    for number in range(2_000):
        source = replace(SOURCE, key=f"inbox/team-{number % 2}/{number}.jsonl")
        stack.ledger.commit(opened(job(id=ids.job_id(source, START), input=source)))
    ticks = 0
    while stack.ledger.marks:
        stack.hooks.clear()
        stack.poll.index_jobs()
        calls = Counter(stack.hooks.calls)
        # Of all jobs and of two teams: index.json and index.html.
        assert calls["objects.put"] + calls["objects.overwrite"] == 3 * 2
        assert calls["ledger.list_marks"] == calls["ledger.get_jobs"] == calls["ledger.remove_marks"] == 1
        ticks += 1
    assert ticks == 2
    index = read_index(stack.objects.body("outbox/index.json"))
    assert index is not None
    assert len(index.jobs) == 2_000
