"""Write `status.json`, where the job stands, at every change; and `report.html`, the same for the eye."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.errors import ObjectGone, Throttled
from batchdrop.domain.open_work import APPROVAL
from batchdrop.domain.records import Job, JobState
from batchdrop.jobs.report import Report
from batchdrop.ports import Clock, Ledger, Objects
from batchdrop.reports.latest import is_newer, latest
from batchdrop.reports.manifest import manifest
from batchdrop.reports.status import status

# Two functions may publish one job at the same moment; the one that read first may write last. Each looks again after writing.
_LOOKS = 5
_MOST_LATEST = 100_000  # bytes; ours has hundreds
# So new a question is shown by whoever makes it, if need be without those rows: `poll` shows it with them at its first ticks.
_NEW = timedelta(minutes=1)


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    """`report`: None in functions that move batches only: no state that people have a word for begins or ends in them."""

    objects: Objects
    ledger: Ledger
    clock: Clock
    report: Report | None = None
    region: str = ""
    """Of the bucket; empty where nobody knows."""

    def __call__(self, job_id: str, *, page: bool = True) -> Job | None:
        """Writes the status of a job as the table has it now, and returns the job. `page`: the report too."""
        job = self.ledger.get_job(job_id)
        for _ in range(_LOOKS):
            if job is None:
                return None
            self._write(job, self.ledger.get_admission().notice, page=page)
            again = self.ledger.get_job(job_id)
            if again == job:
                return job
            job = again
        return job

    def end_without_rows(self, job: Job) -> None:
        """Status and manifest of a job that ends without a batch, before its end is recorded: who dies there does it again."""
        self._write(job, "", page=True)
        manifest_key = keys.outbox_folder(job.input.key, job.id) + "manifest.json"
        self.objects.put(manifest_key, manifest(job, (), {}, self.clock.now()), once=True)
        self.latest(job)

    def latest(self, ended: Job) -> None:
        """Names the job as the newest one of its file's name, unless a newer one has ended before it.

        After its manifest is written, before its end is recorded: who dies in between does it again.
        """
        for _ in range(_LOOKS):
            if self._name_latest(keys.latest(ended.input.key), ended):
                return
        raise Throttled(f"latest.json of job {ended.id}: other jobs of that name kept ending in between")

    def _name_latest(self, key: str, ended: Job) -> bool:
        """False: another job has come in between."""
        try:
            # By its ETag: of the newest version that is read.
            there = replace(self.objects.head(key).ref, version_id=None)
            with self.objects.read(there) as body:
                named = body.read(_MOST_LATEST)
        except ObjectGone:
            return self.objects.put(key, latest(ended), once=True)
        return not is_newer(ended, named, self.clock.now()) or self.objects.overwrite(there, latest(ended))

    def _write(self, job: Job, notice: str, *, page: bool) -> None:
        now = self.clock.now()
        shows_tried = _shows_tried(job, now)
        if shows_tried and (self.report is None or not self.report.answers):
            return  # It would be without those rows. `poll`, which may read them, writes it as soon as the job has changed.
        if self.report is None or not (page or shows_tried):
            self.objects.put(self.key(job), status(job, now, notice, region=self.region))
            return
        details = self.report.details(job)
        samples = details.samples if details is not None and job.finished_at is None else ()
        outcome = details.outcome if details is not None and job.finished_at is not None else None
        left = outcome.left if outcome is not None else None
        self.objects.put(self.key(job), status(job, now, notice, region=self.region, samples=samples, left=left))
        if details is not None:
            self.report(job, details, notice)

    @staticmethod
    def key(job: Job) -> str:
        return keys.outbox_folder(job.input.key, job.id) + "status.json"


def _shows_tried(job: Job, now: datetime) -> bool:
    """Whether its status shows rows that were tried, for whoever is to approve the rest, and has done so for a moment."""
    asks = job.state is JobState.held and job.needs == APPROVAL and job.tried and not job.cancel_requested
    return bool(asks) and job.held_at is not None and now >= job.held_at + _NEW
