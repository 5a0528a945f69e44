"""The numbers that alarms and operators watch: while work is open, and never a number of an alarm that has nothing to say.

A metric costs by the hours in which it has a value (Amazon CloudWatch pricing): at rest there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain

import msgspec

from batchdrop.domain import ids
from batchdrop.domain.money import MICRO
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Batch, BatchState, Job
from batchdrop.jobs.budget import Budget
from batchdrop.ports import Clock, Ledger, Metrics
from batchdrop.stages.poll.paused import LetGo
from batchdrop.stages.poll.stalled import UNANSWERED, Why, why_batch, why_job

log = logging.getLogger(__name__)

UNCOLLECTED_AFTER = timedelta(days=20)
"""The API deletes results 29 days after a batch was created (Anthropic, "Batch processing")."""
# Of each kind of open work, in its order, running jobs aside: those come by priority, so that any number of jobs for which all is
# well would hide one that needs a person. Admission reads all of them too.
_LOOK_AT = 200
# Lines of the log that one tick writes about what stands still.
_TOLD = 20
# With nothing open, a faulty file of the operators harms nobody yet, and each look is two calls.
_CONFIG_AT_REST = timedelta(minutes=15)
_OF_JOBS = (
    *(OpenWork.planning, OpenWork.held, OpenWork.asking, OpenWork.limited),
    *(OpenWork.canceling, OpenWork.finishing),
)
# What an open job shows in the index: the job itself, or those of its batches that have not been collected.
_OF_BATCHES = (OpenWork.waiting, OpenWork.admitted, OpenWork.submitting, OpenWork.watched, OpenWork.ended, OpenWork.incomplete)


class Measure(msgspec.Struct, kw_only=True):
    ledger: Ledger
    clock: Clock
    metrics: Metrics
    budget: Budget
    let_go: LetGo
    config_fault: str = ""
    """Of a file below `config/`, as far as this process has looked."""
    config_looked_at: datetime = datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> None:
        now = self.clock.now()
        jobs = list(self.ledger.list_open_jobs(OpenWork.running))
        jobs += [job for work in _OF_JOBS for job in self.ledger.list_open_jobs(work, limit=_LOOK_AT)]
        batches = [batch for work in _OF_BATCHES for batch in self.ledger.list_open_batches(work, limit=_LOOK_AT)]
        self._look_at_config(now, timedelta())
        self._blocked(now)
        self._stalled(jobs, batches, now)
        self._answers_at_risk(batches, now)
        self._progress(jobs, batches, now)

    def at_rest(self) -> None:
        """Nothing is open: only what an operator has written can be wrong."""
        self._look_at_config(self.clock.now(), _CONFIG_AT_REST)
        self._tell_blocked(["config"] if self.config_fault else [])

    def _look_at_config(self, now: datetime, every: timedelta) -> None:
        if now >= self.config_looked_at + every:
            self.config_fault, self.config_looked_at = self.budget.fault(now), now

    def _blocked(self, now: datetime) -> None:
        month = self.let_go.month(now)
        self.metrics.count("ReservedUsd", month.reserved / MICRO)
        if month.percent is not None:
            # Also 0: in a new month it takes the alarm back.
            self.metrics.count("MonthUsedPercent", month.percent)
        causes = {
            "api": bool(self.ledger.get_admission().blocked),
            "month_limit": self.let_go.month_is_full,
            "config": bool(self.config_fault),
        }
        self._tell_blocked([cause for cause, holds in causes.items() if holds])

    def _tell_blocked(self, causes: list[str]) -> None:
        if causes:
            self.metrics.count("SubmissionBlocked", len(causes))
            log.warning("submission is blocked", extra={"causes": causes, "fault": self.config_fault})

    def _stalled(self, jobs: list[Job], batches: list[Batch], now: datetime) -> None:
        of_batches = ((batch, why) for batch in chain(batches, self._unanswered(jobs)) if (why := why_batch(batch, now)))
        of_jobs = ((job, why) for job in jobs if (why := why_job(job, now)))
        stalled: list[tuple[Batch | Job, Why]] = [*of_batches, *of_jobs]
        for record, why in stalled[:_TOLD]:
            job_id, batch = (record.id, "") if isinstance(record, Job) else (record.job_id, record.name)
            log.warning("stalled", extra={"why": why, "job_id": job_id, "batch": batch})
        if stalled:
            self.metrics.count("Stalled", len(stalled))

    def _unanswered(self, jobs: list[Job]) -> Iterator[Batch]:
        """Those that wait to be sent again are not among the open batches: each job has a list of its own."""
        for job in jobs:
            if job.doubt and job.releases >= UNANSWERED:
                yield from self.ledger.list_waiting_batches(job.id, limit=_LOOK_AT)

    def _answers_at_risk(self, batches: list[Batch], now: datetime) -> None:
        old = [
            batch
            for batch in batches
            if batch.state is BatchState.ended and batch.created_at is not None and batch.created_at < now - UNCOLLECTED_AFTER
        ]
        for batch in old[:_TOLD]:
            log.error("answers are not collected", extra={"job_id": batch.job_id, "batch": batch.name, "api_id": batch.api_id})
        if old:
            self.metrics.count("AnswersAtRisk", sum(batch.requests for batch in old))

    def _progress(self, jobs: list[Job], batches: list[Batch], now: datetime) -> None:
        """A job's id begins with the time of its upload, so the first id is the oldest's."""
        oldest = min(chain((job.id for job in jobs), (batch.job_id for batch in batches)), default=None)
        if oldest is not None:
            self.metrics.count("OldestJobHours", (now - ids.uploaded_at(oldest)).total_seconds() / 3600)
