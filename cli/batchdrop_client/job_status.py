"""`status.json` of a job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from batchdrop.domain.open_work import APPROVAL, PLACE, PRICE
from batchdrop.domain.record import Record
from batchdrop.domain.records import Counts, JobState
from batchdrop.reports.samples import Sample
from batchdrop.reports.sentences import WAITS_FOR_YOU, word
from batchdrop_client.errors import StackError

_UNKNOWN = Decimal("Infinity")
_MOST_DIGITS = 20
"""Of dollars, before the point and behind it: more would fill a terminal, or the memory."""


class Input(Record, frozen=True):
    """The file that was dropped."""

    key: str
    version_id: str | None = None


class Cost(Record, frozen=True, kw_only=True):
    usd: Decimal = Decimal(0)
    """Of the answers that came so far."""
    reserved_usd: Decimal = Decimal(0)
    """Set aside for those that are still to come."""


class Estimate(Record, frozen=True):
    """Of the job in all, in dollars."""

    low: Decimal
    high: Decimal
    known_by: str = ""


class Question(Record, frozen=True, kw_only=True):
    """Whether the rows that are not sent yet may cost so much."""

    code: str
    """Of this question and no other."""
    answer: str
    """The key of the object that says yes."""
    rows: int = 0
    low_usd: Decimal = Decimal(0)
    high_usd: Decimal = _UNKNOWN


class NextStep(Record, frozen=True):
    text: str
    command: str | None = None


class JobStatus(Record, frozen=True):
    """Where a job stands. Its fields are those of status.json, which the README explains."""

    job_id: str
    state: JobState
    message: str
    input: Input
    counts: Counts = Counts()
    needs: str | None = None
    """`recipe`, `approval`, `limit`, `price` or `place` while it is held."""
    question: Question | None = None
    next: NextStep | None = None
    """None: of a job that ended with an earlier version."""
    cost: Cost = Cost()
    estimate: Estimate | None = None
    samples: tuple[Sample, ...] = ()
    """Rows that were tried, as they came back."""
    reference: str = ""
    expected_end: datetime | None = None
    # Filled in by who reads it: no field of the document can have a name that begins with a space.
    document: bytes = msgspec.field(name=" document", default=b"")
    """status.json as it was read."""

    @property
    def has_ended(self) -> bool:
        return self.state in {JobState.done, JobState.rejected, JobState.canceled}

    @property
    def is_complete(self) -> bool:
        """Every row has an answer."""
        return self.state is JobState.done and self.counts.succeeded == self.counts.total

    @property
    def waits(self) -> bool:
        """For a person, or for a limit. What waits for its turn, for rows of another file or for a price goes on by itself."""
        return self.state is JobState.held and self.needs not in (PLACE, PRICE)

    @property
    def waits_for_a_person(self) -> bool:
        """Who writes a recipe, or says yes. Limits and prices are the operators' business, and the first of the month's."""
        return self.word == WAITS_FOR_YOU

    @property
    def word(self) -> str:
        """The state in the word that people use."""
        return word(self.state, self.needs or "", self.counts.succeeded)

    @property
    def is_over(self) -> bool:
        """It does not go on by itself."""
        return self.has_ended or self.waits

    @property
    def most_usd(self) -> Decimal:
        """What it may cost in all if it is approved: what was paid and is under way with it."""
        asked = self.question.high_usd if self.question else Decimal(0)
        return self.cost.usd + self.cost.reserved_usd + asked

    @property
    def asks(self) -> bool:
        """For an approval."""
        return self.state is JobState.held and self.needs == APPROVAL and self.question is not None


def parse_status(data: bytes, job_id: str) -> JobStatus:
    """Raises StackError."""
    try:
        found = msgspec.json.decode(data, type=JobStatus)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise StackError(f"The status.json of {job_id} cannot be read.") from None
    if not all(amount.is_finite() and abs(amount.adjusted()) <= _MOST_DIGITS for amount in _amounts(found)):
        raise StackError(f"The status.json of {job_id} tells an amount that no job costs, and cannot be used.")
    if found.job_id != job_id:
        raise StackError(f"The status.json of {job_id} is that of another job.")
    return msgspec.structs.replace(found, document=data)


def _amounts(status: JobStatus) -> Iterator[Decimal]:
    """Dollars, as the document has them."""
    yield from (status.cost.usd, status.cost.reserved_usd)
    if status.estimate is not None:
        yield from (status.estimate.low, status.estimate.high)
    if status.question is not None:
        yield status.question.low_usd
        if status.question.high_usd is not _UNKNOWN:
            yield status.question.high_usd
