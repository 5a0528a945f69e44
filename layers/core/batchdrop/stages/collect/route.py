"""Put every row of a batch where it belongs: among the results, among the failures, or among those that are tried again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

from msgspec.structs import replace

from batchdrop.domain.answer_counts import MAX_LENGTHS, FailureCounter
from batchdrop.domain.records import Batch, Counts, RowStatus
from batchdrop.domain.retries import NO_RESULT, retryable
from batchdrop.domain.transitions import Collected
from batchdrop.formats.api_result import ApiResult, parse_result
from batchdrop.formats.batch_body import FRAME_BYTES, SEPARATOR_BYTES, request_bytes
from batchdrop.formats.file_source import sent_bytes
from batchdrop.formats.input_line import REQUESTS, Row
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from batchdrop.formats.rendered_line import asked_again, check_rendered
from batchdrop.formats.retry_line import retry_line
from batchdrop.formats.same_request import SameRequests
from batchdrop.jobs.answer_size import longest_answer
from batchdrop.money.billing import Biller
from batchdrop.money.sizing import Sizer
from batchdrop.reports import sentences
from batchdrop.stages.collect.copies import is_listed
from batchdrop.stages.collect.pieces import PartWriter
from batchdrop.stages.collect.row_lines import RowLines, Unusable
from batchdrop.stages.collect.settled_ends import SettledEnd

ERRORED, REFUSED = "errored", "refused"
"""Reasons for which a recipe may have rows asked again, besides its unusable answers: the API's own error, and one of these."""
log = logging.getLogger(__name__)


