"""The table is put back to an earlier moment, while bucket and API stay as they are: docs/restoring.md, step by step.

What was sent since then the table does not know: the log of `submit` does.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.fakes.claude import greet
from tests.stack import Stack, row

_MINUTES = 40
_STORED = ("jobs", "stored", "claims", "_admission", "models", "arrivals", "groups", "purses")


class _Saved(NamedTuple):
    """The table at one moment, and how much had been logged then."""

    table: dict[str, Any]
    logged: int


class _World:
    """Files that come one after the other, of which some rows fail once. What the API answers is billed by the words of a row."""

    def __init__(self, caplog: pytest.LogCaptureFixture, **options: Any) -> None:
        caplog.set_level(logging.INFO, "batchdrop")
        self._caplog = caplog
        self.stack = Stack(max_requests=3, queue_limit=6, **options)
        self._first: dict[str, str] = {}
        self.stack.claude.answer = self._answer
        self.stack.claude.seconds = 200.0

    def _answer(self, custom_id: str, params: dict[str, Any]) -> Any:
        words = params["messages"][0]["content"]
        if words.endswith("2") and self._first.setdefault(words, custom_id) == custom_id:
            return {"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "once"}}}
        return greet(custom_id, params)

    def go_on(self, minute: int) -> None:
        if minute % 5 == 0:
            name = f"{minute:02}"
            self.stack.drop(f"inbox/{name}.jsonl", b"\n".join(row(f"r{n}", f"row {name}-{n}") for n in range(7)))
        self.stack.step()

    def save(self) -> _Saved:
        table = {name: getattr(self.stack.ledger, name) for name in _STORED}
        return _Saved(
            {name: dict(value) if isinstance(value, dict) else value for name, value in table.items()}, len(self._caplog.records)
        )

    def restore(self, saved: _Saved) -> None:
        for name, value in saved.table.items():
            setattr(self.stack.ledger, name, dict(value) if isinstance(value, dict) else value)

    def sent_since(self, saved: _Saved) -> set[str]:
        """The jobs that the log of `submit` names."""
        lines = ("batch accepted", "no definite answer")
        found = (one for one in self._caplog.records[saved.logged :] if one.getMessage() in lines)
        return {str(one.__dict__["job_id"]) for one in found}

    def ended(self) -> set[str]:
        """The jobs whose folder has a manifest."""
        return {key.split("/")[-2] for key in self.stack.objects.keys("outbox/") if key.endswith("/manifest.json")}

    def paid(self) -> Counter[str]:
        """How often each row was answered."""
        claude = self.stack.claude
        return Counter(self._paid_rows(claude))

    def _paid_rows(self, claude: Any) -> Iterator[str]:
        words = {
            request["custom_id"]: request["params"]["messages"][0]["content"]
            for body in claude.bodies
            for request in json.loads(body)["requests"]
        }
        for api_id in claude.ids:
            yield from (words[custom_id] for custom_id in claude.answered(api_id))


def _lived(caplog: pytest.LogCaptureFixture, moment: int) -> tuple[_World, _Saved]:
    """All of its minutes, and what the table was after one of them."""
    world = _World(caplog)
    for minute in range(_MINUTES):
        world.go_on(minute)
        if minute == moment:
            saved = world.save()
    return world, saved


@pytest.mark.parametrize("moment", range(1, _MINUTES, 8))
def test_after_the_procedure_nothing_is_paid_twice_and_delivered_files_stay(
    caplog: pytest.LogCaptureFixture, moment: int
) -> None:
    world, saved = _lived(caplog, moment)
    stack = world.stack
    names = ("results.jsonl", "manifest.json")
    delivered = {key: stack.objects.body(key) for key in stack.objects.keys("outbox/") if key.endswith(names)}

    stack.switch.text = "pause"
    world.restore(saved)
    stack.step()
    for job_id in world.sent_since(saved) | world.ended():
        stack.command("cancel", job_id)
    for _ in range(60):
        stack.step()
    stack.switch.text = "run"
    stack.run()

    assert [words for words, times in world.paid().items() if times > 1] == []
    assert {job.state for job in stack.jobs()} <= TERMINAL_JOB_STATES
    assert {key: stack.objects.body(key) for key in delivered} == delivered


@pytest.mark.parametrize("moment", [12, 30])
def test_without_the_procedure_rows_are_paid_twice(caplog: pytest.LogCaptureFixture, moment: int) -> None:
    """Why there is one: a batch that waits in the old table may have been sent since."""
    world, saved = _lived(caplog, moment)
    world.restore(saved)
    world.stack.run()
    assert [words for words, times in world.paid().items() if times > 1]
