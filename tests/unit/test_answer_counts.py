"""What is counted of the answers of each batch, stored with it, and added up over a job."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.adapters.items import batch_item, record_of
from batchdrop.domain.answer_counts import MAX_VALUES, AnswerCounts
from batchdrop.domain.records import Batch
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
