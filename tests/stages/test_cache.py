"""A beginning that all prompts share is marked, billed by the API's own usage, and the manifest says what that was worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop.domain.records import JobState
from tests.stack import Stack
from tests.stages.row_jobs import run, said, stack_of

RULES = "Be brief. " * 700
RECIPE = f"""\
model: claude-haiku-5-5
cache: 1h
thinking: off
max_tokens: 100
system: {json.dumps(RULES)}
prompt: 'Summarize: {{{{ text }}}}'
""".encode()
PREFIX = 2_000


def rows(number: int) -> bytes:
    return b"".join([b"text\n", *(b"Text %d\n" % row for row in range(1, number + 1))])


class Cached:
    """An API that reads the prefix of all rows but of the first `misses`."""

    def __init__(self, misses: int = 1) -> None:
        self.misses = misses
        self.rows: dict[str, int] = {}
        """By custom id, in the order in which they were answered."""

    def __call__(self, custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        found = said("Short.")
        found["message"]["model"] = params["model"]
        hit = self.rows.setdefault(custom_id, len(self.rows)) >= self.misses
        found["message"]["usage"] = {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_creation_input_tokens": 0 if hit else PREFIX,
            "cache_read_input_tokens": PREFIX if hit else 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 if hit else PREFIX},
        }
        return found


def marks(stack: Stack) -> list[str]:
    """Of each request that was sent, the text before its mark."""
    found = []
    for params in (request["params"] for body in stack.claude.bodies for request in json.loads(body)["requests"]):
        assert json.dumps(params).count('"cache_control"') == 1
        (block,) = [block for block in params["messages"][-1]["content"] if "cache_control" in block]
        assert block["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
        found.append(block["text"])
    return found


def test_the_manifest_says_what_was_written_and_read_and_what_that_saved() -> None:
    stack = stack_of(Cached(misses=2))
    run(stack, "rows.csv", rows(10), RECIPE)
    assert marks(stack) == ["Summarize: "] * 10
    manifest = json.loads(stack.output("manifest.json"))
    written, read = 2 * PREFIX, 8 * PREFIX
    # Haiku 5.5, US$ a million tokens as a batch: prompts 0.05, written for an hour 0.10, read 0.005.
    saved = (read * (0.05 - 0.005) - written * (0.10 - 0.05)) / 1e6
    cache = manifest["cache"]
    assert cache.pop("saved_usd") == pytest.approx(saved, rel=1e-9)
    assert cache == {"hit_share": 0.8, "written_tokens": written, "read_tokens": read}
    assert f"Prompt caching saved ${saved:.2g}" in (report := stack.output("report.html").decode())
    assert "80 % of what all prompts begin with was found in it" in report
    assert manifest["cost"]["usd"] == pytest.approx((100 * 0.05 + 50 * 0.25 + written * 0.10 + read * 0.005) / 1e6, rel=1e-9)


def test_a_cache_that_is_only_written_to_has_cost_more_than_it_saved() -> None:
    stack = stack_of(Cached(misses=10))
    run(stack, "rows.csv", rows(10), RECIPE)
    cache = json.loads(stack.output("manifest.json"))["cache"]
    assert cache["hit_share"] == 0
    assert "Prompt caching cost $" in stack.output("report.html").decode()
    assert cache["saved_usd"] == pytest.approx(-10 * PREFIX * 0.05 / 1e6, rel=1e-9)


def test_a_job_without_a_cache_says_nothing_of_one() -> None:
    stack = stack_of()
    run(stack, "rows.csv", rows(3))
    assert "cache" not in json.loads(stack.output("manifest.json"))


def test_what_is_reserved_covers_rows_that_all_write() -> None:
    stack = stack_of(Cached(misses=10))
    run(stack, "rows.csv", rows(10), RECIPE)
    manifest = json.loads(stack.output("manifest.json"))
    assert manifest["cost"]["usd"] <= manifest["cost"]["estimate_usd"]["high"]


def test_a_beginning_that_no_model_would_cache_waits_for_another_recipe() -> None:
    stack = stack_of()
    stack.drop("inbox/marketing/recipe.yaml", RECIPE.replace(RULES.encode(), b"Be brief."))
    stack.drop("inbox/marketing/rows.csv", rows(3))
    stack.run()
    job = stack.job()
    assert job.state is JobState.held
    assert "claude-haiku-5-5 caches from 512 on: nothing would be kept" in job.reason
    assert "recipe.yaml, line 2" in job.reason
    assert not stack.claude.custom_ids()


def test_one_that_may_be_too_short_is_sent_and_says_so() -> None:
    stack = stack_of(Cached())
    job = run(stack, "rows.csv", rows(3), RECIPE.replace(RULES.encode(), b"Be brief. " * 120))
    assert "claude-haiku-5-5 caches from 512 on: the manifest will tell what was cached" in job.warnings
