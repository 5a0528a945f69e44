"""The breakages: for each sentence of the promise, and for each fault that once broke it, one that undoes exactly it."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TRANSITIONS = "layers/core/batchdrop/domain/transitions.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "A job that cannot go on keeps no other job from the API",
        "layers/core/batchdrop/domain/open_work.py",
        "shelf = waiting_in(batch.job_id) if batch.waiting else OpenWork.waiting",
        "shelf = OpenWork.waiting",
        "tests/stages/test_admission.py::test_a_job_that_nobody_can_finish_planning_does_not_keep_others_from_the_api",
    ),
)
