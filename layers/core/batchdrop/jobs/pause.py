"""Stop sending a job for want of money, and say what for: until somebody says yes, a limit renews, or a price is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from batchdrop.domain import ids, purses, transitions
from batchdrop.domain.admission import is_waiting
from batchdrop.domain.errors import LostRace
from batchdrop.domain.keys import team_of
from batchdrop.domain.money import Learned
from batchdrop.domain.open_work import APPROVAL, LIMIT, PRICE, OpenWork, before_group
from batchdrop.domain.purses import Charge
from batchdrop.domain.records import FEWEST_TRIED, PILOT_ROWS, Batch, BatchState, Expected, Group, Job, JobState, Question
from batchdrop.domain.transitions import Cover, Hold
from batchdrop.jobs.budget import Budget, Over, most_of
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.groups import group_key
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.teaching import taught_by
from batchdrop.money.estimate import Estimate, unpriced
from batchdrop.money.learning import TriedRow, learned_of_job
from batchdrop.ports import Clock, Ledger
from batchdrop.reports import sentences

_MATES = 200


class Verdict(NamedTuple):
    """Of the batches of a job that are not sent yet."""

    hold: Hold | None
    """None: they may go, as far as limits let them."""
    expected: Expected | None
    """Of the job in all."""
    cover: Cover | None
    """What lets them go, if it takes an approval."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    clock: Clock
    commit: Commit
    budget: Budget
    publish: Publish

    def __call__(self, batch: Batch, over: Over) -> None:
        """It does not fit. Whoever changes its job meanwhile goes first.

        Where two admit at once, the batch may be over a limit by what the other has just reserved for it: then nothing is asked.
        """
        now = self.clock.now()
        # What was admitted of it a moment ago counts as used.
        current = self.ledger.get_job(batch.job_id)
        batches = list(self.ledger.list_batches(batch.job_id))
        still_waits = any(one.name == batch.name and is_waiting(one) for one in batches)
        if still_waits and current is not None and current.state is JobState.running:
            self.hold(current, self.why(current, over, batches, now), now)

    def hold(self, job: Job, hold: Hold, now: datetime) -> None:
        """running -> held, or another reason or amount while it is held."""
        if job.state is JobState.held and (job.needs, job.reason) == (hold.needs, hold.reason):
            return
        edge = transitions.paused if job.state is JobState.running else transitions.asked_anew
        with suppress(LostRace):
            self.commit(edge(job, hold, now=now))
            self.publish(job.id)

    def verdict(self, job: Job, rest: Sequence[Batch], now: datetime) -> Verdict:
        """Before the first of these batches is sent. While a pilot is to be sent, it is about the pilot alone."""
        nameless = unpriced((batch.sizes for batch in rest), self.budget.prices.current(now).value, now)
        question = self.question(job, rest, now)
        expected = None if nameless else self._expected(job, question)
        hold = self._hold(job, question, nameless, expected, now)
        cover = self.cover(job, question, now) if hold is not None and hold.needs == APPROVAL else None
        return Verdict(hold if cover is None else None, expected, cover)

    def cover(self, job: Job, question: Question, now: datetime) -> Cover | None:
        """An approval that was given before, and holds for this question too."""
        group = self.ledger.get_group(question.group)
        yes = group.approval
        if yes is None:
            return None
        may_use = question.may_use(job.used)
        if group.covered_by is not None and f"{job.id}-{question.code}" in group.covers:
            return Cover(group.covered_by, may_use)
        # One that somebody has answered already has cost more than it was thought to.
        if job.may_use or not self._may_be_covered(job, group, now):
            return None
        purse = purses.agreed(group.key, yes.code)
        (agreed,) = self.ledger.get_purses([purse])
        if agreed.used + question.high > group.limit:
            return None
        return Cover(yes, may_use, (Charge(purse=purse, used=question.high, limit=group.limit),))

    def mates(self, job: Job, now: datetime) -> list[Job]:
        """Files with its recipe in its folder of which rows are being tried now, the oldest first."""
        if job.recipe is None:
            return []
        key = self._group_key(job, now)
        places = {OpenWork.running: "", OpenWork.asking: before_group(team_of(job.input.key), key), OpenWork.limited: ""}
        others = [other for work in places for other in self.ledger.list_open_jobs(work, behind=places[work], limit=_MATES)]
        mates = [other for other in others if other.id != job.id and other.trying and self._group_key(other, now) == key]
        return sorted(mates, key=lambda other: other.id)

    def learned_before(self, job: Job, now: datetime) -> Job:
        """The job with what earlier files with its recipe have taught, unless it knows better, or they know less than a pilot."""
        if job.recipe is None or job.learned is not None:
            return job
        taught = self.ledger.get_group(self._group_key(job, now)).taught
        if taught.rows < PILOT_ROWS:
            return job
        total = TriedRow(taught.guessed_input, taught.input, taught.most_output, taught.output)
        return replace(job, learned=learned_of_job(total, taught.rows))

    def group_key(self, job: Job, now: datetime) -> str:
        """Of a job with a recipe; empty for others."""
        return self._group_key(job, now) if job.recipe is not None else ""

    def why(self, job: Job, over: Over, batches: Sequence[Batch], now: datetime) -> Hold:
        """`batches`: all of the job. What those that were collected took tells what the others will."""
        if over.unknown:
            return Hold(PRICE, over.unknown, None)
        learned = _learned_so_far(job, batches)
        if learned is not None:
            job = replace(job, learned=learned)
        question = self.question(job, filter(is_waiting, batches), now)
        expected = self._expected(job, question)
        if expected is not None and learned is not None:
            expected = replace(expected, by="answered")
        if over.scope.asks:
            asks = sentences.asks(job, question, overrun=learned is not None)
            return Hold(APPROVAL, asks, question, expected, learned)
        limited = sentences.limited(over.scope, over.left, question, self._beyond(job, batches, now))
        return Hold(LIMIT, limited, question, expected, learned)

    def question(self, job: Job, rest: Iterable[Batch], now: datetime) -> Question:
        """About the batches that are not sent yet; before a pilot is back, about the pilot alone."""
        total, rows = Estimate(), 0
        for batch in rest:
            if batch.tries or not job.trying:
                total += self.budget.estimate(job, batch, now)
                rows += batch.requests
        high = most_of(job, total)
        prices = self.budget.prices.current(now).value
        recipe = job.recipe and (job.recipe.key, job.recipe.version_id, job.recipe.etag)
        code = ids.question_code(job.id, recipe, prices.digest, rows, total.low, high, job.used, len(job.approvals))
        group = self._group_key(job, now)
        return Question(
            code=code,
            low=total.low,
            high=high,
            rows=rows,
            for_pilot=job.trying,
            group=group,
            prices=prices.digest,
            asked_at=now,
        )

    def _beyond(self, job: Job, batches: Iterable[Batch], now: datetime) -> int:
        """By how many micro-dollars what is under way may exceed what it has reserved, and with that a limit."""
        under_way = (batch for batch in batches if batch.reserved)
        return sum(max(0, self.budget.estimate(job, batch, now).worst - batch.reserved) for batch in under_way)

    def _group_key(self, job: Job, now: datetime) -> str:
        return group_key(job, self.budget.prices.current(now).value)

    def _may_be_covered(self, job: Job, group: Group, now: datetime) -> bool:
        if job.recipe is None or group.approval is None or group.until is None or now >= group.until:
            return False
        # Who asked when the answer was given was not answered by it.
        if job.created_at < group.approval.at:
            return False
        if self.budget.ask_above(job, now) == 0:
            return False
        return self.budget.limits.current(now).value.earlier_approvals(job.input.key)

    def _hold(
        self, job: Job, question: Question, nameless: Sequence[str], expected: Expected | None, now: datetime
    ) -> Hold | None:
        if nameless:
            return Hold(PRICE, self.budget.without_price(job, nameless, now), None)
        left = self.budget.unasked_left(job, now)
        if left is None or question.high <= left:
            return None
        if why := self.budget.cannot_ask(now):
            return Hold(PRICE, why, None, expected)
        return Hold(APPROVAL, sentences.asks(job, question), question, expected)

    @staticmethod
    def _expected(job: Job, question: Question) -> Expected | None:
        """What is at the API may be as far below its reservation as the rest. A question about a pilot says nothing of others."""
        if question.for_pilot:
            return None
        by = ("tried" if job.tried else "earlier") if job.learned else "text"
        low = job.spent + question.low + (job.used - job.spent) * question.low // max(1, question.high)
        return Expected(low=low, high=job.used + question.high, by=by)


def _learned_so_far(job: Job, batches: Sequence[Batch]) -> Learned | None:
    """By its own answers. None: they tell no more than those rows that were tried."""
    taught = taught_by([batch for batch in batches if batch.state is BatchState.collected], job.created_at)
    if taught is None or taught.rows <= max(job.tried, FEWEST_TRIED):
        return None
    return learned_of_job(TriedRow(taught.guessed_input, taught.input, taught.most_output, taught.output), taught.rows)
