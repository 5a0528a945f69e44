"""The ledger in one DynamoDB table. Every write of a job is a transaction with a token of its own.

DynamoDB remembers a token for ten minutes and answers a repeated transaction as it answered the first. A response that was
lost on the way therefore never looks like a lost race, neither to botocore's retries nor to ours.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import batched, chain, islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from msgspec.structs import replace

from batchdrop.adapters.aws import NO_ANSWER, code_of, is_later, is_passing, throttling
from batchdrop.adapters.changes import Action, Change
from batchdrop.adapters.items import (
    BATCH_COUNTERS,
    BATCH_PREFIX,
    INDEX,
    Item,
    admission_key,
    arrivals_key,
    batch_key,
    claim_key,
    group_key,
    job_key,
    mark_key,
    models_item,
    models_key,
    purse_key,
    record_of,
)
from batchdrop.adapters.transaction import Transaction
from batchdrop.adapters.version_0_1_0 import OF_JOBS_WRITTEN_BY_BOTH, its_partition, partition
from batchdrop.domain.errors import AlreadyExists, LostRace, Throttled
from batchdrop.domain.marks import MARKED, Mark
from batchdrop.domain.model_list import ModelList
from batchdrop.domain.open_work import OpenWork, place_of_job, waiting_in
from batchdrop.domain.record import Record
from batchdrop.domain.records import Admission, Arrivals, Batch, Group, Job, Purse
from batchdrop.domain.transitions import Move
from batchdrop.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

# Tries of one transaction against conflicts with others; with these pauses the last one comes after about three seconds.
_TRIES = 8
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
# Of BatchGetItem and of TransactWriteItems (Amazon DynamoDB API Reference).
_MOST_READ = MOST_WRITTEN = 100
# Marks share a partition of the index, which takes 1,000 units a second, and jobs write theirs there meanwhile.
REMOVAL_SECONDS = 0.2
# Items of one query. DynamoDB ends a page at 1 MB anyway, which is about as many; fewer would only be more calls.
_PAGE = 1000
# Of Lambda ("Lambda quotas", function timeout).
_LONGEST_INVOCATION = timedelta(minutes=15)


class DynamoLedger:
    """The table has the keys `pk` and `sk`, and an index `open` (`shelf`, `due`) that projects every attribute."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._empty_until: dict[str, datetime] = {}

    # ---------------------------------------------------------------- reads

    def get_job(self, job_id: str) -> Job | None:
        return self._get(job_key(job_id), Job)

    def get_jobs(self, job_ids: Sequence[str]) -> list[Job]:
        return [job for some in batched(job_ids, _MOST_READ, strict=False) for job in self._get_jobs(some)]

    def _get_jobs(self, job_ids: Sequence[str]) -> Iterator[Job]:
        keys: Any = [job_key(job_id) for job_id in job_ids]
        for attempt in range(_TRIES):
            self._pause_before(attempt)
            with throttling():
                found = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            yield from (record_of(item, Job) for item in found["Responses"].get(self._table, []))
            unread: Any = found.get("UnprocessedKeys", {})
            keys = unread.get(self._table, {}).get("Keys", [])
            if not keys:
                return
        raise Throttled("the table was too busy to read many jobs")

    def get_batch(self, job_id: str, name: str) -> Batch | None:
        return self._get(batch_key(job_id, name), Batch)

    def get_admission(self) -> Admission:
        return self._get(admission_key(), Admission) or Admission()

    def get_models(self) -> ModelList | None:
        return self._get(models_key(), ModelList)

    def get_arrivals(self, team: str) -> Arrivals:
        return self._get(arrivals_key(team), Arrivals) or Arrivals(team=team)

    def get_group(self, key: str) -> Group:
        return self._get(group_key(key), Group) or Group(key=key)

    def get_purses(self, names: Sequence[str]) -> list[Purse]:
        return [self._purse(name) for name in names]

    def has_open_work(self) -> bool:
        # The index is sparse, so its first entry answers for all kinds of open work. A page can be empty and not the last one.
        with throttling():
            page = self._client.scan(TableName=self._table, IndexName=INDEX, Limit=1)
        return bool(page["Items"]) or "LastEvaluatedKey" in page

    def list_marks(self, *, behind: str = "", limit: int) -> list[Mark]:
        return list(self._list_open(MARKED, Mark, limit, behind))

    def list_batches(self, job_id: str) -> Iterator[Batch]:
        question: QueryInputTypeDef = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :job and begins_with(sk, :batches)",
            "ExpressionAttributeValues": {":job": job_key(job_id)["pk"], ":batches": {"S": BATCH_PREFIX}},
            "ConsistentRead": True,
        }
        return self._query(question, Batch, None)

    def list_open_batches(self, work: OpenWork, *, limit: int | None = None) -> Iterator[Batch]:
        return islice(chain(self._list_open(partition(work), Batch, limit), self._of_0_1_0(its_partition(work), Batch)), limit)

    def list_waiting_batches(self, job_id: str, *, limit: int) -> Iterator[Batch]:
        return self._list_open(waiting_in(job_id), Batch, limit)

    def list_open_jobs(self, work: OpenWork, *, behind: str = "", limit: int | None = None) -> Iterator[Job]:
        """What 0.1.0 has written comes last."""
        written_by_it = chain(self._of_0_1_0(its_partition(work), Job), self._of_0_1_0(OF_JOBS_WRITTEN_BY_BOTH, Job))
        those = (job for job in written_by_it if (place := place_of_job(job)) and place.shelf == work and place.due > behind)
        return islice(chain(self._list_open(partition(work), Job, limit, behind), those), limit)

    def owner_of(self, api_id: str) -> tuple[str, str] | None:
        claim = self._item(claim_key(api_id))
        return None if claim is None else (claim["job_id"]["S"], claim["batch_name"]["S"])

    # ---------------------------------------------------------------- writes

    def commit[R: (Job, Batch, Admission, Arrivals, Group)](self, move: Move[R]) -> R:
        try:
            self._write(Transaction(self._table).entries(move))
        except _Unmet as unmet:
            # The action of the move itself comes first.
            if move.before is None and 0 in unmet.places:
                raise AlreadyExists(str(unmet)) from unmet
            raise LostRace(str(unmet)) from unmet
        if move.before is None:
            return move.after
        return self._with_counters(replace(move.after, revision=move.before.revision + 1))

    def remove_marks(self, marks: Sequence[Mark]) -> None:
        for number, some in enumerate(batched(marks, MOST_WRITTEN, strict=False)):
            if number:
                self._clock.sleep(REMOVAL_SECONDS)
            changes = [Change(self._table, mark_key(mark), f"the mark of job {mark.job_id}") for mark in some]
            for change in changes:
                change.delete()
            self._write([change.action() for change in changes])

    def put_models(self, models: ModelList) -> None:
        with throttling():
            self._client.put_item(TableName=self._table, Item=models_item(models))

    # ---------------------------------------------------------------- the table itself

    def _write(self, actions: Sequence[Action]) -> None:
        """Raises _Unmet when a condition failed, Throttled when conflicts and throttling outlast the tries."""
        token = uuid.uuid4().hex
        for attempt in range(_TRIES):
            self._pause_before(attempt)
            try:
                self._client.transact_write_items(TransactItems=[action.item for action in actions], ClientRequestToken=token)
            except (ClientError, *NO_ANSWER) as error:
                if unmet := _unmet_of(error, actions):
                    raise unmet from error
                if not _may_pass(error):
                    raise
                continue
            return
        raise Throttled(f"{actions[0].label}: the table was busy {_TRIES} times in a row")

    def _pause_before(self, attempt: int) -> None:
        if attempt:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
            self._clock.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret

    def _with_counters[R: (Job, Batch, Admission, Arrivals, Group)](self, stored: R) -> R:
        """A write adds to counters that others add to as well: what they are now can only be read."""
        match stored:
            case Job():
                current = self.get_job(stored.id) or stored
                return replace(stored, counts=current.counts, **{name: getattr(current, name) for name in BATCH_COUNTERS})
            case Admission():
                return replace(stored, queued=self.get_admission().queued)
            case _:
                return stored

    def _get[R: Record](self, key: Item, kind: type[R]) -> R | None:
        item = self._item(key)
        return None if item is None else record_of(item, kind)

    def _purse(self, name: str) -> Purse:
        item = self._item(purse_key(name)) or {}
        return Purse(name=name, **{count: int(item[count]["N"]) for count in ("used", "spent") if count in item})

    def _item(self, key: Item) -> Mapping[str, Any] | None:
        with throttling():
            return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")

    def _of_0_1_0[R: Record](self, shelf: str | None, kind: type[R]) -> Iterator[R]:
        """Once it is empty it stays so, unless an invocation of that version is still at work: no need to read it each time."""
        now = self._clock.now()
        if shelf is None or now < self._empty_until.get(shelf, now):
            return
        if (first := next(found := self._list_open(shelf, kind, None), None)) is None:
            self._empty_until[shelf] = now + _LONGEST_INVOCATION
            return
        yield first
        yield from found

    def _list_open[R: Record](self, shelf: str, kind: type[R], limit: int | None, behind: str = "") -> Iterator[R]:
        question: QueryInputTypeDef = {
            "TableName": self._table,
            "IndexName": INDEX,
            "KeyConditionExpression": "shelf = :shelf",
            "ExpressionAttributeValues": {":shelf": {"S": shelf}},
        }
        if behind:
            question["KeyConditionExpression"] = "shelf = :shelf and due > :behind"
            question["ExpressionAttributeValues"] = {":shelf": {"S": shelf}, ":behind": {"S": behind}}
        return self._query(question, kind, limit)

    def _query[R: Record](self, question: QueryInputTypeDef, kind: type[R], limit: int | None) -> Iterator[R]:
        """A page at a time, and no page before it is needed."""
        left = limit
        while left is None or left > 0:
            question["Limit"] = _PAGE if left is None else min(left, _PAGE)
            with throttling():
                page = self._client.query(**question)
            for item in page["Items"]:
                yield record_of(item, kind)
            if "LastEvaluatedKey" not in page:
                return
            question["ExclusiveStartKey"] = page["LastEvaluatedKey"]
            left = None if left is None else left - len(page["Items"])


class _Unmet(Exception):
    """Conditions of a transaction that failed; nothing was written."""

    def __init__(self, failed: Mapping[int, str]) -> None:
        self.places = frozenset(failed)
        super().__init__(f"the condition on {' and '.join(failed.values())} no longer holds")


def _unmet_of(error: Exception, actions: Sequence[Action]) -> _Unmet | None:
    failed = {
        place: action.label
        for place, (action, code) in enumerate(zip(actions, _cancellations(error), strict=False))
        if code == "ConditionalCheckFailed"
    }
    return _Unmet(failed) if failed else None


def _may_pass(error: Exception) -> bool:
    return is_passing(error) or any(is_later(code) for code in _cancellations(error))


def _cancellations(error: Exception) -> list[str]:
    """Why each entry was canceled, in the order of the entries; empty for every other error."""
    if not isinstance(error, ClientError) or code_of(error) != "TransactionCanceledException":
        return []
    return [reason.get("Code", "") for reason in error.response.get("CancellationReasons", [])]
