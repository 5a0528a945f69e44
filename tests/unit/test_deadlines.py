"""What `deadline` means, on days of every kind."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.deadlines import LONGEST, BadDeadline, due_at

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("deadline", "after"),
    [
        ("3h", timedelta(hours=3)),
        ("90m", timedelta(minutes=90)),
        ("1d", timedelta(days=1)),
        ("1d 12h", timedelta(hours=36)),
        ("1h30m", timedelta(minutes=90)),
        ("14d", LONGEST),
    ],
)
def test_a_span_counts_from_the_release(deadline: str, after: timedelta) -> None:
    assert due_at(deadline, NOON) == NOON + after


@pytest.mark.parametrize(
    ("deadline", "released_at", "due"),
    [
        ("13:01 Europe/Berlin", NOON, "2026-11-24T12:01"),
        # 12:00 UTC is 13:00 there: the next one is tomorrow's.
        ("13:00 Europe/Berlin", NOON, "2026-11-25T12:00"),
        ("7:00 Europe/Berlin", NOON, "2026-11-25T06:00"),
        ("00:30 Asia/Kolkata", NOON, "2026-11-24T19:00"),
        ("07:00 America/New_York", NOON, "2026-11-25T12:00"),
        # The day there is not the day in UTC.
        ("20:00 America/Los_Angeles", datetime(2026, 11, 25, 3, tzinfo=UTC), "2026-11-25T04:00"),
        ("07:00 UTC", NOON, "2026-11-25T07:00"),
        # The night in which the clock is set forward: 02:30 is as late as 01:30 UTC would be without it.
        ("02:30 Europe/Berlin", datetime(2027, 3, 27, 20, tzinfo=UTC), "2027-03-28T01:30"),
        # And back: the first of the two.
        ("02:30 Europe/Berlin", datetime(2026, 10, 24, 20, tzinfo=UTC), "2026-10-25T00:30"),
        ("07:00 Europe/Berlin", datetime(2026, 10, 24, 20, tzinfo=UTC), "2026-10-25T06:00"),
    ],
)
def test_a_time_of_day_is_the_next_one_there(deadline: str, released_at: datetime, due: str) -> None:
    assert due_at(deadline, released_at) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_zones_are_known_where_the_system_has_none() -> None:
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert due_at("13:01 Europe/Berlin", NOON) == NOON + timedelta(minutes=1)
    finally:
        zoneinfo.reset_tzpath()


@given(
    st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "UTC"]),
    st.integers(0, 9 * 365 * 24 * 60).map(lambda minutes: NOON + timedelta(minutes=minutes)),
)
def test_it_is_always_ahead_and_never_far(hour: int, minute: int, zone: str, released_at: datetime) -> None:
    due = due_at(f"{hour:02d}:{minute:02d} {zone}", released_at)
    assert released_at < due <= released_at + timedelta(hours=26)


@pytest.mark.parametrize(
    ("deadline", "says"),
    [
        ("", "this is no deadline"),
        ("soon", "write `3h`, `90m` or `1d 12h`"),
        ("3", "this is no deadline"),
        ("0h", "between a minute and 14 days"),
        ("15d", "between a minute and 14 days"),
        ("25:00 Europe/Berlin", "this is no deadline"),
        ("07:00", "a time of day needs its zone"),
        ("07:00 Berlin", "there is no such time zone"),
        ("07:00 Europe", "there is no such time zone"),
        ("07:00 ../etc/passwd", "this is no deadline"),
        ("07:00 /etc/passwd", "there is no such time zone"),
        ("07:00 Europe/Berlin and more", "this is no deadline"),
    ],
)
def test_what_is_none_says_how_to_write_one(deadline: str, says: str) -> None:
    with pytest.raises(BadDeadline) as caught:
        due_at(deadline, NOON)
    assert says in str(caught.value)
    assert "write" in str(caught.value) or "such as" in str(caught.value)


@pytest.mark.parametrize("date", ["2026-12-24", "2026-12-24 18:00", "24.12. 18:00", "12/24/2026"])
def test_a_date_is_told_that_it_is_none_of_the_ways_and_what_the_longest_is(date: str) -> None:
    with pytest.raises(BadDeadline, match="Dates are not taken; 14 days are the longest"):
        due_at(date, datetime(2026, 11, 1, tzinfo=UTC))
