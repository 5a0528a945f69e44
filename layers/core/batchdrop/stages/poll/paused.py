"""Let go what waited for money: a limit has renewed, a price is known. What nobody has answered within 7 days ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from itertools import chain
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from batchdrop.domain import purses, transitions
from batchdrop.domain.admission import is_waiting
from batchdrop.domain.errors import LostRace
from batchdrop.domain.ids import question_code
from batchdrop.domain.keys import team_of
from batchdrop.domain.open_work import LIMIT, PRICE, OpenWork, before_group, behind_group, instant, place_of_job
from batchdrop.domain.records import (
    FEWEST_TRIED,
    PILOT,
    WARM_UP,
    Arrivals,
    Batch,
    BatchState,
    GroupQuestion,
    Job,
    JobState,
    Question,
    RowStatus,
    Unsent,
)
from batchdrop.domain.retries import ANSWER_AWAITED
from batchdrop.domain.transitions import TERMINAL_JOB_STATES, Hold
from batchdrop.jobs.budget import Budget, Over
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.pause import Pause
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.to_wake import may_be_outdated
from batchdrop.money.learning import merge
from batchdrop.ports import Clock, Ledger
from batchdrop.recipes.caching import AUTO
from batchdrop.reports import sentences
from batchdrop.stages.poll.apart import apart

# The first in their order, in each tick; of the others as many, and each of them has its turn.
_LOOKED_AT = 100
# Asking jobs that are looked at together, and those that one question covers: its record stays below 100 KB.
_ASKING = 1_000
_AT_ONCE = 500
_TOLD_BY_OTHERS = Unsent(status=RowStatus.canceled, error_type="canceled", message=sentences.TOLD_BY_OTHERS)
_TOLD_AGAIN = timedelta(minutes=3)


class Month(NamedTuple):
    reserved: int
    """Micro-dollars that open batches may still cost."""
    percent: int | None
    """Of the limit, 100 as soon as a job waits for it. None: there is no limit."""


class LetGo(msgspec.Struct, kw_only=True):
    """Where it is among those that have not waited longest, and what of them is shown, it keeps in memory only: a new process
    begins anew."""

    ledger: Ledger
    clock: Clock
    commit: Commit
    budget: Budget
    pause: Pause
    publish: Publish
    behind: dict[OpenWork, str] = msgspec.field(default_factory=dict)
    behind_groups: str = ""
    shown: dict[str, int] = msgspec.field(default_factory=dict)
    """Of asking jobs that have tried rows: the revision that their status shows."""
    month_is_full: bool = False
    """A job waits for the month's limit of the stack, as far as the last tick has seen."""

    def __call__(self) -> None:
        """Raises the first error that one job ran into, once all have been tried."""
        now = self.clock.now()
        troubles: list[Exception] = []
        self.month_is_full = False
        arrivals = cache(self.ledger.get_arrivals)
        for job in self._in_turn(OpenWork.limited):
            with apart(job, troubles), suppress(LostRace):  # the index is late: it has been let go
                if not self._told(job, arrivals(team_of(job.input.key)), now):
                    self._look_at(job, now)
        prices = self.budget.prices.current(now).value.digest
        for job in self._in_turn(OpenWork.asking):
            with apart(job, troubles), suppress(LostRace):
                if job.held_at is not None and now >= job.held_at + ANSWER_AWAITED:
                    self.commit(transitions.cancel_requested(job, sentences.NOT_APPROVED))
                elif self._told(job, arrivals(team_of(job.input.key)), now):
                    continue
                elif job.question is not None and (job.question.prices != prices or self._may_go_on(job, job.question, now)):
                    self._look_at(job, now)
        asking = self._next_groups()
        self._ask_together(asking, now, troubles)
        self._tell(asking, now, troubles)
        if troubles:
            raise troubles[0]

    def _in_turn(self, work: OpenWork) -> Iterator[Job]:
        """Many may wait for one limit, and must not hide those that wait for another."""
        first = list(self.ledger.list_open_jobs(work, limit=_LOOKED_AT))
        yield from first
        if len(first) < _LOOKED_AT:
            return
        behind = max(self.behind.get(work, ""), _place(first[-1]))
        others = list(self.ledger.list_open_jobs(work, behind=behind, limit=_LOOKED_AT))
        self.behind[work] = _place(others[-1]) if len(others) == _LOOKED_AT else ""
        yield from others

    def month(self, now: datetime) -> Month:
        """What the stack has used of its month."""
        (purse,) = self.ledger.get_purses([purses.stack_month(now)])
        limit = self.budget.stack.month
        percent = None if not limit else 100 if self.month_is_full else purse.used * 100 // limit
        return Month(purse.used - purse.spent, percent)

    def _told(self, job: Job, arrivals: Arrivals, now: datetime) -> bool:
        """Whether it is told now that its recipe may have been improved: before anything of it is let go, it looks.

        A recipe's own event tells those that the index shows. The others are told here, and those whose rows were being tried.
        """
        if not may_be_outdated(job, arrivals, now):
            return False
        self.commit(transitions.told_of_recipe(job, now=now))
        return True

    def _may_go_on(self, job: Job, question: Question, now: datetime) -> bool:
        """What was at the API when it asked has cost less than it reserved, and the rest is within what was approved.

        Or earlier files have told more by now: one that was planned while nothing was sent asks by the length of its text.
        """
        if question.for_pilot:
            return False
        return question.high <= (job.may_use or 0) - job.used or self.pause.learned_before(job, now) is not job

    def _look_at(self, job: Job, now: datetime) -> None:
        job = self.pause.learned_before(job, now)
        if job.mate:
            mate = self.ledger.get_job(job.mate)
            if mate is not None and _is_trying(mate, enough=_rows_learned(job) >= FEWEST_TRIED):
                return
            job = replace(job, mate="", learned=merge(job.learned, mate.learned if mate is not None else None))
            if job.spare is not None and _rows_learned(job) < FEWEST_TRIED:
                self._try_itself(job, job.spare, now)
                return
        batches = list(self.ledger.list_batches(job.id))
        rest = list(filter(is_waiting, batches))
        expected = cover = None
        hold: Hold | None = None
        if job.needs != LIMIT:
            hold, expected, cover = self.pause.verdict(job, rest, now)
        if hold is None and cover is None and rest and isinstance(over := self.budget.reserve(job, rest[0], now), Over):
            hold = self.pause.why(job, over, batches, now)
            self.month_is_full |= over.scope.purse == purses.stack_month(now)
        if hold is None:
            virtual_time = self.ledger.get_admission().virtual_time
            self.commit(transitions.let_go(job, now=now, virtual_time=virtual_time, expected=expected, cover=cover))
            self.publish(job.id)
        else:
            self.pause.hold(job, hold, now)

    def _try_itself(self, job: Job, pilot: Batch, now: datetime) -> None:
        """Unless another one of its group does by now."""
        mates = self.pause.mates(job, now)
        if mates:
            waits = Hold(PRICE, sentences.waits_for(mates[0]), None)
            self.commit(transitions.asked_anew(replace(job, mate=mates[0].id), waits, now=now))
        else:
            before = [batch for batch in self.ledger.list_batches(job.id) if batch.name == WARM_UP and is_waiting(batch)]
            hold, _, cover = self.pause.verdict(replace(job, trying=True), [*before, pilot], now)
            virtual_time = self.ledger.get_admission().virtual_time
            rest = sum(batch.requests for batch in self.ledger.list_batches(job.id) if not batch.tries)
            tries_all = pilot.requests + job.warming == rest
            self.commit(
                transitions.tries_itself(
                    job, pilot, now=now, virtual_time=virtual_time, hold=hold, cover=cover, tries_all=tries_all
                )
            )
        self.publish(job.id)

    def _next_groups(self) -> list[Job]:
        """Asking jobs, those of a group together. More than fit are looked at in several ticks, each group in one of them."""
        jobs = list(self.ledger.list_open_jobs(OpenWork.asking, behind=self.behind_groups, limit=_ASKING))
        self.behind_groups = ""
        if len(jobs) < _ASKING:
            return jobs
        last = _group(jobs[-1])
        whole = [job for job in jobs if _group(job) != last]
        self.behind_groups = before_group(*last) if whole else behind_group(*last)
        return whole or jobs

    def _ask_together(self, jobs_asking: list[Job], now: datetime, troubles: list[Exception]) -> None:
        """Files of one folder with the same recipe ask one question, unless it was answered before."""
        groups: dict[str, list[Job]] = defaultdict(list)
        for job in jobs_asking:
            if job.question is not None and job.question.for_pilot:
                with apart(job, troubles), suppress(LostRace):
                    self._try_no_more(job, now)
            elif job.question is not None:
                groups[job.question.group].append(job)
        for jobs in groups.values():
            asking = []
            for job in jobs:
                with apart(job, troubles), suppress(LostRace):
                    if not self._was_answered(job, now):
                        asking.append(job)
            for job, group in together(asking):
                with apart(job, troubles), suppress(LostRace):
                    if job.group != group:
                        self.commit(transitions.grouped(job, group))
                        self.publish(job.id)

    def _try_no_more(self, job: Job, now: datetime) -> None:
        """It asks for its pilot, and by now rows of other files tell enough."""
        pilot = self.ledger.get_batch(job.id, PILOT)
        enough = _rows_learned(self.pause.learned_before(job, now)) >= FEWEST_TRIED
        if enough and job.cache != AUTO and pilot is not None and pilot.state is BatchState.ready:
            self.commit(transitions.unsent(pilot, _TOLD_BY_OTHERS, now=now))

    def _was_answered(self, job: Job, now: datetime) -> bool:
        cover = self.pause.cover(job, job.question, now) if job.question is not None else None
        if cover is None:
            return False
        self.commit(transitions.let_go(job, now=now, virtual_time=self.ledger.get_admission().virtual_time, cover=cover))
        self.publish(job.id)
        return True

    def _tell(self, asking: list[Job], now: datetime, troubles: list[Exception]) -> None:
        """Who held a job may have died before its status said so, and then nobody would know that they are asked.

        And most functions cannot show the rows that a job has tried: they leave it to this one to say what has changed.
        """
        since = now - _TOLD_AGAIN
        tried = {job.id for job in asking if job.tried}
        self.shown = {job_id: revision for job_id, revision in self.shown.items() if job_id in tried}
        changed = [job for job in asking if job.tried and self.shown.get(job.id, -1) < job.revision]
        new = sorted((job.held_at, job.id, job) for job in asking if job.held_at is not None and job.held_at >= since)
        limited = self.ledger.list_open_jobs(OpenWork.limited, behind=instant(since), limit=_LOOKED_AT)
        first = {job.id: job for job in chain((job for _, _, job in new[:_LOOKED_AT]), changed[:_LOOKED_AT], limited)}
        for job in first.values():
            with apart(job, troubles):
                written = self.publish(job.id)
                if written is not None and job.id in tried:
                    self.shown[job.id] = written.revision


