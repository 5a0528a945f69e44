"""A few random trials around everything that can happen, the same in every test run. `make faults` plays thousands."""

from __future__ import annotations

import pytest

from tests.faults import happenings, trial
from tests.faults.search import KINDS, keeps_every_promise, search
from tests.faults.tables import CHANGED
from tests.faults.trial import File, Trial, played

_TRIALS = 3


@pytest.mark.parametrize("kind", KINDS)
def test_no_promise_is_broken_around(kind: str) -> None:
    search(kind, _TRIALS, 0, keeps_every_promise)


def test_a_trial_is_printed_as_the_python_that_plays_it_again() -> None:
    shown = Trial(
        (File(("ok", "busy"), priority="high"), File(("ok", "strays"), kind="table that waits")),
        (
            happenings.Beside("collect", 2, "again", calls=3),
            happenings.Late("list", 600),
            happenings.Harm("killed before", 7),
            happenings.RecipeArrives(3, CHANGED),
            happenings.FaultyRecipe(1, corrected=4),
        ),
        max_requests=1,
    )
    assert eval(repr(shown), vars(happenings) | vars(trial)) == shown


def test_a_trial_ends_the_same_way_every_time() -> None:
    by_turns = Trial(
        (File(("ok", "busy", "expires", "ok")),),
        (happenings.Beside("collect", 3, "poll", calls=9), happenings.LateIndex(600), happenings.Conflicts(20)),
        max_requests=2,
        seed=5,
    )
    assert played(by_turns) == played(by_turns)
    assert played(by_turns).fired == {"collect beside poll, by turns", "late: index", "transaction conflicts"}
