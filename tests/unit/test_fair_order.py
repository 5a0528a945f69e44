"""Start-time fair queueing: how far apart teams can come, whatever their batches, and what their turns are charged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.fair_order import EVERY, FairOrder, WaitingTeam, given_back, least_cost
from batchdrop.domain.purses import Charge, turn
from batchdrop.domain.records import Batch, Purse
from tests.adapters.records import batch
from tests.fakes.clock import START

ROOM = 1000


def queue(sizes: Sequence[int], *, job: str = "j", priority: int = 5, later: int = 0) -> list[Batch]:
    return [
        batch(n + 1, job_id=job, requests=size, priority=priority, start_tag=START + timedelta(seconds=n + later))
        for n, size in enumerate(sizes)
    ]


def team(name: str, batches: Sequence[Batch], *, used: int = 0, turns: int = 0, since: int = 0) -> WaitingTeam:
    queues = {priority: iter([one for one in batches if one.priority == priority]) for priority in {b.priority for b in batches}}
    return WaitingTeam(Purse(name=turn(name), used=used, spent=turns), since, queues)


def order_of(*teams: WaitingTeam, virtual_time: int = 0, calls: int = 100) -> FairOrder:
    return FairOrder(teams, virtual_time, room=ROOM, least_cost=least_cost(ROOM, calls))


def admit(order: FairOrder, of: str, one: Batch) -> Charge:
    charge = order.charge(of, one)
    order.admitted(charge)
    return charge


def run(order: FairOrder, number: int = 10_000) -> list[Batch]:
    """Everything that goes if there is room for all; a batch's job has the name of its team."""
    gone: list[Batch] = []
    while len(gone) < number and (one := order.next()) is not None:
        admit(order, one.job_id, one)
        gone.append(one)
    return gone


sizes = st.lists(st.integers(1, 400), min_size=1, max_size=30)


@given(st.lists(sizes, min_size=2, max_size=6))
def test_teams_that_wait_are_never_further_apart_than_their_largest_batches(backlogs: list[list[int]]) -> None:
    names = [chr(ord("a") + n) for n in range(len(backlogs))]
    order = order_of(*(team(name, queue(sizes, job=name)) for name, sizes in zip(names, backlogs, strict=True)))
    left = dict(zip(names, map(len, backlogs), strict=True))
    had: Counter[str] = Counter()
    for one in run(order):
        had[one.job_id] += one.requests
        left[one.job_id] -= 1
        waiting = [had[name] for name in names if left[name]]
        if waiting:
            assert max(waiting) - min(waiting) <= 2 * 400
    assert sum(left.values()) == 0


@given(sizes, sizes, st.integers(0, 10**12), st.integers(0, 10**12))
def test_what_a_team_had_before_it_waits_gives_it_no_lead(one: list[int], other: list[int], used: int, virtual_time: int) -> None:
    """It was idle: `used` is what it had at some time."""
    used = min(used, virtual_time)
    order = order_of(
        team("new", queue(one, job="new"), used=used, since=virtual_time),
        team("old", queue(other, job="old"), used=virtual_time + 1),
        virtual_time=virtual_time,
    )
    had: Counter[str] = Counter()
    for gone in run(order, min(len(one), len(other))):
        had[gone.job_id] += gone.requests
        assert abs(had["new"] - had["old"]) <= 2 * 400


def test_the_first_turn_of_a_team_that_was_away_lifts_it_and_nobody_else_may_have() -> None:
    order = order_of(team("a", queue([50, 50], job="a"), used=10, since=700), virtual_time=700)
    first, second = run(order, 1)[0], order.next()
    assert second is not None
    other = order_of(team("a", queue([50], job="a"), used=10, since=700), virtual_time=700)
    assert other.charge("a", first) == Charge(purse="turn a", used=740, spent=1, limit=750)
    assert order.charge("a", second) == Charge(purse="turn a", used=50, spent=1, limit=None)
    assert order.virtual_time == 700


def test_the_stack_is_as_far_as_the_last_one_that_started_and_never_goes_back() -> None:
    order = order_of(team("a", queue([100, 100], job="a"), used=300), virtual_time=200)
    run(order, 1)
    assert order.virtual_time == 300
    run(order, 1)
    assert order.virtual_time == 400
    late = order_of(team("a", queue([100], job="a"), used=300), virtual_time=5000)
    run(late)
    assert late.virtual_time == 5000


def test_whoever_was_kept_from_waiting_its_turn_has_saved_up_no_more_than_twice_the_room() -> None:
    order = order_of(team("kept", queue([100], job="kept")), virtual_time=50_000)
    one = order.next()
    assert one is not None
    assert order.charge("kept", one).used == 50_000 - 2 * ROOM + 100


def test_high_is_ahead_of_other_teams_by_half_of_the_room_and_low_behind() -> None:
    def first(priority: int) -> str:
        order = order_of(team("a", queue([100] * 40, job="a", priority=priority)), team("b", queue([100] * 40, job="b")))
        return "".join(one.job_id for one in run(order, 16))

    assert first(1) == "aaaaa" + "ab" * 5 + "a"
    assert first(9) == "bbbbb" + "ab" * 5 + "a"


def test_a_call_counts_as_much_as_an_hour_of_calls_allows() -> None:
    assert least_cost(200_000, 300) == 11
    assert least_cost(10, 300) == 1
    order = order_of(team("tiny", queue([1] * 50, job="tiny")), team("large", queue([100] * 10, job="large")), calls=1)
    assert Counter(one.job_id for one in run(order, 14))["large"] >= 2


def test_within_a_team_one_batch_of_five_is_the_oldest() -> None:
    batches = [*queue([10] * 20, job="a", priority=1, later=500), *queue([10] * 4, job="a"), *queue([10], job="a", priority=9)]
    order = order_of(team("a", batches))
    gone = run(order)
    assert [one.priority for one in gone[: 2 * EVERY]] == [1, 1, 1, 1, 5, 1, 1, 1, 1, 9]
    assert len(gone) == 25
    assert len({(one.priority, one.first_line) for one in gone}) == 25


def test_one_that_does_not_fit_is_passed_by_others_by_its_own_size() -> None:
    order = order_of(team("whole", queue([300], job="whole")), *(team(f"{n}", queue([100] * 9, job=f"{n}")) for n in range(2)))
    had: Counter[str] = Counter()
    while (one := order.next()) is not None:
        if one.job_id == "whole":
            order.does_not_fit(one, holds=True)
        else:
            admit(order, one.job_id, one)
            had[one.job_id] += 1
    assert had == {"0": 4, "1": 4}


def test_a_tick_looks_at_a_bounded_number_for_which_there_is_no_room() -> None:
    teams = [team(f"{n:04d}", queue([100] * 50, job=f"{n:04d}")) for n in range(500)]
    order = order_of(*teams)
    seen: Counter[str] = Counter()
    while (one := order.next()) is not None:
        order.does_not_fit(one, holds=False)
        seen[one.job_id] += 1
    assert sum(seen.values()) == 200
    assert max(seen.values()) == 20


def test_a_turn_is_given_back_as_it_was_charged() -> None:
    assert given_back(batch(1, requests=7, turn="turn a", turn_cost=11)) == (Charge(purse="turn a", used=-11, spent=-1),)
    assert given_back(batch(1, requests=7)) == ()
