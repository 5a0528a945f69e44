"""With `DeleteBatchesAtApi`, the batches of a job that has ended are deleted at the API, and never looked for again."""

from __future__ import annotations

from typing import Any

import pytest

from batchdrop.domain import keys
from batchdrop.domain.errors import Unavailable
from batchdrop.domain.records import JobState
from tests.fakes.claude import Withheld, greet
from tests.stack import Killed, Stack, once, rows

_HOURS = 3600.0


def _ended(**options: Any) -> Stack:
    stack = Stack(max_requests=3, delete_batches=True, **options)
    stack.drop("inbox/a.jsonl", rows(7))
    stack.run()
    assert stack.job().state is JobState.done
    return stack


def _days_pass(stack: Stack, days: int = 2) -> None:
    for _ in range(days * 4):
        stack.clock.advance(6 * _HOURS)
        stack.tick()


def _left(stack: Stack) -> list[str]:
    return [key for key in stack.objects.all_keys() if key.startswith(keys.WORK)]


def test_batches_are_deleted_once_the_files_are_complete_and_nothing_is_sent_again() -> None:
    stack = _ended()
    assert stack.claude.deleted == []
    _days_pass(stack)
    assert stack.claude.deleted == stack.claude.ids
    assert _left(stack) == []
    _days_pass(stack, 31)
    stack.drop("inbox/b.jsonl", rows(1))
    stack.run()
    assert len(stack.claude.custom_ids()) == 8
    assert stack.failures == []


def test_nothing_is_deleted_while_the_job_is_open() -> None:
    stack = Stack(max_requests=3, delete_batches=True)
    stack.drop("inbox/a.jsonl", rows(7))
    for _ in range(10):
        stack.step()
        assert stack.job().state is JobState.done or stack.claude.deleted == []


def test_without_the_parameter_they_stay() -> None:
    """Also those of a job whose folder a killed run has left."""
    stack = Stack(max_requests=3)

    def kill() -> None:
        raise Killed

    once(stack, "objects.remove_all", kill)
    stack.drop("inbox/a.jsonl", rows(7))
    stack.run()
    assert _left(stack)
    _days_pass(stack)
    assert stack.claude.deleted == []
    assert _left(stack) == []


def test_what_the_api_does_not_know_is_deleted() -> None:
    stack = _ended()
    stack.claude.forget(stack.claude.ids[0])
    _days_pass(stack)
    assert stack.claude.deleted == stack.claude.ids
    assert _left(stack) == []


@pytest.mark.parametrize("call", ["claude.delete", "objects.remove_all"])
def test_a_killed_or_refused_deletion_is_made_later(call: str) -> None:
    for trouble in (Killed(), Unavailable("down", status=500)):
        stack = _ended()

        def fail(trouble: BaseException = trouble) -> None:
            raise trouble

        once(stack, call, fail, nth=1)
        _days_pass(stack, 3)
        assert stack.claude.deleted == stack.claude.ids
        assert _left(stack) == []


def test_more_batches_than_one_tick_deletes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.stages.poll.delete_batches._AT_ONCE", 1)
    stack = _ended()
    stack.clock.advance(30 * _HOURS)
    for _ in range(5):
        stack.tick()
    assert stack.claude.deleted == stack.claude.ids


def test_a_job_that_lacks_answers_keeps_its_batches() -> None:
    stack = Stack(max_requests=3, delete_batches=True)
    stack.claude.answer = lambda one, params: Withheld("succeeded") if one.endswith("-2") else greet(one, params)
    stack.drop("inbox/a.jsonl", rows(7))
    for _ in range(24 * 9):
        stack.clock.advance(_HOURS)
        stack.step()
    assert stack.job().counts.missing
    _days_pass(stack)
    assert stack.claude.deleted == []
    assert _left(stack) == []
