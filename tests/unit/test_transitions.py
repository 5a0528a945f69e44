"""The state machines, edge by edge, and whatever path a job takes through them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.messages import ResumePlanning
from batchdrop.domain.money import Bill, Size
from batchdrop.domain.purses import Charge, charges, turn
from batchdrop.domain.records import (
    Admission,
    ApiCounts,
    Arrivals,
    Batch,
    BatchState,
    Checkpoint,
    Counts,
    Group,
    GroupQuestion,
    Job,
    JobLimits,
    JobState,
    Part,
    Question,
    RefusedAs,
    RowStatus,
    Sample,
    Settled,
    Streak,
    Unsent,
)
from batchdrop.domain.transitions import (
    BATCH_EDGES,
    JOB_EDGES,
    TERMINAL_JOB_STATES,
    Collected,
    Edge,
    ForbiddenMove,
    Half,
    Hold,
    Holder,
    Move,
    Reserve,
)
from batchdrop_cli.audit.table import check_records, queued_by
from tests.adapters.records import batch, job
from tests.fakes.clock import START
from tests.fakes.ledger import FakeLedger
from tests.money import purses_kept

LATER = START + timedelta(minutes=5)
STREAK = Streak(status=400, error_type="invalid_request_error", message="no", refusals=2, since=START, next_at=LATER)
WHY = Unsent(status=RowStatus.canceled, error_type="canceled", message="because")
HOLD = Hold("approval", "why", Question(code="abcdef", low=1, high=2, rows=3, asked_at=LATER))
RESERVE = Reserve(100, charges(("month", "day"), 100))
TURN = Charge(purse=turn(""), used=100, spent=1)
PART = Part(key="work/part", lines=1, size=100, crc64nvme="0" * 16)
TRIED = Collected(counts=Counts(succeeded=1), usage={}, results=PART, failed=None, retry=None, retry_body_bytes=0)

PILOT_BATCH = batch(0, tries=(Sample(rank=0, line=1, start=0, end=1),))

# How each edge is called on a record that it starts from.
JOBS: dict[str, Callable[[Job], Move[Job]]] = {
    "opened": transitions.opened,
    "lined_up": lambda one: transitions.lined_up(one, "Too many are open.", now=LATER),
    "called": lambda one: transitions.called(one, limit=2, now=LATER),
    "leased": lambda one: transitions.leased(one, until=LATER),
    "sourced": lambda one: transitions.sourced(one, one.input, None),
    "handed_over": lambda one: transitions.handed_over(one, Checkpoint(offset=7, line=2), now=LATER),
    "names_files": lambda one: transitions.names_files(one, now=LATER),
    "unpacked_in_part": lambda one: transitions.unpacked_in_part(one, now=LATER, done=5, total=9, fruitless=0),
    "told": lambda one: transitions.told(one, "approval abcdef", mailed_at=LATER),
    "end_told": transitions.end_told,
    "retried_in_part": lambda one: transitions.retried_in_part(one, "So far."),
    "joined_in_part": lambda one: transitions.joined_in_part(one, now=LATER, done=5, total=9),
    "planned": lambda one: transitions.planned(one, now=LATER, lines=20),
    "unpacked": lambda one: transitions.unpacked(one, one.input, now=LATER),
    "rejected": lambda one: transitions.rejected(one, "why", now=LATER),
    "pilot_ended": lambda one: transitions.pilot_ended(one, TRIED, "why", now=LATER),
    "warmed": lambda one: transitions.warmed(one, TRIED, now=LATER),
    "canceled_unread": lambda one: transitions.canceled_unread(one, now=LATER),
    "pinned": lambda one: transitions.pinned(one, one.input, kind="csv", arrivals=2),
    "held": lambda one: transitions.held(one, "why", needs="recipe", arrivals=2, now=LATER),
    "looked_again": lambda one: transitions.looked_again(one, now=LATER),
    "paused": lambda one: transitions.paused(one, HOLD, now=LATER),
    "asked_anew": lambda one: transitions.asked_anew(one, HOLD, now=LATER),
    "tries_itself": lambda one: transitions.tries_itself(one, PILOT_BATCH, now=LATER, virtual_time=0, hold=None, cover=None),
    "let_go": lambda one: transitions.let_go(one, now=LATER, virtual_time=0),
    "grouped": lambda one: transitions.grouped(one, GroupQuestion(leader=one.id)),
    "woken": lambda one: transitions.woken(one, now=LATER),
    "told_of_recipe": lambda one: transitions.told_of_recipe(one, now=LATER),
    "recipe_kept": lambda one: transitions.recipe_kept(one, "a note", arrivals=2),
    "superseded": lambda one: transitions.superseded(one, replace(one, id="another", state=JobState.planning), "why", ""),
    "cancel_requested": lambda one: transitions.cancel_requested(one, "why"),
    "overdue": lambda one: transitions.overdue(one, "why"),
    "noted": lambda one: transitions.noted(one, "a note"),
    "refused_again": lambda one: transitions.refused_again(one, STREAK),
    "tried": lambda one: transitions.tried(one, "a batch", next_at=LATER),
    "streak_ended": lambda one: transitions.streak_ended(one, now=LATER, words_of_the_account=""),
    "doubted": lambda one: transitions.doubted(one, "a doubt"),
    "out_of_reach": lambda one: transitions.out_of_reach(one, "why"),
    "finishing": lambda one: transitions.finishing(one, now=LATER),
    "based": lambda one: transitions.based(one, replace(one, id="another", state=JobState.done)),
    "finished": lambda one: transitions.finished(one, now=LATER),
    "job_message_repeated": lambda one: transitions.job_message_repeated(one, now=LATER),
    "job_message_returned": lambda one: transitions.job_message_returned(one, now=LATER, errors=1),
    "cut_off": lambda one: transitions.cut_off(one, "finish", times=5),
    "planning_failed": lambda one: transitions.planning_failed(one, now=LATER),
}
BATCHES: dict[str, Callable[[Batch, Job], Move[Batch]]] = {
    "added": lambda one, _: transitions.added(one),
    "admitted": lambda one, _: transitions.admitted(one, now=LATER, queue_limit=1_000, reserve=RESERVE, turn=TURN, turn_cost=100),
    "put_back": lambda one, _: transitions.put_back(one),
    "left_out": lambda one, _: transitions.left_out(one, (one.first_line,), body_bytes=10),
    "intended": lambda one, _: transitions.intended(one, f"prefix {one.revision}", "key", now=LATER, lease_until=LATER),
    "unanswered": lambda one, _: transitions.unanswered(one, now=LATER),
    "accepted": lambda one, _: transitions.accepted(one, f"api-{one.name}-{one.revision}", created_at=LATER),
    "adopted": lambda one, _: transitions.adopted(one, f"api-{one.name}-{one.revision}", certain=False, key="key"),
    "looked": lambda one, _: transitions.looked(one, at=LATER, trace=False),
    "ruled_out": lambda one, _: transitions.ruled_out(one, "api-other"),
    "refused": lambda one, _: transitions.refused(one, not_before=LATER),
    "split": lambda one, _: transitions.split(one, half_of(one), {}, (RefusedAs(words="no", since=START),)),
    "released": lambda one, _: transitions.released(one, not_before=LATER),
    "unsent": lambda one, _: transitions.unsent(one, why_of(one), now=LATER),
    "canceling": lambda one, _: transitions.canceling(one),
    "ended": lambda one, _: transitions.ended(one, ended_at=LATER, created_at=START, counts=counts_of(one), now=LATER),
    "not_found": lambda one, _: transitions.not_found(one, now=LATER),
    "found_again": lambda one, _: transitions.found_again(one),
    "disowned": lambda one, _: transitions.disowned(one, not_ours=True),
    "postponed": lambda one, _: transitions.postponed(one, counts=counts_of(one), until=LATER, now=LATER, confirmed=True),
    "resumed": lambda one, _: transitions.resumed(one, now=LATER),
    "collected": lambda one, of: transitions.collected(one, of, rows_of(one, of), now=LATER),
    "pilot_collected": lambda one, of: transitions.pilot_collected(one, of, TRIED, (), reason="", note="", now=LATER),
    "warm_up_collected": lambda one, of: transitions.warm_up_collected(one, of, TRIED, (), now=LATER),
    "pilot_settled": lambda one, _: transitions.pilot_settled(one, settled_of(one), {}, now=LATER),
    "pieces_lost": lambda one, _: transitions.pieces_lost(one, results=True, failed=False),
    "batch_message_repeated": lambda one, _: transitions.batch_message_repeated(one, now=LATER),
    "batch_message_returned": lambda one, _: transitions.batch_message_returned(one, now=LATER, errors=1),
}
# What an edge asks of a record besides its state; its callers see to it.
ASKS: dict[str, Callable[[Batch], bool]] = {
    "admitted": lambda one: one.admitted_at is None,
    "put_back": lambda one: one.admitted_at is not None,
    "left_out": lambda one: one.admitted_at is not None and one.requests > 1,
    "intended": lambda one: one.admitted_at is not None,
    "split": lambda one: one.requests > 1,
    "disowned": lambda one: one.api_id is not None,
    "pilot_settled": lambda one: one.waiting and not one.settled,
    "pilot_collected": lambda one: bool(one.tries),
    "warm_up_collected": lambda one: bool(one.tries),
}


def why_of(one: Batch) -> Unsent:
    """What may have been sent is sometimes given up."""
    return replace(WHY, status=RowStatus.missing) if one.state is BatchState.submitting and one.revision % 2 else WHY


def settled_of(one: Batch) -> tuple[Settled, ...]:
    return (Settled(line=one.first_line, status=RowStatus.succeeded),)


def counts_of(one: Batch) -> ApiCounts:
    return ApiCounts(succeeded=one.requests)


def half_of(one: Batch) -> Half:
    requests = one.requests // 2
    line = one.first_line + requests + one.invalid
    return Half(next_line=line, next_start=100, requests=requests, invalid=one.invalid, body_bytes=100, rest_body_bytes=100)


def rows_of(one: Batch, of: Job) -> Collected:
    """Half of its rows go again once, unless the job is being canceled."""
    again = one.requests // 2 if one.attempt == 1 and not of.cancel_requested and of.state is JobState.running else 0
    lost = one.unsent is not None and one.unsent.status is RowStatus.missing
    own = one.requests - again + len(one.settled)
    counts = Counts(total=own + one.invalid, invalid=one.invalid, **{"missing" if lost else "succeeded": own})
    return Collected(
        counts=counts,
        usage={},
        bill=Bill(usd=Decimal(0) if one.unsent else Decimal("0.0000301")),
        results=PART,
        failed=None,
        retry=replace(PART, lines=again) if again else None,
        retry_body_bytes=10 * again,
        unaccounted=one.requests if lost else 0,
    )


def edges_from(one: Batch) -> list[str]:
    return [
        name
        for name, of in BATCH_EDGES.items()
        if one.state in of.sources and (name not in ASKS or ASKS[name](one)) and not (name == "split" and one.attempt > 1)
    ]


def check_counters(ledger: FakeLedger, job_id: str) -> None:
    batches = list(ledger.list_batches(job_id))
    # A path made up here has spans and line ranges of its own: only what is counted is looked at.
    assert [one for one in check_records(ledger.jobs[job_id], batches) if one.kind == "counter"] == []
    assert queued_by(batches) == ledger.get_admission().queued
    assert list(purses_kept(ledger)) == []
    all_collected = all(one.state is BatchState.collected for one in batches)
    assert (ledger.jobs[job_id].state is JobState.finishing) == all_collected


def functions(record: type[Job | Batch | Admission | Arrivals | Group]) -> set[str]:
    """Those of the module that move such a record."""
    return {
        name
        for name, one in inspect.getmembers(transitions, inspect.isfunction)
        if not name.startswith("_") and inspect.signature(one, eval_str=True).return_annotation == Move[record]  # type: ignore[valid-type]
    }


def test_every_edge_has_exactly_one_function_and_every_function_is_an_edge() -> None:
    assert set(JOB_EDGES) == functions(Job) == set(JOBS)
    assert set(BATCH_EDGES) == functions(Batch) == set(BATCHES)
    assert functions(Admission) == {"throttled", "suspected", "blocked", "probed", "cleared", "proven", "advanced", "noticed"}
    assert functions(Arrivals) == {"recipe_arrived"}
    assert functions(Group) == {"agreed", "taught"}


def start_of(name: str, state: JobState | BatchState, edges: Mapping[str, Edge]) -> Any:
    """A record from which that edge starts."""
    if edges is JOB_EDGES:
        return job(state=state)
    at_api = state in (BatchState.in_progress, BatchState.canceling, BatchState.ended)
    admitted_at = None if name == "admitted" else START
    return batch(state=state, intent_at=START, admitted_at=admitted_at, api_id="api-1" if at_api else None)


def moved(name: str, state: JobState | BatchState, edges: Mapping[str, Edge]) -> Move[Any]:
    record = start_of(name, state, edges)
    return JOBS[name](record) if edges is JOB_EDGES else BATCHES[name](record, job(state=JobState.running))


@pytest.mark.parametrize(
    ("edges", "name", "state"),
    [
        (edges, name, state)
        for edges, states in ((JOB_EDGES, JobState), (BATCH_EDGES, BatchState))
        for name, edge in edges.items()
        for state in states
        if edge.sources
    ],
)
def test_an_edge_starts_from_its_states_alone(edges: Mapping[str, Edge], name: str, state: JobState | BatchState) -> None:
    if state not in edges[name].sources:
        with pytest.raises(ForbiddenMove, match=name):
            moved(name, state, edges)
        return
    move = moved(name, state, edges)
    assert move.edge == name
    assert move.before is not None
    assert move.before.state is state
    assert move.after.state in edges[name].leads_to(state)


def test_an_edge_leads_to_its_states_alone() -> None:
    with pytest.raises(ForbiddenMove, match="finished: to running"):
        transitions.finished(job(state=JobState.finishing, outcome=JobState.running), now=LATER)


# ---------------------------------------------------------------- the shape of the machines


def onward(edges: Mapping[str, Edge], state: JobState | BatchState) -> set[Any]:
    return {target for edge in edges.values() if state in edge.sources for target in edge.leads_to(state)} - {state}


def reachable(edges: Mapping[str, Edge], start: JobState | BatchState) -> set[Any]:
    found: set[Any] = set()
    todo: list[Any] = [start]
    while todo:
        state = todo.pop()
        if state not in found:
            found.add(state)
            todo += onward(edges, state)
    return found


def test_every_state_can_be_reached() -> None:
    assert reachable(JOB_EDGES, JobState.planning) == set(JobState)
    assert reachable(BATCH_EDGES, BatchState.ready) == set(BatchState)


@pytest.mark.parametrize("state", list(JobState))
def test_a_job_can_always_come_to_an_end(state: JobState) -> None:
    assert reachable(JOB_EDGES, state) & TERMINAL_JOB_STATES


@pytest.mark.parametrize("state", list(BatchState))
def test_a_batch_can_always_be_collected(state: BatchState) -> None:
    assert BatchState.collected in reachable(BATCH_EDGES, state)


def test_nothing_leads_out_of_an_end() -> None:
    assert {state for state in JobState if not onward(JOB_EDGES, state)} == TERMINAL_JOB_STATES
    assert {state for state in BatchState if not onward(BATCH_EDGES, state)} == {BatchState.collected}


def test_a_batch_at_the_api_is_never_made_ready() -> None:
    """The only way back to `ready` leads through `submitting`, where it has to be settled first."""
    assert [state for state in BatchState if BatchState.ready in onward(BATCH_EDGES, state)] == [BatchState.submitting]


# ---------------------------------------------------------------- waiting for a recipe

HALF_READ = job(
    source=job().input,
    recipe=job().input,
    broken=WHY,
    checkpoint=Checkpoint(offset=7, line=2),
    lease_until=LATER,
    tries=3,
    repairs=2,
    bytes_done=5,
    bytes_total=9,
    fruitless=1,
    arrivals=1,
)


def test_a_held_job_keeps_nothing_of_what_was_read() -> None:
    move = transitions.held(HALF_READ, "why", needs="recipe", arrivals=2, now=LATER)
    expected = job(state=JobState.held, reason="why", needs="recipe", held_at=LATER, arrivals=2, updated_at=LATER)
    assert move.after == expected
    assert move.messages == ()
    assert move.guard.arrivals == Arrivals(team="", count=2)


def test_who_looks_again_begins_anew_and_has_a_message() -> None:
    move = transitions.looked_again(HALF_READ, now=LATER)
    assert move.after == job(arrivals=1, lease_until=LATER, message_sent_at=LATER)
    assert move.messages == (ResumePlanning(job_id=job().id),)


def test_a_woken_job_still_knows_since_when_it_waited() -> None:
    waiting = transitions.held(job(), "why", needs="recipe", arrivals=2, now=START).after
    move = transitions.woken(waiting, now=LATER)
    assert move.after == job(held_at=START, arrivals=2, updated_at=LATER, lease_until=LATER, message_sent_at=LATER)
    assert move.messages == (ResumePlanning(job_id=job().id),)


def test_a_job_that_was_asked_to_cancel_has_no_successor() -> None:
    with pytest.raises(ForbiddenMove, match="superseded"):
        transitions.superseded(job(state=JobState.held, cancel_requested=True), job(id="another"), "why", "")


def test_a_job_ends_and_its_successor_begins_in_one_move() -> None:
    old, newer = job(state=JobState.held), job(id="another")
    move = transitions.superseded(old, newer, "why", "")
    assert move.after.cancel_requested
    assert [(part.before, part.after) for part in move.also] == [(None, replace(newer, place="open "))]


def test_a_job_that_was_asked_to_cancel_is_not_woken() -> None:
    with pytest.raises(ForbiddenMove, match="woken"):
        transitions.woken(job(state=JobState.held, cancel_requested=True), now=LATER)


@pytest.mark.parametrize(("arrivals", "since"), [(2, START), (3, None)])
def test_only_another_recipe_ends_the_wait(arrivals: int, since: datetime | None) -> None:
    move = transitions.pinned(job(held_at=START, arrivals=2), job().input, kind="csv", arrivals=arrivals)
    assert (move.after.recipe, move.after.arrivals, move.after.held_at) == (job().input, arrivals, since)


# ---------------------------------------------------------------- any path


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 4), st.integers(0, 2)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10**6)), max_size=60),
    st.integers(0, 60),
)
def test_the_counters_of_any_path_add_up(sizes: list[tuple[int, int, int]], steps: list[tuple[int, int]], cancel_at: int) -> None:
    """Whatever edges the batches of a job take, in whatever order: what was counted is what the records say."""
    ledger = FakeLedger()
    opened = ledger.commit(transitions.opened(job()))
    for number, (gap, requests, invalid) in enumerate(sizes):
        first = 1 + 100 * number + gap
        one = batch(first, requests=requests, invalid=invalid, last_line=first + requests + invalid - 1)
        one = replace(one, span=replace(one.span, start=1_000 * number, end=1_000 * number + 500))
        ledger.commit(transitions.added(one))
    ledger.commit(transitions.planned(opened, now=START, lines=300))
    for number, (which, edge) in enumerate(steps):
        if number == cancel_at:
            current = ledger.jobs[opened.id]
            if current.state is JobState.running:
                ledger.commit(transitions.cancel_requested(current, "why"))
        batches = list(ledger.list_batches(opened.id))
        one = batches[which % len(batches)]
        if possible := edges_from(one):
            name = possible[edge % len(possible)]
            try:
                ledger.commit(BATCHES[name](one, ledger.jobs[opened.id]))
            except LostRace:
                assert name == "admitted"  # the job is being canceled
    check_counters(ledger, opened.id)


def test_the_counters_add_up_after_every_edge() -> None:
    """From every kind of batch that there is: two that differ in what is compared here are of different kinds."""
    kinds: set[tuple[object, ...]] = set()
    taken: set[str] = set()
    paths: list[tuple[str, ...]] = [()]
    for path in paths:
        ledger = FakeLedger()
        opened = ledger.commit(transitions.opened(job()))
        one = ledger.commit(transitions.added(batch(1, requests=4, invalid=1)))
        ledger.commit(transitions.planned(opened, now=START, lines=5))
        for name in path:
            one = ledger.commit(BATCHES[name](one, ledger.jobs[opened.id]))
        check_counters(ledger, opened.id)
        kind = (
            one.state,
            one.reserved,
            len(one.settled),
            one.waiting,
            one.admitted_at,
            one.adopted,
            one.incomplete_since,
            one.api_id,
            one.requests,
        )
        if kind not in kinds:
            kinds.add(kind)
            taken |= set(edges_from(one))
            paths += [(*path, name) for name in edges_from(one)]
    assert taken == set(BATCH_EDGES) - {"added", "pilot_collected", "warm_up_collected"}


def test_counts_have_a_field_for_each_end_and_add_up() -> None:
    assert Counts(total=1, missing=2) + Counts(total=3, invalid=4) == Counts(total=4, missing=2, invalid=4)
    assert set(Counts.__struct_fields__) == {"total", *RowStatus}


# ---------------------------------------------------------------- what rows are expected to take


SIZES = {"claude-haiku-4-5": Size(requests=4, input_tokens=40, max_output_tokens=400)}


def test_rows_that_go_again_reserve_what_they_take() -> None:
    one = batch(1, state=BatchState.ended, requests=4, last_line=4, sizes=SIZES)
    of = job(state=JobState.running, batches_total=1)
    again = {"claude-haiku-4-5": Size(requests=2, input_tokens=20, max_output_tokens=390)}
    move = transitions.collected(one, of, replace(rows_of(one, of), retry_sizes=again), now=LATER)
    (follow_up,) = move.also
    assert follow_up.after.sizes == again


LONG_ROW = {"claude-haiku-4-5": Size(requests=1, input_tokens=31, max_output_tokens=10)}


@pytest.mark.parametrize("strict", [True, False])
def test_what_a_pilot_has_settled_is_expected_no_more_but_of_a_strict_job(strict: bool) -> None:
    pilot = batch(0, state=BatchState.ended, tries=(Sample(rank=0, line=1, start=0, end=1),))
    one = batch(1, requests=4, last_line=4, sizes=SIZES)
    of = job(state=JobState.running, trying=True, limits=JobLimits(strict=strict))
    move = transitions.pilot_collected(pilot, of, TRIED, (Holder(one, settled_of(one), LONG_ROW),), reason="", note="", now=LATER)
    after = move.also[-1].after
    assert after.requests == 3
    rest = Size(requests=3, input_tokens=9, max_output_tokens=390)
    assert after.sizes == (SIZES if strict else {"claude-haiku-4-5": rest})


def test_rows_without_a_price_keep_their_share_as_spent() -> None:
    one = batch(1, state=BatchState.ended, requests=4, last_line=4, reserved=100, purses=("day",))
    of = job(state=JobState.running, batches_total=2)
    rows = replace(rows_of(one, replace(of, cancel_requested=True)), bill=Bill(usd=Decimal("0.00001"), unpriced={"new": 3}))
    move = transitions.collected(one, of, rows, now=LATER)
    assert (move.counters.spent, move.counters.used) == (10 + 75, 10 + 75 - 100)
    assert move.charges == charges(("day",), -15, 85)


@pytest.mark.parametrize("outcome", [None, JobState.rejected])
def test_a_job_whose_deadline_has_passed_is_done_unless_it_was_to_be_rejected(outcome: JobState | None) -> None:
    due = transitions.overdue(job(state=JobState.running, outcome=outcome), "why").after
    assert (due.cancel_requested, due.overdue) == (True, True)
    ended = transitions.finished(transitions.finishing(due, now=LATER).after, now=LATER).after
    assert (ended.state, ended.reason) == (outcome or JobState.done, "why")


def test_a_deadline_counts_from_the_first_time_that_all_rows_may_go() -> None:
    planning = job(state=JobState.planning, deadline="3h")
    three_hours = LATER + timedelta(hours=3)
    assert transitions.planned(planning, now=LATER, lines=1).after.due_at == three_hours
    held = transitions.planned(planning, now=LATER, lines=1, hold=HOLD).after
    assert held.due_at is None
    assert transitions.let_go(held, now=LATER, virtual_time=0).after.due_at == three_hours
    assert transitions.let_go(replace(held, trying=True), now=LATER, virtual_time=0).after.due_at is None
    again = transitions.let_go(replace(held, due_at=START), now=LATER, virtual_time=0).after
    assert again.due_at == START
    assert transitions.planned(planning, now=LATER, lines=1, pilot=PILOT_BATCH).after.due_at is None
    assert transitions.planned(planning, now=LATER, lines=1, pilot=PILOT_BATCH, tries_all=True).after.due_at == three_hours
    tries = transitions.tries_itself(held, PILOT_BATCH, now=LATER, virtual_time=0, hold=None, cover=None, tries_all=True)
    assert tries.after.due_at == three_hours
