"""The list of mutants fits the code; `make mutants` runs them."""

from __future__ import annotations

import pytest

from tests.mutants.mutant import Mutant, Stale
from tests.mutants.mutants import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.undoes)
def test_it_fits_the_code(mutant: Mutant) -> None:
    mutant.check()


def test_no_two_are_the_same() -> None:
    assert len({(mutant.file, mutant.was, mutant.becomes) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(
    "changed",
    [
        MUTANTS[0]._replace(was="no such text"),
        MUTANTS[0]._replace(was="import"),
        MUTANTS[0]._replace(noticed_by="tests/mutants/test_mutants.py::test_nothing_of_the_kind"),
    ],
)
def test_one_that_does_not_fit_is_found(changed: Mutant) -> None:
    with pytest.raises(Stale):
        changed.check()
