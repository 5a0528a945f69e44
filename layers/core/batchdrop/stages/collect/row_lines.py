"""How the rows of a job stand in its output: as the requests they were, or as the rows that a recipe made requests of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from batchdrop.domain.answer_counts import MAX_VALUE_CHARS, MAX_VALUES, AnswerCounts, Values
from batchdrop.domain.records import RowStatus
from batchdrop.formats.api_result import ApiResult
from batchdrop.formats.failed_line import failed_line, failed_row_line
from batchdrop.formats.file_source import as_written
from batchdrop.formats.input_line import REQUESTS
from batchdrop.formats.lines import Line
from batchdrop.formats.named_row import named_by_note, named_by_rendered
from batchdrop.formats.rendered_line import answered_fields, own_fields
from batchdrop.formats.result_line import answered_row_line, result_line
from batchdrop.money.amounts import usd
from batchdrop.recipes.form import Form

# Answer columns whose answers are counted.
_SHOWN_COLUMNS = 6


class Unusable(NamedTuple):
    """An answer that was given and paid for, and is not one by the recipe."""

    error_type: str
    message: str
    text: str
    result: bytes


class RowLines(Protocol):
    """Writes the lines of `results.jsonl` and `failed.jsonl`."""

    def answered(
        self, line: Line, attempt: int, answer: ApiResult, cost: int | None, *, copied_from: int | None = None
    ) -> bytes | Unusable:
        """The line of an answer, unless it cannot be used. `cost`: of all attempts at its row. `copied_from`: the line of another
        row, which has it too."""

    def failed(
        self,
        line: Line,
        *,
        is_request: bool,
        status: RowStatus,
        error_type: str,
        message: str,
        attempts: int,
        cost: int | None,
        unusable: Unusable | None = None,
        copied_from: int | None = None,
    ) -> bytes:
        """`is_request`: the line is known to be one that can be sent. `cost`: of all attempts, in femto-dollars."""

    def counts(self, reasons: dict[str, int]) -> AnswerCounts:
        """What the answers were worth. `reasons`: of those that cannot be used."""


class RequestLines:
    """Of a file of requests. Every answer is as good as another."""

    def __init__(self, job_id: str, *, completes: bool) -> None:
        """`completes`: the rows are those of an earlier job, whose table they complete."""
        self._job_id = job_id
        self._named = named_by_note if completes else _not_named

    def answered(self, line: Line, attempt: int, answer: ApiResult, cost: int | None, *, copied_from: int | None = None) -> bytes:
        custom_id, named = REQUESTS.custom_id(line.data), self._named(line.data)
        return result_line(custom_id, line.number, attempt, _usd(cost), answer.result, named, copied_from)

    def failed(
        self,
        line: Line,
        *,
        is_request: bool,
        status: RowStatus,
        error_type: str,
        message: str,
        attempts: int,
        cost: int | None,
        unusable: Unusable | None = None,  # noqa: ARG002 - a request has no such answer
        copied_from: int | None = None,
    ) -> bytes:
        custom_id = REQUESTS.custom_id(line.data) if is_request else None
        if (written := as_written(line.data)) is not line.data:
            line = line._replace(data=written)
        return failed_line(
            line,
            job_id=self._job_id,
            custom_id=custom_id,
            status=status,
            error_type=error_type,
            message=message,
            attempts=attempts,
            cost_usd=_usd(cost),
            named=self._named(line.data),
            copied_from=copied_from,
        )

    @staticmethod
    def counts(reasons: dict[str, int]) -> AnswerCounts:  # noqa: ARG004 - there are none
        return AnswerCounts()


class RecipeLines:
    """Of a job with a recipe: own fields, answer columns, and a look at each answer."""

    def __init__(self, form: Form, job_id: str, *, completes: bool) -> None:
        # A function that collects requests only loads none of it.
        from batchdrop.recipes.answers import Answers  # noqa: PLC0415

        self._job_id = job_id
        self._named = named_by_rendered if completes else _not_named
        self._read = Answers(form.answer).read
        self._values = _Values(form.answer.columns)
        self._expected = _Expected(form) if form.expected and form.expected_field else None

    def answered(
        self, line: Line, attempt: int, answer: ApiResult, cost: int | None, *, copied_from: int | None = None
    ) -> bytes | Unusable:
        read = self._read(answer.result)
        if read.output is None:
            return Unusable(read.error_type, read.message, read.text, answer.result)
        custom_id, row = answered_fields(line.data)
        if self._expected is not None:
            self._expected.add(row, read.output)
        self._values.add(read.output)
        return answered_row_line(
            *(custom_id, line.number, attempt, row, read.output, _usd(cost), answer.result),
            named=self._named(line.data),
            copied_from=copied_from,
        )

    def failed(
        self,
        line: Line,
        *,
        is_request: bool,  # noqa: ARG002 - the line is our own either way
        status: RowStatus,
        error_type: str,
        message: str,
        attempts: int,
        cost: int | None,
        unusable: Unusable | None = None,
        copied_from: int | None = None,
    ) -> bytes:
        if self._expected is not None:
            self._expected.add(own_fields(line.data)[0], None)
        return failed_row_line(
            line,
            job_id=self._job_id,
            status=status,
            error_type=error_type,
            message=message,
            attempts=attempts,
            cost_usd=_usd(cost),
            result=unusable.result if unusable else None,
            answer=unusable.text if unusable else "",
            named=self._named(line.data),
            copied_from=copied_from,
        )

    def counts(self, reasons: dict[str, int]) -> AnswerCounts:
        agreement = self._expected.agreement() if self._expected else None
        return AnswerCounts(reasons=reasons, agreement=agreement, values=self._values.few(), many=self._values.many())


def _not_named(line: bytes) -> None:  # noqa: ARG001 - whatever it names
    return None


def _usd(cost: int | None) -> bytes:
    return b"null" if cost is None else usd(cost).encode()


class _Values:
    """Counts the answers of each column as long as there are few different ones; a column of free text costs nothing."""

    def __init__(self, columns: Sequence[str]) -> None:
        from batchdrop.formats.cells import text_of  # noqa: PLC0415 - as above

        self._text_of = text_of
        self._few: dict[str, Counter[str]] = {column: Counter() for column in columns[:_SHOWN_COLUMNS]}
        self._many: list[str] = []

    def add(self, output: bytes) -> None:
        if not self._few:
            return
        fields = _fields(output)
        for column in tuple(self._few):
            value = self._text_of(fields.get(column))
            rows = self._few[column]
            rows[value] += 1
            if len(value) > MAX_VALUE_CHARS or len(rows) > MAX_VALUES:
                del self._few[column]
                self._many.append(column)

    def few(self) -> Values:
        return {column: dict(rows) for column, rows in self._few.items()}

    def many(self) -> tuple[str, ...]:
        return tuple(self._many)


class _Expected:
    """Compares answers with a column of expected ones."""

    def __init__(self, form: Form) -> None:
        from batchdrop.formats.cells import text_of  # noqa: PLC0415 - as above
        from batchdrop.recipes.expected import Comparison  # noqa: PLC0415

        self._text_of = text_of
        self._column = form.expected or ""
        self._field = form.expected_field or ""
        self._comparison = Comparison(form.answer.choices.get(self._field, ()))
        self.agreement = self._comparison.agreement

    def add(self, row: bytes, output: bytes | None) -> None:
        expected = self._text_of(_fields(row).get(self._column))
        self._comparison.add(expected, None if output is None else self._text_of(_fields(output).get(self._field)))


_fields = msgspec.json.Decoder(dict[str, object]).decode
