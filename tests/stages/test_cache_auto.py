"""`cache: auto` caches where rows that were tried show that it pays, and says why or why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop.domain.records import Job
from tests.stack import Stack
from tests.stages.row_jobs import said
from tests.stages.test_cache import PREFIX, RULES
from tests.stages.test_cache import RECIPE as CACHED
from tests.stages.test_warm_up import approve, asked, done, drop, sent, sizes, stack_of

RECIPE = CACHED.replace(b"cache: 1h", b"cache: auto")
ASKS = RECIPE.replace(b"max_tokens: 100", b"max_tokens: 20000")
ROWS = 60


class Hits:
    """An API that finds the prefix of a marked row in so many of twenty rows."""

    def __init__(self, of_twenty: int) -> None:
        self.of_twenty = of_twenty
        self.rows: dict[str, int] = {}

    def __call__(self, custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        found = said("Short.")
        found["message"]["model"] = params["model"]
        number = self.rows.setdefault(custom_id, len(self.rows))
        marked = "cache_control" in json.dumps(params)
        hit = marked and 0 < number % 20 <= self.of_twenty
        written = PREFIX if marked and not hit else 0
        found["message"]["usage"] = {
            "input_tokens": 10 if marked else PREFIX + 10,
            "output_tokens": 5 if params["max_tokens"] < 1_000 else 18_000,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": PREFIX if hit else 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": written},
        }
        return found


def marked(stack: Stack) -> list[bool]:
    """Of each batch, whether its requests have a mark."""
    found = []
    for body in stack.claude.bodies:
        each = {b"cache_control" in json.dumps(request).encode() for request in json.loads(body)["requests"]}
        assert len(each) == 1
        found.append(each.pop())
    return found


def after(hits: int) -> tuple[Stack, Job]:
    stack = stack_of(Hits(hits), ask_above="0.15")
    drop(stack, ROWS, ASKS)
    return stack, asked(stack)


def test_the_others_are_cached_where_enough_of_the_tried_rows_were_read() -> None:
    stack, job = after(hits=15)
    approve(stack, job)
    job = done(stack)
    assert sizes(stack)[:2] == [1, 19]
    assert set(marked(stack)) == {True}
    why = "Cached: of what the tried rows have in common, 79% was read from the cache, and that pays above 53%."
    assert stack.document("status.json")["cache"] == why
    assert json.loads(stack.output("manifest.json"))["cache"]["decision"] == why


def test_the_others_are_not_cached_where_too_few_were_read() -> None:
    stack, job = after(hits=8)
    low, high = job.question.low if job.question else 0, job.question.high if job.question else 0
    # They are expected to cost what they cost without a cache, not what these took of which most were written.
    assert job.learned is not None
    assert 800_000 < job.learned.input_low <= job.learned.input_high < 900_000
    approve(stack, job)
    job = done(stack)
    assert marked(stack)[:2] == [True, True]
    assert set(marked(stack)[2:]) == {False}
    why = "Not cached: of what the tried rows have in common, 42% was read from the cache, and that pays above 53%."
    assert stack.document("status.json")["cache"] == why
    cache = json.loads(stack.output("manifest.json"))["cache"]
    assert cache["decision"] == why
    assert cache["written_tokens"] + cache["read_tokens"] == 20 * PREFIX
    # What was asked about the others is their price without a cache.
    others = 40 * ((PREFIX + 10) * 0.05 + 18_000 * 0.25)
    assert low <= others <= high


def test_without_marks_the_others_ask_for_the_same() -> None:
    stack, job = after(hits=8)
    approve(stack, job)
    done(stack)
    requests = [request["params"] for body in stack.claude.bodies for request in json.loads(body)["requests"]]
    texts = set()
    for params in requests:
        blocks = params["messages"][0]["content"]
        assert [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks] == [
            {"type": "text", "text": "Summarize: "},
            {"type": "text", "text": blocks[1]["text"]},
        ]
        assert params["system"] == RULES
        texts.add(blocks[1]["text"])
    assert texts == {f"Text {number}" for number in range(1, ROWS + 1)}
    assert max(sent(stack).values()) == 1


@pytest.mark.parametrize(
    ("number", "recipe", "why"),
    [
        (20, RECIPE, "Not cached: 20 rows are too few."),
        (60, RECIPE, "Not cached: with 60 rows, and nobody to be asked, none are tried first"),
        (60, RECIPE.replace(RULES.encode(), b"Be brief."), "claude-haiku-5-5 caches from 512 on."),
        (
            60,
            b"model: claude-haiku-5-5\nthinking: off\ncache: auto\nmax_tokens: 100\nprompt: '{{ text }}'\n",
            "Not cached: every prompt begins with the row's own text.",
        ),
    ],
    ids=["few", "nobody is asked", "too short", "nothing shared"],
)
def test_nothing_is_tried_for_what_would_not_pay(number: int, recipe: bytes, why: str) -> None:
    stack = stack_of(Hits(20))
    drop(stack, number, recipe)
    done(stack)
    assert set(marked(stack)) == {False}
    assert sizes(stack)[0] > 1
    assert why in stack.document("status.json")["cache"]
    assert why in json.loads(stack.output("manifest.json"))["cache"]["decision"]


def test_a_long_file_is_tried_although_nobody_is_asked() -> None:
    stack = stack_of(Hits(18))
    drop(stack, 1_000, RECIPE)
    done(stack)
    assert sizes(stack)[:2] == [1, 19]
    assert set(marked(stack)) == {True}
    assert "Cached: of what" in stack.document("status.json")["cache"]
