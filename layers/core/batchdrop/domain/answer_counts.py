"""What became of the answers of a job with a recipe, in numbers: small enough to be stored, and added up over its batches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import islice, zip_longest

import msgspec
from msgspec.structs import replace

from batchdrop.domain.record import Record

MAX_LABELS = 50
"""Counted one by one; what comes after them is counted as OTHER."""
OTHER = "(other)"
MAX_LABEL_CHARS = 80
_MAX_REASONS = 50
MAX_VALUES = 20
"""Different answers of a column that are counted one by one; a column with more has no distribution."""
MAX_VALUE_CHARS = 80
MAX_FAILURES = 10
"""Kinds of failures that are told apart; what comes after them is counted as OTHER."""
SHOWN_LINES = 3
SHOWN_MESSAGES = 3
"""Different sentences that are told of one kind of failure."""
MAX_LENGTHS = 21
_MESSAGE_CHARS = 200


class Agreement(Record, frozen=True, kw_only=True):
    """How answers agree with the expected ones of a column. A label is compared without case and outer blanks."""

    right: int = 0
    """Rows answered as expected; exact, however many labels there are."""
    compared: int = 0
    """Rows with an expected value and an answer."""
    unanswered: int = 0
    """Rows with an expected value and without an answer that can be used."""
    labels: tuple[str, ...] = ()
    """In order of first appearance, the recipe's own words first; at most 50, and OTHER."""
    matrix: tuple[tuple[int, ...], ...] = ()
    """Rows by expected label, then by answered label; the last column of each is those without an answer."""

    def __add__(self, more: Agreement) -> Agreement:
        labels = merged_labels(self.labels, more.labels)
        cells = [[0] * (len(labels) + 1) for _ in labels]
        for part in (self, more):
            places = [*(place_of(label, labels) for label in part.labels), len(labels)]
            for expected, row in zip(places, part.matrix, strict=False):
                for answered, rows in zip(places, row, strict=True):
                    cells[expected][answered] += rows
        return Agreement(
            right=self.right + more.right,
            compared=self.compared + more.compared,
            unanswered=self.unanswered + more.unanswered,
            labels=labels,
            matrix=tuple(map(tuple, cells)),
        )


class Told(Record, frozen=True, kw_only=True):
    """A sentence that rows without an answer came back with."""

    message: str
    """At most 200 characters."""
    rows: int


class Failures(Record, frozen=True, kw_only=True):
    """Rows that ended without an answer for reasons of one kind."""

    rows: int = 0
    messages: tuple[Told, ...] = ()
    """At most three different ones. Where there are more, fewer rows are told of than there are."""
    message: str = ""
    """Of the first row: all that an earlier version stored of them."""
    lines: tuple[int, ...] = ()
    """Of the first three."""

    def __add__(self, more: Failures) -> Failures:
        told: Counter[str] = Counter()
        for one in (*self.told(), *more.told()):
            told[one.message] += one.rows
        return Failures(
            rows=self.rows + more.rows,
            messages=_told(told),
            lines=tuple(sorted({*self.lines, *more.lines})[:SHOWN_LINES]),
        )

    def told(self) -> tuple[Told, ...]:
        return self.messages or ((Told(message=self.message, rows=1),) if self.message else ())


type Values = dict[str, dict[str, int]]
"""Rows by answer, of each answer column; of one that nobody has answered it is empty."""


