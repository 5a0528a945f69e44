"""What version 0.1.0 has stored is found, and what this version stores that one leaves alone after a rollback."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.items import Item, batch_item, job_item, record_of
from batchdrop.domain.errors import LostRace
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Batch, BatchState, Job, JobState
from batchdrop.domain.transitions import TERMINAL_JOB_STATES, Guard, Move
from tests.adapters.records import batch, job
from tests.adapters.test_ledger import create, move
from tests.fakes import ManualClock
from tests.fakes.clock import START
from tests.upgrade.moment import MOMENTS, read

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Which 0.1.0 reads in every tick.
READ_BY_IT = {"planning", "canceling", "finishing", "waiting", "admitted", "submitting", "watched", "ended"}
# In which it neither plans, sends, watches, repairs, collects nor finishes anything.
INERT = {"JOB": "held", "BATCH": "collected"}


@pytest.mark.parametrize("cancel", [False, True])
@pytest.mark.parametrize("state", sorted(set(JobState) - TERMINAL_JOB_STATES))
def test_an_open_job_is_held_for_it(state: JobState, cancel: bool) -> None:
    stored = job(state=state, cancel_requested=cancel)
    item = job_item(stored)
    assert item["state"] == {"S": INERT["JOB"]}
    assert item["shelf"]["S"] not in READ_BY_IT
    assert record_of(item, Job) == stored


@pytest.mark.parametrize("state", sorted(TERMINAL_JOB_STATES))
def test_a_job_that_has_ended_has_ended_for_it_too(state: JobState) -> None:
    assert job_item(job(state=state))["state"] == {"S": state}


@pytest.mark.parametrize("admitted", [None, START])
@pytest.mark.parametrize("state", sorted(BatchState))
def test_a_batch_is_collected_for_it(state: BatchState, admitted: Any) -> None:
    stored = batch(state=state, admitted_at=admitted, waiting=admitted is None)
    item = batch_item(stored)
    assert item["state"] == {"S": INERT["BATCH"]}
    assert "shelf" not in item or item["shelf"]["S"] not in READ_BY_IT
    assert record_of(item, Batch) == stored


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda file: file.stem)
def test_all_open_work_that_it_has_left_is_found_once(moment: Path, dynamodb: DynamoDBClient, clock: ManualClock) -> None:
    items = read(moment)["items"]
    for item in items:
        dynamodb.put_item(TableName="table", Item=item)
    left = Counter((item["shelf"]["S"], item["pk"]["S"], item["sk"]["S"]) for item in items if "shelf" in item)
    assert open_work(DynamoLedger(dynamodb, "table", clock)) == left


def open_work(ledger: DynamoLedger) -> Counter[tuple[str, str, str]]:
    of_jobs = {OpenWork.planning, OpenWork.held, OpenWork.asking, OpenWork.limited, OpenWork.running, OpenWork.canceling}
    of_jobs.add(OpenWork.finishing)
    found = Counter((str(work), f"JOB#{one.id}", "JOB") for work in of_jobs for one in ledger.list_open_jobs(work))
    found.update(
        (str(work), f"JOB#{one.job_id}", f"BATCH#{one.name}")
        for work in set(OpenWork) - of_jobs
        for one in ledger.list_open_batches(work)
    )
    return found


def test_what_its_late_invocations_store_is_found(dynamodb: DynamoDBClient, clock: ManualClock) -> None:
    """Some were at work when their function was replaced."""
    ledger = DynamoLedger(dynamodb, "table", clock)
    assert list(ledger.list_open_batches(OpenWork.watched)) == []
    late = replace(batch(state=BatchState.in_progress, created_at=START), prefixes=None)
    dynamodb.put_item(TableName="table", Item=as_it_stores(batch_item(late)))
    clock.advance(15 * 60)
    assert list(ledger.list_open_batches(OpenWork.watched)) == [late]
    moved = move(ledger, late, replace(late, state=BatchState.canceling))
    assert list(ledger.list_open_batches(OpenWork.watched)) == [moved]


def test_a_job_that_both_have_written_is_found_where_it_belongs(dynamodb: DynamoDBClient, clock: ManualClock) -> None:
    """After a rollback it carries out a cancel as it does for a job that is held, and puts it among those."""
    ledger = DynamoLedger(dynamodb, "table", clock)
    running = create(ledger, job(state=JobState.running))
    changes: Item = {
        "cancel_requested": {"BOOL": True},
        "revision": {"N": "1"},
        "shelf": {"S": "held"},
        "due": job_item(running)["due"],
    }
    dynamodb.put_item(TableName="table", Item={**job_item(running), **changes})
    (found,) = ledger.list_open_jobs(OpenWork.canceling)
    assert (found.id, found.state) == (running.id, JobState.running)
    assert open_work(ledger).total() == 1
    move(ledger, found, replace(found, note="seen"))
    assert open_work(ledger) == Counter([("canceling", f"JOB#{running.id}", "JOB")])


def test_a_condition_on_the_state_holds_for_a_job_as_it_stores_one(dynamodb: DynamoDBClient, clock: ManualClock) -> None:
    ledger = DynamoLedger(dynamodb, "table", clock)
    running = job(state=JobState.running)
    dynamodb.put_item(TableName="table", Item=as_it_stores(job_item(running)))
    create(ledger, batch())
    guard = Guard(job_state=JobState.running)
    admitted = ledger.commit(Move(batch(), replace(batch(), admitted_at=START), guard=guard))
    dynamodb.put_item(TableName="table", Item=as_it_stores(job_item(replace(running, state=JobState.finishing))))
    with pytest.raises(LostRace):
        ledger.commit(Move(admitted, replace(admitted, admitted_at=None), guard=guard))


def as_it_stores(item: Item) -> Item:
    stored = {name: value for name, value in item.items() if name != "phase"}
    return {**stored, "state": item["phase"], "shelf": {"S": item["shelf"]["S"].removesuffix(".2")}}
