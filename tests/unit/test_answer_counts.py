"""What is counted of the answers of each batch, stored with it, and added up over a job."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.adapters.items import batch_item, record_of
from batchdrop.domain.answer_counts import (
    MAX_FAILURES,
    MAX_VALUES,
    OTHER,
    SHOWN_MESSAGES,
    AnswerCounts,
    FailureCounter,
    Failures,
    Told,
)
from batchdrop.domain.records import Batch
from batchdrop.reports.sentences import reasons
from tests.adapters.records import batch

FEW = AnswerCounts(values={"label": {"good": 1}, "draft": {"In short: yes": 1}}, lengths=(0, 1))
MANY = AnswerCounts(values={"label": {"good": 99}}, many=("draft",), lengths=(0, 99))
MANY_OF_EARLIER_VERSIONS = AnswerCounts(values={"label": {"good": 99}}, lengths=(0, 99))


def stored(counts: AnswerCounts) -> AnswerCounts:
    found = record_of(batch_item(batch(answer_counts=counts)), Batch).answer_counts
    assert found is not None
    return found


@pytest.mark.parametrize("many", [MANY, MANY_OF_EARLIER_VERSIONS])
@pytest.mark.parametrize("few_first", [True, False])
def test_a_column_with_too_many_answers_in_one_batch_has_no_distribution_in_the_job(many: AnswerCounts, few_first: bool) -> None:
    """300 rows, and the draft of the one that was asked again was shown as that of all."""
    batches = [FEW, many] if few_first else [many, FEW]
    whole = reduce(add, map(stored, [*batches, AnswerCounts(), FEW]), AnswerCounts())
    assert whole.values == {"label": {"good": 101}}
    assert whole.many == ("draft",)


def test_a_batch_without_an_answer_takes_no_distribution() -> None:
    nobody = AnswerCounts(values={"label": {}, "draft": {}}, lengths=(3,))
    assert (stored(nobody) + stored(FEW)).values == FEW.values
    assert (stored(AnswerCounts(reasons={"refused": 1})) + stored(FEW)).values == FEW.values


@pytest.mark.parametrize("answers", [{"": 3}, {"": 3, "\0": 2, "\0\0": 1, "0": 4}])
def test_empty_answers_are_stored_under_a_name_that_dynamodb_takes(answers: dict[str, int]) -> None:
    counts = AnswerCounts(values={"label": answers}, lengths=(0, 10))
    assert stored(counts) == counts
    item: Any = batch_item(batch(answer_counts=counts))
    assert all(item["answer_counts"]["M"]["values"]["M"]["label"]["M"])


_answers = st.lists(st.integers(0, 2 * MAX_VALUES).map(str), max_size=2 * MAX_VALUES)


@given(st.lists(_answers, max_size=4))
def test_batches_have_a_distribution_as_the_whole_has(batches: list[list[str]]) -> None:
    def counted(answers: list[str]) -> AnswerCounts:
        few = {answer: answers.count(answer) for answer in answers}
        lengths = (len(answers),) if answers else ()
        if len(few) > MAX_VALUES:
            return AnswerCounts(many=("label",), lengths=lengths)
        return AnswerCounts(values={"label": few}, lengths=lengths)

    whole = reduce(add, (stored(counted(answers)) for answers in batches), AnswerCounts(values={"label": {}}))
    expected = counted([answer for answers in batches for answer in answers])
    assert (whole.values, whole.many) == (expected.values, expected.many)


ABOVE, BELOW = "Field `urgency` is above the maximum of 5.", "Field `urgency` is below the minimum of 1."


def failed(*messages: str, kind: str = "off_schema") -> AnswerCounts:
    counter = FailureCounter()
    for line, message in enumerate(messages, 2):
        counter.add(line, "errored", kind, message)
    return stored(AnswerCounts(failures=counter.found()))


def of_kind(counts: AnswerCounts, kind: str = "errored off_schema") -> list[str]:
    found = counts.failures[kind]
    return reasons(found.rows, found.told())


def test_rows_of_one_kind_are_told_by_their_own_sentences() -> None:
    """55 rows were said to be above the maximum, and 16 of them were below the minimum."""
    assert of_kind(failed(*[ABOVE] * 20, *[BELOW] * 16) + failed(*[ABOVE] * 19)) == [f"39 rows: {ABOVE}", f"16 rows: {BELOW}"]
    assert of_kind(failed(ABOVE, ABOVE)) == [ABOVE]
    assert of_kind(failed("")) == ["off_schema"]


def test_of_many_different_sentences_none_is_told_of_all_rows() -> None:
    many = failed(*(f"Field `age` is {number}." for number in range(100))) + failed("Field `age` is 7.")
    assert of_kind(many) == [f"Such as: Field `age` is {number}." for number in range(SHOWN_MESSAGES)]
    assert (many.failures["errored off_schema"].rows, many.failures["errored off_schema"].lines) == (101, (2, 3, 4))


def test_what_an_earlier_version_stored_is_the_sentence_of_one_row() -> None:
    old = AnswerCounts(failures={"errored off_schema": Failures(rows=55, message=ABOVE, lines=(2, 3, 4))})
    assert of_kind(AnswerCounts() + stored(old)) == [f"Such as: {ABOVE}"]
    assert of_kind(AnswerCounts() + stored(old) + failed(ABOVE)) == [f"Such as: {ABOVE}"]


def test_more_kinds_than_are_told_apart_have_no_sentence_of_one_of_them() -> None:
    counter = FailureCounter()
    for number in range(MAX_FAILURES + 3):
        counter.add(number, "errored", f"kind {number}", f"Only of {number}.")
    both = stored(AnswerCounts(failures=counter.found())) + failed("Only of another.", kind="another")
    assert len(both.failures) == MAX_FAILURES + 1
    assert both.failures[OTHER] == Failures(rows=4, lines=(2, 10, 11))
    assert both.failures["errored kind 0"].told() == (Told(message="Only of 0.", rows=1),)
