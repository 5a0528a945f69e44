"""Put the pieces of a job together: results, failures, and last of all the manifest.

Safe to run twice: every output is written once (`If-None-Match`), and both runs would write the same.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.errors import LostRace
from batchdrop.domain.records import Batch, Job, JobState, ObjectRef, Part
from batchdrop.formats import checksums
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Ledger, Notices, Objects
from batchdrop.reports import sentences
from batchdrop.reports.manifest import OutputFile, manifest, output_file
from batchdrop.reports.status import counts_of

log = logging.getLogger(__name__)

# Up to here the file passes through the function, which gives it a sha256; above, its pieces are copied on the server.
_THROUGH_BYTES = 8_000_000


class Finish:
    def __init__(self, objects: Objects, ledger: Ledger, clock: Clock, notices: Notices, publish: Publish) -> None:
        self._objects = objects
        self._ledger = ledger
        self._clock = clock
        self._notices = notices
        self._publish = publish

    def job(self, job_id: str) -> None:
        job = self._ledger.get_job(job_id)
        if job is None or job.state is not JobState.finishing:
            log.info("nothing to finish", extra={"job_id": job_id, "state": job and job.state})
            self._publish.job(job_id)  # a run that died right after ending the job left an old status behind
            return
        batches = list(self._ledger.list_batches(job_id))
        job = self._with_outcome(job)
        self._write_outputs(job, batches)
        self._end(job)
        self._tidy(batches)

    def _with_outcome(self, job: Job) -> Job:
        if job.outcome is not None:
            return job
        return msgspec.structs.replace(job, outcome=JobState.canceled if job.cancel_requested else JobState.done)

    def _write_outputs(self, job: Job, batches: list[Batch]) -> None:
        last = [batch for batch in batches if batch.retry is None]
        files = {"results.jsonl": self._join(job, "results.jsonl", [one.results for one in last if one.results])}
        failed = [one.failed for one in last if one.failed]
        if failed:
            files["failed.jsonl"] = self._join(job, "failed.jsonl", failed)
        self._objects.put(self._key(job, "manifest.json"), manifest(job, batches, files, self._clock.now()), once=True)

    def _join(self, job: Job, name: str, parts: list[Part]) -> OutputFile:
        size = sum(part.size for part in parts)
        through = size <= _THROUGH_BYTES
        checksum = self._write(job, name, parts) if through else self._copy(job, name, parts)
        return output_file(parts, checksum)

    def _write(self, job: Job, name: str, parts: Iterable[Part]) -> str:
        body = b"".join(self._objects.get(part.key) for part in parts)
        self._objects.put(self._key(job, name), body, content_type="application/jsonl", once=True)
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    def _copy(self, job: Job, name: str, parts: Iterable[Part]) -> str:
        parts = list(parts)
        with self._objects.writer(self._key(job, name), once=True) as writer:
            for part in parts:
                writer.copy(ObjectRef(bucket=job.input.bucket, key=part.key, size=part.size), 0, part.size)
        return f"crc64nvme:{checksums.joined(parts)}"

    def _end(self, job: Job) -> None:
        """The manifest is written: subscribers (at least once), the table and the status follow."""
        outcome = job.outcome or JobState.done
        self._notices.publish(
            sentences.subject(job, outcome),
            {
                "job_id": job.id,
                "state": outcome,
                "bucket": job.input.bucket,
                "folder": keys.outbox_folder(job.input.key, job.id),
                "counts": msgspec.to_builtins(counts_of(job)),
            },
        )
        now = self._clock.now()
        try:
            self._ledger.move_job(job, msgspec.structs.replace(job, state=outcome, updated_at=now, finished_at=now))
        except LostRace:
            log.info("another invocation finished this job", extra={"job_id": job.id})
        self._publish.job(job.id)

    def _tidy(self, batches: Iterable[Batch]) -> None:
        """Removes the pieces: kept until their lifecycle rule takes them they would cost several times the rest of the AWS bill.

        What was read stays, so that the job can still be audited. A run that does not get here leaves them to the rule; one that
        still reads them fails, and finds the job ended when it is delivered again.
        """
        for batch in batches:
            for part in (batch.results, batch.failed):
                if part is not None:
                    self._objects.delete(part.key)

    @staticmethod
    def _key(job: Job, name: str) -> str:
        return keys.outbox_folder(job.input.key, job.id) + name
