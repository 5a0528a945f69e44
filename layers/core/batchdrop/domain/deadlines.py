"""When a job ends, whatever is answered by then: so long after it was let go, or at a time of day.

`3h`, `90m`, `1d 12h`: counted from the release. `07:00 Europe/Berlin`: the next time that it is so late there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from batchdrop.domain.records import Job

LONGEST = timedelta(days=14)
"""From the release. An alarm reports jobs that are open for longer."""
DEADLINE_PASSED = "deadline_passed"
"""Why a row was canceled, as its `error.type`."""
_SPAN = re.compile(r"(?=\d)(?:(\d{1,3})d)? ?(?:(\d{1,3})h)? ?(?:(\d{1,5})m)?")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?: ([A-Za-z0-9_+/-]{1,60}))?")
_LIKE_A_DATE = re.compile(r"\d{4}-\d|\d[./]\d{1,2}[./]")
_LIKE_THIS = "write `3h`, `90m` or `1d 12h`, or a time of day with its zone, such as `07:00 Europe/Berlin`"


class BadDeadline(ValueError):
    """The message goes on behind the name of the field."""


def due_at(deadline: str, released_at: datetime) -> datetime:
    """UTC. Raises BadDeadline, whatever `released_at` is, for a text that is no deadline."""
    if span := _SPAN.fullmatch(deadline):
        days, hours, minutes = (int(part or 0) for part in span.groups())
        after = timedelta(days=days, hours=hours, minutes=minutes)
        if not timedelta() < after <= LONGEST:
            raise BadDeadline(f"it has to be between a minute and {LONGEST.days} days: {_LIKE_THIS}.")
        return released_at + after
    if clock := _CLOCK.fullmatch(deadline):
        return _next(time(int(clock[1]), int(clock[2])), clock[3], released_at)
    dates = f" Dates are not taken; {LONGEST.days} days are the longest." if _LIKE_A_DATE.search(deadline) else ""
    raise BadDeadline(f"this is no deadline: {_LIKE_THIS}.{dates}")


def is_overdue(job: Job, now: datetime) -> bool:
    """Whether nothing more of it is sent: its deadline has passed."""
    return job.due_at is not None and now >= job.due_at


def _next(at: time, zone: str | None, released_at: datetime) -> datetime:
    # Reads files: only for a job that needs it.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones  # noqa: PLC0415

    if zone is None:
        raise BadDeadline("a time of day needs its zone, such as `07:00 Europe/Berlin` or `07:00 UTC`.")
    try:
        there = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last two: a path, the name of a folder of zones
        meant = next((known for known in available_timezones() if known.lower() == zone.lower()), None)
        usual = "write one as in `07:00 Europe/Berlin`, `07:00 America/New_York` or `07:00 UTC`."
        raise BadDeadline(f"there is no such time zone: {f'did you mean {meant}?' if meant else usual}") from None
    today = released_at.astimezone(there).date()
    # Where a clock is set forward it may never be so late: then it counts as late as it is without the change.
    found = (datetime.combine(today + timedelta(days=days), at, there).astimezone(UTC) for days in (0, 1, 2))
    return next(moment for moment in found if moment > released_at)
