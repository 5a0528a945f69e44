"""Days and weeks: what waits for long is still there when its time has come, and much work comes to its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from batchdrop.domain.records import JobState
from tests.faults.happenings import Conflicts, LateIndex, Outage, Refusal, Switched, Unanswered
from tests.faults.trial import File, Play, Trial, played
from tests.stack import Stack
from tests.template import facts

_DAY = 24 * 60
_MIXED = File(("ok", "busy", "garbage", "expires", "silent", "ok", "twice", "twice", "hopeless"))


class _Aging(Play):
    """The bucket's lifecycle rules remove what they say."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(trial)
        self._rules = list(_expirations())

    def _minute(self, seconds: float) -> None:
        super()._minute(seconds)
        for prefix, age in self._rules:
            _expire(self.stack, prefix, age)


def _expirations() -> Iterator[tuple[str, timedelta]]:
    source: Any = facts.source()
    for rule in source["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]:
        if (days := rule.get("ExpirationInDays")) is not None:
            if isinstance(days, dict):
                days = source["Parameters"][days["Ref"]]["Default"]
            yield rule.get("Prefix", ""), timedelta(days=days)


def _expire(stack: Stack, prefix: str, age: timedelta) -> None:
    for key in stack.objects.keys(prefix):
        if stack.clock.now() - stack.objects.head(key).written_at > age:
            stack.objects.delete(key)


@pytest.mark.parametrize(
    "wait",
    [
        Switched("pause", at=4, minutes=120 * _DAY),
        Refusal("spend limit", at=4, minutes=120 * _DAY),
        Refusal("no credit", at=4, minutes=120 * _DAY),
        Outage("claude.create", at=4, minutes=20 * _DAY),
        Outage("claude._results", at=3, minutes=20 * _DAY),
    ],
    ids=lambda wait: wait.name,
)
def test_a_job_that_waits_for_weeks_loses_nothing(wait: Any) -> None:
    """Its follow-ups, its lists of invalid rows and its parts lie in the bucket all the while."""
    play = _Aging(Trial((_MIXED,), (wait,), max_requests=2))
    play.run()
    assert list(play.broken()) == []
    assert play.fired[wait.name]
    assert play.stack.job().state is JobState.done


def test_a_list_that_is_down_for_days_and_stale_when_it_returns() -> None:
    result = played(Trial((_MIXED,), (Unanswered(0), Outage("claude.page", at=0, minutes=3 * _DAY, stale=14)), max_requests=2))
    assert result.broken == []
    assert result.fired == {"create accepted, unanswered", "outage: claude.page"}


def test_ten_million_rows_with_room_for_two_hundred_thousand() -> None:
    """All numbers are a thousandth of the real ones; a batch takes an hour."""
    rows = ("ok", "ok", "busy", "ok", "garbage", "ok", "expires", "ok", "hopeless", "ok") * 1_000
    world = (LateIndex(60), Conflicts(5), Unanswered(7), Unanswered(30, seconds=None))
    play = Play(Trial((File(rows),), world, max_requests=100, queue_limit=200, batch_seconds=3600))
    play.run()
    assert list(play.broken()) == []
    assert play.stack.job().counts.total == len(rows)
