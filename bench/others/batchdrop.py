"""Batchdrop under the same treatment: its real stages over the fakes of the tests, in one process, with a clock that is advanced.

The other tools run as processes against the emulator; `make faults` does that to Batchdrop's, in more ways. Both count what
the API accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from batchdrop.domain.errors import Ambiguous
from tests.fakes.claude import greet
from tests.stack import Killed, Stack, row

_FAILING = 100
_REASON = "this row cannot be answered"
_MEGABYTES = 1_000_000
_BAD = "bad"


def behaviour(rows: int) -> dict[str, Any]:
    return {
        "killed_at_post": _told(_run(rows, "claude.create", Killed()), rows),
        "killed_waiting": _told(_run(rows, "claude.page", Killed()), rows),
        "lost": _told(_run(rows, "claude.create", Ambiguous("the connection was lost", kind="ReadError")), rows),
        "failing": _failing(rows),
    }


def _run(rows: int, call: str, harm: BaseException) -> Stack:
    """A job during which the first call of that name is acted on, and its answer lost: the process dies, or hears an error."""
    stack = _stack()
    calls = count()

    def hook(name: str) -> None:
        if name == call and next(calls) == 0:
            raise harm

    stack.hooks.after = hook
    stack.drop("inbox/rows.jsonl", b"\n".join(row(f"row {number}", f"row {number}") for number in range(rows)))
    stack.run()
    assert next(calls) > 0
    return stack


def _stack() -> Stack:
    return Stack(
        max_requests=100_000,
        max_body_bytes=256 * _MEGABYTES,
        queue_limit=100_000,
        max_input_bytes=100 * _MEGABYTES,
        spool_bytes=100 * _MEGABYTES,
    )


def _told(stack: Stack, rows: int) -> dict[str, int | bool]:
    return {
        "reached": True,
        "ended": stack.job().state == "done",
        "posts": stack.hooks.calls.count("claude.create"),
        "answers": len(stack.lines("results.jsonl")),
        "twice": len(stack.claude.custom_ids()) - rows,
    }


def _failing(rows: int) -> dict[str, int | bool]:
    stack = _stack()

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        if _BAD not in params["messages"][0]["content"]:
            return greet(custom_id, params)
        error = {"type": "invalid_request_error", "message": _REASON}
        return {"type": "errored", "error": {"type": "error", "error": error}}

    stack.claude.answer = answer
    marked = ((number, "" if number % _FAILING else _BAD) for number in range(rows))
    stack.drop("inbox/rows.jsonl", b"\n".join(row(f"row {number}", f"row {number} {mark}") for number, mark in marked))
    stack.run()
    answered, failed = stack.lines("results.jsonl"), stack.lines("failed.jsonl")
    lines = [one["line"] for one in answered], [one["_batchdrop"]["line"] for one in failed]
    return {
        "ended": stack.job().outcome is not None,
        "fail": -(-rows // _FAILING),
        "back": len(answered) + len(failed),
        "answers": len(answered),
        "reasons": sum(_REASON in str(one["_batchdrop"]) for one in failed),
        "in_order": all(numbers == sorted(numbers) for numbers in lines) and len(answered) + len(failed) == rows,
        "full_price": 0,
    }
