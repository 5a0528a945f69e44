"""A job whose prompts begin with the same long text: one row writes it to the prompt cache, and the others read it."""

from __future__ import annotations

import json

import pytest

from tests.e2e.laptop import Laptop

_ROWS = 41
_RECIPE = f"""\
model: claude-haiku-5-5
cache: 1h
thinking: off
max_tokens: 100
system: {json.dumps("Keep to the rules of this one house, and be brief. " * 100)}
prompt: 'Summarize: {{{{ text }}}}'
"""


def test_one_row_warms_the_cache_and_the_manifest_says_what_that_saved(laptop: Laptop) -> None:
    laptop.claude.settings(cache_hits=0.875)
    laptop.s3.put_object(Bucket=laptop.bucket, Key="inbox/cached/recipe.yaml", Body=_RECIPE.encode())
    rows = "".join(f"Text {number}.\n" for number in range(_ROWS))
    job = laptop.drop("inbox/cached/rows.csv", f"text\n{rows}".encode()).wait().wait_for("done")
    manifest = job.manifest()
    batches = sorted(manifest["batches"], key=lambda batch: str(batch["created_at"]))
    assert [batch["requests"] for batch in batches] == [1, _ROWS - 1]
    assert batches[0]["ended_at"] <= batches[1]["created_at"]
    cache, cost = manifest["cache"], manifest["cost"]
    usage = [row["result"]["message"]["usage"] for row in job.lines("results.jsonl")]
    written = [one["cache_creation"]["ephemeral_1h_input_tokens"] for one in usage]
    read = [one["cache_read_input_tokens"] for one in usage]
    assert sorted(map(bool, written)) == [False] * 35 + [True] * 6, "35 of the 40 that could find it did"
    assert [bool(one) for one in read] == [not one for one in written]
    assert (cache["written_tokens"], cache["read_tokens"]) == (sum(written), sum(read))
    assert cache["hit_share"] == pytest.approx(35 / 41, abs=1e-4)
    assert cost["usd"] + cache["saved_usd"] == pytest.approx(cost["uncached_real_time_usd"] / 2)
    assert cache["saved_usd"] > 0
    assert job.audit() == []
