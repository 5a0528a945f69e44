"""The ledger in one DynamoDB table. Every write is a transaction with a token of its own.

DynamoDB remembers a token for ten minutes and answers a repeated transaction as it answered the first. A response that was
lost on the way therefore never looks like a lost race, neither to botocore's retries nor to ours.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from batchdrop.adapters.aws import NO_ANSWER, code_of, is_later, is_passing, throttling
from batchdrop.adapters.changes import Action, Change
from batchdrop.adapters.items import (
    BATCH_PREFIX,
    INDEX,
    Item,
    admission_item,
    admission_key,
    batch_item,
    batch_key,
    claim_item,
    claim_key,
    job_item,
    job_key,
    record_of,
)
from batchdrop.domain.errors import LostRace, Throttled
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Admission, Batch, Job, JobState, Record
from batchdrop.domain.transitions import check_batch_move, check_job_move
from batchdrop.ports import UNCHANGED, Clock, Counters

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

# Tries of one transaction against conflicts with others; with these pauses the last one comes after about three seconds.
_TRIES = 8
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
# Readings of a job's counters for "is this its last batch?"; each further one means that another batch came in between.
_READINGS = 8
# Items of one query. DynamoDB ends a page at 1 MB anyway, which is about as many; fewer would only be more calls.
_PAGE = 1000
_COUNTERS = tuple(name for name in Counters.__struct_fields__ if name != "queued")
_QUEUED = ("queued",)


class DynamoLedger:
    """The table has the keys `pk` and `sk`, and an index `open` (`shelf`, `due`) that projects every attribute."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    # ---------------------------------------------------------------- jobs

    def open_job(self, job: Job) -> tuple[Job, bool]:
        change = Change(self._table, job_key(job.id), "the job")
        change.require(change.is_new())
        try:
            self._commit([change.put(job_item(job))])
        except _Unmet:
            return self._known_job(job.id), False
        return job, True

    def get_job(self, job_id: str) -> Job | None:
        return self._get(job_key(job_id), Job)

    def move_job(self, before: Job, after: Job) -> Job:
        check_job_move(before.state, after.state)
        change = Change(self._table, job_key(before.id), "the job")
        change.require(_nobody_changed_it(change, before.revision))
        stored = msgspec.structs.replace(after, revision=before.revision + 1)
        change.write(job_item(stored), Job, keep=_COUNTERS)
        self._commit_or_lose([change.update()])
        return _with_counters(stored, self._known_job(before.id), _COUNTERS)

    def list_open_jobs(self, work: OpenWork, *, limit: int | None = None) -> Iterator[Job]:
        return self._list_open(work, Job, limit)

    # ---------------------------------------------------------------- batches

    def add_batch(self, batch: Batch, counters: Counters) -> bool:
        try:
            self._commit([self._new_batch(batch), *self._counted_in(batch.job_id, counters)])
        except _Unmet as unmet:
            if unmet.first == 0:
                return False
            raise LostRace(str(unmet)) from unmet
        return True

    def get_batch(self, job_id: str, name: str) -> Batch | None:
        return self._get(batch_key(job_id, name), Batch)

    def list_batches(self, job_id: str) -> Iterator[Batch]:
        question: QueryInputTypeDef = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :job and begins_with(sk, :batches)",
            "ExpressionAttributeValues": {":job": job_key(job_id)["pk"], ":batches": {"S": BATCH_PREFIX}},
            "ConsistentRead": True,
        }
        return self._query(question, Batch, None)

    def move_batch(
        self,
        before: Batch,
        after: Batch,
        counters: Counters = UNCHANGED,
        *,
        job_state: JobState | None = None,
        queue_limit: int | None = None,
        follow_up: Batch | None = None,
        finish: Job | None = None,
    ) -> Batch:
        check_batch_move(before.state, after.state)
        stored = msgspec.structs.replace(after, revision=before.revision + 1)
        others = [self._moved_batch(before, stored), *self._claims(before, stored)]
        if follow_up is not None:
            others.append(self._new_batch(follow_up))
        if finish is None and (follow_up is not None or not counters.batches_collected):
            self._commit_or_lose([*others, *self._counted_in(before.job_id, counters, job_state, queue_limit)])
        else:
            self._commit_counted(others, before.job_id, counters, job_state=job_state, queue_limit=queue_limit, finish=finish)
        return stored

    def owner_of(self, api_id: str) -> tuple[str, str] | None:
        claim = self._item(claim_key(api_id))
        return None if claim is None else (claim["job_id"]["S"], claim["batch_name"]["S"])

    def list_open_batches(self, work: OpenWork, *, limit: int | None = None) -> Iterator[Batch]:
        return self._list_open(work, Batch, limit)

    # ---------------------------------------------------------------- admission

    def get_admission(self) -> Admission:
        return self._get(admission_key(), Admission) or Admission()

    def move_admission(self, before: Admission, after: Admission) -> Admission:
        change = Change(self._table, admission_key(), "the admission record")
        unchanged = _nobody_changed_it(change, before.revision)
        # An addition to `queued` makes the item without a revision: that counts as revision 0.
        change.require(unchanged if before.revision else f"({change.lacks('revision')} or {unchanged})")
        stored = msgspec.structs.replace(after, revision=before.revision + 1)
        change.write(admission_item(stored), Admission, keep=_QUEUED)
        self._commit_or_lose([change.update()])
        return _with_counters(stored, self.get_admission(), _QUEUED)

    # ---------------------------------------------------------------- parts of a batch's transaction

    def _new_batch(self, batch: Batch) -> Action:
        change = Change(self._table, batch_key(batch.job_id, batch.name), f"batch {batch.name}")
        change.require(change.is_new())
        return change.put(batch_item(batch))

    def _moved_batch(self, before: Batch, stored: Batch) -> Action:
        change = Change(self._table, batch_key(before.job_id, before.name), f"batch {before.name}")
        change.require(_nobody_changed_it(change, before.revision))
        return change.put(batch_item(stored))

    def _claims(self, before: Batch, stored: Batch) -> Iterator[Action]:
        if before.api_id == stored.api_id:
            return
        if stored.api_id is not None:
            gained = Change(self._table, claim_key(stored.api_id), f"the claim on {stored.api_id}")
            nobody_has_it = gained.is_new()
            gained.require(nobody_has_it)
            yield gained.put(claim_item(stored.api_id, stored))
        if before.api_id is not None:
            given_up = Change(self._table, claim_key(before.api_id), f"the claim on {before.api_id}")
            it_is_ours = f"{given_up.equals('job_id', before.job_id)} and {given_up.equals('batch_name', before.name)}"
            given_up.require(it_is_ours)
            yield given_up.delete()

    def _counted_in(
        self, job_id: str, counters: Counters, job_state: JobState | None = None, queue_limit: int | None = None
    ) -> Iterator[Action]:
        counted = any(getattr(counters, name) for name in _COUNTERS)
        if counted or job_state is not None:
            change = self._job_change(job_id, counters, job_state)
            yield change.update() if counted else change.check()
        if counters.queued or queue_limit is not None:
            yield self._admitted(counters.queued, queue_limit)

    def _job_change(self, job_id: str, counters: Counters, job_state: JobState | None) -> Change:
        change = Change(self._table, job_key(job_id), f"job {job_id}")
        # An addition would make an item out of nothing.
        it_exists = "attribute_exists(pk)"
        change.require(it_exists)
        if job_state is not None:
            in_that_state = change.equals("state", job_state)
            not_asked_to_cancel = change.equals("cancel_requested", False)
            change.require(in_that_state, not_asked_to_cancel)
        for name in _COUNTERS:
            if amount := getattr(counters, name):
                change.add(name, amount)
        return change

    def _admitted(self, requests: int, limit: int | None) -> Action:
        change = Change(self._table, admission_key(), "the limit on queued requests")
        change.add("queued", requests)
        if limit is not None:
            room = limit - requests
            enough_room = change.at_most("queued", room)
            # No item yet: nothing is queued, so only a batch above the limit itself does not fit.
            change.require(enough_room if room < 0 else f"({change.lacks('queued')} or {enough_room})")
        return change.update()

    # ---------------------------------------------------------------- the last batch of a job

    def _commit_counted(
        self,
        others: Sequence[Action],
        job_id: str,
        counters: Counters,
        *,
        job_state: JobState | None,
        queue_limit: int | None,
        finish: Job | None,
    ) -> None:
        """Commits with the certainty that this is (`finish`) or is not the job's last batch.

        DynamoDB does not calculate in conditions: the counters are read, judged here, and must be the same when written.
        """
        admitted = [self._admitted(counters.queued, queue_limit)] if counters.queued or queue_limit is not None else []
        for _ in range(_READINGS):
            job = self._known_job(job_id)
            _judge(job, counters, job_state, finish)
            change = self._job_change(job_id, counters, job_state)
            no_batch_came_between = " and ".join(
                change.equals(name, getattr(job, name)) for name in ("batches_collected", "batches_total")
            )
            # While a job is planned it may still gain batches, so `running` is part of what was judged.
            still_in_that_state = change.equals("state", job.state)
            change.require(no_batch_came_between, still_in_that_state)
            if finish is not None:
                change.require(_nobody_changed_it(change, finish.revision))
                change.write(job_item(self._finishing(finish)), Job, keep=_COUNTERS)
            try:
                self._commit([change.update(), *others, *admitted])
            except _Unmet as unmet:
                if unmet.first != 0 or len(unmet.labels) > 1:
                    raise LostRace(str(unmet)) from unmet
                continue
            return
        raise Throttled(f"job {job_id}: other batches kept coming in between")

    def _finishing(self, job: Job) -> Job:
        check_job_move(job.state, JobState.finishing)
        return msgspec.structs.replace(job, state=JobState.finishing, updated_at=self._clock.now(), revision=job.revision + 1)

    # ---------------------------------------------------------------- the table itself

    def _commit_or_lose(self, actions: Sequence[Action]) -> None:
        try:
            self._commit(actions)
        except _Unmet as unmet:
            raise LostRace(str(unmet)) from unmet

    def _commit(self, actions: Sequence[Action]) -> None:
        """Raises _Unmet when a condition failed, Throttled when conflicts and throttling outlast the tries."""
        token = uuid.uuid4().hex
        for attempt in range(_TRIES):
            if attempt:
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
                self._clock.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret
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

    def _known_job(self, job_id: str) -> Job:
        job = self.get_job(job_id)
        if job is None:
            raise LostRace(f"job {job_id} is not in the table")
        return job

    def _get[R: Record](self, key: Item, kind: type[R]) -> R | None:
        item = self._item(key)
        return None if item is None else record_of(item, kind)

    def _item(self, key: Item) -> Mapping[str, Any] | None:
        with throttling():
            return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")

    def _list_open[R: Record](self, work: OpenWork, kind: type[R], limit: int | None) -> Iterator[R]:
        question: QueryInputTypeDef = {
            "TableName": self._table,
            "IndexName": INDEX,
            "KeyConditionExpression": "shelf = :shelf",
            "ExpressionAttributeValues": {":shelf": {"S": str(work)}},
        }
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
        self.first = min(failed)
        self.labels = tuple(failed.values())
        super().__init__(f"the condition on {' and '.join(self.labels)} no longer holds")


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


def _nobody_changed_it(change: Change, revision: int) -> str:
    return change.equals("revision", revision)


def _judge(job: Job, counters: Counters, job_state: JobState | None, finish: Job | None) -> None:
    """Raises LostRace unless the job, as it is now, allows the move as it was asked for."""
    if job_state is not None and (job.state is not job_state or job.cancel_requested):
        raise LostRace(f"job {job.id} is {job.state}{', asked to cancel' * job.cancel_requested}")
    if finish is not None and job.revision != finish.revision:
        raise LostRace(f"job {job.id} has changed since it was read")
    collected = job.batches_collected + counters.batches_collected
    is_last = job.state is JobState.running and collected == job.batches_total + counters.batches_total
    if is_last and finish is None:
        raise LostRace(f"job {job.id}: this is its last batch by now; read the job again and finish it")
    if finish is not None and not is_last:
        raise LostRace(f"job {job.id}: this is not its last batch ({collected} of {job.batches_total} collected)")


def _with_counters[R: Record](stored: R, current: R, counters: Sequence[str]) -> R:
    return msgspec.structs.replace(stored, **{name: getattr(current, name) for name in counters})
