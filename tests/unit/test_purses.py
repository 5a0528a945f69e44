"""Where money is counted, and when the next purse of a kind begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from batchdrop.domain import purses
from batchdrop.domain.purses import Charge, charges, merged
from batchdrop.jobs.budget import Budget, StackLimits
from batchdrop.jobs.config_files import Seen
from batchdrop.money.limit_file import FolderLimits, LimitList
from batchdrop.money.price_file import built_in
from tests.adapters.records import job
from tests.fakes.ledger import FakeLedger

TOKYO = timezone(timedelta(hours=9))


class Constant[T]:
    """A file of the operators that never changes."""

    def __init__(self, value: T, fault: str = "") -> None:
        self._seen = Seen(value, fault)

    def current(self, now: datetime) -> object:
        return self._seen


def budget(limits: LimitList = LimitList()) -> Budget:  # noqa: B008 - it is frozen
    return Budget(
        ledger=FakeLedger(),
        prices=Constant(built_in()),  # type: ignore[arg-type]
        limits=Constant(limits),  # type: ignore[arg-type]
        stack=StackLimits(day=1, month=2, ask_above=3),
    )


@pytest.mark.parametrize(
    ("now", "day", "month"),
    [
        (
            datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(2026, 11, 23, tzinfo=UTC),
            datetime(2026, 12, 1, tzinfo=UTC),
        ),
        (datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2028, 2, 28, 12, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        (datetime(2026, 12, 1, 8, 59, tzinfo=TOKYO), datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        (datetime(2026, 12, 1, 9, 0, tzinfo=TOKYO), datetime(2026, 12, 2, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_days_and_months_turn_in_utc(now: datetime, day: datetime, month: datetime) -> None:
    scopes = budget().scopes(job(may_use=0), now)
    assert {scope.renews_at for scope in scopes if scope.purse.startswith(("day", "unasked"))} == {day}
    assert {scope.renews_at for scope in scopes if scope.purse.startswith("month")} == {month}
    assert purses.stack_day(now) in {scope.purse for scope in scopes}
    before, after = day - timedelta(microseconds=1), day
    assert purses.stack_day(now) == purses.stack_day(before) != purses.stack_day(after)
    assert purses.stack_month(now) == purses.stack_month(month - timedelta(microseconds=1)) != purses.stack_month(month)


def test_no_purse_is_that_of_another_scope() -> None:
    """Whatever a folder is called."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    folders = ["", "a", "a/b", "2026-11-22", "22 a", " a", "a ", "day", "month 2026-11"]
    names = [name for of in (purses.folder_day, purses.folder_month) for name in (of(folder, now) for folder in folders)]
    names += [purses.unasked(folder, now) for folder in folders]
    names += [purses.stack_day(now), purses.stack_month(now)]
    assert len({*names}) == len(names)


def test_a_job_is_charged_in_each_scope_once() -> None:
    limits = LimitList(
        default=FolderLimits(day=9),
        folders={"a": FolderLimits(month=5), "a/b": FolderLimits(day=4, month=3), "a/b/c/d": FolderLimits(day=1)},
    )
    one = job(may_use=0, input=replace(job().input, key="inbox/a/b/c/file.jsonl"))
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert {scope.purse: scope.limit for scope in budget(limits).scopes(one, now)} == {
        "month 2026-11": 2,
        "day 2026-11-22": 1,
        "day 2026-11-22 a/b": 4,
        "month 2026-11 a/b": 3,
        "day 2026-11-22 a": None,
        "month 2026-11 a": 5,
        "unasked 2026-11-22 a": 3,
    }


def test_charges_of_one_purse_are_one_and_the_smallest_limit_holds() -> None:
    parts = [
        Charge(purse="day", used=5, limit=9),
        Charge(purse="month", used=5),
        Charge(purse="day", used=-2, spent=3, limit=7),
        Charge(purse="day", used=1),
    ]
    assert merged(parts) == [Charge(purse="day", used=4, spent=3, limit=7), Charge(purse="month", used=5)]


def test_nothing_is_charged_where_nothing_changes() -> None:
    assert charges(("day", "month"), 0) == ()
    assert charges(("day",), -5, 5) == (Charge(purse="day", used=-5, spent=5),)
    assert charges(("day",), 0, 5) == (Charge(purse="day", used=0, spent=5),)
