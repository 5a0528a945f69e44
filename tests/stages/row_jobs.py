"""Jobs with a recipe: what is dropped, what the model says, and what comes back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from batchdrop.domain.records import Job, JobState
from tests.fakes.claude import Answer, FakeClaude
from tests.stack import Stack

RECIPE = b"""\
model: claude-haiku-4-5
prompt: |
  Label this review: {{ text }}
output:
  label: [positive, negative, neutral]
  explanation: string
"""
TABLE = """\
id,text,stars
1,"Good, really",5
2,Bad,1
0007,"two
lines",3
"""


def said(text: str, *, stop: str = "end_turn", kind: str = "text") -> dict[str, Any]:
    return {
        "type": "succeeded",
        "message": {
            "id": "msg",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5",
            "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": kind, "text": text}],
            "stop_reason": stop,
            "usage": {"input_tokens": 10, "output_tokens": 5},
        },
    }


def prompt_of(params: dict[str, Any]) -> str:
    return str(params["messages"][-1]["content"])


def label(_: str, params: dict[str, Any]) -> Mapping[str, object]:
    word = "Positive" if "Good" in prompt_of(params) else "negative"
    return said(json.dumps({"label": word, "explanation": "because"}))


def stack_of(answer: Answer = label, *, max_requests: int = 100, max_attempts: int = 3, spool_bytes: int = 10_000_000) -> Stack:
    return Stack(
        max_requests=max_requests,
        max_attempts=max_attempts,
        spool_bytes=spool_bytes,
        api=lambda clock, hooks: FakeClaude(clock, hooks, answer=answer),
    )


def run(stack: Stack, name: str, body: bytes, recipe: bytes = RECIPE, *, folder: str = "inbox/marketing/") -> Job:
    stack.drop(f"{folder}recipe.yaml", recipe)
    stack.drop(f"{folder}{name}", body)
    stack.run()
    job = stack.job()
    assert job.state is JobState.done, job.reason
    assert stack.audit() == []
    return job


def table(stack: Stack, name: str = "results.csv", job: Job | None = None, separator: str = ",") -> list[list[str]]:
    """Without the costs of rows, which are the last column of `results.csv`."""
    found = priced_table(stack, name, job, separator)
    if name == "results.csv":
        costs = [row.pop() for row in found]
        assert costs[0] == "batchdrop_usd"
        assert all(not cost or Decimal(cost) >= 0 for cost in costs[1:])
    return found


def priced_table(stack: Stack, name: str = "results.csv", job: Job | None = None, separator: str = ",") -> list[list[str]]:
    data = stack.output(name, job)
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator, strict=True))


EXPIRED = {"type": "expired"}
