"""Answers against the expected ones, counted by batch and added up."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.answer_counts import MAX_LABELS, OTHER, Agreement, AnswerCounts
from batchdrop.recipes.expected import Comparison, figures


def compared(*rows: tuple[str, str | None], words: tuple[str, ...] = ()) -> Agreement:
    comparison = Comparison(words)
    for expected, answered in rows:
        comparison.add(expected, answered)
    return comparison.agreement()


def test_the_figures_of_a_small_eval() -> None:
    rows = [("spam", "spam"), ("SPAM ", "Spam"), ("spam", "ham"), ("ham", "ham"), ("ham", None), ("", "ham"), (" ", None)]
    assert figures(compared(*rows, words=("Spam", "Ham"))) == {
        "rows": 5,
        "right": 3,
        "unanswered": 1,
        "accuracy": 0.6,
        "labels": {
            "Spam": {"expected": 3, "answered": 2, "precision": 1.0, "recall": 0.6667},
            "Ham": {"expected": 2, "answered": 2, "precision": 0.5, "recall": 0.5},
        },
        "confusion": {"Spam": {"Spam": 2, "Ham": 1}, "Ham": {"Ham": 1, "": 1}},
    }


def test_without_rows_nothing_is_divided() -> None:
    assert figures(compared(words=("a",))) == {
        "rows": 0,
        "right": 0,
        "unanswered": 0,
        "accuracy": None,
        "labels": {"a": {"expected": 0, "answered": 0, "precision": None, "recall": None}},
        "confusion": {},
    }


def test_labels_are_bounded_and_what_is_right_is_exact() -> None:
    rows = [(f"label {number}", f"label {number}" if number % 2 else "label 0") for number in range(400)]
    agreement = compared(*rows)
    assert len(agreement.labels) == MAX_LABELS + 1
    assert agreement.labels[-1] == OTHER
    assert agreement.right == 201
    both = agreement + compared(*((f"other {number}", None) for number in range(400)))
    assert len(both.labels) == MAX_LABELS + 1
    assert (both.right, both.compared, both.unanswered) == (201, 400, 400)
    assert sum(map(sum, both.matrix)) == 800
    assert figures(both)["labels"][OTHER]["precision"] is None


def test_long_labels_are_cut() -> None:
    assert len(msgspec.json.encode(compared(*((f"{number} " + "x" * 100_000, "y") for number in range(100))))) < 20_000


def test_reasons_are_added_and_bounded() -> None:
    one = AnswerCounts(reasons={"truncated": 2, "refused": 1})
    assert (one + AnswerCounts(reasons={"truncated": 1, "empty": 1})).reasons == {"truncated": 3, "refused": 1, "empty": 1}
    many = AnswerCounts(reasons={f"reason {number}": 1 for number in range(40)})
    other = AnswerCounts(reasons={f"another {number}": 1 for number in range(40)})
    both = (many + other).reasons
    assert len(both) == MAX_LABELS + 1
    assert both[OTHER] == 30


def test_an_agreement_is_kept_when_the_other_batch_has_none() -> None:
    agreement = compared(("a", "a"))
    assert (AnswerCounts() + AnswerCounts(agreement=agreement)).agreement == agreement
    assert (AnswerCounts(agreement=agreement) + AnswerCounts(reasons={"empty": 1})).agreement == agreement
    assert (AnswerCounts() + AnswerCounts()).agreement is None


_label = st.one_of(st.sampled_from(["a", "A", " b", "ß", "SS", "", OTHER]), st.text(max_size=3), st.integers(0, 70).map(str))
_rows = st.lists(st.tuples(_label, st.none() | _label), max_size=150)


@given(_rows, _rows, st.lists(_label.filter(str.strip), max_size=3, unique=True))
def test_batches_add_up_to_the_whole(
    first: list[tuple[str, str | None]], second: list[tuple[str, str | None]], words: list[str]
) -> None:
    added = compared(*first, words=tuple(words)) + compared(*second, words=tuple(words))
    whole = compared(*first, *second, words=tuple(words))
    for one in (added, whole):
        assert len(one.labels) <= MAX_LABELS + 1
        assert sum(map(sum, one.matrix)) == one.compared + one.unanswered
        assert msgspec.json.decode(msgspec.json.encode(one), type=Agreement) == one
        figures(one)
    assert (added.right, added.compared, added.unanswered) == (whole.right, whole.compared, whole.unanswered)
    if OTHER not in (*added.labels, *whole.labels):
        assert figures(added) == figures(whole)
