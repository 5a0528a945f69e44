"""Answers beyond what a model writes otherwise: the beta goes with every create, and is refused before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop.domain.call_headers import LONG_OUTPUT
from batchdrop.domain.errors import Refused
from batchdrop.domain.model_list import ListedModel
from batchdrop.domain.model_names import LONG_OUTPUT_MODELS
from batchdrop.domain.records import JobState
from tests.fakes.claude import FakeClaude
from tests.stack import Stack, row
from tests.stages.row_jobs import EXPIRED, prompt_of, run, said, stack_of, table

RECIPE = b"""\
model: claude-haiku-5-5
max_tokens: 300000
long_output: true
prompt: 'Tell all of it: {{ text }}'
"""
ROWS = b"id,text\n1,Good\n2,Bad\n"


def betas(stack: Stack) -> list[tuple[str, ...]]:
    return [one.betas for one in stack.claude.headers.values()]


def test_a_long_answer_comes_after_a_second_attempt_and_both_creates_have_the_beta() -> None:
    words = "word " * 150_000
    stack = stack_of()

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        late = "Bad" in prompt_of(params) and stack.attempt_of(custom_id) == 1
        return EXPIRED if late else said(words if "Bad" in prompt_of(params) else "Short.")

    stack.claude.answer = answer
    run(stack, "a.csv", ROWS, RECIPE)
    assert betas(stack) == [(LONG_OUTPUT,)] * 2
    assert [json.loads(body)["requests"][0]["params"]["max_tokens"] for body in stack.claude.bodies] == [300_000] * 2
    header, *rows = table(stack)
    assert [len(cells[header.index("answer")]) for cells in rows] == [6, len(words)]
    assert [len(line["output"]["answer"]) for line in stack.lines("results.jsonl")] == [6, len(words)]


def test_both_halves_of_a_batch_that_is_refused_have_the_beta_and_so_has_a_retry() -> None:
    class Picky(FakeClaude):
        def _check(self, body: bytes) -> list[dict[str, Any]]:
            requests = super()._check(body)
            if len(requests) > 1:
                raise Refused("too large", status=413, kind="request_too_large")
            return requests

    stack = Stack(api=Picky, max_attempts=1)
    stack.claude.answer = lambda custom_id, params: EXPIRED
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.drop("inbox/team/a.csv", ROWS)
    stack.run()
    assert betas(stack) == [(LONG_OUTPUT,)] * 2
    first = stack.job()
    stack.command("retry", first.id)
    key = next(key for key in stack.objects.keys("inbox/") if f"retry-of-{first.id}" in key)
    assert stack.objects.head(key).metadata["anthropic-beta"] == LONG_OUTPUT


def test_the_rows_that_are_tried_first_have_it_and_the_estimate_knows_the_longest_answer() -> None:
    stack = Stack(ask_above="100")
    stack.claude.answer = lambda *_: said("Short.")
    stack.drop("inbox/team/recipe.yaml", RECIPE.replace(b"haiku", b"opus"))
    rows = "".join(f"{number},Good {number}\n" for number in range(1, 41))
    stack.drop("inbox/team/a.csv", f"id,text\n{rows}".encode())
    stack.step()
    expected = stack.job().expected
    assert expected is not None
    # 40 answers of 300,000 tokens at 10 dollars a million, half of the price of one by one.
    assert 120 <= expected.high / 1_000_000 < 130
    stack.run()
    assert [len(json.loads(body)["requests"]) for body in stack.claude.bodies] == [20, 20]
    assert betas(stack) == [(LONG_OUTPUT,)] * 2


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("claude-fable-5-2", "claude-fable-5-2 has no long output: leave `long_output` out and lower `max_tokens`"),
        ("claude-haiku-4-5", "claude-haiku-4-5 has no long output"),
        ("claude-of-tomorrow", "`betas: [output-300k-2026-03-24]` in its place"),
    ],
)
def test_a_model_without_it_waits_for_another_recipe(model: str, says: str) -> None:
    stack = stack_of()
    price = {"model": "claude-of-tomorrow", "input": 1, "output": 5, "write_5m": 1, "write_1h": 1, "read": 1}
    stack.objects.drop("config/prices.json", json.dumps([price]).encode())
    stack.drop("inbox/team/recipe.yaml", RECIPE.replace(b"claude-haiku-5-5", model.encode()))
    stack.drop("inbox/team/a.csv", ROWS)
    stack.run(5)
    job = stack.job()
    assert job.state is JobState.held
    assert "recipe.yaml, line 3: " in job.reason
    assert says in job.reason
    assert all(name in job.reason for name in LONG_OUTPUT_MODELS)
    assert stack.claude.bodies == []


def test_a_stack_that_does_not_allow_the_beta_says_so_at_that_line() -> None:
    stack = Stack(allowed_betas="")
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.drop("inbox/team/a.csv", ROWS)
    stack.run(5)
    assert stack.job().state is JobState.held
    assert f"recipe.yaml, line 3: This asks for anthropic-beta {LONG_OUTPUT}, which this stack does not" in stack.job().reason
    assert "AllowedBetas" in stack.job().reason


def asking(custom_id: str, model: str, max_tokens: int) -> bytes:
    line = json.loads(row(custom_id))
    line["params"] |= {"model": model, "max_tokens": max_tokens}
    return json.dumps(line).encode()


@pytest.mark.parametrize("beta", [False, True])
def test_a_request_that_asks_for_more_than_its_model_writes_is_invalid(beta: bool) -> None:
    stack = Stack()
    stack.claude.listed = tuple(ListedModel(id=f"claude-{name}", max_tokens=128_000) for name in ("haiku-5-5", "fable-5-2"))
    stack.tick()
    rows = [asking("haiku", "claude-haiku-5-5", 300_000), asking("fable", "claude-fable-5-2", 128_001)]
    more = [asking("usual", "claude-fable-5-2", 128_000), asking("beyond", "claude-haiku-5-5", 300_001)]
    stack.drop("inbox/a.jsonl", b"\n".join(rows + more), {"anthropic-beta": LONG_OUTPUT} if beta else {})
    stack.run()
    errors = {line["custom_id"]: line["_batchdrop"]["error"] for line in stack.lines("failed.jsonl")}
    assert errors.keys() == ({"fable", "beyond"} if beta else {"haiku", "fable", "beyond"})
    assert {error["type"] for error in errors.values()} == {"invalid_max_tokens"}
    assert "claude-fable-5-2 writes 128000 tokens at most" in errors["fable"]["message"]
    if not beta:
        assert f"anthropic-beta={LONG_OUTPUT}" in errors["haiku"]["message"]
        assert "anthropic-beta" not in errors["fable"]["message"]
