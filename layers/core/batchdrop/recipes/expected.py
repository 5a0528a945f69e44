"""Answers against the expected ones (`expected:` names a column): an eval, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from batchdrop.domain.answer_counts import MAX_LABEL_CHARS, MAX_LABELS, OTHER, Agreement, folded

# A place of the matrix that stands for no answer.
_NONE = -1


class Comparison:
    """Counts the rows of a batch, one at a time. Holds at most 51 labels, whatever the rows hold."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        """`words`: the recipe's own choices; they come first, spelled so."""
        self._places: dict[str, int] = {}
        self._labels: list[str] = []
        self._rows: Counter[tuple[int, int]] = Counter()
        self._right = self._compared = self._unanswered = 0
        for word in words:
            self._place(word)

    def add(self, expected: str, answered: str | None) -> None:
        """One row: both as they stand in the table, None for no usable answer. A row without an expected value does not count."""
        if not expected.strip():
            return
        place = self._place(expected)
        if answered is None:
            self._unanswered += 1
            self._rows[place, _NONE] += 1
            return
        self._compared += 1
        self._right += expected.strip().casefold() == answered.strip().casefold()
        self._rows[place, self._place(answered)] += 1

    def agreement(self) -> Agreement:
        """Of the rows so far."""
        answered = [*range(len(self._labels)), _NONE]
        return Agreement(
            right=self._right,
            compared=self._compared,
            unanswered=self._unanswered,
            labels=tuple(self._labels),
            matrix=tuple(tuple(self._rows[row, column] for column in answered) for row in range(len(self._labels))),
        )

    def _place(self, label: str) -> int:
        key = folded(label)
        if (place := self._places.get(key)) is not None:
            return place
        if len(self._labels) < MAX_LABELS and key != folded(OTHER):
            shown = label.strip()[:MAX_LABEL_CHARS]
        else:
            if len(self._labels) > MAX_LABELS or OTHER in self._labels:
                return self._places[folded(OTHER)]
            key, shown = folded(OTHER), OTHER
        self._labels.append(shown)
        self._places[key] = len(self._labels) - 1
        return self._places[key]


def figures(agreement: Agreement) -> dict[str, Any]:
    """For the manifest. Shares are between 0 and 1, rounded to four places, None where there is nothing to divide by.

    A row without an answer is not as expected: it counts in `accuracy` and in the recall of its label.

        {"rows", "right", "unanswered", "accuracy",
         "labels": {label: {"expected", "answered", "precision", "recall"}},
         "confusion": {expected label: {answered label: rows}}}
    """
    rows = agreement.compared + agreement.unanswered
    return {
        "rows": rows,
        "right": agreement.right,
        "unanswered": agreement.unanswered,
        "accuracy": _share(agreement.right, rows),
        "labels": {label: _of_label(place, agreement) for place, label in enumerate(agreement.labels)},
        "confusion": {
            label: found
            for label, row in zip(agreement.labels, agreement.matrix, strict=True)
            if (found := _found(agreement.labels, row))
        },
    }


def _of_label(place: int, agreement: Agreement) -> Mapping[str, Any]:
    row = agreement.matrix[place]
    answered = sum(each[place] for each in agreement.matrix)
    # Labels that are counted together may be right or wrong about each other.
    hits = None if agreement.labels[place] == OTHER else row[place]
    return {
        "expected": sum(row),
        "answered": answered,
        "precision": None if hits is None else _share(hits, answered),
        "recall": None if hits is None else _share(hits, sum(row)),
    }


def _found(labels: tuple[str, ...], row: tuple[int, ...]) -> dict[str, int]:
    return {label: rows for label, rows in zip((*labels, ""), row, strict=True) if rows}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
