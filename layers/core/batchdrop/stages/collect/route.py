"""Put every row of a batch where it belongs: among the results, among the failures, or among those that are tried again."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, fields

from batchdrop.domain.records import Batch, Counts, RowStatus, Usage
from batchdrop.domain.retries import retryable
from batchdrop.domain.transitions import Collected
from batchdrop.formats.api_result import ApiResult, parse_result
from batchdrop.formats.batch_body import FRAME_BYTES, SEPARATOR_BYTES, request_bytes
from batchdrop.formats.input_line import REQUESTS
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from batchdrop.formats.retry_line import retry_line
from batchdrop.reports import sentences
from batchdrop.stages.collect.pieces import PartWriter
from batchdrop.stages.collect.row_lines import RowLines, Unusable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Tokens:
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0

    def usage(self) -> Usage:
        return Usage(**{field.name: getattr(self, field.name) for field in fields(self)})


def is_listed(batch: Batch) -> bool:
    """Whether it is known which rows of the batch are invalid."""
    return not batch.invalid or batch.invalid_key is not None


class Router:
    """`may_retry`: whether rows that failed for a temporary reason are sent again.

    `lost`: rows without a line may have been answered all the same, and are not sent again for that reason. `again`: why an
    unusable answer is asked for anew.
    """

    def __init__(
        self,
        batch: Batch,
        lines: RowLines,
        results: PartWriter,
        failed: PartWriter,
        retry: PartWriter,
        *,
        may_retry: bool,
        lost: bool,
        again: frozenset[str] = frozenset(),
    ) -> None:
        self._batch = batch
        self._lines = lines
        self._results = results
        self._failed = failed
        self._retry = retry
        self._may_retry = may_retry
        self._lost = lost
        self._again = again
        self._is_listed = is_listed(batch)
        self.without_line = 0
        """Rows that have no result line, those aside that are known to be invalid."""
        self.succeeded = 0
        """Rows that the API has answered and billed, whatever the answer is worth."""
        self._ends: Counter[RowStatus] = Counter()
        self._tokens: defaultdict[str, _Tokens] = defaultdict(_Tokens)
        self._retry_body_bytes = 0
        self._reasons: Counter[str] = Counter()

    def invalid(self, line: Line, invalid: InvalidLine) -> None:
        """A row that was never sent."""
        self._ends[RowStatus.invalid] += 1
        data = self._lines.failed(
            line,
            is_request=False,
            status=RowStatus.invalid,
            error_type=invalid.type,
            message=invalid.message,
            attempts=0,
        )
        self._failed.write(line.number, data)

    def row(self, line: Line, data: bytes | None) -> None:
        """A row that is not known to be invalid, with its result line, if the API returned one."""
        answer = self._parsed(data) if data is not None else None
        if answer is not None:
            self._answered(line, answer)
        else:
            self._without_line(line)

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
            usage={model: tokens.usage() for model, tokens in self._tokens.items()},
            results=self._results.close(),
            failed=self._failed.close(),
            retry=self._retry.close(),
            retry_body_bytes=self._retry_body_bytes,
            answer_counts=self._lines.counts(dict(self._reasons)),
        )

    def _without_line(self, line: Line) -> None:
        self.without_line += 1
        unsent = self._batch.unsent
        if unsent is not None:
            # One that is missing may have been accepted; any other never was.
            attempts = self._batch.attempt - (unsent.status is not RowStatus.missing)
            self._fail(line, unsent.status, unsent.error_type, unsent.message, attempts=attempts)
        elif self._lost:
            self._fail(line, RowStatus.missing, "answer_not_delivered", sentences.ANSWER_NOT_DELIVERED)
        else:
            self._unanswered(line, RowStatus.missing, "missing_result", sentences.MISSING)

    def _answered(self, line: Line, answer: ApiResult) -> None:
        match answer.type:
            case "succeeded":
                self._succeed(line, answer)
            case "expired":
                self._unanswered(line, RowStatus.expired, "expired", sentences.EXPIRED)
            case "canceled":
                self._fail(line, RowStatus.canceled, "canceled", sentences.CANCELED)
            case _:
                # `errored`, and any type this version does not know: the API's own words go to the user.
                self._unanswered(line, RowStatus.errored, answer.error_type, answer.error_message)

    def _succeed(self, line: Line, answer: ApiResult) -> None:
        self.succeeded += 1
        self._bill(answer)
        data = self._lines.answered(line, self._batch.attempt, answer)
        if isinstance(data, Unusable):
            self._unusable(line, data)
        else:
            self._ends[RowStatus.succeeded] += 1
            self._results.write(line.number, data)

    def _bill(self, answer: ApiResult) -> None:
        tokens = self._tokens[answer.model]
        tokens.requests += 1
        tokens.input_tokens += answer.input_tokens
        tokens.output_tokens += answer.output_tokens
        tokens.cache_write_5m_tokens += answer.cache_write_5m_tokens
        tokens.cache_write_1h_tokens += answer.cache_write_1h_tokens
        tokens.cache_read_tokens += answer.cache_read_tokens

    def _unusable(self, line: Line, answer: Unusable) -> None:
        """It was paid for; it goes again only if the recipe says so."""
        self._reasons[answer.error_type] += 1
        if self._may_retry and answer.error_type in self._again:
            self._send_again(line)
        else:
            self._fail(line, RowStatus.errored, answer.error_type, answer.message, unusable=answer)

    def _unanswered(self, line: Line, status: RowStatus, error_type: str, message: str) -> None:
        if self._may_retry and retryable(status, error_type):
            self._send_again(line)
        else:
            self._fail(line, status, error_type, message)

    def _send_again(self, line: Line) -> None:
        self._retry.write(line.number, retry_line(line))
        self._retry_body_bytes += SEPARATOR_BYTES if self._retry_body_bytes else FRAME_BYTES
        self._retry_body_bytes += request_bytes(len(REQUESTS.params(line.data)), line.number)

    def _fail(
        self,
        line: Line,
        status: RowStatus,
        error_type: str,
        message: str,
        *,
        attempts: int | None = None,
        unusable: Unusable | None = None,
    ) -> None:
        self._ends[status] += 1
        data = self._lines.failed(
            line,
            is_request=self._is_listed,
            status=status,
            error_type=error_type,
            message=message,
            attempts=self._batch.attempt if attempts is None else attempts,
            unusable=unusable,
        )
        self._failed.write(line.number, data)
