"""Stop sending a job for want of money, and say what for: until somebody says yes, a limit renews, or a price is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import msgspec

from batchdrop.domain import ids, transitions
from batchdrop.domain.admission import is_waiting
from batchdrop.domain.errors import LostRace
from batchdrop.domain.open_work import APPROVAL, LIMIT, PRICE
from batchdrop.domain.records import Batch, Expected, Job, JobState, Question
from batchdrop.domain.transitions import Hold
from batchdrop.jobs.budget import Budget, Over
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.money.estimate import Estimate, unpriced
from batchdrop.ports import Clock, Ledger
from batchdrop.reports import sentences


class Verdict(NamedTuple):
    """Of the batches of a job that are not sent yet."""

    hold: Hold | None
    """None: they may go, as far as limits let them."""
    expected: Expected | None
    """Of the job in all."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    clock: Clock
    commit: Commit
    budget: Budget
    publish: Publish

    def __call__(self, job: Job, over: Over) -> None:
        """A batch of it does not fit. Whoever changes the job meanwhile goes first."""
        now = self.clock.now()
        self.hold(job, self.why(job, over, self.waiting(job), now), now)

    def hold(self, job: Job, hold: Hold, now: datetime) -> None:
        """running -> held, or another reason or amount while it is held."""
        if job.state is JobState.held and (job.needs, job.reason) == (hold.needs, hold.reason):
            return
        edge = transitions.paused if job.state is JobState.running else transitions.asked_anew
        with suppress(LostRace):
            self.commit(edge(job, hold, now=now))
            self.publish(job.id)

    def waiting(self, job: Job) -> list[Batch]:
        return [batch for batch in self.ledger.list_batches(job.id) if is_waiting(batch)]

    def verdict(self, job: Job, rest: Sequence[Batch], now: datetime) -> Verdict:
        """Before the first of these batches is sent. While a pilot is to be sent, it is about the pilot alone."""
        nameless = unpriced((batch.sizes for batch in rest), self.budget.prices.current(now).value, now)
        question = self.question(job, rest, now)
        expected = None if nameless else self._expected(job, question)
        return Verdict(self._hold(job, question, nameless, expected, now), expected)

    def why(self, job: Job, over: Over, rest: Sequence[Batch], now: datetime) -> Hold:
        question = self.question(job, rest, now)
        expected = self._expected(job, question)
        if over.fault:
            return Hold(PRICE, sentences.config_fault(over.fault), None, expected)
        if over.scope.asks:
            return Hold(APPROVAL, sentences.asks(job, question), question, expected)
        return Hold(LIMIT, sentences.limited(job, over.scope, over.left, question), question, expected)

    def question(self, job: Job, rest: Iterable[Batch], now: datetime) -> Question:
        """About the batches that are not sent yet; before a pilot is back, about the pilot alone."""
        total, rows = Estimate(), 0
        for batch in rest:
            if batch.tries or not job.trying:
                total += self.budget.estimate(job, batch, now)
                rows += batch.requests
        high = total.worst if job.limits is not None and job.limits.strict else total.high
        prices = self.budget.prices.current(now).value
        recipe = job.recipe and (job.recipe.key, job.recipe.version_id, job.recipe.etag)
        code = ids.question_code(job.id, recipe, prices.digest, rows, total.low, high, job.used, len(job.approvals))
        return Question(code=code, low=total.low, high=high, rows=rows, for_pilot=job.trying, asked_at=now)

    def _hold(
        self, job: Job, question: Question, nameless: Sequence[str], expected: Expected | None, now: datetime
    ) -> Hold | None:
        if not self.budget.is_limited(job, now):
            return None
        if nameless:
            return Hold(PRICE, sentences.without_price(nameless), None)
        left = self.budget.unasked_left(job, now)
        if left is None or question.high <= left:
            return None
        if fault := self.budget.fault(now):
            return Hold(PRICE, sentences.config_fault(fault), None, expected)
        return Hold(APPROVAL, sentences.asks(job, question), question, expected)

    @staticmethod
    def _expected(job: Job, question: Question) -> Expected | None:
        """What it has used so far counts as spent. A question about a pilot says nothing of the others."""
        if question.for_pilot:
            return None
        by = ("tried" if job.tried else "earlier") if job.learned else "text"
        return Expected(low=job.used + question.low, high=job.used + question.high, by=by)
