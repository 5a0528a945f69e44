"""Which kind of open work a record is, and the texts that order it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from batchdrop.domain.open_work import (
    APPROVAL,
    PLACE,
    OpenWork,
    before_group,
    before_team,
    behind_group,
    behind_line,
    behind_team,
    instant,
    place_of_batch,
    place_of_job,
    waiting_in,
)
from batchdrop.domain.records import BatchState, JobState, ObjectRef, Question
from tests.adapters.records import batch, job

LATER = datetime(2027, 1, 1, tzinfo=UTC)
TEXT = "2027-01-01T00:00:00.000000Z"
LATEST = LATER + timedelta(days=31)
LATEST_TEXT = "2027-02-01T00:00:00.000000Z"
TAG = "2026-11-22T00:31:16.250000Z"

moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


@given(moments, moments)
def test_instants_sort_as_times_do(one: datetime, other: datetime) -> None:
    assert (instant(one) < instant(other)) == (one < other)
    assert len(instant(one)) == len(instant(other)) == 27


@given(moments, st.integers(-12, 12))
def test_instants_are_utc_and_lose_nothing(moment: datetime, hours: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    assert datetime.fromisoformat(instant(elsewhere)) == moment


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": JobState.planning, "updated_at": LATER}, (OpenWork.planning, TEXT)),
        ({"state": JobState.planning, "lease_until": LATER}, (OpenWork.planning, TEXT)),
        ({"state": JobState.held, "updated_at": LATER}, (OpenWork.held, f"/000000000000/{TEXT}")),
        ({"state": JobState.held, "held_at": LATER, "arrivals": 7}, (OpenWork.held, f"/000000000007/{TEXT}")),
        ({"state": JobState.held, "needs": "approval", "held_at": LATER}, (OpenWork.asking, f"//{TEXT}|{job().id}")),
        ({"state": JobState.held, "needs": "limit", "held_at": LATER}, (OpenWork.limited, f"{TEXT}|{job().id}")),
        ({"state": JobState.held, "needs": "price", "held_at": LATER}, (OpenWork.limited, f"{TEXT}|{job().id}")),
        ({"state": JobState.held, "cancel_requested": True, "updated_at": LATER}, (OpenWork.canceling, f"{TEXT}|{job().id}")),
        ({"state": JobState.finishing, "updated_at": LATER}, (OpenWork.finishing, TEXT)),
        ({"state": JobState.running, "priority": 3, "created_at": LATER}, (OpenWork.running, f"3|{TEXT}")),
        ({"state": JobState.running, "cancel_requested": True, "updated_at": LATER}, (OpenWork.canceling, f"{TEXT}|{job().id}")),
        ({"state": JobState.done}, None),
        ({"state": JobState.rejected}, None),
        ({"state": JobState.canceled}, None),
    ],
)
def test_jobs(fields: dict[str, Any], expected: tuple[OpenWork, str] | None) -> None:
    assert place_of_job(job(**fields)) == expected


def due_of(team: str, arrivals: int = 0) -> str:
    """Where a held job of that team stands on its shelf."""
    name = f"inbox/{team}/a.csv" if team else "inbox/a.csv"
    place = place_of_job(job(state=JobState.held, input=ObjectRef(bucket="b", key=name), arrivals=arrivals))
    assert place is not None
    return place.due


names = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), max_size=300)


@given(names, names, st.integers(0, 10**11))
def test_held_jobs_of_one_team_stand_together(one: str, other: str, arrivals: int) -> None:
    assert before_team(one) < due_of(one, arrivals) < due_of(one, arrivals + 1) < behind_team(one)
    if other != one:
        assert not before_team(one) < due_of(other) < behind_team(one)
    # A limit of DynamoDB on a sort key.
    assert len(due_of(one).encode()) <= 1024


@given(names, names, st.integers(0, 10**11))
def test_those_of_a_team_that_wait_in_line_stand_before_those_that_wait_for_a_recipe(one: str, other: str, arrivals: int) -> None:
    def in_line(team: str) -> str:
        of = job(state=JobState.held, needs=PLACE, input=ObjectRef(bucket="b", key=f"inbox/{team}/a.csv"), created_at=LATER)
        place = place_of_job(of)
        assert place is not None
        assert place.shelf == OpenWork.held
        assert len(place.due.encode()) <= 1024
        return place.due

    assert before_team(one) < in_line(one) < behind_line(one) < due_of(one, arrivals) < behind_team(one)
    if other != one:
        assert not before_team(one) < in_line(other) < behind_team(one)


def asks(team: str, group: str, job_id: str = "j") -> str:
    """Where a job stands on its shelf that asks as those of its group do."""
    question = Question(code="c", low=0, high=0, rows=1, group=group, asked_at=LATER)
    one = job(id=job_id, state=JobState.held, needs=APPROVAL, question=question, held_at=LATER)
    place = place_of_job(replace(one, input=ObjectRef(bucket="b", key=f"inbox/{team}/a.csv")))
    assert place is not None
    assert place.shelf == OpenWork.asking
    return place.due


groups = st.text("234567abcdefghijklmnopqrstuvwxyz", min_size=16, max_size=16)


@given(names, names, groups, groups)
def test_jobs_that_may_ask_together_stand_together(team: str, other: str, group: str, another: str) -> None:
    assert before_team(team) < before_group(team, group) < asks(team, group) < asks(team, group, "k") < behind_group(team, group)
    assert behind_group(team, group) < behind_team(team)
    if other != team:
        assert not before_group(team, group) < asks(other, group) < behind_group(team, group)
    if another != group:
        assert not before_group(team, group) < asks(team, another) < behind_group(team, group)
    assert len(asks(team, group).encode()) <= 1024


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": BatchState.ready, "priority": 3, "waiting": True}, (waiting_in(batch().job_id), f"3|{TAG}")),
        ({"state": BatchState.ready, "priority": 3}, (OpenWork.waiting, f"3|{TAG}")),
        ({"state": BatchState.ready, "admitted_at": LATER}, (OpenWork.admitted, TEXT)),
        ({"state": BatchState.ready, "admitted_at": LATER, "message_sent_at": LATEST}, (OpenWork.admitted, LATEST_TEXT)),
        ({"state": BatchState.submitting, "intent_at": LATER}, (OpenWork.submitting, TEXT)),
        ({"state": BatchState.submitting}, (OpenWork.submitting, TAG)),
        ({"state": BatchState.in_progress, "created_at": LATER}, (OpenWork.watched, TEXT)),
        ({"state": BatchState.canceling, "created_at": LATER}, (OpenWork.watched, TEXT)),
        ({"state": BatchState.ended, "ended_at": LATER}, (OpenWork.ended, TEXT)),
        ({"state": BatchState.ended, "ended_at": LATER, "message_sent_at": LATEST}, (OpenWork.ended, LATEST_TEXT)),
        ({"state": BatchState.ended, "message_sent_at": LATER, "collect_at": LATEST}, (OpenWork.incomplete, LATEST_TEXT)),
        ({"state": BatchState.ended}, (OpenWork.ended, TAG)),
        ({"state": BatchState.collected}, None),
    ],
)
def test_batches(fields: dict[str, Any], expected: tuple[OpenWork, str] | None) -> None:
    assert place_of_batch(batch(**fields)) == expected
