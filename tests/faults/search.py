"""Random trials by hypothesis, around each thing that can happen; one that breaks a promise is shrunk to the least that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from local.stages import STAGES
from tests.faults.faults import ALL_FAULTS
from tests.faults.happenings import (
    OUTAGES,
    REFUSALS,
    Again,
    Beside,
    Command,
    Conflicts,
    Deletion,
    FaultyRecipe,
    Harm,
    Late,
    LateIndex,
    Lost,
    NewKey,
    NoRecipe,
    Outage,
    RecipeAmidPlan,
    RecipeArrives,
    Refusal,
    Shut,
    Stranger,
    Switched,
    TwoRecipes,
    Unanswered,
    WokenTwice,
)
from tests.faults.tables import CHANGED
from tests.faults.trial import File, Happening, Result, Trial, played

type Some = st.SearchStrategy[tuple[Happening, ...]]
"""Happenings that belong together; the first is the one they are counted as."""


class Kind(NamedTuple):
    happenings: Some
    later: bool = False
    """It takes a job that has come far, and another one that begins."""
    waits: bool = False
    """It takes a table that waits for a recipe."""


_CALL = st.integers(0, 200)
_CREATE = st.integers(0, 3)
_MINUTE = st.integers(0, 8)
_LENGTH = st.sampled_from([2, 20, 120, 600])
_SECONDS = st.sampled_from([120, 840, 3600, 86_400])
_LATE_CREATION = st.sampled_from([10, 200, 800, 3000])
_AFTER_THE_END = st.sampled_from([0, 5, 60])
_COMMANDS = ("cancel", "retry", "approve")


def _stranger(*, forges: bool = False, deletes: st.SearchStrategy[int | None] = st.none()) -> Kind:  # noqa: B008 - never changed
    """At the moment of a POST that has no answer. Ids to forge can be known from batches that have ended."""
    return Kind(
        st.builds(
            lambda create, first, deletes, seconds: (Stranger(create, first, forges, deletes), Unanswered(create, seconds)),
            st.integers(2, 7) if forges else _CREATE,
            st.booleans(),
            deletes,
            st.none() | st.just(0) | _LATE_CREATION,
        ),
        later=forges,
    )


def _beside(first: str, second: str, calls: st.SearchStrategy[int | None]) -> Kind:
    # A command is short.
    call = st.integers(0, 5 if first == "control" else 10)
    both = st.builds(Beside, st.just(first), call, st.just(second), calls, st.sampled_from([0, 10, 45]))
    command = st.builds(Command, st.sampled_from(_COMMANDS), st.integers(4, 25), st.integers(0, 1))
    return Kind(
        st.tuples(both, command) if first == "control" else st.tuples(both),
        later=first in ("plan", "submit", "control") and second in ("collect", "finish"),
    )


def _with_cancel(one: st.SearchStrategy[Happening]) -> Kind:
    return Kind(st.tuples(one, st.builds(Command, st.just("cancel"), st.integers(0, 2))))


def _kinds() -> dict[str, Kind]:
    """By the name it is counted as."""
    outage = (_MINUTE, _LENGTH, st.sampled_from([0, 5, 14]))
    alone: dict[str, st.SearchStrategy[Happening]] = {
        **{f"fault: {name}": st.builds(Harm, st.just(name), _CALL) for name in ALL_FAULTS},
        "create lost": st.builds(Unanswered, _CREATE, st.none()),
        "create accepted, unanswered": st.builds(Unanswered, _CREATE),
        "create accepted late": st.builds(Unanswered, _CREATE, _LATE_CREATION),
        "message lost": st.builds(Lost, st.integers(0, 12)),
        **{f"outage: {name.rstrip('.')}": st.builds(Outage, st.just(name), *outage) for name in OUTAGES},
        **{f"refused: {kind}": st.builds(Refusal, st.just(kind), st.integers(0, 1), _LENGTH) for kind in REFUSALS},
        **{f"switch: {to}": st.builds(Switched, st.just(to), st.integers(0, 2), _LENGTH) for to in ("pause", "stop")},
        **{f"late: {what}": st.builds(Late, st.just(what), _SECONDS) for what in ("list", "status", "counts", "results")},
        "late: results, short": st.builds(Late, st.just("results"), _SECONDS, st.just(True)),
        "new key": st.builds(NewKey, _MINUTE, st.just(False), st.booleans()),
        "new key of another workspace": st.builds(NewKey, _MINUTE, st.just(True), st.booleans()),
        "late: index": st.builds(LateIndex, _SECONDS),
        "transaction conflicts": st.builds(Conflicts, st.integers(5, 40)),
        "our batch is deleted": st.builds(Deletion, _CREATE, _AFTER_THE_END),
        **{f"command: {name}": st.builds(Command, st.just(name), _MINUTE) for name in _COMMANDS},
        **{
            f"delivered again: {queue}": st.builds(Again, st.just(queue), st.integers(0, 20))
            for queue in ("plan", "submit", "collect", "finish")
        },
    }
    readers, at = ("plan", "submit", "collect", "all"), st.just(0)
    pairs = [(first, second) for first in STAGES for second in ("again", *STAGES)]
    return {
        **{name: Kind(st.tuples(one)) for name, one in alone.items()},
        "outage: claude.cancel": _with_cancel(st.builds(Outage, st.just("claude.cancel"), st.just(0), _LENGTH)),
        "fault: refused": _with_cancel(st.builds(Harm, st.just("refused"), st.integers(0, 60))),
        "outage: claude.retrieve": Kind(
            st.tuples(st.builds(Outage, st.just("claude.retrieve"), *outage), st.builds(Late, st.just("list"), st.just(86_400)))
        ),
        **{
            f"input shut to {one}": Kind(st.tuples(st.builds(Shut, st.just(one), at, st.sampled_from([20, 120, 600]))))
            for one in readers
        },
        **{
            f"input shut to {one} for ever": Kind(
                st.tuples(st.builds(Shut, st.just(one), at), st.builds(Command, st.just("cancel"), st.just(30)))
            )
            for one in readers
        },
        "a stranger": _stranger(),
        "a stranger forges ids": _stranger(forges=True),
        "a stranger deletes its batch": _stranger(deletes=_AFTER_THE_END),
        "a stranger forges ids and deletes its batch": _stranger(forges=True, deletes=_AFTER_THE_END),
        **{f"{first} beside {second}": _beside(first, second, st.none()) for first, second in pairs},
        **{f"{first} beside {second}, by turns": _beside(first, second, st.integers(0, 20)) for first, second in pairs},
    }


def _recipe_kinds() -> dict[str, Kind]:
    late = st.builds(RecipeArrives, _MINUTE)
    return {
        name: Kind(st.tuples(*some), waits=True)
        for name, some in {
            "a recipe arrives late": (late,),
            "a recipe changes": (st.builds(RecipeArrives, st.integers(1, 8), st.just(CHANGED)), st.just(RecipeArrives(0))),
            "a faulty recipe": (st.builds(FaultyRecipe, _MINUTE),),
            "a faulty recipe is corrected": (st.builds(FaultyRecipe, _MINUTE, st.integers(0, 8)),),
            "a recipe arrives amid plan": (st.builds(RecipeAmidPlan, st.integers(0, 30)),),
            "a faulty recipe arrives amid plan": (st.builds(RecipeAmidPlan, st.integers(0, 30), st.just(True)), late),
            "two recipes at once": (st.builds(TwoRecipes, _MINUTE, st.integers(0, 10)),),
            "woken twice, by a tick": (st.just(WokenTwice("a tick")), late),
            "woken twice, by the event": (st.just(WokenTwice("the event")), late),
            "no recipe comes": (st.just(NoRecipe()),),
        }.items()
    }


KINDS = _kinds() | _recipe_kinds()
"""Everything that can happen."""

_FATES = [*["ok"] * 5, "busy", "expires", "hopeless", "bad", "silent", "lost", "garbage", "twice", "blank"]
# Of tables too: answers that their recipe cannot use.
_ROW_FATES = [*_FATES, "cut", "refuses", "strays"]


def _file(at: st.SearchStrategy[int], kind: str) -> st.SearchStrategy[File]:
    fates = st.lists(st.sampled_from(_FATES if kind == "requests" else _ROW_FATES), min_size=1, max_size=8)
    of_some = fates.map(lambda fates: ("ok", *fates))
    same = st.sampled_from([False, False, True]) if kind == "requests" else st.just(False)
    return st.builds(File, of_some, at, st.sampled_from(["normal", "high", "low"]), st.booleans(), st.just(kind), same)


def _some(at: st.SearchStrategy[int]) -> st.SearchStrategy[File]:
    """One in six is a table: what concerns requests must come true often enough too."""
    return st.sampled_from(["requests"] * 5 + ["table"]).flatmap(lambda kind: _file(at, kind))


_FIRST = _some(st.just(0))
_SOME_FILES = st.tuples(_FIRST) | st.tuples(_FIRST, _some(st.integers(0, 12)))
_ONE_LATER = st.tuples(_FIRST, _some(st.integers(5, 20)))
_WAITS = _file(st.integers(0, 4), "table that waits")
_ONE_WAITS = st.tuples(_WAITS) | st.tuples(_WAITS, _file(st.integers(0, 12), "table that waits") | _some(st.integers(0, 12)))


def trials(kind: Kind) -> st.SearchStrategy[Trial]:
    """Trials in which happenings of a kind meet others."""
    others = st.lists(st.one_of(*(kind.happenings for kind in KINDS.values())), max_size=2)
    return st.builds(
        lambda files, these, others, *sizes: Trial(files, sum(others, these), *sizes),
        _ONE_WAITS if kind.waits else _ONE_LATER if kind.later else _SOME_FILES,
        kind.happenings,
        others,
        st.integers(1, 4),
        st.sampled_from([4, 1000]),
        st.just(60) if kind.later else st.sampled_from([60, 60, 60, 900, 7200]),
        st.integers(0, 1_000_000),
    )


def search(kind: str, number: int, chance: int, judge: Callable[[Result], None]) -> None:
    """Plays so many trials, the same for the same `chance`. Raises what `judge` raises, of the least trial that makes it so."""

    @seed(chance)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(trials(KINDS[kind]))
    def one(trial: Trial) -> None:
        judge(played(trial))

    one()


def keeps_every_promise(result: Result) -> None:
    assert result.broken == [], f"{result.trial}\n" + "\n".join(result.broken)
