"""The list of models is fetched once a day, and nothing about it disturbs a tick."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchdrop.domain.errors import ApiError, Refused, Unavailable
from batchdrop.domain.model_list import ListedModel
from tests.stack import Stack

LISTED = (ListedModel(id="claude-haiku-5-5"), ListedModel(id="claude-opus-4-1-20250805", lifecycle="retired"))


def asked(stack: Stack) -> int:
    return stack.hooks.calls.count("claude.models")


def test_the_list_is_fetched_at_the_first_tick_and_once_a_day() -> None:
    stack = Stack()
    stack.claude.listed = LISTED
    stack.tick()
    first = stack.ledger.models
    assert first is not None
    assert (first.models, first.fetched_at, first.official) == (LISTED, stack.clock.now(), True)
    stack.clock.advance(timedelta(hours=23, minutes=59).total_seconds())
    stack.tick()
    assert (asked(stack), stack.ledger.models) == (1, first)
    stack.clock.advance(60)
    stack.tick()
    second = stack.ledger.models
    assert second is not None
    assert (asked(stack), second.fetched_at) == (2, stack.clock.now())


@pytest.mark.parametrize("error", [Unavailable("down"), Refused("no", status=401, kind="authentication_error")])
def test_what_cannot_be_fetched_is_tried_once_an_hour_and_the_old_list_stays(error: ApiError) -> None:
    stack = Stack()
    stack.claude.listed = LISTED
    stack.tick()
    old = stack.ledger.models
    assert old is not None

    def refuse(name: str) -> None:
        if name == "claude.models":
            raise error.with_traceback(None)

    stack.hooks.before = refuse
    stack.clock.advance(timedelta(days=1).total_seconds())
    for _ in range(60):
        stack.tick()
        stack.clock.advance(60)
    assert asked(stack) == 2
    assert stack.ledger.models is not None
    assert (stack.ledger.models.models, stack.ledger.models.fetched_at) == (LISTED, old.fetched_at)
    stack.tick()
    assert asked(stack) == 3
    assert stack.failures == []


def test_a_fetch_that_takes_all_the_time_of_a_tick_is_not_begun_again_by_the_next() -> None:
    class Timeout(BaseException):
        pass

    def hang(name: str) -> None:
        if name == "claude.models":
            raise Timeout

    stack = Stack()
    stack.hooks.before = hang
    with pytest.raises(Timeout):
        stack.poll()
    stack.poll()
    assert asked(stack) == 1
