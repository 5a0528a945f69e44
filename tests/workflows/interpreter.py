"""MiniStack's interpreter of the Amazon States Language, in a process of its own, run by MiniStack's Python.

The first line of the standard input is `{"definition", "name", "input"}`. What a state does outside is a line of the standard
output, answered by a line: `{"task", "arguments"}` by `{"result"}` or `{"error", "cause"}`, `{"wait": seconds}` by anything.
The last line is `{"end"}`, the execution as DescribeExecution has it, or what CreateStateMachine refuses.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

states: Any = importlib.import_module("ministack.services.stepfunctions")


def ask(question: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(question), flush=True)
    return dict(json.loads(sys.stdin.readline()))


def task(resource: str, arguments: Any) -> Any:
    answer = ask({"task": resource, "arguments": arguments})
    if "error" in answer:
        raise states._ExecutionError(answer["error"], answer["cause"])
    return answer["result"]


def main() -> None:
    states._invoke_resource = task
    states._scaled_sleep = lambda seconds: ask({"wait": seconds})
    asked = json.loads(sys.stdin.readline())
    made = {
        "name": "example",
        "definition": asked["definition"],
        "roleArn": "arn:aws:iam::000000000000:role/example",
        "type": "EXPRESS",
    }
    status, _, body = states._create_state_machine(made)
    if status == 200:
        machine = json.loads(body)["stateMachineArn"]
        started = {"stateMachineArn": machine, "name": asked["name"], "input": json.dumps(asked["input"])}
        _, _, body = states._start_sync_execution(started)
    print(json.dumps({"end": json.loads(body)}), flush=True)


if __name__ == "__main__":
    main()
