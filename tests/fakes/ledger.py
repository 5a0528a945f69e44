"""The table in memory. Conditions are checked first, all of them, and then everything is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec

from batchdrop.domain.errors import LostRace
from batchdrop.domain.open_work import OpenWork, place_of_batch, place_of_job
from batchdrop.domain.records import Admission, Batch, Job, JobState
from batchdrop.domain.transitions import check_batch_move, check_job_move
from batchdrop.ports import UNCHANGED, Counters
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks, hooked

COUNTERS = tuple(name for name in Counters.__struct_fields__ if name != "queued")


class FakeLedger:
    name = "ledger"

    def __init__(self, clock: ManualClock, hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()
        self._clock = clock
        self._lock = threading.RLock()
        self.jobs: dict[str, Job] = {}
        self.stored: dict[tuple[str, str], Batch] = {}
        self.claims: dict[str, tuple[str, str]] = {}
        self._admission = Admission()

    # ---------------------------------------------------------------- jobs

    @hooked
    def open_job(self, job: Job) -> tuple[Job, bool]:
        with self._lock:
            created = job.id not in self.jobs
            return self.jobs.setdefault(job.id, job), created

    @hooked
    def get_job(self, job_id: str) -> Job | None:
        return self.jobs.get(job_id)

    @hooked
    def move_job(self, before: Job, after: Job) -> Job:
        check_job_move(before.state, after.state)
        with self._lock:
            stored = self.jobs.get(before.id)
            if stored is None or stored.revision != before.revision:
                raise LostRace(f"job {before.id}")
            return self._write_job(stored, after)

    @hooked
    def list_open_jobs(self, work: OpenWork, *, limit: int | None = None) -> Iterator[Job]:
        found = [(place.due, job.id, job) for job in self.jobs.values() if (place := place_of_job(job)) and place.work is work]
        return iter([job for _, _, job in sorted(found, key=lambda one: one[:2])][:limit])

    # ---------------------------------------------------------------- batches

    @hooked
    def add_batch(self, batch: Batch, counters: Counters) -> bool:
        with self._lock:
            if (batch.job_id, batch.name) in self.stored:
                return False
            job = self._job_for(batch.job_id, counters, None)
            self.stored[batch.job_id, batch.name] = batch
            self._count(job, counters)
            return True

    @hooked
    def get_batch(self, job_id: str, name: str) -> Batch | None:
        return self.stored.get((job_id, name))

    @hooked
    def list_batches(self, job_id: str) -> Iterator[Batch]:
        return iter([batch for (owner, _), batch in sorted(self.stored.items()) if owner == job_id])

    @hooked
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
        with self._lock:
            self._check_batch(before, follow_up)
            self._check_claims(before, after)
            job = self._job_for(before.job_id, counters, job_state)
            if finish is not None or (counters.batches_collected and follow_up is None):
                self._check_last(job, counters, finish)
            if queue_limit is not None and self._admission.queued + counters.queued > queue_limit:
                raise LostRace("the limit on queued requests")
            moved = msgspec.structs.replace(after, revision=before.revision + 1)
            self._write_batch(before, moved, follow_up)
            self._count(job, counters)
            if finish is not None:
                self._finish(finish)
            return moved

    @hooked
    def owner_of(self, api_id: str) -> tuple[str, str] | None:
        return self.claims.get(api_id)

    @hooked
    def list_open_batches(self, work: OpenWork, *, limit: int | None = None) -> Iterator[Batch]:
        found = [
            (place.due, key, batch)
            for key, batch in self.stored.items()
            if (place := place_of_batch(batch)) and place.work is work
        ]
        return iter([batch for _, _, batch in sorted(found, key=lambda one: one[:2])][:limit])

    # ---------------------------------------------------------------- admission

    @hooked
    def get_admission(self) -> Admission:
        return self._admission

    @hooked
    def move_admission(self, before: Admission, after: Admission) -> Admission:
        with self._lock:
            if self._admission.revision != before.revision:
                raise LostRace("the admission record")
            self._admission = msgspec.structs.replace(after, revision=before.revision + 1, queued=self._admission.queued)
            return self._admission

    # ---------------------------------------------------------------- conditions

    def _check_batch(self, before: Batch, follow_up: Batch | None) -> None:
        stored = self.stored.get((before.job_id, before.name))
        if stored is None or stored.revision != before.revision:
            raise LostRace(f"batch {before.name}")
        if follow_up is not None and (follow_up.job_id, follow_up.name) in self.stored:
            raise LostRace(f"batch {follow_up.name}")

    def _check_claims(self, before: Batch, after: Batch) -> None:
        if before.api_id == after.api_id:
            return
        if after.api_id is not None and after.api_id in self.claims:
            raise LostRace(f"the claim on {after.api_id}")
        if before.api_id is not None and self.claims.get(before.api_id) != (before.job_id, before.name):
            raise LostRace(f"the claim on {before.api_id}")

    def _job_for(self, job_id: str, counters: Counters, job_state: JobState | None) -> Job | None:
        """The job, if anything is asked of it or added to it."""
        if job_state is None and not any(getattr(counters, name) for name in COUNTERS):
            return None
        job = self.jobs.get(job_id)
        if job is None:
            raise LostRace(f"job {job_id} is not in the table")
        if job_state is not None and (job.state is not job_state or job.cancel_requested):
            raise LostRace(f"job {job_id} is {job.state}")
        return job

    def _check_last(self, job: Job | None, counters: Counters, finish: Job | None) -> None:
        assert job is not None
        if finish is not None and finish.revision != job.revision:
            raise LostRace(f"job {job.id} has changed")
        collected = job.batches_collected + counters.batches_collected
        is_last = job.state is JobState.running and collected == job.batches_total + counters.batches_total
        if is_last != (finish is not None):
            raise LostRace(f"job {job.id}: this is {'' if is_last else 'not '}its last batch")

    # ---------------------------------------------------------------- writes

    def _write_batch(self, before: Batch, moved: Batch, follow_up: Batch | None) -> None:
        if before.api_id != moved.api_id:
            if before.api_id is not None:
                del self.claims[before.api_id]
            if moved.api_id is not None:
                self.claims[moved.api_id] = (moved.job_id, moved.name)
        for batch in (moved, follow_up):
            if batch is not None:
                self.stored[batch.job_id, batch.name] = batch

    def _write_job(self, stored: Job, after: Job) -> Job:
        counters = {name: getattr(stored, name) for name in COUNTERS}
        self.jobs[stored.id] = msgspec.structs.replace(after, revision=stored.revision + 1, **counters)
        return self.jobs[stored.id]

    def _count(self, job: Job | None, counters: Counters) -> None:
        if job is not None:
            sums = {name: getattr(job, name) + getattr(counters, name) for name in COUNTERS}
            self.jobs[job.id] = msgspec.structs.replace(job, **sums)
        self._admission = msgspec.structs.replace(self._admission, queued=self._admission.queued + counters.queued)

    def _finish(self, job: Job) -> None:
        check_job_move(job.state, JobState.finishing)
        finishing = msgspec.structs.replace(job, state=JobState.finishing, updated_at=self._clock.now())
        self._write_job(self.jobs[job.id], finishing)
