"""A move as the entries of one DynamoDB transaction.

A transaction may name an item once only, so everything that a move and its parts ask of one item becomes one entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from batchdrop.adapters.changes import Action, Change
from batchdrop.adapters.items import (
    ADMISSION_COUNTERS,
    JOB_COUNTERS,
    Item,
    admission_item,
    admission_key,
    arrivals_item,
    arrivals_key,
    batch_item,
    batch_key,
    claim_item,
    claim_key,
    counted,
    group_item,
    group_key,
    job_item,
    job_key,
    mark_item,
    mark_key,
    open_work_keys,
    purse_key,
)
from batchdrop.adapters.version_0_1_0 import PHASE
from batchdrop.domain.marks import Mark, mark_of
from batchdrop.domain.open_work import place_of_job_behind
from batchdrop.domain.purses import Charge, merged
from batchdrop.domain.records import Admission, Arrivals, Batch, Group, Job, JobState
from batchdrop.domain.transitions import Guard, Move


class Transaction:
    def __init__(self, table: str) -> None:
        self._table = table
        self._changes: list[Change] = []
        self._jobs: dict[str, Change] = {}
        self._admission: Change | None = None

    def entries(self, move: Move[Any]) -> list[Action]:
        """The entry of the record itself comes first."""
        of_running: Batch | None = None
        for part in (move, *move.also):
            match part.after:
                case Batch() as batch:
                    self._batch(part.before, batch)
                    job_id = batch.job_id
                case Job() as job:
                    self._job(part.before, job)
                    job_id = job.id
                case Admission() as admission:
                    self._write_admission(part.before or Admission(), admission)
                    continue
                case Arrivals() as arrivals:
                    self._write_arrivals(part.before or Arrivals(team=arrivals.team), arrivals)
                    continue
                case Group() as group:
                    self._write_group(part.before or Group(key=group.key), group)
                    continue
            self._count(job_id, part)
            if isinstance(part.after, Batch) and (part.counters.batches_waiting > 0 or part.guard.job_state is JobState.running):
                of_running = part.after
        for charge in merged(charge for part in (move, *move.also) for charge in part.charges):
            self._charge(charge)
        # A job that is written in the same transaction gets its place with it.
        if of_running is not None and not any(isinstance(part.after, Job) for part in (move, *move.also)):
            self._place_job(of_running)
        return [change.action() for change in self._changes]

    # ---------------------------------------------------------------- the records

    def _batch(self, before: Batch | None, after: Batch) -> None:
        change = self._change(batch_key(after.job_id, after.name), f"batch {after.name}")
        if before is None:
            change.require(change.is_new())
            change.put(batch_item(after))
            return
        change.require(_nobody_changed_it(change, before.revision))
        change.put(batch_item(_next_revision(before, after)))
        self._claims(before, after)

    def _claims(self, before: Batch, after: Batch) -> None:
        if before.api_id == after.api_id:
            return
        if after.api_id is not None:
            gained = self._change(claim_key(after.api_id), f"the claim on {after.api_id}")
            nobody_has_it = gained.is_new()
            gained.require(nobody_has_it)
            gained.put(claim_item(after.api_id, after))
        if before.api_id is not None:
            given_up = self._change(claim_key(before.api_id), f"the claim on {before.api_id}")
            it_is_ours = f"{given_up.equals('job_id', before.job_id)} and {given_up.equals('batch_name', before.name)}"
            given_up.require(it_is_ours)
            given_up.delete()

    def _job(self, before: Job | None, after: Job) -> None:
        change = self._change_of_job(after.id)
        if before is None:
            change.require(change.is_new())
            change.put(job_item(after))
            self._mark(mark_of(None, after))
            return
        change.require(_nobody_changed_it(change, before.revision))
        stored = _next_revision(before, after)
        change.write(job_item(stored), Job, keep=JOB_COUNTERS)
        self._mark(mark_of(before, stored))

    def _mark(self, mark: Mark | None) -> None:
        if mark is not None:
            self._change(mark_key(mark), f"the mark of job {mark.job_id}").put(mark_item(mark))

    def _write_admission(self, before: Admission, after: Admission) -> None:
        change = self._change_of_admission()
        unchanged = _nobody_changed_it(change, before.revision)
        # An addition to `queued` makes the item without a revision: that counts as revision 0.
        change.require(unchanged if before.revision else f"({change.lacks('revision')} or {unchanged})")
        change.write(admission_item(_next_revision(before, after)), Admission, keep=ADMISSION_COUNTERS)

    def _write_arrivals(self, before: Arrivals, after: Arrivals) -> None:
        change = self._change_of_arrivals(after.team)
        # Its first write makes the item.
        change.require(_nobody_changed_it(change, before.revision) if before.revision else change.is_new())
        change.put(arrivals_item(_next_revision(before, after)))

    def _write_group(self, before: Group, after: Group) -> None:
        change = self._change(group_key(after.key), f"what was approved for {after.key}")
        # Its first write makes the item.
        change.require(_nobody_changed_it(change, before.revision) if before.revision else change.is_new())
        change.put(group_item(_next_revision(before, after)))

    # ---------------------------------------------------------------- counters and guards

    def _count(self, job_id: str, part: Move[Any]) -> None:
        amounts, guard = counted(part.counters), part.guard
        if amounts or guard.job_state is not None or guard.progress is not None or guard.may_use is not None:
            change = self._change_of_job(job_id)
            # An addition would make an item out of nothing.
            it_exists = "attribute_exists(pk)"
            change.require(it_exists, *_job_guards(change, guard))
            if guard.may_use is not None:
                within_what_it_may_use = _has_room(change, "used", guard.may_use - part.counters.used)
                change.require(within_what_it_may_use)
            for name, amount in amounts.items():
                change.add(name, amount)
        if part.counters.queued or guard.queue_limit is not None:
            self._limit_queue(part.counters.queued, guard.queue_limit)
        if guard.arrivals is not None:
            self._require_arrivals(guard.arrivals)

    def _require_arrivals(self, seen: Arrivals) -> None:
        change = self._change_of_arrivals(seen.team)
        change.require(change.equals("count", seen.count) if seen.count else change.is_new())

    def _place_job(self, behind: Batch) -> None:
        """Version 0.1.0 kept no running job in the index: when a batch of it waits, it has to be found there."""
        self._change_of_job(behind.job_id).provide(open_work_keys(place_of_job_behind(behind)))

    def _limit_queue(self, requests: int, limit: int | None) -> None:
        change = self._change_of_admission()
        change.add("queued", requests)
        if limit is not None:
            change.require(_has_room(change, "queued", limit - requests))

    def _charge(self, charge: Charge) -> None:
        change = self._change(purse_key(charge.purse), f"the purse {charge.purse!r}")
        change.add("used", charge.used)
        change.add("spent", charge.spent)
        if charge.limit is not None:
            change.require(_has_room(change, "used", charge.limit - charge.used))

    # ---------------------------------------------------------------- one change for each item

    def _change(self, key: Item, label: str) -> Change:
        change = Change(self._table, key, label)
        self._changes.append(change)
        return change

    def _change_of_job(self, job_id: str) -> Change:
        if job_id not in self._jobs:
            self._jobs[job_id] = self._change(job_key(job_id), f"job {job_id}")
        return self._jobs[job_id]

    def _change_of_admission(self) -> Change:
        if self._admission is None:
            self._admission = self._change(admission_key(), "the limit on queued requests")
        return self._admission

    def _change_of_arrivals(self, team: str) -> Change:
        return self._change(arrivals_key(team), f"the recipes of team {team!r}")


def _has_room(change: Change, counter: str, room: int) -> str:
    """Without an item, or in one that an earlier version wrote, nothing is counted yet."""
    enough = change.at_most(counter, room)
    return enough if room < 0 else f"({change.lacks(counter)} or {enough})"


def _job_guards(change: Change, guard: Guard) -> Iterator[str]:
    if guard.job_state is not None:
        in_that_state = _is_in(change, guard.job_state)
        not_asked_to_cancel = change.equals("cancel_requested", False)
        yield from (in_that_state, not_asked_to_cancel)
    if (progress := guard.progress) is not None:
        still_in_that_state = _is_in(change, progress.state)
        no_batch_came_between = (change.equals(name, getattr(progress, name)) for name in ("batches_total", "batches_collected"))
        yield from (still_in_that_state, *no_batch_came_between)


def _is_in(change: Change, state: JobState) -> str:
    as_0_1_0_stored_it = f"{change.lacks(PHASE)} and {change.equals('state', state)}"
    return f"({change.equals(PHASE, state)} or ({as_0_1_0_stored_it}))"


def _nobody_changed_it(change: Change, revision: int) -> str:
    return change.equals("revision", revision)


def _next_revision[R: (Job, Batch, Admission, Arrivals, Group)](before: R, after: R) -> R:
    return replace(after, revision=before.revision + 1)
