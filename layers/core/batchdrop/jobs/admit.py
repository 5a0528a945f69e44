"""Let waiting batches go to the API: within the workspace's limits, in fair order, and only while spending is allowed."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import NamedTuple

import msgspec

from batchdrop.domain import refusals, transitions
from batchdrop.domain.admission import AdmissionLimits, Capacity, Fit, for_a_probe, is_due, is_its_turn, is_waiting
from batchdrop.domain.deadlines import is_overdue
from batchdrop.domain.errors import LostRace
from batchdrop.domain.fair_order import FairOrder, least_cost
from batchdrop.domain.keys import team_of
from batchdrop.domain.records import Admission, Batch, Job, JobState
from batchdrop.domain.transitions import Move
from batchdrop.jobs.budget import Budget, Over
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.pause import Pause
from batchdrop.jobs.waiting import JobQueue, job_queues, waiting_teams
from batchdrop.ports import Clock, Ledger, Switch, SwitchState

# What one tick looks at of all that waits. The rest waits for the next tick; it bounds time and memory (about 5 KB for a job).
_JOBS = 10_000
_TEAMS = 1_000
_BATCHES = 5_000
# What a planner looks at, before it leaves its job to the tick.
_JOBS_BESIDE = 1_000
_TEAMS_BESIDE = 100
# A busy stack moves on its virtual time in steps, so that small files write no item which all jobs have in common.
_STEPS = 100
_TRIES = 3


class _Chosen(NamedTuple):
    batch: Batch
    tried: Move[Job] | None


class Admit(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    switch: Switch
    clock: Clock
    commit: Commit
    limits: AdmissionLimits
    budget: Budget
    pause: Pause

    def __call__(self, job: Job | None = None) -> int:
        """Admits what fits of all that waits, or only of a job just planned, unless others come before it.

        Returns the number of batches.
        """
        if self.switch.state() is not SwitchState.run:
            return 0
        # Before the admission record is read: only a batch admitted after a block counts as its probe.
        now = self.clock.now()
        admission = self.ledger.get_admission()
        capacity = Capacity(admission, self.limits, now)
        if capacity.used_up:
            return 0
        if job is None:
            everything = self._order(job_queues(self.ledger, _JOBS), _TEAMS, admission)
            return self._admit(everything, admission, capacity, now)
        order = self._order_beside(job, admission, capacity)
        return 0 if order is None else self._admit(order, admission, capacity, now, only=job.id)

    def _order(self, queues: list[JobQueue], teams: int, admission: Admission) -> FairOrder:
        room, calls = self.limits.queued_requests, self.limits.per_tick
        waiting = waiting_teams(self.ledger, queues, teams)
        return FairOrder(waiting, admission.virtual_time, room=room, least_cost=least_cost(room, calls))

    def _order_beside(self, job: Job, admission: Admission, capacity: Capacity) -> FairOrder | None:
        """None: it is left to the tick."""
        # Not from the index: what has just been stored may not be in it yet.
        own = sorted(filter(is_waiting, self.ledger.list_batches(job.id)), key=lambda batch: batch.start_tag)
        if not own or capacity.judge(own[0]) is not Fit.goes:
            return None
        others = job_queues(self.ledger, _JOBS_BESIDE, without=job.id)
        if len(others) >= _JOBS_BESIDE or len({team_of(queue.job.input.key) for queue in others}) >= _TEAMS_BESIDE:
            return None
        return self._order([*others, JobQueue(job, own[0].start_tag, iter(own))], _TEAMS, admission)

    def _admit(self, order: FairOrder, admission: Admission, capacity: Capacity, now: datetime, *, only: str = "") -> int:
        """`only`: the id of a job; the first batch of another one is the end."""
        jobs: dict[str, Job | None] = {}
        admitted: list[Batch] = []
        in_order = islice(iter(order.next, None), _BATCHES)
        for first in for_a_probe(in_order, admission) if admission.blocked else in_order:
            if capacity.used_up or (only and first.job_id != only):
                break
            job = self._running(first.job_id, jobs, now)
            if job is None or not is_due(first, now) or not is_its_turn(job, first):
                continue
            chosen = self._chosen(job, first, now, blocked=bool(admission.blocked))
            if job.streak is not None and job.streak.waits:
                jobs[job.id] = None  # one batch of it at most
            if chosen is None:
                continue
            fit = capacity.judge(chosen.batch)
            if fit is not Fit.goes:
                order.does_not_fit(chosen.batch, holds=fit is Fit.holds)
            elif self._take(job, chosen, order, capacity, now, jobs):
                admitted.append(chosen.batch)
        if admitted and admission.blocked:
            with suppress(LostRace):  # the probe was answered meanwhile, or another poller sent one too
                self.commit(transitions.probed(admission, admitted[0].job_id, next_at=now + refusals.PROBE_EVERY))
        elif admitted:
            self._advance(admission, order.virtual_time)
        return len(admitted)

    def _advance(self, admission: Admission, virtual_time: int) -> None:
        """What is lost here, another admission makes good: it only tells those that begin to wait where to start."""
        step = self.limits.queued_requests // _STEPS
        for _ in range(_TRIES):
            if virtual_time - admission.virtual_time <= step:
                return
            with suppress(LostRace):  # a batch was accepted, or the API has asked to slow down
                self.commit(transitions.advanced(admission, virtual_time))
                return
            admission = self.ledger.get_admission()

    def _chosen(self, job: Job, first: Batch, now: datetime, *, blocked: bool) -> _Chosen | None:
        """Of a job that waits one batch is tried, and not before its time unless the whole stack is blocked."""
        if job.streak is None or job.streak.next_at is None:
            return _Chosen(first, None)
        if now < job.streak.next_at and not blocked:
            return None
        batch = self._next_to_try(job, now) or first
        return _Chosen(batch, transitions.tried(job, batch.name, next_at=now + refusals.PROBE_EVERY))

    def _next_to_try(self, job: Job, now: datetime) -> Batch | None:
        batches = self.ledger.list_batches(job.id)
        return refusals.next_to_try(one for one in batches if is_waiting(one) and is_due(one, now) and is_its_turn(job, one))

    def _take(
        self, job: Job, chosen: _Chosen, order: FairOrder, capacity: Capacity, now: datetime, jobs: dict[str, Job | None]
    ) -> bool:
        batch, tried = chosen
        reserve = self.budget.reserve(job, batch, now)
        if isinstance(reserve, Over):
            jobs[job.id] = None
            self.pause(batch, reserve)
            return False
        queue_limit, turn = capacity.queue_limit(batch), order.charge(team_of(job.input.key), batch)
        move = transitions.admitted(
            batch, now=now, queue_limit=queue_limit, reserve=reserve, turn=turn, turn_cost=order.cost_of(batch), tried=tried
        )
        try:
            self.commit(move)
        except LostRace:
            return False
        order.admitted(turn)
        capacity.take(batch)
        return True

    def _running(self, job_id: str, known: dict[str, Job | None], now: datetime) -> Job | None:
        """None: nothing of it is to be sent."""
        if job_id not in known:
            job = self.ledger.get_job(job_id)
            runs = job is not None and job.state is JobState.running and not job.cancel_requested and not is_overdue(job, now)
            known[job_id] = job if runs else None
        return known[job_id]
