"""Write `status.json`: where the job stands, at every change."""

from __future__ import annotations

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.records import Job
from batchdrop.ports import Clock, Ledger, Objects
from batchdrop.reports.manifest import manifest
from batchdrop.reports.status import status

# Two functions may publish one job at the same moment; the one that read first may write last. Each looks again after writing.
_LOOKS = 5


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    clock: Clock
    region: str = ""
    """Of the bucket; empty where nobody knows."""

    def __call__(self, job_id: str) -> Job | None:
        """Writes the status of a job as the table has it now, and returns the job."""
        job = self.ledger.get_job(job_id)
        for _ in range(_LOOKS):
            if job is None:
                return None
            notice = self.ledger.get_admission().notice
            self.objects.put(self.key(job), status(job, self.clock.now(), notice, region=self.region))
            again = self.ledger.get_job(job_id)
            if again == job:
                return job
            job = again
        return job

    def end_without_rows(self, job: Job) -> None:
        """Status and manifest of a job that ends without a batch, before its end is recorded: who dies there does it again."""
        now = self.clock.now()
        self.objects.put(self.key(job), status(job, now, region=self.region))
        manifest_key = keys.outbox_folder(job.input.key, job.id) + "manifest.json"
        self.objects.put(manifest_key, manifest(job, (), {}, now), once=True)

    @staticmethod
    def key(job: Job) -> str:
        return keys.outbox_folder(job.input.key, job.id) + "status.json"
