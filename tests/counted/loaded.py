"""What a whole job asks for while it runs: `python -m tests.counted.loaded KIND` prints the modules as one line of JSON.

The harness has loaded much of it before, for its audit; so what counts is which imports the stages execute.
"""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Mapping
from typing import Any

from tests.fakes.claude import FakeClaude
from tests.stack import Stack, rows

RECIPE = b"""\
model: claude-haiku-4-5
prompt: |
  Label this review: {{ text }}
output:
  label: [positive, negative, neutral]
"""
_MESSAGE = {"model": "claude-haiku-4-5", "content": [{"type": "text", "text": '{"label":"positive"}'}], "stop_reason": "end_turn"}


def _answer(custom_id: str, params: Mapping[str, Any]) -> Mapping[str, object]:
    return {"type": "succeeded", "message": {**_MESSAGE, "usage": {"input_tokens": 1, "output_tokens": 1}}}


def main(kind: str) -> None:
    stack = Stack(api=lambda clock, hooks: FakeClaude(clock, hooks, answer=_answer))
    asked: set[str] = set()
    load = builtins.__import__

    def noted(name: str, *rest: Any, **named: Any) -> Any:
        asked.add(name)
        return load(name, *rest, **named)

    builtins.__import__ = noted
    if kind == "recipe":
        stack.drop("inbox/recipe.yaml", RECIPE)
        stack.drop("inbox/reviews.csv", b"text,stars\nGood,5\n")
    else:
        stack.drop("inbox/rows.jsonl", rows(3))
    stack.run()
    builtins.__import__ = load
    print(json.dumps({"state": stack.job().state, "modules": sorted(asked)}))


if __name__ == "__main__":
    main(sys.argv[1])
