"""What became of the answers of a job with a recipe, in numbers: small enough to be stored, and added up over its batches."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from batchdrop.domain.record import Record

MAX_LABELS = 50
"""Counted one by one; what comes after them is counted as OTHER."""
OTHER = "(other)"
MAX_LABEL_CHARS = 80
_MAX_REASONS = 50


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


class AnswerCounts(Record, frozen=True, kw_only=True):
    """`reasons`: how many answers could not be used, by error type (`truncated`, `refused`, ...)."""

    reasons: dict[str, int] = msgspec.field(default_factory=dict)
    agreement: Agreement | None = None

    def __add__(self, more: AnswerCounts) -> AnswerCounts:
        both = (self.agreement, more.agreement)
        found = [agreement for agreement in both if agreement is not None]
        return AnswerCounts(
            reasons=_added(self.reasons, more.reasons),
            agreement=found[0] + found[1] if len(found) > 1 else next(iter(found), None),
        )


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


def _added(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    counts = dict(first)
    for reason, rows in second.items():
        name = reason if reason in counts or len(counts) < _MAX_REASONS else OTHER
        counts[name] = counts.get(name, 0) + rows
    return counts
