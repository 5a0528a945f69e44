"""Turn a dropped object into a job: read it once, check every row, cut it into batches, admit what fits.

Safe to run twice, late and at the same time: the job id comes from the object version, one invocation holds the lease, and a file
that was read in part is carried on after its last stored batch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from batchdrop.domain import ids, keys
from batchdrop.domain.errors import LostRace, ObjectGone, OutOfDisk, Rejected
from batchdrop.domain.records import BatchState, Job, JobState, ObjectRef, Record
from batchdrop.jobs.admit import Admit
from batchdrop.jobs.cancel import Cancel
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Deadline, Ledger, ObjectInfo, Objects, Queue, Queues
from batchdrop.reports import sentences
from batchdrop.reports.manifest import manifest
from batchdrop.reports.status import status
from batchdrop.stages.plan.batches import CutFile
from batchdrop.stages.plan.prepare import prepare

log = logging.getLogger(__name__)

# A lease outlives its invocation by this much, so that clocks that differ a little do not let two planners in.
_LEASE_MARGIN = timedelta(seconds=15)
_PRIORITIES = {"high": 1, "normal": 5, "low": 9}


class Upload(Record, frozen=True):
    """What an S3 event says. The key is as S3 stores it: EventBridge does not encode keys."""

    key: str
    version_id: str | None
    etag: str
    size: int
    at: datetime


class Plan:
    def __init__(
        self,
        objects: Objects,
        ledger: Ledger,
        queues: Queues,
        clock: Clock,
        admit: Admit,
        cancel: Cancel,
        publish: Publish,
        cut_file: CutFile,
        *,
        bucket: str,
        max_input_bytes: int,
    ) -> None:
        self._objects = objects
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._admit = admit
        self._cancel = cancel
        self._publish = publish
        self._bucket = bucket
        self._cut_file = cut_file
        self._max_input_bytes = max_input_bytes

    def dropped(self, upload: Upload, deadline: Deadline) -> None:
        """An object was created in the inbox."""
        if not keys.is_input(upload.key):
            return
        try:
            info = self._objects.head(upload.key, upload.version_id)
        except ObjectGone:
            self._report_gone(upload)
            return
        job, created = self._ledger.open_job(self._new_job(info, deadline))
        if created or self._take_over(job, deadline):
            self._work(job.id, deadline)

    def resumed(self, job_id: str, deadline: Deadline) -> None:
        """A long file is carried on, or a planner that died is replaced."""
        job = self._ledger.get_job(job_id)
        if job is not None and self._take_over(job, deadline):
            self._work(job_id, deadline)

    # ------------------------------------------------------------ opening

    def _new_job(self, info: ObjectInfo, deadline: Deadline) -> Job:
        now = self._clock.now()
        return Job(
            id=ids.job_id(info.ref, info.written_at),
            token=ids.job_token(info.ref),
            input=info.ref,
            state=JobState.planning,
            priority=_PRIORITIES.get(info.metadata.get("batchdrop-priority", "").lower(), _PRIORITIES["normal"]),
            created_at=now,
            updated_at=now,
            lease_until=self._lease(deadline),
        )

    def _lease(self, deadline: Deadline) -> datetime:
        return self._clock.now() + timedelta(seconds=deadline.remaining()) + _LEASE_MARGIN

    def _take_over(self, job: Job, deadline: Deadline) -> bool:
        """Whether this invocation now holds the lease. A repeated event of a planned job ends here."""
        if job.state is not JobState.planning:
            return False
        if job.lease_until is not None and self._clock.now() < job.lease_until:
            log.info("another invocation is planning this job", extra={"job_id": job.id})
            return False
        try:
            self._ledger.move_job(job, msgspec.structs.replace(job, lease_until=self._lease(deadline)))
        except LostRace:
            return False
        return True

    def _report_gone(self, upload: Upload) -> None:
        """No job: the object's own time, and so its id, is gone too. The event's time stands in."""
        now = self._clock.now()
        ref = ObjectRef(bucket=self._bucket, key=upload.key, version_id=upload.version_id, etag=upload.etag, size=upload.size)
        job = Job(
            id=ids.job_id(ref, upload.at),
            token=ids.job_token(ref),
            input=ref,
            state=JobState.rejected,
            reason=sentences.DELETED_BEFORE_READING,
            created_at=upload.at,
            updated_at=now,
            finished_at=now,
        )
        self._write_rejection(job)

    # ------------------------------------------------------------ reading

    def _work(self, job_id: str, deadline: Deadline) -> None:
        job = self._publish.job(job_id)
        if job is None:
            return
        try:
            job, source = self._with_source(job)
            lines = self._cut_file(job, source, deadline)
        except Rejected as reason:
            self._reject(job.id, str(reason))
        except ObjectGone:
            self._reject(job.id, sentences.DELETED_WHILE_READING)
        except OutOfDisk:
            self._reject(job.id, sentences.TOO_MANY_CUSTOM_IDS)
        else:
            if lines is None:
                self._hand_over(job)
            else:
                self._conclude(job.id, lines)

    def _with_source(self, job: Job) -> tuple[Job, ObjectRef]:
        """The job, and the object to read rows from: the input, or the lines made from it."""
        if job.source is not None:
            return job, job.source
        copy = keys.work_folder(job.id) + "input.jsonl"
        source, broken = prepare(self._objects, job.input, copy, self._max_input_bytes)
        return self._ledger.move_job(job, msgspec.structs.replace(job, source=source, broken=broken)), source

    # ------------------------------------------------------------ ending

    def _hand_over(self, job: Job) -> None:
        """Gives up the lease and sends the rest of the file to the next invocation."""
        current = self._ledger.get_job(job.id)
        if current is None or current.state is not JobState.planning:
            return
        now = self._clock.now()
        self._ledger.move_job(current, msgspec.structs.replace(current, lease_until=now, message_sent_at=now))
        self._queues.send(Queue.plan, {"job_id": job.id})

    def _conclude(self, job_id: str, lines: int) -> None:
        job = self._ledger.get_job(job_id)
        if job is not None and not job.batches_total:
            self._reject(job_id, sentences.no_rows(lines))
            return
        changes: dict[str, object] = {"lines": lines}
        if job is not None and not any(batch.requests for batch in self._ledger.list_batches(job_id)):
            reason = sentences.no_valid_rows(job.total)
            changes |= {"outcome": JobState.rejected, "reason": reason}
        self._run(job_id, changes)

    def _run(self, job_id: str, changes: Mapping[str, object]) -> None:
        """planning -> running, and what can go, goes."""
        while True:
            job = self._ledger.get_job(job_id)
            if job is None or job.state is not JobState.planning:
                return
            now = self._clock.now()
            planned = {"state": JobState.running, "planned_at": now, "updated_at": now, "lease_until": None, **changes}
            # A command may have come in between: then read again.
            with suppress(LostRace):
                job = self._ledger.move_job(job, msgspec.structs.replace(job, **planned))
                break
        if job.cancel_requested:
            self._cancel.job(job)
        self._collect_what_has_nothing_to_send(job)
        self._admit.job(job)
        self._publish.job(job_id)

    def _collect_what_has_nothing_to_send(self, job: Job) -> None:
        for batch in self._ledger.list_batches(job.id):
            if batch.state is BatchState.ended and not batch.requests:
                self._queues.send(Queue.collect, {"job_id": job.id, "batch": batch.name})

    def _reject(self, job_id: str, reason: str) -> None:
        """The documents come first: whoever dies here leaves a job that is still planned, and so rejected again."""
        job = self._ledger.get_job(job_id)
        if job is None or job.state is not JobState.planning:
            return
        now = self._clock.now()
        if job.batches_total:
            # Rows were read before it broke off: they end as canceled, through the same door as everybody's.
            lines = max(batch.last_line for batch in self._ledger.list_batches(job_id))
            self._run(job_id, {"cancel_requested": True, "outcome": JobState.rejected, "reason": reason, "lines": lines})
            return
        rejected = msgspec.structs.replace(
            job,
            state=JobState.rejected,
            outcome=JobState.rejected,
            reason=reason,
            updated_at=now,
            finished_at=now,
            lease_until=None,
        )
        self._write_rejection(rejected)
        with suppress(LostRace):
            self._ledger.move_job(job, rejected)

    def _write_rejection(self, job: Job) -> None:
        now = self._clock.now()
        folder = keys.outbox_folder(job.input.key, job.id)
        self._objects.put(folder + "status.json", status(job, now))
        self._objects.put(folder + "manifest.json", manifest(job, (), {}, now), once=True)
