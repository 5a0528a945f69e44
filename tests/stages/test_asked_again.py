"""Rows that go again are asked in the way that the recipe says for their reason, in one batch, and not for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop.domain.records import JobState
from batchdrop.reports.sentences import NO_ROOM_FOR_COPY
from tests.stack import Stack
from tests.stages.row_jobs import EXPIRED, prompt_of, run, said, stack_of, table

GOOD = json.dumps({"label": "positive"})
RECIPE = b"""\
model: claude-haiku-5-5
thinking: off
max_tokens: 100
prompt: 'Label: {{ text }}'
output:
  label: [positive, negative]
retry:
  truncated: {max_tokens: 4000}
  refused: {model: claude-opus-5-5, thinking: low, max_tokens: 2000}
  off_schema: {thinking: high, max_tokens: 3000}
  errored:
"""
FATES: dict[str, Mapping[str, object]] = {
    "truncated": said('{"label": "pos', stop="max_tokens"),
    "refused": said("No.", stop="refusal"),
    "off_schema": said('{"label": "great"}'),
    "not_json": said("It is positive."),
    "expires": EXPIRED,
    "bad": {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}},
    "busy": {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}},
    "good": said(GOOD),
}


def fated(max_attempts: int = 3, spool_bytes: int = 10_000_000) -> Stack:
    """Each text says what the model makes of it, attempt after attempt."""

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        words = prompt_of(params).removeprefix("Label: ").split()
        return FATES[words[min(stack.attempt_of(custom_id), len(words)) - 1]]

    stack = stack_of(max_attempts=max_attempts, spool_bytes=spool_bytes)
    stack.claude.answer = answer
    return stack


def file_of(*texts: str) -> bytes:
    return ("id,text\n" + "".join(f"{number},{text}\n" for number, text in enumerate(texts, 1))).encode()


def batches(stack: Stack) -> list[dict[str, dict[str, Any]]]:
    """The params of each request that was sent, by its text, batch after batch."""
    bodies = [json.loads(body)["requests"] for body in stack.claude.bodies]
    return [{prompt_of(one["params"]).removeprefix("Label: "): one["params"] for one in body} for body in bodies]


def without_messages(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "messages"}


def test_each_reason_has_its_own_way_and_one_batch_holds_them_all() -> None:
    stack = fated()
    texts = ("truncated good", "refused good", "off_schema good", "bad good", "busy good", "good", "not_json good")
    job = run(stack, "a.csv", file_of(*texts), RECIPE)
    first, second = batches(stack)
    assert set(second) == set(texts[:5])
    schema = first["good"]["output_config"]["format"]
    as_before = without_messages(first["good"])
    assert as_before == {
        "model": "claude-haiku-5-5",
        "max_tokens": 100,
        "thinking": {"type": "disabled"},
        "output_config": {"format": schema},
    }
    assert without_messages(second["truncated good"]) == as_before | {"max_tokens": 4_000}
    assert without_messages(second["refused good"]) == {
        "model": "claude-opus-5-5",
        "max_tokens": 2_000,
        "output_config": {"format": schema, "effort": "low"},
    }
    assert without_messages(second["off_schema good"]) == {
        "model": "claude-haiku-5-5",
        "max_tokens": 3_000,
        "output_config": {"format": schema, "effort": "high"},
    }
    assert without_messages(second["bad good"]) == without_messages(second["busy good"]) == as_before
    assert all(second[text]["messages"] == first[text]["messages"] for text in second)
    assert (job.counts.succeeded, job.counts.errored) == (6, 1)
    (failed,) = stack.lines("failed.jsonl")
    assert failed["_batchdrop"]["error"]["type"] == "not_json"
    assert [line["row"]["id"] for line in stack.lines("results.jsonl")] == ["1", "2", "3", "4", "5", "6"]


def test_what_was_refused_twice_is_not_asked_a_third_time_whatever_came_in_between() -> None:
    stack = fated(max_attempts=9)
    run(stack, "a.csv", file_of("refused refused good", "refused expires refused good", "refused truncated refused"), RECIPE)
    sent = [len(batch) for batch in batches(stack)]
    assert sent == [3, 3, 2]
    assert [line["_batchdrop"]["error"]["type"] for line in stack.lines("failed.jsonl")] == ["refused"] * 3
    assert [line["_batchdrop"]["attempts"] for line in stack.lines("failed.jsonl")] == [2, 3, 3]


def test_a_row_that_waits_for_the_api_keeps_what_was_changed() -> None:
    stack = fated()
    run(stack, "a.csv", file_of("refused expires good"), RECIPE)
    models = [one["model"] for batch in batches(stack) for one in batch.values()]
    assert models == ["claude-haiku-5-5", "claude-opus-5-5", "claude-opus-5-5"]


def test_attempts_are_the_limit() -> None:
    stack = fated()
    run(stack, "a.csv", file_of("truncated", "bad"), RECIPE + b"attempts: 2\n")
    assert [len(batch) for batch in batches(stack)] == [2, 2]
    assert {line["_batchdrop"]["attempts"] for line in stack.lines("failed.jsonl")} == {2}


def test_the_other_model_is_paid_at_its_own_price_and_reserved_so() -> None:
    stack = fated()
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.drop("inbox/team/a.csv", file_of("refused good"))
    reserved: dict[str, int] = {}

    def look(call: str) -> None:
        if call == "ledger.commit.intended":
            reserved.update({batch.name: batch.reserved for batch in stack.batches() if batch.reserved})

    stack.hooks.after = look
    stack.run()
    first, second = reserved.values()
    # 100 tokens at half of $0.50 a million, and 2,000 at half of $20.
    assert first < 100
    assert 20_000 < second < 25_000
    assert set(stack.document("manifest.json")["usage"]) == {"claude-haiku-4-5"}  # as these answers name it


@pytest.mark.parametrize(
    ("retry", "says"),
    [
        (
            b"refused: {model: claude-opus-5-5}",
            "Rows asked again as `refused`: claude-opus-5-5 always thinks",
        ),
        (b"refused: {model: claude-sonnet-4-20250514}", "is retired"),
        (b"refused: {model: claude-sonet-5-5}", "Did you mean claude-sonnet-5-5?"),
        (b"off_schema: {thinking: high, model: claude-haiku-4-5}", "claude-haiku-4-5 does not take the effort `high`"),
        (b"truncated: {thinking: on, max_tokens: 50}", None),
    ],
)
def test_what_does_not_fit_the_other_model_is_said_when_the_recipe_is_read(retry: bytes, says: str | None) -> None:
    stack = stack_of()
    recipe = RECIPE[: RECIPE.index(b"output")] + b"retry:\n  " + retry + b"\n"
    stack.drop("inbox/team/recipe.yaml", recipe)
    stack.drop("inbox/team/a.csv", file_of("good"))
    stack.run(5)
    if says is None:
        assert stack.job().state is JobState.done
        return
    assert stack.job().state is JobState.held
    assert says in stack.job().reason
    assert "recipe.yaml, line 6" in stack.job().reason
    assert stack.claude.bodies == []


def test_copies_are_asked_again_as_far_as_their_answers_may_be_written_in_one_go() -> None:
    # Room for 200,000 bytes of answers: an answer of 4,000 tokens may take 52,096, and copies are all that no price bounds.
    stack = fated(spool_bytes=50_000)
    texts = ["truncated good", *["truncated good"] * 5, "off_schema good", "refused good"]
    job = run(stack, "a.csv", file_of(*texts), RECIPE.replace(b"retry:", b"dedupe: true\nretry:"))
    assert job.state is JobState.done
    assert stack.audit() == []
    assert [len(batch) for batch in batches(stack)] == [3, 3], "a request once, however many rows have it"
    head, *rows = table(stack)
    assert [row[head.index("batchdrop_status")] for row in rows] == ["succeeded"] * 4 + ["errored"] * 2 + ["succeeded"] * 2
    failed = stack.lines("failed.jsonl")
    assert [line["_batchdrop"]["line"] for line in failed] == [6, 7]
    assert all(NO_ROOM_FOR_COPY in line["_batchdrop"]["error"]["message"] for line in failed)
    assert all(line["_batchdrop"]["copied_from"] == 2 for line in failed)


@pytest.mark.parametrize("cache", ["5m", "1h"])
def test_another_model_is_asked_without_the_mark_of_the_cache(cache: str) -> None:
    stack = fated()
    rules = "Label: " + "Keep to the rules of the house in all that you say. " * 60

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        content = params["messages"][-1]["content"]
        text = content if isinstance(content, str) else content[-1]["text"]
        return FATES[text.split()[-2 + (stack.attempt_of(custom_id) > 1)]]

    stack.claude.answer = answer
    recipe = RECIPE.replace(b"prompt: 'Label: {{ text }}'", f"cache: {cache}\nprompt: '{rules}{{{{ text }}}}'".encode())
    job = run(stack, "a.csv", file_of("truncated good", "refused good", "good good"), recipe)
    assert job.state is JobState.done, job.reason
    requests = [one["params"] for body in stack.claude.bodies for one in json.loads(body)["requests"]]
    marked = [(one["model"], one["max_tokens"], "cache_control" in json.dumps(one)) for one in requests]
    assert sorted(marked[:3]) == [("claude-haiku-5-5", 100, True)] * 3
    assert sorted(marked[3:]) == [("claude-haiku-5-5", 4000, True), ("claude-opus-5-5", 2000, False)]
