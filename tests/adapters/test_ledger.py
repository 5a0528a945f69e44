"""What every ledger owes its callers."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.items import job_key
from batchdrop.domain import transitions
from batchdrop.domain.errors import AlreadyExists, LostRace
from batchdrop.domain.model_list import ListedModel, ModelList
from batchdrop.domain.money import Bill
from batchdrop.domain.open_work import OpenWork, before_team, behind_team
from batchdrop.domain.purses import Charge, open_jobs
from batchdrop.domain.records import (
    Admission,
    Arrivals,
    Batch,
    BatchState,
    Counters,
    Counts,
    Group,
    Job,
    JobState,
    Part,
    Purse,
    RowStatus,
    Unsent,
    Usage,
)
from batchdrop.domain.transitions import Collected, Guard, Move, Reserve
from batchdrop.ports import Ledger
from tests.adapters.records import batch, job
from tests.fakes import FakeLedger, ManualClock
from tests.fakes.clock import START

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOTHING = Guard()


@pytest.fixture(params=["dynamodb", "fake"])
def ledger(request: pytest.FixtureRequest, clock: ManualClock) -> Ledger:
    if request.param == "fake":
        return FakeLedger()
    return DynamoLedger(request.getfixturevalue("dynamodb"), "table", clock)


def adds(**numbers: int) -> Counters:
    """Counters by the names under which a job stores them."""
    rows = {name: numbers.pop(name) for name in Counts.__struct_fields__ if name in numbers}
    return Counters(rows=Counts(**rows), **numbers)


def create[R: (Job, Batch)](ledger: Ledger, record: R, **numbers: int) -> R:
    return ledger.commit(Move(before=None, after=record, counters=adds(**numbers)))


def move[R: (Job, Batch, Admission, Arrivals, Group)](
    ledger: Ledger, before: R, after: R, guard: Guard = NOTHING, also: tuple[Move[Any], ...] = (), **numbers: int
) -> R:
    return ledger.commit(Move(before=before, after=after, counters=adds(**numbers), guard=guard, also=also))


@pytest.fixture
def running(ledger: Ledger) -> Job:
    """A running job with batches at lines 1 and 11."""
    opened = create(ledger, job())
    for first_line in (1, 11):
        create(ledger, batch(first_line), total=10, batches_total=1)
    return move(ledger, opened, replace(opened, state=JobState.running))


def known(ledger: Ledger, job_id: str) -> Job:
    found = ledger.get_job(job_id)
    assert found is not None
    return found


def to_ended(ledger: Ledger, one: Batch) -> Batch:
    one = move(ledger, one, replace(one, state=BatchState.submitting, intent_at=START))
    one = move(ledger, one, replace(one, state=BatchState.in_progress, api_id=f"api-{one.name}", created_at=START))
    return move(ledger, one, replace(one, state=BatchState.ended, ended_at=START))


def collect(ledger: Ledger, one: Batch, as_read: Job, now: datetime = START, **counts: int) -> Batch:
    rows = Collected(counts=Counts(**counts), usage={}, results=None, failed=None, retry=None, retry_body_bytes=0)
    return ledger.commit(transitions.collected(one, as_read, rows, now=now))


# ---------------------------------------------------------------- the list of models


def test_the_list_of_models_is_replaced_as_a_whole(ledger: Ledger) -> None:
    assert ledger.get_models() is None
    full = ListedModel(
        id="claude-haiku-5-5",
        lifecycle="deprecated",
        deprecated_at=START,
        retires_at=START + timedelta(days=60),
        max_tokens=128_000,
        batch=True,
        structured_outputs=False,
        thinking=("adaptive", "disabled"),
        efforts=(),
    )
    ledger.put_models(ModelList(fetched_at=START, models=(full, ListedModel(id="claude-x")), official=False))
    assert ledger.get_models() == ModelList(fetched_at=START, models=(full, ListedModel(id="claude-x")), official=False)
    later = ModelList(fetched_at=START + timedelta(days=1), tried_at=START)
    ledger.put_models(later)
    assert ledger.get_models() == later


# ---------------------------------------------------------------- open work


def test_an_open_job_or_batch_or_a_mark_is_open_work_and_nothing_else_is(ledger: Ledger) -> None:
    assert not ledger.has_open_work()
    ledger.put_models(ModelList(fetched_at=START))
    assert not ledger.has_open_work()
    opened = create(ledger, job())
    ledger.remove_marks(ledger.list_marks(limit=9))
    assert ledger.has_open_work()
    move(ledger, opened, replace(opened, state=JobState.canceled))
    assert ledger.has_open_work()
    ledger.remove_marks(ledger.list_marks(limit=9))
    assert not ledger.has_open_work()
    create(ledger, replace(batch(1), state=BatchState.ended, ended_at=START), total=10, batches_total=1)
    assert ledger.has_open_work()


# ---------------------------------------------------------------- marks


def marked(ledger: Ledger) -> list[tuple[str, int]]:
    return [(mark.job_id, mark.revision) for mark in ledger.list_marks(limit=1_000)]


def test_every_change_that_an_index_shows_leaves_a_mark_of_its_own(ledger: Ledger) -> None:
    one = create(ledger, job())
    changes: tuple[dict[str, Any], ...] = (
        {"state": JobState.held, "needs": "recipe", "reason": "Waiting for a recipe."},
        {"reason": "The recipe has no model."},
        {"arrivals": 7},
        {"state": JobState.running},
        {"cancel_requested": True},
        {"state": JobState.finishing},
        {"state": JobState.done},
        {"note": "told"},
    )
    for change in changes:
        one = move(ledger, one, replace(one, **change))
    assert marked(ledger) == [(one.id, revision) for revision in (0, 1, 2, 4, 7)]


def test_a_change_that_loses_leaves_no_mark(ledger: Ledger) -> None:
    opened = create(ledger, job())
    move(ledger, opened, replace(opened, note="another"))
    with pytest.raises(AlreadyExists):
        create(ledger, job())
    with pytest.raises(LostRace):
        move(ledger, opened, replace(opened, state=JobState.held))
    assert marked(ledger) == [(opened.id, 0)]


def test_a_job_that_changes_along_with_its_batch_is_marked_too(ledger: Ledger, running: Job) -> None:
    ledger.remove_marks(ledger.list_marks(limit=9))
    held = replace(running, state=JobState.held)
    move(ledger, batch(1), replace(batch(1), admitted_at=START), also=(Move(before=running, after=held),))
    assert marked(ledger) == [(running.id, running.revision + 1)]


def test_marks_are_read_by_job_and_removed_once_or_twice(ledger: Ledger) -> None:
    names = [f"{number:03}" for number in range(101)]
    for name in reversed(names):
        create(ledger, job(id=name))
    first, second, third = ledger.list_marks(limit=3)
    assert [mark.job_id for mark in (first, second, third)] == names[:3]
    assert [mark.job_id for mark in ledger.list_marks(behind=second.due, limit=2)] == names[2:4]
    assert len(ledger.list_marks(limit=1_000)) == 101
    ledger.remove_marks([second])
    ledger.remove_marks([second, first])
    assert marked(ledger) == [(name, 0) for name in names[2:]]
    ledger.remove_marks(ledger.list_marks(limit=1_000))
    ledger.remove_marks([])
    assert marked(ledger) == []
    assert len(ledger.get_jobs(names)) == 101


def test_a_mark_that_comes_meanwhile_is_not_removed(ledger: Ledger) -> None:
    opened = create(ledger, job())
    seen = ledger.list_marks(limit=9)
    move(ledger, opened, replace(opened, state=JobState.canceled))
    ledger.remove_marks(seen)
    assert marked(ledger) == [(opened.id, 1)]


# ---------------------------------------------------------------- jobs


def test_of_many_jobs_those_come_that_there_are(ledger: Ledger) -> None:
    names = ["a", "b", "c"]
    stored = [create(ledger, job(id=name)) for name in names]
    found = ledger.get_jobs(["nobody", *names])
    assert sorted(found, key=lambda one: one.id) == stored
    assert ledger.get_jobs([]) == []


def test_a_job_is_opened_once(ledger: Ledger) -> None:
    assert create(ledger, job()) == job()
    with pytest.raises(AlreadyExists):
        create(ledger, job(priority=1))
    assert ledger.get_job(job().id) == job()


def test_an_unknown_job_is_none(ledger: Ledger) -> None:
    assert ledger.get_job("nobody") is None
    assert list(ledger.list_batches("nobody")) == []


def test_a_job_keeps_every_field(ledger: Ledger) -> None:
    full = job(
        source=replace(job().input, version_id=None),
        state=JobState.finishing,
        outcome=JobState.rejected,
        reason='Ünïcode \u2028 and "quotes"',
        broken=Unsent(status=RowStatus.invalid, error_type="", message=""),
        cancel_requested=True,
        lease_until=START + timedelta(microseconds=1),
        lines=10**12,
    )
    create(ledger, full)
    assert ledger.get_job(full.id) == full


def test_moving_a_job_counts_the_revision_and_removes_what_is_gone(ledger: Ledger) -> None:
    opened = create(ledger, job(lease_until=START))
    moved = move(ledger, opened, replace(opened, state=JobState.running, lease_until=None, reason="why"))
    assert (moved.revision, moved.lease_until, moved.reason) == (1, None, "why")
    assert ledger.get_job(moved.id) == moved


def test_the_second_of_two_movers_loses(ledger: Ledger) -> None:
    opened = create(ledger, job())
    move(ledger, opened, replace(opened, state=JobState.held))
    with pytest.raises(LostRace):
        move(ledger, opened, replace(opened, state=JobState.running))
    assert known(ledger, opened.id).state is JobState.held


def test_moving_a_job_that_is_not_there_is_a_lost_race(ledger: Ledger) -> None:
    with pytest.raises(LostRace):
        move(ledger, job(), replace(job(), state=JobState.running))
    assert ledger.get_job(job().id) is None


def test_moving_a_job_never_writes_counters(ledger: Ledger) -> None:
    opened = create(ledger, job())
    create(ledger, batch(), total=10, invalid=2, batches_total=1)
    moved = move(ledger, opened, replace(opened, state=JobState.running, counts=Counts(total=99)))
    assert (moved.counts, moved.batches_total) == (Counts(total=10, invalid=2), 1)
    assert ledger.get_job(opened.id) == moved


# ---------------------------------------------------------------- batches


def test_a_batch_is_added_once_with_its_counters(ledger: Ledger) -> None:
    create(ledger, job())
    create(ledger, batch(), total=10, batches_total=1, queued=10)
    with pytest.raises(AlreadyExists):
        create(ledger, batch(requests=3), total=10, batches_total=1, queued=10)
    assert ledger.get_batch(job().id, batch().name) == batch()
    assert (known(ledger, job().id).counts.total, known(ledger, job().id).batches_total) == (10, 1)
    assert ledger.get_admission().queued == 10


def test_a_batch_without_a_job_is_a_lost_race(ledger: Ledger) -> None:
    with pytest.raises(LostRace):
        create(ledger, batch(), total=10, batches_total=1)
    assert ledger.get_batch(job().id, batch().name) is None


def test_a_batch_keeps_every_field(ledger: Ledger) -> None:
    create(ledger, job())
    part = Part(key="work/x", lines=3, size=10**11, crc64nvme="0123456789abcdef")
    full = batch(
        not_ours=("msgbatch_1", "msgbatch_2"),
        unsent=Unsent(status=RowStatus.errored, error_type="billing_error", message="no credit"),
        counts=Counts(total=10, succeeded=9, missing=1),
        usage={"claude-haiku-4-5": Usage(requests=9, input_tokens=2**40)},
        results=part,
        retry=part,
        adopted=True,
        not_before=START,
    )
    create(ledger, full, total=10, batches_total=1)
    assert ledger.get_batch(full.job_id, full.name) == full


def test_batches_come_in_order_of_name(ledger: Ledger) -> None:
    create(ledger, job())
    lines = [1000, 2, 30, 1, 400]
    for line in lines:
        create(ledger, batch(line), batches_total=1)
    create(ledger, job(id="other"))
    create(ledger, batch(5, job_id="other"), batches_total=1)
    assert [one.first_line for one in ledger.list_batches(job().id)] == sorted(lines)


def test_many_batches_come_in_pages(ledger: Ledger) -> None:
    create(ledger, job())
    for line in range(1, 106):
        create(ledger, batch(line), batches_total=1)
    assert [one.first_line for one in ledger.list_batches(job().id)] == list(range(1, 106))
    assert [one.first_line for one in ledger.list_open_batches(OpenWork.waiting, limit=101)] == list(range(1, 102))
    assert len(list(ledger.list_open_batches(OpenWork.waiting))) == 105


def test_the_second_of_two_batch_movers_loses_and_changes_nothing(ledger: Ledger, running: Job) -> None:
    moved = move(ledger, batch(), replace(batch(), admitted_at=START), queued=10)
    with pytest.raises(LostRace):
        move(ledger, batch(), replace(batch(), admitted_at=START), queued=10, succeeded=1)
    assert ledger.get_batch(running.id, batch().name) == moved
    assert moved.revision == 1
    assert ledger.get_admission().queued == 10
    assert ledger.get_job(running.id) == running


def test_the_counters_are_added_with_the_move(ledger: Ledger, running: Job) -> None:
    names = (*Counts.__struct_fields__, "batches_total", "batches_ended", "batches_collected", "splits", "queued")
    added = adds(**{name: number for number, name in enumerate(names, 1)})
    ledger.commit(Move(before=batch(), after=replace(batch(), state=BatchState.ended), counters=added))
    stored = known(ledger, running.id)
    assert stored.counts == running.counts + added.rows
    for name in ("batches_total", "batches_ended", "batches_collected", "splits"):
        assert getattr(stored, name) == getattr(running, name) + getattr(added, name)
    assert ledger.get_admission().queued == added.queued


# ---------------------------------------------------------------- conditions of a move


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"state": JobState.held}, JobState.running),
        ({"state": JobState.running, "cancel_requested": True}, JobState.running),
    ],
)
def test_a_job_in_another_state_or_asked_to_cancel_stops_a_move(ledger: Ledger, change: dict[str, Any], wanted: JobState) -> None:
    opened = create(ledger, job())
    create(ledger, batch(), batches_total=1)
    move(ledger, opened, replace(opened, **change))
    with pytest.raises(LostRace):
        move(ledger, batch(), replace(batch(), admitted_at=START), queued=10, guard=Guard(job_state=wanted))
    assert ledger.get_admission().queued == 0


def test_a_job_in_the_right_state_lets_a_move_pass(ledger: Ledger, running: Job) -> None:
    move(ledger, batch(), replace(batch(), admitted_at=START), guard=Guard(job_state=JobState.running))
    assert [one.admitted_at for one in ledger.list_batches(running.id)] == [START, None]


def test_the_limit_on_queued_requests_is_never_passed(ledger: Ledger, running: Job) -> None:
    first, second = batch(1), batch(11)
    move(ledger, first, replace(first, admitted_at=START), queued=10, guard=Guard(queue_limit=19))
    with pytest.raises(LostRace):
        move(ledger, second, replace(second, admitted_at=START), queued=10, guard=Guard(queue_limit=19))
    move(ledger, second, replace(second, admitted_at=START), queued=10, guard=Guard(queue_limit=20))
    assert ledger.get_admission().queued == 20


def test_a_batch_above_the_limit_does_not_fit_an_empty_queue(ledger: Ledger, running: Job) -> None:
    with pytest.raises(LostRace):
        move(ledger, batch(), replace(batch(), admitted_at=START), queued=10, guard=Guard(queue_limit=9))
    assert ledger.get_admission() == Admission()


def test_an_api_batch_belongs_to_one_batch(ledger: Ledger, running: Job) -> None:
    first, second = (
        move(ledger, one, replace(one, state=BatchState.submitting, intent_at=START)) for one in (batch(1), batch(11))
    )
    assert ledger.owner_of("api") is None
    first = move(ledger, first, replace(first, state=BatchState.in_progress, api_id="api", created_at=START))
    with pytest.raises(LostRace):
        move(ledger, second, replace(second, state=BatchState.in_progress, api_id="api", created_at=START))
    assert ledger.owner_of("api") == (running.id, first.name)


def test_an_api_batch_that_is_given_up_is_free_again(ledger: Ledger, running: Job) -> None:
    first = to_ended(ledger, batch(1))
    first = move(ledger, first, replace(first, state=BatchState.submitting, api_id=None, not_ours=(first.api_id,)))
    assert ledger.owner_of(first.not_ours[0]) is None
    second = move(ledger, batch(11), replace(batch(11), state=BatchState.submitting, intent_at=START))
    move(ledger, second, replace(second, state=BatchState.in_progress, api_id=first.not_ours[0], created_at=START))
    assert ledger.owner_of(first.not_ours[0]) == (running.id, second.name)


def test_a_follow_up_is_made_with_the_move(ledger: Ledger, running: Job) -> None:
    ended = to_ended(ledger, batch(1))
    after = replace(ended, state=BatchState.collected)
    move(ledger, ended, after, batches_collected=1, batches_total=1, also=(Move(before=None, after=batch(1, attempt=2)),))
    assert [one.name for one in ledger.list_batches(running.id)] == ["000000000001.01", "000000000001.02", "000000000011.01"]
    assert (known(ledger, running.id).batches_total, known(ledger, running.id).batches_collected) == (3, 1)


def test_a_follow_up_that_exists_stops_the_move(ledger: Ledger, running: Job) -> None:
    create(ledger, batch(1, attempt=2), batches_total=1)
    with pytest.raises(LostRace):
        move(ledger, batch(1), replace(batch(1), state=BatchState.ended), also=(Move(before=None, after=batch(1, attempt=2)),))
    assert ledger.get_batch(running.id, batch(1).name) == batch(1)


# ---------------------------------------------------------------- the last batch


def test_the_last_batch_takes_the_job_to_finishing(ledger: Ledger, running: Job, clock: ManualClock) -> None:
    first, second = to_ended(ledger, batch(1)), to_ended(ledger, batch(11))
    collect(ledger, first, running, succeeded=10)
    clock.advance(60)
    collect(ledger, second, known(ledger, running.id), clock.now(), succeeded=9, missing=1)
    done = known(ledger, running.id)
    assert done.state is JobState.finishing
    assert done.counts == Counts(total=20, succeeded=19, missing=1)
    assert (done.batches_collected, done.revision) == (2, running.revision + 1)
    assert done.updated_at == clock.now()
    assert [one.id for one in ledger.list_open_jobs(OpenWork.finishing)] == [running.id]


def test_a_batch_that_became_the_last_one_meanwhile_is_not_recorded(ledger: Ledger, running: Job) -> None:
    first, second = to_ended(ledger, batch(1)), to_ended(ledger, batch(11))
    collect(ledger, first, running)
    with pytest.raises(LostRace):
        collect(ledger, second, running)
    assert ledger.get_batch(running.id, second.name) == second
    assert known(ledger, running.id).batches_collected == 1


def test_a_batch_that_is_not_the_last_one_any_more_is_not_recorded(ledger: Ledger, running: Job) -> None:
    first, second = to_ended(ledger, batch(1)), to_ended(ledger, batch(11))
    collect(ledger, first, running)
    as_read = known(ledger, running.id)
    create(ledger, batch(1, attempt=2), batches_total=1)
    with pytest.raises(LostRace):
        collect(ledger, second, as_read)
    assert known(ledger, running.id).state is JobState.running


def test_a_stale_job_cannot_finish(ledger: Ledger, running: Job) -> None:
    first, second = to_ended(ledger, batch(1)), to_ended(ledger, batch(11))
    collect(ledger, first, running)
    as_read = known(ledger, running.id)
    move(ledger, as_read, replace(as_read, note="something else"))
    with pytest.raises(LostRace):
        collect(ledger, second, as_read)
    collect(ledger, second, known(ledger, running.id))
    assert known(ledger, running.id).note == "something else"
    assert known(ledger, running.id).state is JobState.finishing


def test_while_a_job_is_planned_no_batch_is_its_last(ledger: Ledger) -> None:
    opened = create(ledger, job())
    create(ledger, batch(), batches_total=1)
    ended = to_ended(ledger, batch())
    as_read = known(ledger, opened.id)
    collect(ledger, ended, as_read)
    assert known(ledger, opened.id).batches_collected == 1
    assert known(ledger, opened.id).state is JobState.planning


def test_a_job_that_ran_since_it_was_read_may_have_its_last_batch(ledger: Ledger, running: Job) -> None:
    to_ended(ledger, batch(1))
    ended = to_ended(ledger, batch(11))
    with pytest.raises(LostRace):
        collect(ledger, ended, replace(running, state=JobState.planning))


# ---------------------------------------------------------------- open work


def test_a_batch_moves_through_the_open_work(ledger: Ledger, running: Job) -> None:
    def open_work() -> list[str]:
        kinds = (OpenWork.waiting, OpenWork.admitted, OpenWork.submitting, OpenWork.watched, OpenWork.ended)
        return [work.value for work in kinds for one in ledger.list_open_batches(work) if one.first_line == 1]

    one = batch(1)
    assert open_work() == ["waiting"]
    one = move(ledger, one, replace(one, admitted_at=START))
    assert open_work() == ["admitted"]
    one = move(ledger, one, replace(one, state=BatchState.submitting, intent_at=START))
    assert open_work() == ["submitting"]
    one = move(ledger, one, replace(one, state=BatchState.in_progress, api_id="api", created_at=START))
    assert open_work() == ["watched"]
    one = move(ledger, one, replace(one, state=BatchState.canceling))
    assert open_work() == ["watched"]
    one = move(ledger, one, replace(one, state=BatchState.ended, ended_at=START))
    assert open_work() == ["ended"]
    collect(ledger, one, running)
    assert open_work() == []


def test_each_job_has_a_queue_of_its_own(ledger: Ledger) -> None:
    create(ledger, job())
    create(ledger, job(id="other"))
    for line, job_id in ((11, job().id), (1, job().id), (5, "other")):
        create(ledger, batch(line, job_id=job_id, waiting=True), batches_total=1, batches_waiting=1)
    assert [one.first_line for one in ledger.list_waiting_batches(job().id, limit=9)] == [1, 11]
    assert [one.first_line for one in ledger.list_waiting_batches(job().id, limit=1)] == [1]
    assert [one.first_line for one in ledger.list_waiting_batches("other", limit=9)] == [5]
    assert list(ledger.list_open_batches(OpenWork.waiting)) == []
    assert known(ledger, job().id).batches_waiting == 2


def test_a_job_comes_into_the_open_work_when_a_batch_of_it_waits(dynamodb: DynamoDBClient, clock: ManualClock) -> None:
    """Version 0.1.0 kept running jobs out of the index."""
    ledger = DynamoLedger(dynamodb, "table", clock)
    create(ledger, job(state=JobState.running))
    create(ledger, batch(state=BatchState.submitting), batches_total=1)
    dynamodb.update_item(TableName="table", Key=job_key(job().id), UpdateExpression="REMOVE shelf, due, batches_waiting")
    assert not list(ledger.list_open_jobs(OpenWork.running))
    ledger.commit(transitions.released(batch(state=BatchState.submitting), not_before=START))
    assert list(ledger.list_open_jobs(OpenWork.running)) == [known(ledger, job().id)]
    assert known(ledger, job().id).batches_waiting == 1


def test_an_open_job_stays_where_it_is_when_a_batch_of_it_waits(dynamodb: DynamoDBClient, clock: ManualClock) -> None:
    ledger = DynamoLedger(dynamodb, "table", clock)
    create(ledger, job(state=JobState.running, cancel_requested=True))
    create(ledger, batch(state=BatchState.submitting), batches_total=1)
    ledger.commit(transitions.released(batch(state=BatchState.submitting), not_before=START))
    assert not list(ledger.list_open_jobs(OpenWork.running))
    assert len(list(ledger.list_open_jobs(OpenWork.canceling))) == 1


def test_a_job_is_open_work_until_it_has_ended(ledger: Ledger) -> None:
    opened = create(ledger, job())
    assert list(ledger.list_open_jobs(OpenWork.planning)) == [opened]
    held = move(ledger, opened, replace(opened, state=JobState.held))
    assert list(ledger.list_open_jobs(OpenWork.planning)) == []
    assert list(ledger.list_open_jobs(OpenWork.held)) == [held]
    resumed = move(ledger, held, replace(held, state=JobState.running))
    assert list(ledger.list_open_jobs(OpenWork.held)) == []
    assert list(ledger.list_open_jobs(OpenWork.running)) == [resumed]
    move(ledger, resumed, replace(resumed, state=JobState.done))
    assert not [work for work in OpenWork for _ in ledger.list_open_jobs(work)]


def test_waiting_batches_come_by_priority_then_tag(ledger: Ledger) -> None:
    create(ledger, job())
    for line, priority, seconds in ((1, 5, 9), (2, 5, 1), (3, 1, 99), (4, 9, 0)):
        create(ledger, batch(line, priority=priority, start_tag=START + timedelta(seconds=seconds)), batches_total=1)
    assert [one.first_line for one in ledger.list_open_batches(OpenWork.waiting)] == [3, 2, 1, 4]
    assert [one.first_line for one in ledger.list_open_batches(OpenWork.waiting, limit=2)] == [3, 2]
    assert list(ledger.list_open_batches(OpenWork.waiting, limit=0)) == []


# ---------------------------------------------------------------- admission


def test_admission_begins_empty(ledger: Ledger) -> None:
    assert ledger.get_admission() == Admission()


def test_moving_admission_never_writes_queued(ledger: Ledger, running: Job) -> None:
    move(ledger, batch(), replace(batch(), admitted_at=START), queued=10)
    before = ledger.get_admission()
    moved = move(ledger, before, replace(before, blocked="no credit", probe_at=START, queued=99))
    assert (moved.queued, moved.blocked, moved.probe_at, moved.revision) == (10, "no credit", START, 1)
    assert ledger.get_admission() == moved
    cleared = move(ledger, moved, replace(moved, blocked="", probe_at=None))
    assert ledger.get_admission() == cleared == Admission(queued=10, revision=2)


def test_the_second_of_two_admission_movers_loses(ledger: Ledger) -> None:
    before = ledger.get_admission()
    move(ledger, before, replace(before, notice="first"))
    with pytest.raises(LostRace):
        move(ledger, before, replace(before, notice="second"))
    assert ledger.get_admission().notice == "first"


# ---------------------------------------------------------------- recipes that arrive, and jobs that wait for them


def of_team(team: str, number: int, **fields: Any) -> Job:
    source = replace(job().input, key=f"inbox/{team}/{number}.csv")
    return job(id=f"{team}-{number}", input=source, **fields)


def hold(ledger: Ledger, one: Job, arrivals: int = 0, now: datetime = START) -> Job:
    return ledger.commit(transitions.held(one, "why", needs="recipe", arrivals=arrivals, now=now))


def test_arrivals_of_each_team_are_counted_one_by_one(ledger: Ledger) -> None:
    for team, number in (("a", 2), ("b", 1), ('ü/%"', 1)):
        for _ in range(number):
            counted = ledger.commit(transitions.recipe_arrived(ledger.get_arrivals(team)))
        assert counted == ledger.get_arrivals(team) == Arrivals(team=team, count=number, revision=number)
    assert ledger.get_arrivals("c") == Arrivals(team="c")


@pytest.mark.parametrize("arrived", [0, 1])
def test_of_two_that_count_at_once_the_second_loses(ledger: Ledger, arrived: int) -> None:
    for _ in range(arrived):
        ledger.commit(transitions.recipe_arrived(ledger.get_arrivals("a")))
    read = ledger.get_arrivals("a")
    ledger.commit(transitions.recipe_arrived(read))
    with pytest.raises(LostRace):
        ledger.commit(transitions.recipe_arrived(read))
    assert ledger.get_arrivals("a").count == arrived + 1


@pytest.mark.parametrize("arrived", [0, 1, 2])
def test_a_job_is_held_only_while_so_many_recipes_have_arrived(ledger: Ledger, arrived: int) -> None:
    opened = create(ledger, of_team("a", 1))
    for team in ("b", *["a"] * arrived):
        ledger.commit(transitions.recipe_arrived(ledger.get_arrivals(team)))
    for other in {0, 1, 2} - {arrived}:
        with pytest.raises(LostRace):
            hold(ledger, opened, other)
    assert ledger.get_job(opened.id) == opened
    held = hold(ledger, opened, arrived)
    assert ledger.get_job(opened.id) == held
    assert (held.state, held.needs, held.held_at, held.arrivals) == (JobState.held, "recipe", START, arrived)


def test_a_job_with_a_batch_is_not_held(ledger: Ledger) -> None:
    opened = create(ledger, job())
    create(ledger, batch(), batches_total=1)
    with pytest.raises(LostRace):
        hold(ledger, opened)


def test_a_job_that_was_asked_to_cancel_is_not_held(ledger: Ledger) -> None:
    opened = create(ledger, job(cancel_requested=True))
    with pytest.raises(LostRace):
        hold(ledger, opened)


def test_held_jobs_come_by_team_then_arrivals_then_time(ledger: Ledger) -> None:
    for number in (3, 1, 2):
        for team in ("b", "a", "a b"):
            hold(ledger, create(ledger, of_team(team, number)), now=START + timedelta(seconds=number))
    ledger.commit(transitions.recipe_arrived(ledger.get_arrivals("a")))
    hold(ledger, create(ledger, of_team("a", 0)), 1)

    def names(behind: str = "", limit: int | None = None) -> list[str]:
        return [one.id for one in ledger.list_open_jobs(OpenWork.held, behind=behind, limit=limit)]

    of_a, of_b = ["a-1", "a-2", "a-3", "a-0"], ["b-1", "b-2", "b-3"]
    assert names() == ["a b-1", "a b-2", "a b-3", *of_a, *of_b]
    assert names(before_team("a"), 4) == of_a
    assert names(behind_team("a")) == of_b
    assert names(behind_team("b")) == []


def test_a_woken_job_waits_no_more(ledger: Ledger) -> None:
    held = hold(ledger, create(ledger, job()))
    woken = ledger.commit(transitions.woken(held, now=START))
    assert ledger.get_job(held.id) == woken
    assert list(ledger.list_open_jobs(OpenWork.held)) == []
    assert list(ledger.list_open_jobs(OpenWork.planning)) == [woken]
    with pytest.raises(LostRace):
        ledger.commit(transitions.woken(held, now=START))


# ---------------------------------------------------------------- money


def test_a_job_ends_for_its_successor_in_one_write(ledger: Ledger) -> None:
    waiting = create(ledger, job(state=JobState.held))
    newer = job(id="20261122T003115Z-ffffffffffffffff")
    ended = ledger.commit(transitions.superseded(waiting, newer, "why", ""))
    assert ended.cancel_requested
    assert ledger.get_job(newer.id) == replace(newer, place=open_jobs(""))
    assert ledger.get_purses([open_jobs("")]) == [Purse(name=open_jobs(""), used=1)]
    assert list(ledger.list_open_jobs(OpenWork.canceling)) == [ended]


def test_a_job_that_moved_on_has_no_successor(ledger: Ledger) -> None:
    waiting = create(ledger, job(state=JobState.held))
    newer = job(id="20261122T003115Z-ffffffffffffffff")
    running = ledger.commit(transitions.let_go(waiting, now=START, virtual_time=0))
    with pytest.raises(LostRace):
        ledger.commit(transitions.superseded(waiting, newer, "why", ""))
    assert ledger.get_job(newer.id) is None
    assert ledger.get_job(waiting.id) == running


def test_a_successor_that_exists_ends_no_job(ledger: Ledger) -> None:
    waiting = create(ledger, job(state=JobState.held))
    newer = create(ledger, job(id="20261122T003115Z-ffffffffffffffff"))
    with pytest.raises(LostRace):
        ledger.commit(transitions.superseded(waiting, newer, "why", ""))
    assert ledger.get_job(waiting.id) == waiting


def admit(ledger: Ledger, one: Batch, amount: int, *, limit: int | None = None, may_use: int | None = None) -> Batch:
    reserve = Reserve(
        amount, (Charge(purse="month 2026-11", used=amount, limit=limit), Charge(purse="day", used=amount)), may_use
    )
    return ledger.commit(transitions.admitted(one, now=START, queue_limit=1_000, reserve=reserve))


def used(ledger: Ledger) -> list[tuple[int, int]]:
    return [(purse.used, purse.spent) for purse in ledger.get_purses(["month 2026-11", "day", "nobody's"])]


def test_a_purse_is_made_by_its_first_charge_and_never_used_beyond_its_limit(ledger: Ledger, running: Job) -> None:
    first, second = batch(1), batch(11)
    with pytest.raises(LostRace):
        admit(ledger, first, 100, limit=99)
    assert used(ledger) == [(0, 0), (0, 0), (0, 0)]
    admit(ledger, first, 100, limit=150)
    with pytest.raises(LostRace):
        admit(ledger, second, 51, limit=150)
    admit(ledger, second, 50, limit=150)
    assert used(ledger) == [(150, 0), (150, 0), (0, 0)]
    assert known(ledger, running.id).used == 150


def test_a_job_never_uses_more_than_it_may(ledger: Ledger, running: Job) -> None:
    admit(ledger, batch(1), 100, may_use=150)
    with pytest.raises(LostRace):
        admit(ledger, batch(11), 51, may_use=150)
    admit(ledger, batch(11), 50, may_use=150)
    assert known(ledger, running.id).used == 150


def test_a_batch_that_waits_again_gives_back_all_that_it_has_reserved(ledger: Ledger, running: Job) -> None:
    admitted = admit(ledger, batch(1), 100)
    waiting = ledger.commit(transitions.put_back(admitted))
    assert (waiting.reserved, waiting.purses) == (0, ())
    assert used(ledger) == [(0, 0), (0, 0), (0, 0)]
    assert known(ledger, running.id).used == 0


def test_a_batch_that_is_collected_settles_what_it_has_reserved(ledger: Ledger, running: Job) -> None:
    ended = to_ended(ledger, admit(ledger, batch(1), 100))
    bill = Bill(usd=Decimal("0.0000301"))
    rows = Collected(
        counts=Counts(total=10, succeeded=10), usage={}, results=None, failed=None, retry=None, retry_body_bytes=0, bill=bill
    )
    collected = ledger.commit(transitions.collected(ended, known(ledger, running.id), rows, now=START))
    assert collected.reserved == 0
    assert used(ledger) == [(31, 31), (31, 31), (0, 0)]
    job_now = known(ledger, running.id)
    assert (job_now.used, job_now.spent) == (31, 31)


def test_rows_whose_results_are_lost_keep_their_share_as_spent(ledger: Ledger, running: Job) -> None:
    ended = to_ended(ledger, admit(ledger, batch(1), 100))
    rows = Collected(
        counts=Counts(total=10, missing=10), usage={}, results=None, failed=None, retry=None, retry_body_bytes=0, unaccounted=3
    )
    ledger.commit(transitions.collected(ended, known(ledger, running.id), rows, now=START))
    assert used(ledger) == [(30, 30), (30, 30), (0, 0)]
