"""Many jobs at once against one limit, on a table whose index is late and whose transactions meet each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from sys import getswitchinterval, setswitchinterval
from typing import Any

import pytest
from msgspec.structs import replace

from batchdrop.domain.records import BatchState, Job, JobState
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.fakes.claude import FakeClaude, greet
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks
from tests.fakes.objects import FakeObjects
from tests.faults.ledger import LateLedger
from tests.money import MAX_TOKENS, ROW, Watch, dear_rows, purses_kept, say, shown
from tests.stack import BUCKET, Stack, row

DAY = "day 2026-11-22"
_THREADS = 8


def answer(custom_id: str, params: dict[str, Any]) -> dict[str, Any]:
    """Its length is that of its prompt's last word; some rows fail at first and go again."""
    result: dict[str, Any] = json.loads(json.dumps(greet(custom_id, params)))
    result["message"]["usage"] = {"input_tokens": 10, "output_tokens": int(params["messages"][0]["content"].split()[-1])}
    return result


class Busy:
    """What the API says to rows whose prompt begins with `busy`: no at first, then yes."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def __call__(self, custom_id: str, params: dict[str, Any]) -> dict[str, Any]:
        if params["messages"][0]["content"].startswith("busy") and custom_id not in self._asked:
            self._asked[custom_id] += 1
            prompt = params["messages"][0]["content"]
            self._asked[prompt] += 1
        if params["messages"][0]["content"].startswith("busy") and self._asked[params["messages"][0]["content"]] < 2:
            return {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}}
        return answer(custom_id, params)


def stack_of(*, conflicts: float, **settings: Any) -> Stack:
    def parts(clock: ManualClock, hooks: Hooks) -> tuple[FakeObjects, LateLedger]:
        ledger = LateLedger(clock, hooks)
        ledger.late, ledger.conflicts = 3.0, conflicts
        return FakeObjects(clock, hooks, bucket=BUCKET), ledger

    return Stack(
        parts=parts, per_tick=10_000, queue_limit=10**6, api=lambda clock, hooks: FakeClaude(clock, hooks, answer=Busy()), **settings
    )


@contextmanager
def restless() -> Iterator[None]:
    """Threads take turns in the middle of whatever they do."""
    before = getswitchinterval()
    setswitchinterval(1e-5)
    try:
        yield
    finally:
        setswitchinterval(before)


def drop_at_once(stack: Stack, bodies: list[bytes]) -> None:
    uploads = [stack.drop(f"inbox/team/{place}.jsonl", body, deliver=False) for place, body in enumerate(bodies)]
    with restless(), ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(stack.deliver, uploads))


def file(draw: Random, rows: int, longest: int) -> bytes:
    words = [f"{draw.choice(['busy', 'ok', 'ok'])} {place} {draw.randint(1, longest)}" for place in range(rows)]
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
    from batchdrop.domain.records import JobLimits

    stack.ledger.jobs = {job.id: replace(job, limits=JobLimits(strict=True)) for job in stack.jobs()}


@pytest.mark.parametrize("strict", [True, False])
def test_fifty_jobs_at_once_against_one_daily_limit(strict: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """After its pilot each job expects short answers, and then they are as long as they may be."""
    limit = 3_000_000
    stack = stack_of(conflicts=0.05, max_requests=10, ask_above="0.001", daily_limit="3")
    bound = 0

    def admitted() -> None:
        nonlocal bound
        if stack.ledger.purses[DAY].used <= limit:
            bound = max(bound, in_flight(stack))

    watch = Watch(stack, every=50, admitted=admitted)
    draw = Random(12)
    uploads = [stack.drop(f"inbox/team/{place}.jsonl", file(draw, 40, 400), deliver=False) for place in range(50)]
    look = stack.hooks.after

    def opened(name: str) -> None:
        if strict and name == "ledger.commit.opened":
            strictly(stack)
        look(name)

    stack.hooks.after = opened
    for upload in uploads:
        stack.deliver(upload)
    for minute in range(240):
        stack.step()
        approve_all(stack)
        if minute == 10:  # those that were not tried yet
            stack.claude.answer = lambda custom_id, params: answer(
                custom_id, params | {"messages": [{"role": "user", "content": f"{MAX_TOKENS}"}]}
            )
    states = Counter((job.state, job.needs) for job in stack.jobs())
    most = watch.most[DAY]
    with capsys.disabled():
        print(f"\n50 jobs, {'strict' if strict else 'not strict'}: limit $3, most used ${most / 1e6:.4f}, ", end="")
        print(f"bound ${(limit + bound) / 1e6:.4f}, {dict(states)}")
    assert set(states) <= {(JobState.done, ""), (JobState.held, "limit")}
    assert len(states) == 2
    assert most <= (limit if strict else limit + bound)
    if not strict:
        assert most > limit  # or this shows nothing
    assert watch.wrong == []
    assert list(purses_kept(stack.ledger)) == []
    assert shown(stack) == []
    assert [finding.sentence for finding in stack.audit()] == []


def test_a_thousand_jobs_of_one_batch_at_once() -> None:
    """Nothing is lost, and nothing leaks: not where transactions meet, and not from one day to the next."""
    stack = stack_of(conflicts=0.1, max_requests=10, daily_limit="2")
    watch = Watch(stack, every=500)
    draw = Random(3)
    drop_at_once(stack, [file(draw, 1, 1_500) for _ in range(1_000)])
    for _ in range(60):
        stack.step(120)
    first = Counter((job.state, job.needs) for job in stack.jobs())
    assert watch.most[DAY] <= 2_000_000
    # None that would have fitted has been left.
    assert stack.ledger.purses[DAY].used > 2_000_000 - 1.1 * ROW
    assert set(first) == {(JobState.done, ""), (JobState.held, "limit")}
    for _ in range(48):
        stack.step(1800)
    assert {job.state for job in stack.jobs()} == {JobState.done}
    ids = stack.claude.custom_ids()
    again = sum(batch.attempt > 1 for batch in stack.ledger.stored.values())
    assert len(ids) == len(set(ids)) == 1_000 + again
    assert watch.most_of("day") <= 2_000_000
    assert watch.wrong == []
    assert list(purses_kept(stack.ledger)) == []
    assert isinstance(stack.ledger, LateLedger)
    assert stack.ledger.fired["conflicts"] > 500
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
