"""100,000 rows that begin with the same 6,000 tokens, on the emulator's cache: one writes, and most others read."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from batchdrop.domain.records import JobState
from local.claude import messages
from local.claude import params as requests
from local.claude.rendering import HITS, TOGETHER
from local.claude.tokens import Cache
from tests.fakes.claude import FakeClaude
from tests.stack import Stack

TOKENS = 6_000
RULES = "Keep to the rules of the house, and be brief in all you say. " * (TOKENS * 4 // 61)
RECIPE = f"""\
model: claude-haiku-5-5
thinking: off
cache: 1h
max_tokens: 100
system: {json.dumps(RULES)}
prompt: 'Summarize: {{{{ text }}}}'
""".encode()


class Emulated:
    """Answers each request as the emulator does, with a cache that all batches of a workspace share."""

    def __init__(self) -> None:
        self._entries: dict[str, float] = {}
        self._of_batch: dict[str, tuple[Cache, list[int]]] = {}
        self._answers: dict[str, Mapping[str, object]] = {}

    def __call__(self, custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        if custom_id not in self._answers:
            self._answers[custom_id] = self._answer(custom_id, params)
        return self._answers[custom_id]

    def _answer(self, custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        batch = custom_id.rpartition("-")[0]
        if batch not in self._of_batch:
            cache = Cache(self._entries, 0.0, None, random.Random(batch).uniform(*HITS), random.Random(batch).random())
            cache.visible = dict(self._entries)
            self._of_batch[batch] = cache, [0]
        cache, rows = self._of_batch[batch]
        if rows[0] == TOGETHER:
            cache.visible = cache.entries
        rows[0] += 1
        request = requests.read(msgspec.json.encode(params), version="2026-10-21", betas=frozenset(), batch=True)
        message = messages.build(request, f"msg_{custom_id}", cache, tier="batch")
        return {"type": "succeeded", "message": msgspec.to_builtins(message)}


class Frugal(FakeClaude):
    """Keeps the beginning of all its requests once: gigabytes of them are one text."""

    def _check(self, body: bytes) -> list[dict[str, Any]]:
        requests = super()._check(body)
        for one in requests:
            one["params"]["system"] = sys.intern(one["params"]["system"])
        return requests


def stack_of(rows: int) -> Stack:
    stack = Stack(
        max_requests=10_000,
        max_body_bytes=250_000_000,
        max_input_bytes=10_000_000_000,
        spool_bytes=2_000_000_000,
        api=lambda clock, hooks: Frugal(clock, hooks, answer=Emulated()),
    )
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.drop("inbox/team/rows.csv", b"text\n" + b"".join(b"Text %d\n" % row for row in range(rows)))
    return stack


def cost_of(rows: int) -> dict[str, Any]:
    stack = stack_of(rows)
    stack.run()
    assert stack.job().state is JobState.done, stack.job().reason
    first, *others = (len(json.loads(body)["requests"]) for body in stack.claude.bodies)
    assert first == 1, "the warm-up"
    assert 1 + sum(others) == rows
    manifest: dict[str, Any] = json.loads(stack.output("manifest.json"))
    return manifest


@pytest.mark.scale
@pytest.mark.parametrize("rows", [100_000])
def test_a_long_beginning_is_written_once_and_read_by_most(rows: int) -> None:
    manifest = cost_of(rows)
    cache, cost = manifest["cache"], manifest["cost"]
    assert manifest["counts"]["succeeded"] == rows
    assert cache["written_tokens"] + cache["read_tokens"] >= rows * TOKENS * 0.95
    assert HITS[0] - 0.05 < cache["hit_share"] < HITS[1]
    uncached = cost["uncached_real_time_usd"] / 2
    assert cost["usd"] + cache["saved_usd"] == pytest.approx(uncached, rel=1e-9)
    print(f"\n{rows:,} rows: hit share {cache['hit_share']:.1%}, ${cost['usd']:.2f} against ${uncached:.2f} uncached")
