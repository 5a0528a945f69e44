"""One row is sent first and writes the cache; the others find it. It is a row like any other, and paid once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop.domain.records import PILOT, WARM_UP, BatchState, Job, JobState
from tests.fakes.claude import FakeClaude
from tests.money import purses_kept
from tests.stack import Stack
from tests.stages.row_jobs import EXPIRED, said, table
from tests.stages.test_cache import PREFIX, RECIPE, rows

ROWS = 60


class Prefixes:
    """An API that remembers which batches have ended when another one is created: only these have written the prefix."""

    def __init__(self) -> None:
        self.first: set[str] = set()

    def __call__(self, custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        content = params["messages"][-1]["content"]
        found = said(f"About {content if isinstance(content, str) else content[-1]['text']}")
        found["message"]["model"] = params["model"]
        hit = bool(self.first) and custom_id.rpartition("-")[0] not in self.first
        self.first = self.first or {custom_id.rpartition("-")[0]}
        found["message"]["usage"] = {
            "input_tokens": 10,
            "output_tokens": 5 if params["max_tokens"] < 1_000 else 18_000,
            "cache_creation_input_tokens": 0 if hit else PREFIX,
            "cache_read_input_tokens": PREFIX if hit else 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 if hit else PREFIX},
        }
        return found


def stack_of(answer: Any = None, **more: Any) -> Stack:
    return Stack(max_requests=25, api=lambda clock, hooks: FakeClaude(clock, hooks, answer=answer or Prefixes()), **more)


def drop(stack: Stack, number: int = ROWS, recipe: bytes = RECIPE) -> None:
    stack.drop("inbox/marketing/recipe.yaml", recipe)
    stack.drop("inbox/marketing/rows.csv", rows(number))


def sizes(stack: Stack) -> list[int]:
    """Requests of each batch at the API, in order."""
    return [len(json.loads(body)["requests"]) for body in stack.claude.bodies]


def sent(stack: Stack) -> Counter[int]:
    return Counter(int(custom_id.rpartition("-")[2]) for custom_id in stack.claude.custom_ids())


def done(stack: Stack) -> Job:
    stack.run()
    job = stack.job()
    assert job.state is JobState.done, job.reason
    assert stack.audit() == []
    assert list(purses_kept(stack.ledger)) == []
    return job


def until(stack: Stack, wanted: Any) -> Job:
    for _ in range(200):
        if stack.jobs() and wanted(job := stack.job()):
            return job
        stack.step(seconds=20)
    raise AssertionError(f"{job.state} {job.reason}")


def test_one_row_goes_first_and_the_others_when_it_is_back() -> None:
    stack = stack_of()
    drop(stack)
    done(stack)
    assert sizes(stack)[0] == 1
    assert sum(sizes(stack)) == ROWS
    assert sent(stack) == Counter(range(2, ROWS + 2))
    cache = json.loads(stack.output("manifest.json"))["cache"]
    assert cache["written_tokens"] == PREFIX, "once"
    assert cache["read_tokens"] == (ROWS - 1) * PREFIX
    found = table(stack)[1:]
    assert [row[1] for row in found] == [f"About Text {number}" for number in range(1, ROWS + 1)]
    assert [batch["attempt"] for batch in json.loads(stack.output("manifest.json"))["batches"]] == [1] * len(sizes(stack))
    assert {line["attempts"] for line in stack.lines("results.jsonl")} == {1}


def test_nothing_else_is_sent_before_it_is_collected() -> None:
    stack = stack_of()
    drop(stack)
    until(stack, lambda _: bool(stack.claude.bodies))
    for _ in range(5):
        if not stack.job().warming:
            break
        assert sizes(stack) == [1]
        stack.step()
    until(stack, lambda job: not job.warming)
    assert sizes(stack)[:1] == [1]
    done(stack)


@pytest.mark.parametrize(
    ("number", "recipe"),
    [(20, RECIPE), (ROWS, RECIPE.replace(b"cache: 1h", b"cache: 5m")), (ROWS, RECIPE.replace(b"cache: 1h\n", b""))],
    ids=["a small file", "five minutes", "no cache"],
)
def test_others_are_sent_at_once(number: int, recipe: bytes) -> None:
    stack = stack_of()
    drop(stack, number, recipe)
    done(stack)
    assert max(sizes(stack)) == sizes(stack)[0]
    assert sizes(stack)[0] > 1


# A row costs up to $0.005: 60 rows are more than may be spent unasked, 20 are not.
ASKS = RECIPE.replace(b"max_tokens: 100", b"max_tokens: 20000")


def asked(stack: Stack) -> Job:
    job = until(stack, lambda job: job.state is JobState.held and job.question is not None)
    assert job.question is not None
    return job


def approve(stack: Stack, job: Job) -> None:
    assert job.question is not None
    stack._control(f"control/approve/{job.id}-{job.question.code}")


def test_the_pilot_is_one_row_then_nineteen() -> None:
    stack = stack_of(ask_above="0.15")
    drop(stack, ROWS, ASKS)
    job = asked(stack)
    assert sizes(stack) == [1, 19]
    assert job.question is not None
    assert (job.tried, job.question.rows) == (20, ROWS - 20)
    assert "20 of 60 rows were tried" in stack.document("status.json")["message"]
    assert [line["line"] for line in stack.lines("tried.jsonl")] == sorted(sent(stack))
    assert len(stack.output("tried.csv").splitlines()) == 21
    approve(stack, job)
    done(stack)
    assert sent(stack) == Counter(range(2, ROWS + 2))
    assert json.loads(stack.output("manifest.json"))["cache"]["written_tokens"] == PREFIX


def test_what_the_warm_up_wrote_is_not_what_others_are_expected_to_cost() -> None:
    stack = stack_of(ask_above="0.15")
    drop(stack, ROWS, ASKS)
    job = asked(stack)
    assert job.learned is not None
    assert job.learned.rows == 19
    # Read at a tenth of the price. With the write, at twice the price, among twenty rows it would be nearly two tenths.
    assert 60_000 < job.learned.input_low <= job.learned.input_high < 120_000


def test_a_warm_up_that_brings_nothing_keeps_nobody_waiting() -> None:
    first: list[str] = []

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        first[:] = first or [custom_id]
        return EXPIRED if custom_id == first[0] else Prefixes()(custom_id, params)

    stack = stack_of(answer)
    drop(stack)
    done(stack)
    assert sent(stack).total() == ROWS + 1
    (again,) = [line for line, times in sent(stack).items() if times == 2]
    assert f"-{again}" in first[0]
    assert len(stack.lines("results.jsonl")) == ROWS


def test_a_cancel_waits_for_the_row_that_is_out_and_keeps_it() -> None:
    stack = stack_of(ask_above="0.15")
    drop(stack, ROWS, ASKS)
    job = until(stack, lambda job: any(batch.state is BatchState.in_progress for batch in stack.ledger.list_batches(job.id)))
    stack._control(f"control/cancel/{job.id}")
    stack.run()
    job = stack.job()
    assert job.state is JobState.canceled
    assert sizes(stack) == [1]
    assert job.counts.succeeded + job.counts.canceled == ROWS
    assert stack.audit() == []


def test_a_cancel_while_the_pilot_is_out_keeps_what_the_warm_up_brought() -> None:
    stack = stack_of(ask_above="0.15")
    drop(stack, ROWS, ASKS)

    def out(job: Job) -> bool:
        pilot = stack.ledger.get_batch(job.id, PILOT)
        return pilot is not None and pilot.state is BatchState.in_progress

    job = until(stack, out)
    warm_up = stack.ledger.get_batch(job.id, WARM_UP)
    assert warm_up is not None
    assert warm_up.state is BatchState.collected
    stack._control(f"control/cancel/{job.id}")
    stack.run()
    job = stack.job()
    assert job.state is JobState.canceled
    assert job.counts.succeeded >= 1
    assert job.counts.succeeded == len(stack.lines("results.jsonl"))
    assert stack.audit() == []
