"""A job of PDFs of many page counts costs what was said of it before a row was tried, and after: the emulator counts its tokens.

The page counts of a job are drawn from its name, so that a test says the same each time, and none was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from batchdrop.domain.records import Job, JobState
from local.claude import answers, params, tokens
from tests.fakes.claude import FakeClaude
from tests.named_files import pdf
from tests.stack import Stack
from tests.stages.row_jobs import said

_ROWS = 150
_MOST = 100
"""Pages of a request, on the older of the models."""

type Pages = Callable[[Random], float]

_PAGES: Mapping[str, Pages] = {
    "letters": lambda random: random.randint(1, 3),
    "reports": lambda random: random.lognormvariate(2, 0.9),
    "letters and a few books": lambda random: random.uniform(60, _MOST) if random.random() < 0.05 else random.randint(1, 2),
}


def _answer(_: str, asked: dict[str, Any]) -> Mapping[str, object]:
    """Billed as the emulator bills it."""
    read = params.read(msgspec.json.encode(asked), version="2026-10-21", betas=frozenset(), batch=True)
    text = answers.compose(read)
    result = said(text.text or "It is blank.")
    result["message"]["model"] = read.model
    result["message"]["usage"] = {"input_tokens": tokens.of_input(read), "output_tokens": text.output_tokens}
    return result


def _dropped(model: str, kind: str, ask_above: str) -> Stack:
    stack = Stack(ask_above=ask_above, max_requests=1_000, api=lambda clock, hooks: FakeClaude(clock, hooks, answer=_answer))
    random = Random(f"{model}, {kind}")
    pages = [min(_MOST, max(1, round(_PAGES[kind](random)))) for _ in range(_ROWS)]
    for number in set(pages):
        stack.objects.drop(f"inbox/bills/{number}.pdf", pdf(number))
    recipe = f'model: {model}\ndocuments: ["{{{{ path }}}}"]\nprompt: What is it?\nmax_tokens: 200\nthinking: off\n'
    stack.drop("inbox/bills/recipe.yaml", recipe.encode())
    stack.drop("inbox/bills/bills.csv", b"path\n" + b"".join(b"%d.pdf\n" % number for number in pages))
    return stack


def _cost(stack: Stack) -> dict[str, Any]:
    job = stack.job()
    assert (job.state, job.counts.succeeded) == (JobState.done, _ROWS), job.reason
    cost: dict[str, Any] = stack.document("manifest.json")["cost"]
    return cost


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-5-5"])
@pytest.mark.parametrize("kind", _PAGES)
def test_what_a_job_of_documents_costs_is_inside_what_was_said(kind: str, model: str) -> None:
    stack = _dropped(model, kind, ask_above="1000")
    stack.run()
    cost = _cost(stack)
    assert cost["estimate_usd"]["low"] <= cost["usd"] <= cost["estimate_usd"]["high"]


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-5-5"])
@pytest.mark.parametrize("kind", _PAGES)
def test_after_twenty_documents_it_is_inside_and_the_band_is_narrow(kind: str, model: str) -> None:
    """Pages of all are known beforehand: what twenty tell is what a page takes."""
    stack = _dropped(model, kind, ask_above="0.000001")
    job = _asked(stack)
    assert job.question is not None
    low, high = job.used + job.question.low, job.used + job.question.high
    stack.command("approve", f"{job.id}-{job.question.code}")
    stack.run()
    paid = int(Decimal(str(_cost(stack)["usd"])) * 1_000_000)
    assert low <= paid <= high
    assert (high - low) / paid < 0.2


def _asked(stack: Stack) -> Job:
    """Once twenty rows were tried."""
    for _ in range(300):
        stack.step()
        job = stack.job()
        if job.state is JobState.held and job.question is not None:
            if not job.question.for_pilot:
                return job
            stack.command("approve", f"{job.id}-{job.question.code}")
    raise AssertionError(f"nobody was asked: {job.state} {job.reason}")
