"""The table in memory. Conditions are checked first, all of them, and then everything is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from batchdrop.domain.errors import AlreadyExists, LostRace
from batchdrop.domain.marks import Mark, mark_of
from batchdrop.domain.model_list import ModelList
from batchdrop.domain.open_work import OpenWork, place_of_batch, place_of_job, waiting_in
from batchdrop.domain.records import Admission, Arrivals, Batch, Counters, Group, Job, Purse
from batchdrop.domain.transitions import Guard, Move, Progress
from tests.fakes.hooks import Hooks, calling, hooked

_COUNTED = ("counts", *(name for name in Counters.__struct_fields__ if name not in ("rows", "queued")))


class FakeLedger:
    name = "ledger"

    def __init__(self, hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()
        self._lock = threading.RLock()
        self.jobs: dict[str, Job] = {}
        self.stored: dict[tuple[str, str], Batch] = {}
        self.claims: dict[str, tuple[str, str]] = {}
        self._admission = Admission()
        self.models: ModelList | None = None
        self.arrivals: dict[str, Arrivals] = {}
        self.groups: dict[str, Group] = {}
        self.marks: set[Mark] = set()
        self.purses: dict[str, Purse] = {}

    # ---------------------------------------------------------------- reads

    @hooked
    def get_job(self, job_id: str) -> Job | None:
        return self.jobs.get(job_id)

    @hooked
    def get_jobs(self, job_ids: Sequence[str]) -> list[Job]:
        return [self.jobs[job_id] for job_id in job_ids if job_id in self.jobs]

    @hooked
    def get_batch(self, job_id: str, name: str) -> Batch | None:
        return self.stored.get((job_id, name))

    @hooked
    def get_admission(self) -> Admission:
        return self._admission

    @hooked
    def get_models(self) -> ModelList | None:
        return self.models

    @hooked
    def get_arrivals(self, team: str) -> Arrivals:
        return self.arrivals.get(team, Arrivals(team=team))

    @hooked
    def get_group(self, key: str) -> Group:
        return self.groups.get(key, Group(key=key))

    @hooked
    def get_purses(self, names: Sequence[str]) -> list[Purse]:
        return [self.purses.get(name, Purse(name=name)) for name in names]

    @hooked
    def has_open_work(self) -> bool:
        open_jobs, open_batches = map(place_of_job, self.jobs.values()), map(place_of_batch, self.stored.values())
        return bool(self.marks) or any(open_jobs) or any(open_batches)

    @hooked
    def list_marks(self, *, behind: str = "", limit: int) -> list[Mark]:
        return sorted((mark for mark in self.marks if mark.due > behind), key=lambda mark: mark.due)[:limit]

    @hooked
    def list_batches(self, job_id: str) -> Iterator[Batch]:
        return iter([self.stored[key] for key in sorted(key for key in self.stored if key[0] == job_id)])

    @hooked
    def list_open_batches(self, work: OpenWork, *, limit: int | None = None) -> Iterator[Batch]:
        return self._batches_on(work, limit)

    @hooked
    def list_waiting_batches(self, job_id: str, *, limit: int) -> Iterator[Batch]:
        return self._batches_on(waiting_in(job_id), limit, of=job_id)

    def _batches_on(self, shelf: str, limit: int | None, *, of: str = "") -> Iterator[Batch]:
        """`of`: a job that all of them belong to, which is quicker to tell."""
        found = [
            (place.due, key, batch)
            for key, batch in self.stored.items()
            if (not of or key[0] == of) and (place := place_of_batch(batch)) and place.shelf == shelf
        ]
        return iter([batch for _, _, batch in sorted(found, key=lambda one: one[:2])][:limit])

    @hooked
    def list_open_jobs(self, work: OpenWork, *, behind: str = "", limit: int | None = None) -> Iterator[Job]:
        found = [
            (place.due, job.id, job)
            for job in self.jobs.values()
            if (place := place_of_job(job)) and place.shelf == work and place.due > behind
        ]
        return iter([job for _, _, job in sorted(found, key=lambda one: one[:2])][:limit])

    @hooked
    def owner_of(self, api_id: str) -> tuple[str, str] | None:
        return self.claims.get(api_id)

    # ---------------------------------------------------------------- writes

    @hooked
    def remove_marks(self, marks: Sequence[Mark]) -> None:
        self.marks.difference_update(marks)

    @hooked
    def put_models(self, models: ModelList) -> None:
        self.models = models

    def commit[R: (Job, Batch, Admission, Arrivals, Group)](self, move: Move[R]) -> R:
        """Its name for hooks ends in the edge: `ledger.commit.admitted`."""
        with calling(self, f"commit.{move.edge}"):
            return self._commit(move)

    def _commit[R: (Job, Batch, Admission, Arrivals, Group)](self, move: Move[R]) -> R:
        parts: tuple[Move[Any], ...] = (move, *move.also)
        with self._lock:
            for part in parts:
                self._check(part)
            self._check_purses(parts)
            stored = [self._write(part) for part in parts]
            for part in parts:
                self._count(part)
                self._charge(part)
            current: R = self._now(stored[0])
            return current

    # ---------------------------------------------------------------- conditions

    def _check(self, move: Move[Any]) -> None:
        stored = self._now(move.after, move.before)
        if move.before is None and stored is not None:
            raise AlreadyExists(str(move.after))
        if move.before is not None and (stored is None or stored.revision != move.before.revision):
            raise LostRace(f"{move.before} has changed")
        if isinstance(move.after, Batch):
            self._check_claims(move.before, move.after)
        if isinstance(move.after, Job | Batch):
            job_id = move.after.job_id if isinstance(move.after, Batch) else move.after.id
            self._check_guard(job_id, move.counters, move.guard)

    def _now(self, after: Any, before: Any = None) -> Any:
        """The stored copy of a record."""
        match after:
            case Job():
                return self.jobs.get((before or after).id)
            case Batch():
                return self.stored.get(((before or after).job_id, (before or after).name))
            case Admission():
                return self._admission
            case Arrivals(team=team):
                return self.arrivals.get(team, Arrivals(team=team))
            case Group(key=key):
                return self.groups.get(key, Group(key=key))

    def _check_claims(self, before: Batch | None, after: Batch) -> None:
        if before is None or before.api_id == after.api_id:
            return
        if after.api_id is not None and after.api_id in self.claims:
            raise LostRace(f"the claim on {after.api_id}")
        if before.api_id is not None and self.claims.get(before.api_id) != (before.job_id, before.name):
            raise LostRace(f"the claim on {before.api_id}")

    def _check_guard(self, job_id: str, counters: Counters, guard: Guard) -> None:
        asked = guard != Guard(queue_limit=guard.queue_limit, arrivals=guard.arrivals)
        if asked or replace(counters, queued=0) != Counters():
            job = self.jobs.get(job_id)
            if job is None:
                raise LostRace(f"job {job_id} is not in the table")
            if guard.job_state is not None and (job.state is not guard.job_state or job.cancel_requested):
                raise LostRace(f"job {job_id} is {job.state}")
            if guard.progress not in (None, Progress.of(job)):
                raise LostRace(f"job {job_id}: {Progress.of(job)}")
            if guard.may_use is not None and job.used + counters.used > guard.may_use:
                raise LostRace(f"job {job_id}: what it may use")
        if guard.queue_limit is not None and self._admission.queued + counters.queued > guard.queue_limit:
            raise LostRace("the limit on queued requests")
        if guard.arrivals is not None:
            arrived = self.arrivals.get(guard.arrivals.team, Arrivals(team=guard.arrivals.team))
            if arrived.count != guard.arrivals.count:
                raise LostRace(f"the recipes of team {arrived.team!r}: {arrived.count}")

    def _check_purses(self, parts: tuple[Move[Any], ...]) -> None:
        for charge in (charge for part in parts for charge in part.charges):
            used = self.purses.get(charge.purse, Purse(name=charge.purse)).used
            if charge.limit is not None and used + charge.used > charge.limit:
                raise LostRace(f"the limit of {charge.purse}")

    # ---------------------------------------------------------------- effects

    def _write(self, move: Move[Any]) -> Any:
        revised = move.after if move.before is None else replace(move.after, revision=move.before.revision + 1)
        match revised:
            case Job():
                kept = self.jobs.get(revised.id, revised)
                if (mark := mark_of(move.before, revised)) is not None:
                    self.marks.add(mark)
                self.jobs[revised.id] = replace(revised, **{name: getattr(kept, name) for name in _COUNTED})
            case Batch():
                self._claim(move.before, revised)
                self.stored[revised.job_id, revised.name] = revised
            case Admission():
                self._admission = replace(revised, queued=self._admission.queued)
            case Arrivals():
                self.arrivals[revised.team] = revised
            case Group():
                self.groups[revised.key] = revised
        return revised

    def _claim(self, before: Batch | None, after: Batch) -> None:
        if before is None or before.api_id == after.api_id:
            return
        if before.api_id is not None:
            del self.claims[before.api_id]
        if after.api_id is not None:
            self.claims[after.api_id] = (after.job_id, after.name)

    def _count(self, move: Move[Any]) -> None:
        added = move.counters
        if not isinstance(move.after, Job | Batch):
            return
        job = self.jobs.get(move.after.job_id if isinstance(move.after, Batch) else move.after.id)
        if job is not None:
            numbers = {name: getattr(job, name) + getattr(added, name) for name in _COUNTED if name != "counts"}
            self.jobs[job.id] = replace(job, counts=job.counts + added.rows, **numbers)
        self._admission = replace(self._admission, queued=self._admission.queued + added.queued)

    def _charge(self, move: Move[Any]) -> None:
        for charge in move.charges:
            purse = self.purses.get(charge.purse, Purse(name=charge.purse))
            self.purses[charge.purse] = replace(purse, used=purse.used + charge.used, spent=purse.spent + charge.spent)
