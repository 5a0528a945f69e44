"""The ledger on a table that is busy, and on answers that get lost."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.domain import transitions
from batchdrop.domain.errors import AlreadyExists, LostRace, Throttled
from batchdrop.domain.purses import Charge
from batchdrop.domain.records import Admission, Batch, JobState
from batchdrop.domain.transitions import Reserve, added, noticed, opened, planned
from tests.adapters.records import batch, job
from tests.fakes import ManualClock
from tests.fakes.clock import START


class BusyTable:
    """Results each transaction with the next of its errors; None is success."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.tokens: list[str] = []

    def transact_write_items(self, **asked: Any) -> None:
        self.tokens.append(asked["ClientRequestToken"])
        if error := self.answers.pop(0):
            raise error


def error(code: str, *reasons: str, status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
        "CancellationReasons": [{"Code": reason} for reason in reasons],
    }
    return ClientError(response, "TransactWriteItems")


CONFLICT = error("TransactionCanceledException", "TransactionConflict", "None")
UNMET = error("TransactionCanceledException", "ConditionalCheckFailed", "TransactionConflict")


def add(table: BusyTable, clock: ManualClock) -> Batch:
    return DynamoLedger(cast("Any", table), "table", clock).commit(added(batch()))


def test_a_conflict_is_tried_again_with_the_same_token(clock: ManualClock) -> None:
    table = BusyTable(
        CONFLICT,
        error("ThrottlingException"),
        error("TransactionInProgressException"),
        error("", status=500),
        EndpointConnectionError(endpoint_url="here"),
        ConnectionClosedError(endpoint_url="here"),
        None,
    )
    add(table, clock)
    assert len(set(table.tokens)) == 1
    assert len(clock.slept) == len(table.tokens) - 1
    assert sum(clock.slept) < 4


def test_every_write_has_a_token_of_its_own(clock: ManualClock) -> None:
    table = BusyTable(None, None)
    add(table, clock)
    add(table, clock)
    assert len(set(table.tokens)) == 2


def test_a_table_that_stays_busy_is_throttled(clock: ManualClock) -> None:
    table = BusyTable(*[CONFLICT] * 20)
    with pytest.raises(Throttled):
        add(table, clock)
    assert len(table.tokens) == 8


def test_a_failed_condition_counts_more_than_a_conflict(clock: ManualClock) -> None:
    with pytest.raises(AlreadyExists):
        add(BusyTable(UNMET), clock)


def test_what_no_retry_can_mend_is_raised(clock: ManualClock) -> None:
    with pytest.raises(ClientError):
        add(BusyTable(error("ValidationException")), clock)
    with pytest.raises(ClientError):
        add(BusyTable(error("TransactionCanceledException", "ValidationError", "None")), clock)


def test_items_hold_times_of_one_width_and_no_nothing(dynamodb: Any, clock: ManualClock) -> None:
    ledger = DynamoLedger(dynamodb, "table", clock)
    ledger.commit(opened(job(created_at=clock.now().replace(microsecond=0))))
    ledger.commit(noticed(Admission(), "x"))
    item = dynamodb.get_item(TableName="table", Key={"pk": {"S": f"JOB#{job().id}"}, "sk": {"S": "JOB"}})["Item"]
    assert item["created_at"] == {"S": "2026-11-22T00:31:15.000000Z"}
    assert (item["shelf"], item["due"]) == ({"S": "planning.2"}, {"S": "2026-11-22T00:31:15.250000Z"})
    assert "lease_until" not in item
    assert item["total"] == {"N": "0"}


class Slow:
    """A table that reads so many of the jobs it is asked for, and leaves the others, as DynamoDB does when it is busy."""

    def __init__(self, client: Any, reads: int) -> None:
        self._client = client
        self.asked: list[int] = []
        self._reads = reads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_get_item(self, RequestItems: Any) -> Any:
        keys = RequestItems["table"]["Keys"]
        self.asked.append(len(keys))
        read, left = keys[: self._reads], keys[self._reads :]
        found = self._client.batch_get_item(RequestItems={"table": {"Keys": read}}) if read else {"Responses": {}}
        return found | {"UnprocessedKeys": {"table": {"Keys": left}} if left else {}}


def test_jobs_that_were_left_are_asked_for_again(dynamodb: Any, clock: ManualClock) -> None:
    table = Slow(dynamodb, 1)
    ledger = DynamoLedger(cast("Any", table), "table", clock)
    stored = [ledger.commit(opened(job(id=f"{number}"))) for number in range(3)]
    assert sorted(ledger.get_jobs(["0", "1", "2"]), key=lambda one: one.id) == stored
    assert table.asked == [3, 2, 1]
    assert len(clock.slept) == 2


def test_jobs_that_are_left_for_seconds_are_throttled(dynamodb: Any, clock: ManualClock) -> None:
    ledger = DynamoLedger(cast("Any", Slow(dynamodb, 0)), "table", clock)
    with pytest.raises(Throttled):
        ledger.get_jobs(["0"])
    assert 0 < sum(clock.slept) < 4


class Crowded:
    """A table that others write to at the same time. As DynamoDB does, it remembers a token and what became of it.

    Of the transactions so many in a hundred meet another one, and as many are written without their answer coming back.
    """

    def __init__(self, client: Any, conflicts: int, lost: int) -> None:
        self._client = client
        self._draw = Random(7)
        self._conflicts = conflicts
        self._lost = lost
        self._done: set[str] = set()
        self.met: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **asked: Any) -> None:
        token = asked.pop("ClientRequestToken")
        if token in self._done:
            return
        drawn = self._draw.randrange(100)
        if drawn < self._conflicts:
            self.met["conflict"] += 1
            raise error("TransactionCanceledException", *["None"] * (len(asked["TransactItems"]) - 1), "TransactionConflict")
        self._client.transact_write_items(**asked)
        self._done.add(token)
        if drawn < self._conflicts + self._lost:
            self.met["lost"] += 1
            raise ConnectionClosedError(endpoint_url="here")


def test_on_a_crowded_table_no_amount_is_lost_and_none_is_counted_twice(dynamodb: Any, clock: ManualClock) -> None:
    """Batches of many jobs are admitted, put back and admitted again, as far as the day allows it."""
    table = Crowded(dynamodb, conflicts=30, lost=10)
    ledger = DynamoLedger(cast("Any", table), "table", clock)
    limit, most = 12 * 7, 0
    admitted: list[Batch] = []
    for number in range(24):
        of = job(id=f"{number}", state=JobState.planning)
        running = ledger.commit(planned(ledger.commit(opened(of)), now=START, lines=9))
        one = ledger.commit(added(batch(job_id=running.id)))
        charges = tuple(Charge(purse=name, used=7, limit=limit if name == "day" else None) for name in ("day", "month", "team"))
        for turn in range(2):
            try:
                one = ledger.commit(transitions.admitted(one, now=START, queue_limit=10**6, reserve=Reserve(7, charges)))
            except LostRace:
                assert number >= 12 or turn
                break
            most = max(most, ledger.get_purses(["day"])[0].used)
            if turn == 0:
                one = ledger.commit(transitions.put_back(one))
        else:
            admitted.append(one)
    assert len(admitted) == 12
    assert most == limit
    assert {(purse.used, purse.spent) for purse in ledger.get_purses(["day", "month", "team"])} == {(limit, 0)}
    jobs = [ledger.get_job(f"{number}") for number in range(24)]
    assert sum(one.used for one in jobs if one is not None) == limit
    assert ledger.get_admission().queued == sum(one.requests for one in admitted)
    assert min(table.met["conflict"], table.met["lost"]) > 10
