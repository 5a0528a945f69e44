"""The heartbeat: watch, settle, repair, admit. Runs every minute; two at once do no harm, none for an hour loses nothing.

Each step stands alone: an API that is down stops no repair, a stuck batch stops no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import chain, islice

import msgspec

from batchdrop.domain import transitions
from batchdrop.domain.admission import is_throttled
from batchdrop.domain.deadlines import is_overdue
from batchdrop.domain.errors import ApiError, LostRace
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Admission, BatchState, Job
from batchdrop.jobs.admit import Admit
from batchdrop.jobs.cancel import CancelBatch, CancelJob, planners_failed
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.waiting import waiting_jobs
from batchdrop.ports import Clock, Ledger, Metrics, Switch, SwitchState
from batchdrop.reports import sentences
from batchdrop.stages.poll.apart import apart
from batchdrop.stages.poll.fetch_models import FetchModels
from batchdrop.stages.poll.held import WakeHeld
from batchdrop.stages.poll.in_turn import InTurn
from batchdrop.stages.poll.index_jobs import IndexJobs
from batchdrop.stages.poll.measure import Measure
from batchdrop.stages.poll.pages import RunningPages
from batchdrop.stages.poll.paused import LetGo
from batchdrop.stages.poll.repair import Repair
from batchdrop.stages.poll.settle import Settle
from batchdrop.stages.poll.subscribers import TellSubscribers
from batchdrop.stages.poll.sweep import Sweep
from batchdrop.stages.poll.watch import Watch

log = logging.getLogger(__name__)

# Open batches that one tick watches: bounds its memory (about 2 KB each). The oldest come first.
_WATCHED = 10_000
_SUBMITTING = 500
# Canceled jobs that one tick goes on canceling.
CANCELING = 100
# Waiting jobs whose status is rewritten when the reason for waiting changes.
_TOLD = 200
# A message that calls a planner is given this time to be taken.
_TAKEN_WITHIN = timedelta(minutes=5)
# Those that were let go, and may be held again. All of them are read: admission does so too.
_MAY_BE_DUE = (OpenWork.running, OpenWork.asking, OpenWork.limited)


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    switch: Switch
    clock: Clock
    metrics: Metrics
    commit: Commit
    watch: Watch
    settle: Settle
    repair: Repair
    admit: Admit
    cancel_batch: CancelBatch
    cancel_job: CancelJob
    in_turn: InTurn
    """Those that were asked to cancel."""
    wake_held: WakeHeld
    let_go: LetGo
    measure: Measure
    publish: Publish
    running_pages: RunningPages
    index_jobs: IndexJobs
    sweep: Sweep
    fetch_models: FetchModels
    tell_subscribers: TellSubscribers

    def __call__(self) -> None:
        """Runs every step, then raises the first error that is not just an API that did not answer."""
        failures: list[Exception] = []
        for step in self._steps(failures):
            try:
                step()
            except Exception as error:  # whatever it is: the other steps serve everybody
                log.exception("one step of this tick failed")
                failures.append(error)
        unexpected = [error for error in failures if not isinstance(error, ApiError)]
        if unexpected:
            raise unexpected[0]

    def _steps(self, failures: list[Exception]) -> tuple[Callable[[], None], ...]:
        """With nothing open a tick is one read: there are 43,200 of them in a month."""
        try:
            if not self.ledger.has_open_work():
                return (self.measure.at_rest, self.sweep, self.fetch_models)
        except Exception as error:  # whatever it is: there may be open work
            log.exception("one step of this tick failed")
            failures.append(error)
        return (
            self._look,
            self._stop,
            self._cancel_asked,
            self.wake_held,
            self.let_go,
            self.tell_subscribers,
            self._mend,
            self._admit_waiting,
            self._tell,
            self._end_overdue,
            self.running_pages,
            self.index_jobs,
            self.measure,
            self.sweep,
            self.fetch_models,
        )

    def _look(self) -> None:
        """One look at the API: which batches have ended, and what became of those sent without an answer."""
        at = self.clock.now()
        watched = {
            batch.api_id: batch for batch in self.ledger.list_open_batches(OpenWork.watched, limit=_WATCHED) if batch.api_id
        }
        submitting = list(self.ledger.list_open_batches(OpenWork.submitting, limit=_SUBMITTING))
        look_back_to = self.settle.look_back_to(submitting, at)
        self.metrics.count("OpenBatches", len(watched) + len(submitting))
        troubles: list[Exception] = []
        look, changed = self.watch(watched, look_back_to, at, troubles)
        if look_back_to is not None:
            changed |= self.settle(submitting, look, troubles)
        for job_id in sorted(changed):
            self.publish(job_id, page=False)
        self.running_pages.changed(changed)
        if troubles:
            raise troubles[0]

    def _stop(self) -> None:
        """The switch set to `stop` cancels what is at the API; what has finished there is still collected."""
        if self.switch.state() is not SwitchState.stop:
            return
        for batch in self.ledger.list_open_batches(OpenWork.watched, limit=_WATCHED):
            if batch.state is BatchState.in_progress:
                self.cancel_batch(batch)

    def _cancel_asked(self) -> None:
        """Finishes what a cancel command could not: a planner was at work, batches on their way, or the API did not let go."""
        troubles: list[Exception] = []
        for job in self.in_turn(OpenWork.canceling):
            with apart(job, troubles):
                self.cancel_job(job)
        for job in self.ledger.list_open_jobs(OpenWork.planning, limit=CANCELING):
            with apart(job, troubles):
                if job.cancel_requested:
                    self._cancel_planning(job)
        if troubles:
            raise troubles[0]

    def _cancel_planning(self, job: Job) -> None:
        """Calls another planner soon after one has died or failed, and ends the job when enough of them have."""
        now = self.clock.now()
        if planners_failed(job):
            self.cancel_job(job)
            self.publish(job.id)
        elif now >= max(job.lease_until or now, (job.message_sent_at or job.created_at) + _TAKEN_WITHIN):
            with suppress(LostRace):  # a planner has begun
                self.commit(transitions.job_message_repeated(job, now=now))

    def _mend(self) -> None:
        self.repair()
        self.repair.resume(self.ledger.list_open_batches(OpenWork.incomplete, limit=_TOLD))

    def _end_overdue(self) -> None:
        """Jobs that are past their deadlines."""
        troubles: list[Exception] = []
        for job in chain.from_iterable(map(self.ledger.list_open_jobs, _MAY_BE_DUE)):
            with apart(job, troubles), suppress(LostRace):  # the index is late, or it moves on: the next tick looks again
                self._end_if_overdue(job)
        if troubles:
            raise troubles[0]

    def _end_if_overdue(self, job: Job) -> None:
        """Who dies in between leaves a canceled job, which every tick goes on canceling."""
        if job.cancel_requested or not is_overdue(job, self.clock.now()):
            return
        overdue = self.commit(transitions.overdue(job, sentences.deadline_passed(job)))
        self.cancel_job(overdue)
        self.publish(job.id)

    def _admit_waiting(self) -> None:
        self.admit()

    def _tell(self) -> None:
        """When the reason for waiting changes, says so in the status of every job that waits."""
        admission = self.ledger.get_admission()
        notice = self._notice(admission)
        if notice == admission.notice:
            return
        try:
            self.commit(transitions.noticed(admission, notice))
        except LostRace:
            return
        for job in islice(waiting_jobs(self.ledger), _TOLD):
            self.publish(job.id)

    def _notice(self, admission: Admission) -> str:
        match self.switch.state():
            case SwitchState.pause:
                return sentences.PAUSED
            case SwitchState.stop:
                return sentences.STOPPED
            case SwitchState.run if admission.blocked:
                return admission.blocked
            case SwitchState.run:
                return sentences.THROTTLED if is_throttled(admission, self.clock.now()) else ""
