"""Whether money is counted right: what purses and jobs have reserved, spent and been billed, against the batches themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from batchdrop.domain.money import micro_up
from batchdrop.domain.records import Batch, Job, JobState
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.fakes.claude import Answer, FakeClaude, greet
from tests.fakes.ledger import FakeLedger
from tests.stack import Stack, row


def purses_kept(ledger: FakeLedger) -> Iterator[str]:
    """At any moment: reserved is what open batches have reserved, and spent is what collected ones were billed, rounded up.

    Of rows whose results are lost nobody knows a bill: their share of what was reserved is spent.
    """
    batches = list(ledger.stored.values())
    yield from _turns_kept(ledger)
    yield from _places_kept(ledger)
    # No batch is charged in what was promised to later files, and neither turns nor open jobs are money.
    purses = [purse for purse in ledger.purses.values() if not purse.name.startswith(("agreed ", "turn ", "open "))]
    for purse in purses:
        reserved = sum(batch.reserved for batch in batches if purse.name in batch.purses)
        if purse.used - purse.spent != reserved:
            yield f"the purse {purse.name!r} has {purse.used - purse.spent} reserved, its batches {reserved}"
    spent: Counter[str] = Counter()
    for job in ledger.jobs.values():
        own = [batch for batch in batches if batch.job_id == job.id]
        if job.used - job.spent != (reserved := sum(batch.reserved for batch in own)):
            yield f"job {job.id} has {job.used - job.spent} reserved, its batches {reserved}"
        billed = sum(micro_up(batch.bill.usd) for batch in own if batch.bill is not None)
        if job.spent < billed or (job.spent > billed and not any(map(_may_have_lost, own))):
            yield f"job {job.id} has spent {job.spent}, its batches were billed {billed}"
        for batch in own:
            spent.update(dict.fromkeys(batch.purses, micro_up(batch.bill.usd) if batch.bill is not None else 0))
    for purse in purses:
        lost = any(purse.name in batch.purses and _may_have_lost(batch) for batch in batches)
        if purse.spent < spent[purse.name] or (purse.spent > spent[purse.name] and not lost):
            yield f"the purse {purse.name!r} has {purse.spent} spent, its batches were billed {spent[purse.name]}"


def _turns_kept(ledger: FakeLedger) -> Iterator[str]:
    batches = list(ledger.stored.values())
    for purse in ledger.purses.values():
        if purse.name.startswith("turn ") and purse.spent != (turns := sum(batch.turn == purse.name for batch in batches)):
            yield f"the purse {purse.name!r} has counted {purse.spent} turns, its batches have had {turns}"


def _places_kept(ledger: FakeLedger) -> Iterator[str]:
    jobs = list(ledger.jobs.values())
    for purse in ledger.purses.values():
        if purse.name.startswith("open ") and purse.used != (places := sum(job.place == purse.name for job in jobs)):
            yield f"the purse {purse.name!r} has counted {purse.used} open jobs, and there are {places}"
    for job in jobs:
        if job.place and job.state in TERMINAL_JOB_STATES:
            yield f"job {job.id} has ended, and holds a place"


def _may_have_lost(batch: Batch) -> bool:
    return batch.bill is not None and bool((batch.counts and batch.counts.missing) or batch.bill.unpriced)


class Watch:
    """Looks at every write of the ledger: `most` is what each purse was used for at most, `wrong` what was wrong after one.

    `every`: of so many writes one is looked at closely, which takes time where there are many batches. `admitted`: told of each
    batch that was.
    """

    def __init__(self, stack: Stack, *, every: int = 1, admitted: Callable[[], None] = lambda: None) -> None:
        self._ledger = stack.ledger
        self._every = every
        self._admitted = admitted
        self.writes = 0
        self.wrong: list[str] = []
        self.most: Counter[str] = Counter()
        stack.hooks.after = self._look

    def most_of(self, kind: str) -> int:
        """Of all purses whose name begins so."""
        return max((used for name, used in self.most.items() if name.startswith(kind)), default=0)

    def _look(self, name: str) -> None:
        if not name.startswith("ledger.commit."):
            return
        with self._ledger._lock:
            self.writes += 1
            for purse in self._ledger.purses.values():
                self.most[purse.name] = max(self.most[purse.name], purse.used)
            if self.writes % self._every == 0:
                self.wrong += [f"after {name}: {wrong}" for wrong in purses_kept(self._ledger)]
            if name == "ledger.commit.admitted":
                self._admitted()


# ---------------------------------------------------------------- rows that cost something, and what people say

MAX_TOKENS = 4_000
ROW = 10_000
"""Micro-dollars of the longest answer, as a batch (Haiku 4.5, $5 a million output tokens). A prompt adds some."""


def dear_rows(number: int, prompt: str = "Hello", **params: Any) -> bytes:
    return b"\n".join(row(f"row {place}", f"{prompt} {place}", max_tokens=MAX_TOKENS, **params) for place in range(1, number + 1))


def answers_of(tokens: int) -> Answer:
    """Each answer is as long."""

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        result: dict[str, Any] = json.loads(json.dumps(greet(custom_id, params)))
        result["message"]["usage"] = {"input_tokens": 10, "output_tokens": tokens}
        return result

    return answer


def stack_of(tokens: int = 1_000, *, max_requests: int = 2, answer: Answer | None = None, **settings: Any) -> Stack:
    """Batches of two rows, which reserve a little more than 2 cents each."""
    return Stack(
        max_requests=max_requests,
        api=lambda clock, hooks: FakeClaude(clock, hooks, answer=answer or answers_of(tokens)),
        **settings,
    )


def until(stack: Stack, reached: Callable[[], bool], steps: int = 200, seconds: float = 60.0) -> None:
    for _ in range(steps):
        if reached():
            return
        stack.step(seconds)
    raise AssertionError([(job.state, job.needs, job.reason) for job in stack.jobs()])


def held(stack: Stack, needs: str) -> Job:
    """The only job, once it waits for that and nothing of it is on its way or at the API."""

    def waits() -> bool:
        job = stack.job()
        at_rest = not stack.ledger.get_admission().queued and job.batches_ended == job.batches_collected
        return job.state is JobState.held and job.needs == needs and at_rest

    until(stack, waits)
    return stack.job()


def say(stack: Stack, command: str, job: Job, *, folder: str = "", code: str = "", slash: bool = False) -> str:
    """Answers what the job asks. The key of the command."""
    assert job.question is not None
    key = f"control/{command}/{folder}{'/' * bool(folder)}{job.id}-{code or job.question.code}{'/' * slash}"
    stack._control(key)
    return key


def shown(stack: Stack) -> list[str]:
    """Jobs whose status says something else than the table."""
    wrong = []
    for job in stack.jobs():
        status = stack.document("status.json", job)
        if (status["state"], status["needs"] or "") != (job.state, job.needs):
            wrong.append(f"{job.id} is {job.state} {job.needs}, its status says {status['state']} {status['needs']}")
    return wrong
