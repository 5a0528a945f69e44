"""Tell subscribers of a job: workflows by an event, people by a mail. It never holds a job: what fails is logged and counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from batchdrop.domain.records import Job
from batchdrop.ports import Events, Metrics, Notices
from batchdrop.reports import notice
from batchdrop.reports.notice import Notice

log = logging.getLogger(__name__)


class Announce(msgspec.Struct, frozen=True, kw_only=True):
    """Each of the calls returns whether it has told; if not, nobody knows who was told, and all are told again."""

    notices: Notices
    events: Events
    metrics: Metrics
    region: str

    def end(self, job: Job) -> bool:
        """Of a job that has ended, to everybody. The event first: who gets one twice is a program."""
        return self.to_programs([job]) and self.to_people(notice.of_end(job, self.region))

    def to_programs(self, jobs: Sequence[Job]) -> bool:
        return self._told(jobs[0].id, lambda: self.events.put([notice.document_of(job) for job in jobs]))

    def to_people(self, told: Notice) -> bool:
        job_id = str(told.document["job_id"])
        return self._told(job_id, lambda: self.notices.publish(told.subject, told.text, told.document, told.attributes))

    def _told(self, job_id: str, send: Callable[[], None]) -> bool:
        try:
            send()
        except Exception as error:  # whatever it is: the job goes on, and is told again
            log.warning("subscribers could not be told", extra={"job_id": job_id, "kind": type(error).__name__})
            self.metrics.count("ReportFailed")
            self.metrics.count("Stalled")  # one alarm for what goes on for a quarter of an hour
            return False
        return True
