"""The ledger on a table that is busy, and on answers that get lost."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.domain.errors import AlreadyExists, Throttled
from batchdrop.domain.records import Admission, Batch
from batchdrop.domain.transitions import added, noticed, opened
from tests.adapters.records import batch, job
from tests.fakes import ManualClock


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
    assert (item["shelf"], item["due"]) == ({"S": "planning"}, {"S": "2026-11-22T00:31:15.250000Z"})
    assert "lease_until" not in item
    assert item["total"] == {"N": "0"}