def _is_trying(mate: Job, *, enough: bool) -> bool:
    """`enough`: what is known will do, unless more is on its way."""
    if not mate.trying or mate.state in TERMINAL_JOB_STATES:
        return False
    return mate.state is JobState.running or not enough


def _rows_learned(job: Job) -> int:
    return job.learned.rows if job.learned is not None else 0


def together(asking: list[Job]) -> Iterator[tuple[Job, GroupQuestion | None]]:
    """Jobs of one group, each with what it says of the question that all of them ask: the oldest asks it."""
    jobs = sorted(asking, key=lambda job: job.id)[:_AT_ONCE]
    questions = [job.question for job in jobs if job.question is not None]
    if len(questions) < 2:
        yield from ((job, None) for job in jobs)
        return
    covers = tuple(f"{job.id}-{question.code}" for job, question in zip(jobs, questions, strict=True))
    leader = jobs[0].id
    yield (
        jobs[0],
        GroupQuestion(
            leader=leader,
            code=question_code(*covers),
            low=sum(question.low for question in questions),
            high=sum(question.high for question in questions),
            rows=sum(question.rows for question in questions),
            covers=covers,
        ),
    )
    yield from ((job, GroupQuestion(leader=leader)) for job in jobs[1:])


def _group(job: Job) -> tuple[str, str]:
    return team_of(job.input.key), job.question.group if job.question is not None else ""


def _place(job: Job) -> str:
    """In the index."""
    place = place_of_job(job)
    return place.due if place else ""
