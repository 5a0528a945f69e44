"""Put the pieces of a job together: results, failures, and last of all the manifest.

Safe to run twice: every output is written once (`If-None-Match`), and both runs would write the same.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

import msgspec

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.messages import FinishJob
from batchdrop.domain.records import Batch, Job, JobState, ObjectRef, Part
from batchdrop.formats import checksums
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Ledger, Notices, Objects
from batchdrop.reports import sentences
from batchdrop.reports.manifest import OutputFile, manifest, output_file

log = logging.getLogger(__name__)

# Up to here the file passes through the function, which gives it a sha256; above, its pieces are copied on the server.
_THROUGH_BYTES = 8_000_000
# Commands that arrive while the job is being finished change its record; there are never many.
_TRIES = 10


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    clock: Clock
    notices: Notices
    commit: Commit
    publish: Publish

    def __call__(self, message: FinishJob) -> None:
        job_id = message.job_id
        job = self.ledger.get_job(job_id)
        if job is None or job.state is not JobState.finishing:
            log.info("nothing to finish", extra={"job_id": job_id, "state": job and job.state})
            self.publish(job_id)  # a run that died right after ending the job left an old status behind
            return
        batches = list(self.ledger.list_batches(job_id))
        self._write_outputs(job, batches)
        self._notify(job)
        self._end(job)
        self._tidy(batches)

    def _write_outputs(self, job: Job, batches: list[Batch]) -> None:
        last = [batch for batch in batches if batch.retry is None]
        files = {"results.jsonl": self._join(job, "results.jsonl", [one.results for one in last if one.results])}
        failed = [one.failed for one in last if one.failed]
        if failed:
            files["failed.jsonl"] = self._join(job, "failed.jsonl", failed)
        now = self.clock.now()
        finished = transitions.finished(job, now=now).after
        self.objects.put(self._key(job, "manifest.json"), manifest(finished, batches, files, now), once=True)

    def _join(self, job: Job, name: str, parts: list[Part]) -> OutputFile:
        size = sum(part.size for part in parts)
        through = size <= _THROUGH_BYTES
        checksum = self._write(job, name, parts) if through else self._copy(job, name, parts)
        return output_file(parts, checksum)

    def _write(self, job: Job, name: str, parts: Iterable[Part]) -> str:
        body = b"".join(self.objects.get(part.key) for part in parts)
        self.objects.put(self._key(job, name), body, content_type="application/jsonl", once=True)
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    def _copy(self, job: Job, name: str, parts: Iterable[Part]) -> str:
        parts = list(parts)
        with self.objects.writer(self._key(job, name), once=True) as writer:
            for part in parts:
                writer.copy(ObjectRef(bucket=job.input.bucket, key=part.key, size=part.size), 0, part.size)
        return f"crc64nvme:{checksums.joined(parts)}"

    def _notify(self, job: Job) -> None:
        """The manifest is written: subscribers are told, at least once."""
        state = transitions.finished(job, now=self.clock.now()).after.state
        self.notices.publish(
            sentences.subject(job, state),
            {
                "job_id": job.id,
                "state": state,
                "bucket": job.input.bucket,
                "folder": keys.outbox_folder(job.input.key, job.id),
                "counts": msgspec.to_builtins(job.counts),
            },
        )

    def _end(self, job: Job) -> None:
        """Returns once the stored state of the job is final, whoever made it so. Raises LostRace if it does not become so."""
        for _ in range(_TRIES):
            try:
                self.commit(transitions.finished(job, now=self.clock.now()))
            except LostRace:
                # Another run has finished it, or a command has left its answer in the record.
                current = self.ledger.get_job(job.id)
                if current is None or current.state is not JobState.finishing:
                    break
                job = current
            else:
                break
        else:
            raise LostRace(f"job {job.id} changes faster than it can be finished")
        self.publish(job.id)

    def _tidy(self, batches: Iterable[Batch]) -> None:
        """Removes the pieces: kept until their lifecycle rule takes them they would cost several times the rest of the AWS bill.

        Only once the stored state is final: until then a run that is delivered again needs them. What was read stays, so that the
        job can still be audited. A run that does not get here leaves them to the rule; one that still reads them fails, and finds
        the job ended when it is delivered again.
        """
        for batch in batches:
            for part in (batch.results, batch.failed):
                if part is not None:
                    self.objects.delete(part.key)

    @staticmethod
    def _key(job: Job, name: str) -> str:
        return keys.outbox_folder(job.input.key, job.id) + name