class Router:
    """`may_retry`: whether rows that failed for a temporary reason are sent again.

    `lost`: rows without a line may have been answered all the same, and are not sent again for that reason. `again`: by reason
    for which a row is asked anew, what is different then. `sizer`: what rows are expected to take that are sent again.
    `rendered`: whether the rows are those of a recipe. `canceled`: error type and message of rows that were canceled at the API,
    if their job tells more. `answer_room`: bytes of answers that copies among the rows that are asked anew may get at worst.
    """

    def __init__(
        self,
        batch: Batch,
        lines: RowLines,
        biller: Biller,
        results: PartWriter,
        failed: PartWriter,
        retry: PartWriter,
        *,
        may_retry: bool,
        lost: bool,
        sizer: Sizer,
        rendered: bool,
        canceled: tuple[str, str] | None = None,
        again: Mapping[str, Mapping[str, str | None]] | None = None,
        answer_room: int = 0,
    ) -> None:
        self._batch = batch
        self._lines = lines
        self._biller = biller
        self._results = results
        self._failed = failed
        self._retry = retry
        self._may_retry = may_retry
        self._lost = lost
        self._canceled = canceled or ("canceled", sentences.CANCELED)
        self._again = again or {}
        self._answer_room = answer_room
        self._crowded = False
        """Whether the row at hand is not asked anew only since the copies before it may have very long answers."""
        self._sizer = sizer
        self._check = check_rendered if rendered else REQUESTS.check
        self._is_listed = is_listed(batch)
        self.without_line = 0
        """Rows that have no result line, those aside that are known to be invalid."""
        self.succeeded = 0
        """Rows that the API has answered and billed, whatever the answer is worth."""
        self.unaccounted = 0
        """Rows that may have been billed, and nobody knows what."""
        self._ends: Counter[RowStatus] = Counter()
        self._retry_body_bytes = 0
        self._retry_copies = 0
        self._same_again = SameRequests() if batch.copies else None
        self._copied_from: int | None = None
        """Of the row at hand: the line of the one whose request it has, and whose end it gets."""
        self._copied = 0
        self._reasons: Counter[str] = Counter()
        self._failures = FailureCounter()
        self._lengths = [0] * MAX_LENGTHS

    def invalid(self, line: Line, invalid: InvalidLine, paid: int | None = 0) -> None:
        """A row that is not sent: never, or not again, as a file that it names is gone since. `paid`: as in `row`."""
        self._ends[RowStatus.invalid] += 1
        self._failures.add(line.number, RowStatus.invalid, invalid.type, invalid.message)
        data = self._lines.failed(
            line,
            is_request=False,
            status=RowStatus.invalid,
            error_type=invalid.type,
            message=invalid.message,
            attempts=self._batch.times_sent - 1,
            cost=paid,
        )
        self._failed.write(line.number, data)

    def settled(self, line: Line, status: RowStatus | None) -> None:
        """A row that the pilot has settled: its line is among those taken over. `status`: None if that is gone."""
        self._copied_from = None
        if status is None:
            self._fail(line, RowStatus.missing, "tried_answer_lost", sentences.TRIED_ANSWER_LOST, 0)
        else:
            self._ends[status] += 1

    def same_as_settled(self, line: Line, source: int, end: SettledEnd | None) -> None:
        """A row with the request of one that the pilot has settled, in this line. `end`: None if that is gone."""
        self._copied_from = source
        if end is None:
            self._fail(line, RowStatus.missing, "tried_answer_lost", sentences.TRIED_ANSWER_LOST, 0)
        elif end.answer is None:
            self._fail(line, end.status, end.error_type, end.message, 0, attempts=end.attempts, unusable=end.unusable)
        else:
            data = self._lines.answered(line, end.attempts, end.answer, 0, copied_from=source)
            if isinstance(data, Unusable):
                self._fail(line, RowStatus.errored, data.error_type, data.message, 0, unusable=data)
            else:
                self._succeeded(line, data)

    def copy(self, line: Line, source: int, data: bytes | None, paid: int | None) -> None:
        """A row with the request of the one in the line `source`, and the result line of that one. `paid`: as in `row`."""
        self._copied_from = source
        self._take(line, data, paid)

    def row(self, line: Line, data: bytes | None, paid: int | None = 0) -> None:
        """A row that is not known to be invalid, with its result line, if the API returned one.

        `paid`: femto-dollars for earlier attempts at it, None if nobody knows.
        """
        self._copied_from = None
        self._take(line, data, paid)

    def _take(self, line: Line, data: bytes | None, paid: int | None) -> None:
        answer = self._parsed(data) if data is not None else None
        if answer is not None:
            self._answered(line, answer, paid)
        else:
            self._without_line(line, paid)

    def _parsed(self, data: bytes) -> ApiResult | None:
        """None for a line that names its row and not what became of it: it may come whole later, as one that is missing."""
        try:
            return parse_result(data)
        except ValueError:
            log.warning("a result line is not an answer", extra={"job_id": self._batch.job_id, "batch": self._batch.name})
            return None

    def close(self) -> Collected:
        counts = Counts(total=self._ends.total(), **{status.value: number for status, number in self._ends.items()})
        return Collected(
            counts=counts,
            usage=self._biller.usage(),
            bill=self._biller.total(),
            results=self._results.close(),
            failed=self._failed.close(),
            retry=self._retry.close(),
            retry_copies=self._retry_copies,
            retry_body_bytes=self._retry_body_bytes,
            retry_sizes=self._sizer.take(),
            rows_copied=self._copied,
            # Where the input is gone, a row without a line may have been the copy of another one.
            unaccounted=min(self.unaccounted, self._batch.requests),
            answer_counts=replace(
                self._lines.counts(dict(self._reasons)), lengths=self._classes(), failures=self._failures.found()
            ),
        )

    def _classes(self) -> tuple[int, ...]:
        """Without the empty ones behind the longest answer."""
        longest = max((place for place, rows in enumerate(self._lengths, start=1) if rows), default=0)
        return tuple(self._lengths[:longest])

    def _without_line(self, line: Line, paid: int | None) -> None:
        own = self._copied_from is None
        self.without_line += own
        unsent = self._batch.unsent
        if unsent is not None:
            # One that is missing may have been accepted; any other never was.
            is_missing = unsent.status is RowStatus.missing
            self.unaccounted += own and is_missing
            attempts = self._batch.times_sent - (not is_missing)
            cost = None if own and is_missing else paid
            self._fail(line, unsent.status, unsent.error_type, unsent.message, cost, attempts=attempts)
        elif self._lost:
            self.unaccounted += own
            cost = None if own else paid
            self._fail(line, RowStatus.missing, "answer_not_delivered", sentences.ANSWER_NOT_DELIVERED, cost)
        else:
            # A line that could not be read has no bytes.
            unknown = self._batch.copies and not line.end
            message = sentences.MISSING_OR_COPY if unknown else sentences.MISSING
            self._unanswered(line, RowStatus.missing, NO_RESULT, message, paid)

    def _answered(self, line: Line, answer: ApiResult, paid: int | None) -> None:
        match answer.type:
            case "succeeded":
                self._succeed(line, answer, paid)
            case "expired":
                self._unanswered(line, RowStatus.expired, "expired", sentences.EXPIRED, paid)
            case "canceled":
                self._fail(line, RowStatus.canceled, *self._canceled, paid)
            case _:
                # `errored`, and any type this version does not know: the API's own words go to the user.
                self._unanswered(line, RowStatus.errored, answer.error_type, answer.error_message, paid)

    def _succeed(self, line: Line, answer: ApiResult, paid: int | None) -> None:
        cost: int | None = 0
        if self._copied_from is None:
            self.succeeded += 1
            self._lengths[min(answer.output_tokens.bit_length(), MAX_LENGTHS - 1)] += 1
            cost = self._biller.bill(answer)
        if paid != 0:
            cost = None if paid is None or cost is None else paid + cost
        data = self._lines.answered(line, self._batch.times_sent, answer, cost, copied_from=self._copied_from)
        if isinstance(data, Unusable):
            self._unusable(line, data, cost)
        else:
            self._succeeded(line, data)

    def _succeeded(self, line: Line, data: bytes) -> None:
        self._end(RowStatus.succeeded)
        self._results.write(line.number, data)

    def _end(self, status: RowStatus) -> None:
        self._ends[status] += 1
        self._copied += self._copied_from is not None

    def _unusable(self, line: Line, answer: Unusable, cost: int | None) -> None:
        """It was paid for; it goes again only if the recipe says so."""
        if self._copied_from is None:
            self._reasons[answer.error_type] += 1
        if not self._asked_again(line, answer.error_type, cost):
            message = f"{answer.message} {sentences.NO_ROOM_FOR_COPY}" if self._crowded else answer.message
            self._fail(line, RowStatus.errored, answer.error_type, message, cost, unusable=answer)

    def _unanswered(self, line: Line, status: RowStatus, error_type: str, message: str, paid: int | None) -> None:
        """The API does not bill it (Anthropic, "Batch processing", results)."""
        if self._may_retry and retryable(status, error_type):
            self._send_again(line, paid)
        elif status is not RowStatus.errored or not self._asked_again(line, ERRORED, paid):
            self._fail(line, status, error_type, message, paid)

    def _asked_again(self, line: Line, reason: str, paid: int | None) -> bool:
        """Whether it is, with other params if the recipe says so. Nobody asks a third time what was refused twice."""
        self._crowded = False
        if not self._may_retry or reason not in self._again:
            return False
        data = asked_again(line.data, self._again[reason], refused=reason == REFUSED)
        if data is None:
            return False
        line = line._replace(data=data)
        self._crowded = self._copied_from is not None and not self._has_room(line)
        if not self._crowded:
            self._send_again(line, paid)
        return not self._crowded

    def _has_room(self, line: Line) -> bool:
        """A copy costs nothing: no limit of money bounds what has to be written when its answer may be longer now."""
        row = self._check(line)
        if isinstance(row, Row):
            self._answer_room -= longest_answer(row.max_tokens)
        return self._answer_room >= 0

    def _send_again(self, line: Line, paid: int | None) -> None:
        self._retry.write(line.number, retry_line(line, paid))
        params = REQUESTS.params(line.data)
        if self._same_again is not None and self._same_again.answered_by(line.number, params) is not None:
            self._retry_copies += 1
            return
        self._retry_body_bytes += SEPARATOR_BYTES if self._retry_body_bytes else FRAME_BYTES
        self._retry_body_bytes += request_bytes(sent_bytes(bytes(params)), line.number)
        row = self._check(line)
        if isinstance(row, Row):
            self._sizer.add(row)

    def _fail(
        self,
        line: Line,
        status: RowStatus,
        error_type: str,
        message: str,
        cost: int | None,
        *,
        attempts: int | None = None,
        unusable: Unusable | None = None,
    ) -> None:
        self._end(status)
        self._failures.add(line.number, status, error_type, message)
        data = self._lines.failed(
            line,
            is_request=self._is_listed,
            status=status,
            error_type=error_type,
            message=message,
            attempts=self._batch.times_sent if attempts is None else attempts,
            cost=cost,
            unusable=unusable,
            copied_from=self._copied_from,
        )
        self._failed.write(line.number, data)
