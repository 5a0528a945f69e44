"""Write `report.html`, with what is found of the rows. It never holds a job: what cannot be shown is left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.errors import Forbidden, ObjectGone
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.records import PILOT, Job, JobState, ObjectRef
from batchdrop.ports import Clock, Ledger, Metrics, Objects
from batchdrop.reports.samples import MOST_ROWS, Sample, read_sample

if TYPE_CHECKING:
    from batchdrop.reports.page import Details, Outcome

log = logging.getLogger(__name__)

# A file up to here is read whole; of a longer one, a piece at each of five places.
_WHOLE_BYTES = 1_000_000
_PLACES = 5
_PIECE_BYTES = 200_000


class Report(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    clock: Clock
    metrics: Metrics
    region: str
    answers: bool = True
    """Whether this function may read them."""

    def details(self, job: Job) -> Details | None:
        """What the bucket and the job's pilot tell about its rows; nothing where it cannot be read.

        None: there are answers that this function may not read, and another one writes the page.
        """
        # Most publications are of a job that runs, and show nothing of its rows.
        from batchdrop.reports.page import NOTHING_MORE, Details  # noqa: PLC0415

        ended, asks = job.finished_at is not None and job.batches_total, job.state is JobState.held and job.tried
        if (ended or asks) and not self.answers:
            return None
        try:
            if ended:
                return Details(self._samples(job, "results.jsonl"), self._outcome(job), self._documents(job, "failed.jsonl"))
            if asks:
                return Details(self._samples(job, "tried.jsonl"), self._tried(job), self._documents(job, "tried.jsonl"))
        except Forbidden:
            return None
        except Exception:  # whatever it is: the sentence can be told without it
            self._failed(job)
        return NOTHING_MORE

    def __call__(self, job: Job, details: Details, notice: str) -> None:
        """Writes the page. Raises what the bucket's other writers raise; a page that cannot be made is logged and counted."""
        body = self._page(job, details, notice)
        if body is not None:
            key = keys.outbox_folder(job.input.key, job.id) + "report.html"
            self.objects.put(key, body, content_type="text/html; charset=utf-8")

    def _page(self, job: Job, details: Details, notice: str) -> bytes | None:
        from batchdrop.reports.page import NOTHING_MORE, page  # noqa: PLC0415

        for shown in (details, NOTHING_MORE):
            try:
                return page(job, self.clock.now(), notice, region=self.region, details=shown)
            except Exception:  # whatever it is: the job goes on
                self._failed(job)
        return None

    def _failed(self, job: Job) -> None:
        log.exception("report.html could not be made", extra={"job_id": job.id})
        self.metrics.count("ReportFailed")
        self.metrics.count("Stalled")  # one alarm for what goes on for a quarter of an hour

    def _outcome(self, job: Job) -> Outcome | None:
        from batchdrop.reports.page import read_outcome  # noqa: PLC0415

        try:
            return read_outcome(self.objects.get(self._key(job, "manifest.json")))
        except ObjectGone:
            return None

    def _tried(self, job: Job) -> Outcome | None:
        from batchdrop.reports.page import outcome_of  # noqa: PLC0415

        pilot = self.ledger.get_batch(job.id, PILOT)
        return None if pilot is None or pilot.answer_counts is None else outcome_of(pilot.answer_counts)

    def _samples(self, job: Job, name: str) -> list[Sample]:
        """Rows from all over the file; fewer where a line is longer than what is read at its place."""
        try:
            found = self.objects.head(self._key(job, name)).ref
            lines = self._lines(ObjectRef(bucket=found.bucket, key=found.key, etag=found.etag, size=found.size))
            return [sample for line in lines if (sample := read_sample(line)) is not None]
        except ObjectGone:
            return []

    def _documents(self, job: Job, name: str) -> dict[int, str]:
        """Those of the first rows without an answer."""
        if not is_start(job.input):
            return {}
        try:
            file = self.objects.head(self._key(job, name)).ref
        except ObjectGone:
            return {}
        with self.objects.read(replace(file, version_id=None), 0, min(_PIECE_BYTES, file.size)) as stream:
            lines = stream.read(_PIECE_BYTES).split(b"\n")
        found = [read_sample(line) for line in lines[:-1]]
        return {one.line: one.row["path"] for one in found if one is not None and one.error and "path" in one.row}

    def _lines(self, file: ObjectRef) -> Iterator[bytes]:
        if file.size <= _WHOLE_BYTES:
            with self.objects.read(file) as stream:
                lines = [line for line in stream.read(_WHOLE_BYTES).split(b"\n") if line]
            count = min(len(lines), MOST_ROWS)
            yield from (lines[place * len(lines) // count] for place in range(count))
            return
        for place in range(_PLACES):
            start = place * file.size // _PLACES
            with self.objects.read(file, start, min(start + _PIECE_BYTES, file.size)) as stream:
                lines = stream.read(_PIECE_BYTES).split(b"\n")
            whole = lines[:-1] if start == 0 else lines[1:-1]
            yield from whole[: MOST_ROWS // _PLACES]

    @staticmethod
    def _key(job: Job, name: str) -> str:
        return keys.outbox_folder(job.input.key, job.id) + name
