"""The decision about a create without an answer, as a pure function."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.reconcile import (
    CLOCK_SKEW,
    LOOKS,
    SETTLING,
    Adopt,
    Candidate,
    GiveUp,
    Identify,
    Look,
    NoTrace,
    Release,
    Wait,
    candidates_for,
    decide,
)
from batchdrop.domain.records import BatchState
from batchdrop.domain.retries import RESULTS_KEPT
from tests.adapters.records import batch
from tests.fakes.clock import START

LEASE = START + timedelta(minutes=5)
GRACE = timedelta(minutes=3)

candidates = st.lists(
    st.builds(
        Candidate,
        id=st.sampled_from([f"msgbatch_{number}" for number in range(6)]),
        requests=st.integers(9, 11),
        created_at=st.timedeltas(timedelta(minutes=-20), timedelta(minutes=30)).map(lambda offset: START + offset),
        ended=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda one: one.id,
)


@given(
    listed=candidates,
    rivals=st.lists(st.integers(9, 11), max_size=2),
    at=st.one_of(st.timedeltas(timedelta(minutes=-1), timedelta(hours=1)), st.timedeltas(RESULTS_KEPT, timedelta(days=30))).map(
        lambda offset: START + offset
    ),
    looks=st.lists(st.timedeltas(timedelta(), timedelta(minutes=10)).map(lambda offset: LEASE + offset), max_size=2).map(sorted),
    not_ours=st.sets(st.sampled_from(["msgbatch_0", "msgbatch_1"])),
    doubtful=st.booleans(),
    same_workspace=st.booleans(),
)
def test_the_decision(
    listed: list[Candidate],
    rivals: list[int],
    at: datetime,
    looks: list[datetime],
    not_ours: set[str],
    doubtful: bool,
    same_workspace: bool,
) -> None:
    ours = batch(
        state=BatchState.submitting,
        intent_at=START,
        lease_until=LEASE,
        first_look_at=looks[0] if looks else None,
        no_trace_at=tuple(looks),
        requests=10,
        not_ours=tuple(sorted(not_ours)),
    )
    others = [batch(100 * number, state=BatchState.submitting, requests=count) for number, count in enumerate(rivals, 1)]
    possible = candidates_for(ours, Look(at, "key", tuple(listed)), GRACE)
    decision = decide(ours, possible, others, at, GRACE, doubtful=doubtful, same_workspace=same_workspace)
    match decision:
        case NoTrace() | Release():
            assert at >= LEASE
            assert all(at >= look + GRACE / 2 for look in looks)
            assert isinstance(decision, Release) == (len(looks) == LOOKS - 1)
            assert not possible
            assert not doubtful
            assert same_workspace
        case Adopt(api_id):
            assert at >= LEASE + min(GRACE, SETTLING)
            assert [one.id for one in possible] == [api_id]
            assert 10 not in rivals
            assert not doubtful
            assert api_id not in not_ours
        case Identify(ended):
            assert at >= LEASE
            assert len(possible) > 1 or 10 in rivals or doubtful
            assert list(ended) == [one.id for one in possible if one.ended]
        case Wait():
            blind = doubtful or not same_workspace
            assert at < LEASE + SETTLING or (not possible and (blind or at < looks[-1] + GRACE / 2))
        case GiveUp():
            assert at >= LEASE + GRACE + CLOCK_SKEW + RESULTS_KEPT
            assert doubtful or not same_workspace or len(possible) > 1 or 10 in rivals


def test_candidates_are_those_created_until_a_release_is_possible() -> None:
    """Whatever may still be released may still be found, however long the list was down before the first look."""
    first_look = LEASE + timedelta(hours=5)
    ours = batch(state=BatchState.submitting, intent_at=START, lease_until=LEASE, first_look_at=first_look, requests=10)
    ends = [START - CLOCK_SKEW, first_look + GRACE + CLOCK_SKEW]
    second = timedelta(seconds=1)
    created = [ends[0] - second, *ends, ends[1] + second]
    listed = tuple(Candidate(f"msgbatch_{number}", 10, moment, False) for number, moment in enumerate(created))
    assert [one.created_at for one in candidates_for(ours, Look(first_look, "key", listed), GRACE)] == ends


def test_a_candidate_has_as_many_requests_and_has_not_proved_to_be_another() -> None:
    ours = batch(state=BatchState.submitting, intent_at=START, lease_until=LEASE, requests=10, not_ours=("msgbatch_10a",))
    listed = tuple(Candidate(name, int(name[9:11]), START, True) for name in ("msgbatch_09", "msgbatch_10a", "msgbatch_10b"))
    assert [one.id for one in candidates_for(ours, Look(LEASE, "key", listed), GRACE)] == ["msgbatch_10b"]


@pytest.mark.parametrize(("state", "leased"), list(product(BatchState, [True, False])))
def test_only_a_submission_whose_lease_has_passed_is_decided(state: BatchState, leased: bool) -> None:
    ours = batch(state=state, intent_at=START, lease_until=LEASE if leased else None, requests=10)
    decision = decide(ours, [], [], LEASE + timedelta(days=1), GRACE)
    assert isinstance(decision, NoTrace if state is BatchState.submitting and leased else Wait)
