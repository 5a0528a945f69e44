"""What a batch reserves of money when it is admitted, and which limit it meets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from batchdrop.domain import purses
from batchdrop.domain.keys import LIMITS, team_of
from batchdrop.domain.money import uncached
from batchdrop.domain.purses import Charge, Scope
from batchdrop.domain.records import Batch, Job, Purse
from batchdrop.domain.transitions import Reserve
from batchdrop.jobs.config_files import ConfigObject
from batchdrop.money.estimate import Estimate, estimate, unpriced
from batchdrop.money.limit_file import LimitList
from batchdrop.money.price_list import PriceList
from batchdrop.ports import Ledger
from batchdrop.reports import sentences

_NEVER = datetime.max.replace(tzinfo=UTC)


class StackLimits(NamedTuple):
    """Micro-dollars. None: only counted."""

    day: int | None
    month: int | None
    ask_above: int | None
    """None: nobody is ever asked."""


class Over(NamedTuple):
    """A batch does not fit."""

    scope: Scope
    left: int
    unknown: str = ""
    """Nobody knows what the limit is, or what the batch costs: the sentence that says why."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    prices: ConfigObject[PriceList]
    limits: ConfigObject[LimitList]
    stack: StackLimits

    def estimate(self, job: Job, batch: Batch, now: datetime) -> Estimate:
        """Of a batch whose rows that are settled already do not go."""
        sizes = uncached(batch.sizes) if job.cached is False else batch.sizes
        return estimate(sizes, self.prices.current(now).value, now, job.learned)

    def reserve(self, job: Job, batch: Batch, now: datetime) -> Reserve | Over:
        """Judged by the purses as they are now: the transaction judges again."""
        scopes = self.scopes(job, now)
        if unknown := self._unknown(job, batch, now):
            return Over(scopes[0], 0, unknown)
        # A batch of an earlier version, which nobody can estimate, meets at least a limit that is used up.
        amount = max(1, most_of(job, self.estimate(job, batch, now)))
        raised = job.used + amount <= job.raised_to
        if raised:
            scopes = [scope if scope.asks else scope._replace(limit=None) for scope in scopes]
        of_job = self._of_job(job, raised=raised)
        for scope in of_job:
            if scope.limit is not None and job.used + amount > scope.limit:
                return Over(scope, max(0, scope.limit - job.used))
        found = self.ledger.get_purses([scope.purse for scope in scopes])
        overs = [over for scope, purse in zip(scopes, found, strict=True) if (over := _over(scope, purse, amount))]
        if overs:
            return max(overs, key=_waits_longest)
        charges = tuple(Charge(purse=scope.purse, used=amount, limit=scope.limit) for scope in scopes)
        return Reserve(amount, charges, min((scope.limit for scope in of_job if scope.limit is not None), default=None))

    def scopes(self, job: Job, now: datetime) -> list[Scope]:
        """Every purse that the job is charged in, those without a limit too: they tell what was spent."""
        tomorrow, next_month = _tomorrow(now), _next_month(now)
        team = team_of(job.input.key)
        found = [
            Scope(
                *(purses.stack_month(now), self.stack.month, "this month's limit of this stack", next_month),
                raised_in="MonthlyLimitUsd",
            ),
            Scope(purses.stack_day(now), self.stack.day, "today's limit of this stack", tomorrow, raised_in="DailyLimitUsd"),
        ]
        listed = self.limits.current(now).value
        said = dict(listed.limits_of(job.input.key))
        for folder in dict.fromkeys((*said, team)):
            limits = said.get(folder)
            day = limits.day if limits else None
            month = limits.month if limits else None
            where = f"of the folder {folder}" if folder else "of files in no folder"
            of = f"{folder if limits is not None and folder in listed.folders else 'default'} in {LIMITS}"
            if day is not None or folder == team:
                purse = purses.folder_day(folder, now)
                found.append(Scope(purse, day, f"today's limit {where}", tomorrow, raised_in=f"day_usd of {of}"))
            if month is not None or folder == team:
                purse = purses.folder_month(folder, now)
                found.append(Scope(purse, month, f"this month's limit {where}", next_month, raised_in=f"month_usd of {of}"))
        if (ask_above := self.ask_above(job, now)) is not None and job.may_use == 0:
            found.append(Scope(purses.unasked(team, now), ask_above, "", tomorrow, asks=True))
        return found

    def ask_above(self, job: Job, now: datetime) -> int | None:
        """Micro-dollars that the job's team may use today without being asked; None: as much as it likes."""
        if job.may_use is None:
            return None
        of_folder = self.limits.current(now).value.ask_above(job.input.key, self.stack.ask_above)
        of_recipe = job.limits.ask_above if job.limits else None
        return min((amount for amount in (of_folder, of_recipe) if amount is not None), default=None)

    def unasked_left(self, job: Job, now: datetime) -> int | None:
        """Micro-dollars that it may use before somebody is asked, or asked again; None: as much as it likes."""
        if job.may_use:
            return max(0, job.may_use - job.used)
        most = self.ask_above(job, now)
        if most is None:
            return None
        (purse,) = self.ledger.get_purses([purses.unasked(team_of(job.input.key), now)])
        return max(0, most - purse.used)

    def has_price(self, model: str, now: datetime) -> bool:
        """Whether one is known, be it of another time, or may stand in the operators' file, which is faulty."""
        prices = self.prices.current(now)
        return bool(prices.fault) or prices.value.name(model) is not None

    def without_price(self, job: Job, models: Sequence[str], now: datetime) -> str:
        """Why: if the operators' file is faulty, the price may stand in it."""
        fault = self.prices.current(now).fault
        return sentences.config_fault(fault) if fault else sentences.without_price(models, job.strange)

    def never_fits(self, job: Job, batches: Iterable[Batch], now: datetime) -> bool:
        """Whether the dearest of them costs more at worst than a limit allows in a whole day or month, or its recipe in all."""
        dearest = max(batches, key=lambda batch: most_of(job, self.estimate(job, batch, now)), default=None)
        over = self.reserve(job, dearest, now) if dearest is not None else None
        return isinstance(over, Over) and not (over.unknown or over.scope.asks or over.scope.renews_at)

    def fault(self, now: datetime) -> str:
        """Why a file of the operators is not used.

        For `limits.json` nothing goes, for `prices.json` nothing that has to be asked for.
        """
        return self.limits.current(now).fault or self.prices.current(now).fault

    def cannot_ask(self, now: datetime) -> str:
        """The sentence that says why no amount can be named that somebody could approve."""
        if fault := self.limits.current(now).fault:
            return sentences.limits_fault(fault)
        fault = self.prices.current(now).fault
        return sentences.config_fault(fault) if fault else ""

    def _unknown(self, job: Job, batch: Batch, now: datetime) -> str:
        """A limit of its folder, a price, or what was approved by prices that are not used now."""
        if fault := self.limits.current(now).fault:
            return sentences.limits_fault(fault)
        if models := unpriced((batch.sizes,), self.prices.current(now).value, now):
            return self.without_price(job, models, now)
        # Where nobody was asked, the amount up to which nobody is asked bounds what wrong prices can do.
        fault = self.prices.current(now).fault if job.may_use else ""
        return sentences.config_fault(fault) if fault else ""

    @staticmethod
    def _of_job(job: Job, *, raised: bool) -> list[Scope]:
        """What the job alone may use: as its recipe or an operator says, and as somebody has approved."""
        found = []
        if raised:
            found.append(Scope("", job.raised_to, "", None))
        elif job.limits is not None and job.limits.most is not None:
            found.append(Scope("", job.limits.most, "the limit of its recipe for a job", None))
        if job.may_use:
            found.append(Scope("", job.may_use, "", None, asks=True))
        # 0: nobody has approved anything, and its team's purse of the day is the bound.
        return found


def most_of(job: Job, expected: Estimate) -> int:
    """What is reserved, and asked about: the high end by rows like these, or what they cost at worst, if nothing tells more."""
    strict = job.limits is not None and job.limits.strict
    return expected.worst if strict or job.learned is None else expected.high


def _over(scope: Scope, purse: Purse, amount: int) -> Over | None:
    limit = scope.limit
    if limit is None or purse.used + amount <= limit:
        return None
    # What does not fit into a whole day or month fits into none.
    return Over(scope if amount <= limit else scope._replace(renews_at=None), max(0, limit - purse.used))


def _waits_longest(over: Over) -> tuple[bool, datetime]:
    """Limits before questions: an approval passes none."""
    return not over.scope.asks, over.scope.renews_at or _NEVER


def _tomorrow(now: datetime) -> datetime:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def _next_month(now: datetime) -> datetime:
    first = (_tomorrow(now) - timedelta(days=1)).replace(day=1)
    return (first + timedelta(days=32)).replace(day=1)