class AnswerCounts(Record, frozen=True, kw_only=True):
    """`reasons`: how many answers could not be used, by error type (`truncated`, `refused`, ...)."""

    reasons: dict[str, int] = msgspec.field(default_factory=dict)
    agreement: Agreement | None = None
    values: Values = msgspec.field(default_factory=dict)
    many: tuple[str, ...] = ()
    """Answer columns with more different answers than MAX_VALUES, or longer ones. A column of the job is here or in `values`."""
    lengths: tuple[int, ...] = ()
    """Answers by their length in tokens: none, 1, 2 to 3, 4 to 7, and so on, each class twice as wide."""
    failures: dict[str, Failures] = msgspec.field(default_factory=dict)
    """By `<status> <error type>`, and OTHER, of which no sentence is kept."""

    def __add__(self, more: AnswerCounts) -> AnswerCounts:
        both = (self.agreement, more.agreement)
        found = [agreement for agreement in both if agreement is not None]
        many = self._many_beside(more) | more._many_beside(self)
        values = _added_values(self.values, more.values)
        many |= {column for column, rows in values.items() if len(rows) > MAX_VALUES}
        return AnswerCounts(
            reasons=_added(self.reasons, more.reasons),
            agreement=found[0] + found[1] if len(found) > 1 else next(iter(found), None),
            values={column: rows for column, rows in values.items() if column not in many},
            many=tuple(sorted(many)),
            lengths=tuple(a + b for a, b in zip_longest(self.lengths, more.lengths, fillvalue=0)),
            failures=_merged_failures(self.failures, more.failures),
        )

    def by_column(self) -> dict[str, dict[str, int] | None]:
        """Rows by answer, of each column of which they are counted; None of any other."""
        return {**self.values, **dict.fromkeys(self.many)}

    def _many_beside(self, other: AnswerCounts) -> set[str]:
        """Its columns that have too many different answers. An earlier version left these out of a batch that has answers."""
        left_out = {*other.values, *other.many} - self.values.keys() if any(self.lengths) else set()
        return left_out | {*self.many}


class FailureCounter:
    """Adds up why rows ended without an answer. Memory: MAX_FAILURES kinds, and OTHER."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._told: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._lines: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, line: int, status: str, error_type: str, message: str) -> None:
        name = f"{status} {error_type[:MAX_LABEL_CHARS]}"
        if name not in self._rows and len(self._rows) >= MAX_FAILURES:
            name = OTHER
        self._rows[name] += 1
        if self._rows[name] <= SHOWN_LINES:
            self._lines[name].append(line)
        said = (message or error_type or status)[:_MESSAGE_CHARS].encode(errors="replace").decode()
        told = self._told[name]
        if name != OTHER and (said in told or len(told) < SHOWN_MESSAGES):
            told[said] += 1

    def found(self) -> dict[str, Failures]:
        return {
            name: Failures(rows=rows, messages=_told(self._told[name]), lines=tuple(sorted(self._lines[name])))
            for name, rows in self._rows.items()
        }


def merged_labels(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """At most 50 of both, and OTHER if there are more."""
    found: dict[str, str] = {}
    for label in (*first, *second):
        found.setdefault(folded(label), label)
    other = found.pop(folded(OTHER), None)
    labels = list(found.values())
    return (*labels[:MAX_LABELS], OTHER) if other or len(labels) > MAX_LABELS else tuple(labels)


def place_of(label: str, labels: tuple[str, ...]) -> int:
    """Among labels that hold it, or OTHER as the last one."""
    known = folded(label)
    return next((place for place, each in enumerate(labels) if folded(each) == known), len(labels) - 1)


def folded(label: str) -> str:
    """What two labels have in common that are the same."""
    return label.strip().casefold()[:MAX_LABEL_CHARS].strip()


def _added_values(first: Values, second: Values) -> Values:
    columns = dict.fromkeys((*first, *second))
    return {column: dict(Counter(first.get(column, {})) + Counter(second.get(column, {}))) for column in columns}


def _told(rows: Mapping[str, int]) -> tuple[Told, ...]:
    return tuple(Told(message=message, rows=found) for message, found in islice(rows.items(), SHOWN_MESSAGES))


def _merged_failures(first: Mapping[str, Failures], second: Mapping[str, Failures]) -> dict[str, Failures]:
    merged = dict(first)
    for kind, failures in second.items():
        name = kind if kind in merged or len(merged) < MAX_FAILURES else OTHER
        both = merged.get(name, Failures()) + failures
        merged[name] = replace(both, messages=()) if name == OTHER else both
    return merged


def _added(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    counts = dict(first)
    for reason, rows in second.items():
        name = reason if reason in counts or len(counts) < _MAX_REASONS else OTHER
        counts[name] = counts.get(name, 0) + rows
    return counts
