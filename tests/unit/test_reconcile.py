"""The decision about a create without an answer, as a pure function."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.reconcile import SETTLING, Adopt, Candidate, Identify, Release, Wait, candidates_for, decide
from batchdrop.domain.records import BatchState
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
    now=st.timedeltas(timedelta(minutes=-1), timedelta(hours=1)).map(lambda offset: START + offset),
    not_ours=st.sets(st.sampled_from(["msgbatch_0", "msgbatch_1"])),
    doubtful=st.booleans(),
)
def test_the_decision(listed: list[Candidate], rivals: list[int], now: datetime, not_ours: set[str], doubtful: bool) -> None:
    ours = batch(state=BatchState.submitting, intent_at=START, lease_until=LEASE, requests=10, not_ours=tuple(sorted(not_ours)))
    others = [batch(100 * number, state=BatchState.submitting, requests=count) for number, count in enumerate(rivals, 1)]
    possible = candidates_for(ours, listed, GRACE)
    decision = decide(ours, possible, others, now, GRACE, doubtful=doubtful)
    settled = now >= LEASE + GRACE
    match decision:
        case Release():
            assert settled
            assert not possible
            assert not doubtful
        case Adopt(api_id):
            assert now >= LEASE + min(GRACE, SETTLING)
            assert [one.id for one in possible] == [api_id]
            assert 10 not in rivals
            assert not doubtful
            assert api_id not in not_ours
        case Identify(ended):
            assert now >= LEASE
            assert len(possible) > 1 or 10 in rivals or doubtful
            assert list(ended) == [one.id for one in possible if one.ended]
        case Wait():
            assert not settled or (not possible and doubtful)


@pytest.mark.parametrize(("state", "leased"), list(product(BatchState, [True, False])))
def test_only_a_submission_whose_lease_has_passed_is_decided(state: BatchState, leased: bool) -> None:
    ours = batch(state=state, intent_at=START, lease_until=LEASE if leased else None, requests=10)
    decision = decide(ours, [], [], LEASE + timedelta(days=1), GRACE)
    assert isinstance(decision, Release if state is BatchState.submitting and leased else Wait)
