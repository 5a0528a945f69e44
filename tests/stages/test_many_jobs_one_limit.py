"""Many jobs at once against one limit, on a table whose index is late and whose transactions meet each other."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from batchdrop.domain.ids import prefixes_of
from batchdrop.domain.records import Batch, BatchState, Job, JobLimits, JobState
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.fakes.claude import FakeClaude, greet
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks
from tests.fakes.objects import FakeObjects
from tests.faults.ledger import LateLedger
from tests.money import MAX_TOKENS, ROW, Watch, purses_kept, say, shown
from tests.stack import BUCKET, Stack, row

DAY = "day 2026-11-22"


class Answers:
    """As long as a prompt's last word says where a row is tried, and as long as they may be where it is not; rows whose prompt
    begins with `busy` fail at first. It depends on nothing but the request and the batch that it is in.
    """

    def __init__(self) -> None:
        self.stack: Stack
        self._batches: dict[str, Batch] = {}

    def __call__(self, custom_id: str, params: dict[str, Any]) -> dict[str, Any]:
        batch = self._batch(custom_id.rpartition("-")[0])
        first, *_, last = str(params["messages"][0]["content"]).split()
        if first == "busy" and batch.attempt == 1 and not batch.tries:
            return {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}}
        result: dict[str, Any] = json.loads(json.dumps(greet(custom_id, params)))
        tokens = int(last) if batch.tries or first == "short" else MAX_TOKENS
        result["message"]["usage"] = {"input_tokens": 10, "output_tokens": tokens}
        return result

    def _batch(self, prefix: str) -> Batch:
        if prefix not in self._batches:
            self._batches |= {one: batch for batch in self.stack.ledger.stored.values() for one in prefixes_of(batch)}
        return self._batches[prefix]


def stack_of(*, conflicts: float, late: float = 0.0, **settings: Any) -> Stack:
    def parts(clock: ManualClock, hooks: Hooks) -> tuple[FakeObjects, LateLedger]:
        ledger = LateLedger(clock, hooks)
        ledger.late, ledger.conflicts = late, conflicts
        return FakeObjects(clock, hooks, bucket=BUCKET), ledger

    answers = Answers()
    claude = partial(FakeClaude, answer=answers)
    answers.stack = Stack(parts=parts, per_tick=10_000, queue_limit=10**6, api=claude, **settings)
    return answers.stack


class Overtaken:
    """Now and then another tick comes between what one has read of the purses and what it writes."""

    def __init__(self, stack: Stack, every: int) -> None:
        self._stack = stack
        self._every = every
        self._admitted = 0
        self._under_way = False
        self.lost = 0
        """Admissions that came too late."""
        stack.hooks.before = self._before

    def _before(self, name: str) -> None:
        if name != "ledger.commit.admitted" or self._under_way:
            return
        self._admitted += 1
        if self._admitted % self._every == 0:
            before = self._stack.ledger.purses.get(DAY)
            self._under_way = True
            self._stack.tick()
            self._under_way = False
            self.lost += self._stack.ledger.purses.get(DAY) != before


def file(draw: Random, rows: int, longest: int, kinds: tuple[str, ...]) -> bytes:
    words = [f"{draw.choice(kinds)} {place} {draw.randint(1, longest)}" for place in range(rows)]
    return b"\n".join(row(f"row {place}", word, max_tokens=MAX_TOKENS) for place, word in enumerate(words))


def approve_all(stack: Stack) -> None:
    for job in stack.jobs():
        if job.needs == "approval" and job.state is JobState.held and job.question:
            say(stack, "approve", job)


def in_flight(stack: Stack) -> int:
    """What the batches that have reserved may cost at worst beyond that."""
    budget, now = stack.poll.let_go.budget, stack.clock.now()
    beyond = 0
    for batch in stack.ledger.stored.values():
        if batch.reserved and batch.state is not BatchState.collected:
            beyond += max(0, budget.estimate(stack.ledger.jobs[batch.job_id], batch, now).worst - batch.reserved)
    return beyond


def strictly(stack: Stack) -> None:
    """As a recipe says it of its jobs."""
    stack.ledger.jobs = {job.id: replace(job, limits=JobLimits(strict=True)) for job in stack.jobs()}


@pytest.mark.parametrize("strict", [True, False])
def test_fifty_jobs_at_once_against_one_daily_limit(strict: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """After its pilot each job expects short answers, and then they are as long as they may be."""
    limit = 5_000_000
    stack = stack_of(conflicts=0.01, late=3.0, max_requests=10, ask_above="0.001", daily_limit="5")
    bound = 0

    def admitted() -> None:
        nonlocal bound
        if stack.ledger.purses[DAY].used <= limit:
            bound = max(bound, in_flight(stack))

    watch = Watch(stack, every=50, admitted=admitted)
    draw = Random(12)
    uploads = [
        stack.drop(f"inbox/team/{place}.jsonl", file(draw, 40, 400, ("busy", "long", "long")), deliver=False)
        for place in range(50)
    ]
    look = stack.hooks.after

    def opened(name: str) -> None:
        if strict and name == "ledger.commit.opened":
            strictly(stack)
        look(name)

    stack.hooks.after = opened
    for upload in uploads:
        stack.deliver(upload)
    for _ in range(240):
        stack.step()
        approve_all(stack)
    states = Counter((job.state, job.needs) for job in stack.jobs())
    most = watch.most[DAY]
    with capsys.disabled():
        print(f"\n50 jobs, {'strict' if strict else 'not strict'}: limit $5, most used ${most / 1e6:.4f}, ", end="")
        print(f"bound ${(limit + bound) / 1e6:.4f}, {dict(states)}")
    assert set(states) <= {(JobState.done, ""), (JobState.held, "limit")}
    assert most <= (limit if strict else limit + bound)
    assert most > (0.9 * limit if strict else 1.2 * limit)  # or this shows nothing
    assert watch.wrong == []
    assert list(purses_kept(stack.ledger)) == []
    assert shown(stack) == []
    assert [finding.sentence for finding in stack.audit()] == []


def test_a_thousand_jobs_of_one_batch_at_once() -> None:
    """Nothing is lost, and nothing leaks: not where transactions meet, and not from one day to the next."""
    stack = stack_of(conflicts=0.005, max_requests=10, daily_limit="2")
    watch = Watch(stack, every=500)
    draw = Random(3)
    overtaken = Overtaken(stack, 20)
    for place in range(1_000):
        stack.clock.advance(0.001)
        stack.drop(f"inbox/team/{place}.jsonl", file(draw, 1, MAX_TOKENS, ("short",)))
    for _ in range(24):
        stack.step(400)
    first = Counter((job.state, job.needs) for job in stack.jobs())
    assert watch.most[DAY] <= 2_000_000
    # None that would have fitted has been left.
    assert stack.ledger.purses[DAY].used > 2_000_000 - 2 * ROW
    assert set(first) == {(JobState.done, ""), (JobState.held, "limit")}
    for _ in range(3):
        stack.clock.advance(24 * 3600)
        for _ in range(14):
            stack.step(400)
    assert {job.state for job in stack.jobs()} == {JobState.done}
    ids = stack.claude.custom_ids()
    again = sum(batch.attempt > 1 for batch in stack.ledger.stored.values())
    assert (len(ids), len(set(ids)), again) == (1_000, 1_000, 0)
    assert watch.most_of("day") <= 2_000_000
    assert watch.wrong == []
    assert list(purses_kept(stack.ledger)) == []
    assert overtaken.lost > 5
    assert isinstance(stack.ledger, LateLedger)
    assert stack.ledger.fired["conflicts"] > 20
    month = stack.ledger.purses["month 2026-11"]
    assert month.used == month.spent == sum(job.spent for job in stack.jobs()) == _billed(stack.jobs(), stack)


def _billed(jobs: list[Job], stack: Stack) -> int:
    """By what the API has answered, and the prices of Haiku 4.5 as a batch."""
    total = 0
    for job in jobs:
        assert job.state in TERMINAL_JOB_STATES
        for line in stack.lines("results.jsonl", job):
            usage = line["result"]["message"]["usage"]
            # Half a micro-dollar a token of a prompt, two and a half one of an answer; a batch is rounded up.
            total += -(-(usage["input_tokens"] + 5 * usage["output_tokens"]) // 2)
    return total
