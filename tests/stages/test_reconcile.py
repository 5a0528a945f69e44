"""A create without a definite answer: found, adopted, told apart or released, and never paid twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from batchdrop.domain.errors import Incomplete, NotFound, Unavailable
from batchdrop.domain.records import BatchState, JobState
from batchdrop.ports import ApiPage
from tests.stack import Killed, Stack, rows
from tests.stages.harm import LOST, fail, keeping_bodies, minutes


def theirs(requests: int) -> bytes:
    """The body of somebody else's batch."""
    return json.dumps({"requests": [{"custom_id": f"theirs-{number}", "params": {}} for number in range(requests)]}).encode()


def lost(stack: Stack, lines: int = 3, *, accepted: bool) -> None:
    """Drops a file whose create gets no answer."""
    fail(stack, "claude.create", LOST, after=accepted)
    stack.drop("inbox/a.jsonl", rows(lines))
    stack.pump()
    stack.hooks.clear()


def clean(stack: Stack) -> None:
    assert stack.audit() == []
    assert stack.job().state == "done"


def test_an_accepted_create_is_adopted() -> None:
    stack = Stack()
    lost(stack, accepted=True)
    assert stack.batches()[0].state is BatchState.submitting
    stack.run()
    (batch,) = stack.batches()
    assert batch.adopted
    assert len(stack.claude.bodies) == 1
    clean(stack)


def test_a_create_that_never_arrived_is_sent_once_more() -> None:
    stack = Stack()
    lost(stack, accepted=False)
    assert stack.claude.bodies == []
    stack.run()
    assert len(stack.claude.bodies) == 1
    assert not stack.batches()[0].adopted
    clean(stack)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_function_that_is_killed_while_it_posts_leaves_a_trace(accepted: bool) -> None:
    stack = Stack()

    def kill(name: str) -> None:
        if name == "claude.create":
            stack.hooks.clear()
            raise Killed

    if accepted:
        stack.hooks.after = kill
    else:
        stack.hooks.before = kill
    stack.drop("inbox/a.jsonl", rows(3))
    stack.pump()
    assert stack.batches()[0].state is BatchState.submitting
    stack.run()
    assert len(stack.claude.bodies) == 1
    clean(stack)


def test_nothing_is_decided_before_the_lease_and_the_grace_have_passed() -> None:
    stack = Stack(grace=600)
    lost(stack, accepted=False)
    minutes(stack, 9)
    assert stack.batches()[0].state is BatchState.submitting
    minutes(stack, 2)
    assert stack.batches()[0].state is not BatchState.submitting
    stack.run()
    clean(stack)


def test_nothing_is_decided_while_a_create_is_under_way() -> None:
    stack = Stack(grace=20)

    def take_long(name: str) -> None:
        if name == "claude.create":
            stack.hooks.clear()
            for _ in range(4):
                stack.clock.advance(10)
                stack.tick()

    stack.hooks.before = take_long
    stack.drop("inbox/a.jsonl", rows(3))
    stack.run()
    assert len(stack.claude.bodies) == 1
    assert stack.failures == []
    clean(stack)


def test_a_list_that_does_not_answer_releases_nothing() -> None:
    stack = Stack()
    lost(stack, accepted=True)
    fail(stack, "claude.page", Unavailable("down"), times=30)
    minutes(stack, 30)
    assert stack.batches()[0].state is BatchState.submitting
    stack.run()
    clean(stack)


def test_a_late_list_is_waited_for() -> None:
    stack = Stack(grace=300)
    stack.claude.list_lag = 250
    lost(stack, accepted=True)
    stack.run()
    assert stack.batches()[0].adopted
    clean(stack)


def test_two_lost_creates_of_the_same_size_are_told_apart_by_their_results() -> None:
    stack = Stack(max_requests=2)
    fail(stack, "claude.create", LOST, after=True, times=2)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.run()
    assert "ledger.commit.disowned" not in stack.hooks.calls
    assert [batch.adopted for batch in stack.batches()] == [False, False]
    assert [batch.api_id for batch in stack.batches()] == stack.claude.ids
    clean(stack)


@pytest.mark.parametrize("arrives", [1, 2])
def test_of_two_lost_creates_of_the_same_size_one_had_not_arrived(arrives: int) -> None:
    stack = Stack(max_requests=2)

    def lose(create: int) -> Callable[[str], None]:
        def hook(name: str) -> None:
            if name == "claude.create" and stack.hooks.calls.count(name) == create:
                raise LOST.with_traceback(None)

        return hook

    stack.hooks.before, stack.hooks.after = lose(3 - arrives), lose(arrives)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.run()
    assert "ledger.commit.disowned" not in stack.hooks.calls
    assert len(stack.claude.bodies) == 2
    clean(stack)


def test_what_another_batch_has_claimed_is_not_waited_for() -> None:
    stack = Stack()
    stack.drop("inbox/b.jsonl", rows(3))
    stack.run()
    lost(stack, accepted=False)
    stack.run()
    assert {job.state for job in stack.jobs()} == {JobState.done}
    assert len(stack.claude.bodies) == 2
    assert stack.audit() == []


@pytest.mark.parametrize("number", [1, 3])
def test_batches_of_others_with_the_same_count_are_told_apart(number: int) -> None:
    stack = Stack()
    for _ in range(number):
        stack.claude.inject(theirs(3))
    lost(stack, accepted=True)
    for _ in range(number):
        stack.claude.inject(theirs(3))
    stack.run()
    (batch,) = stack.batches()
    assert set(batch.not_ours) <= set(stack.claude.ids)
    assert batch.api_id == stack.claude.ids[number]
    clean(stack)


def test_an_adopted_batch_of_others_is_given_back_and_ours_is_sent() -> None:
    stack = Stack()
    stack.claude.inject(theirs(3))
    lost(stack, accepted=False)
    stack.run()
    (batch,) = stack.batches()
    assert batch.not_ours == (stack.claude.ids[0],)
    assert batch.api_id == stack.claude.ids[1]
    assert stack.ledger.claims == {stack.claude.ids[1]: (stack.job().id, batch.name)}
    clean(stack)


def test_a_disowned_adoption_is_followed_by_finding_ours() -> None:
    """Ours was listed later than the grace; the stranger's batch was taken for it first."""
    stack = Stack(grace=60)
    stack.claude.seconds = 1200
    stack.claude.inject(theirs(3))
    stack.claude.list_lag = 0
    hide = Hidden(stack, minutes=8)
    lost(stack, accepted=True)
    hide.from_now()
    stack.run()
    (batch,) = stack.batches()
    assert batch.not_ours == (stack.claude.ids[0],)
    assert batch.api_id == stack.claude.ids[1]
    assert len(stack.claude.bodies) == 2
    clean(stack)


def test_after_an_outage_a_list_that_lags_behind_releases_nothing() -> None:
    """The grace begins when the list can be seen again, not when the POST was over."""
    stack = Stack(grace=900)
    lost(stack, accepted=True)
    fail(stack, "claude.page", Unavailable("down"), times=200)
    minutes(stack, 200)
    stack.hooks.clear()
    Hidden(stack, minutes=14).from_now()
    stack.run()
    assert stack.batches()[0].adopted
    assert len(stack.claude.bodies) == 1
    clean(stack)


def test_a_release_takes_three_looks_that_are_half_a_grace_apart() -> None:
    stack = Stack(grace=600)
    lost(stack, accepted=False)
    looks = []
    while stack.batches()[0].state is BatchState.submitting:
        minutes(stack, 1)
        looks.append(len(stack.batches()[0].no_trace_at))
    assert looks == [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0]


def test_between_two_looks_an_outage_counts_for_nothing() -> None:
    stack = Stack(grace=600)
    lost(stack, accepted=False)
    minutes(stack, 1)
    fail(stack, "claude.page", Unavailable("down"), times=120)
    minutes(stack, 120)
    stack.hooks.clear()
    minutes(stack, 5)
    assert stack.batches()[0].state is BatchState.submitting
    minutes(stack, 1)
    assert stack.batches()[0].state is not BatchState.submitting


def test_a_look_that_finds_a_candidate_starts_the_count_anew() -> None:
    stack = Stack(grace=600)
    stack.claude.seconds = 60
    lost(stack, accepted=False)
    minutes(stack, 8)
    assert len(stack.batches()[0].no_trace_at) == 2
    stack.claude.inject(theirs(3))
    minutes(stack, 3)  # adopted, ended and given back
    batch = stack.batches()[0]
    assert (batch.state, batch.not_ours) == (BatchState.submitting, (stack.claude.ids[0],))
    assert len(batch.no_trace_at) <= 1
    minutes(stack, 9)
    assert stack.batches()[0].state is BatchState.submitting
    stack.run()
    assert len(stack.claude.bodies) == 2
    clean(stack)


def test_a_candidate_that_is_ruled_out_starts_the_count_anew() -> None:
    """Nobody adopts it: two creates are in doubt, and it could be of either."""
    stack = Stack(grace=600, max_requests=3)
    stack.claude.seconds = 60
    fail(stack, "claude.create", LOST, times=2)
    stack.drop("inbox/a.jsonl", rows(6))
    minutes(stack, 8)
    assert [len(batch.no_trace_at) for batch in stack.batches()] == [2, 2]
    stack.claude.inject(theirs(3))
    minutes(stack, 3)
    for batch in stack.batches():
        assert (batch.state, batch.not_ours) == (BatchState.submitting, (stack.claude.ids[0],))
        assert len(batch.no_trace_at) <= 1
    stack.run()
    assert len(stack.claude.bodies) == 3
    clean(stack)


class Hidden:
    """The newest batch is missing from the list for some minutes."""

    def __init__(self, stack: Stack, minutes: int) -> None:
        self._stack = stack
        self._minutes = minutes

    def from_now(self) -> None:
        claude, clock = self._stack.claude, self._stack.clock
        newest, until, page = claude.ids[-1], clock.now() + timedelta(minutes=self._minutes), claude.page

        def without(after: str | None = None) -> ApiPage:
            shown = page(after)
            kept = tuple(batch for batch in shown.batches if batch.id != newest or clock.now() >= until)
            return msgspec.structs.replace(shown, batches=kept)

        claude.page = without  # type: ignore[method-assign]  # one list that leaves one batch out


def test_ours_is_not_released_while_another_batch_holds_it_by_mistake() -> None:
    """A lost create is settled at the moment a second one of the same size is under way: it adopts the other's batch."""
    stack = Stack(max_requests=3, grace=30)
    stack.claude.seconds = 3600
    lost(stack, accepted=False)
    first = stack.batches()[0]
    stack.clock.advance(120)
    # The second file is accepted, and its function dies before it can say so, just as `poll` looks at the API.

    def a_tick_after_the_open_work_was_read(name: str) -> None:
        if name == "claude.page" and len(stack.jobs()) == 1:
            stack.hooks.clear()
            fail(stack, "claude.create", LOST, after=True)
            stack.drop("inbox/b.jsonl", rows(3))
            stack.pump()
            stack.hooks.clear()

    stack.hooks.before = a_tick_after_the_open_work_was_read
    stack.tick()
    adopter = stack.ledger.get_batch(first.job_id, first.name)
    assert adopter is not None
    assert adopter.adopted
    minutes(stack, 30)
    assert len(stack.claude.bodies) == 1
    stack.run()
    assert sorted(stack.claude.custom_ids()) == sorted(set(stack.claude.custom_ids()))
    assert stack.audit() == []


def test_the_list_is_read_to_the_page_where_it_has_to_end() -> None:
    stack = Stack()
    stack.claude.page_limit = 2
    lost(stack, accepted=True)
    for _ in range(5):
        stack.claude.inject(theirs(1))
    stack.run()
    assert stack.batches()[0].api_id == stack.claude.ids[0]
    clean(stack)


def test_a_list_without_end_settles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.stages.poll.watch._PAGES", 2)
    stack = Stack()
    stack.claude.page_limit = 1
    lost(stack, accepted=True)
    for _ in range(3):
        stack.claude.inject(theirs(1))
    minutes(stack, 20)
    assert stack.batches()[0].state is BatchState.submitting
    assert len(stack.claude.bodies) == 4


@pytest.mark.parametrize("seconds", [-60, 60])
def test_clocks_that_differ_by_a_minute(seconds: int) -> None:
    stack = Stack()
    lost(stack, accepted=True)
    stack.claude.shift(timedelta(seconds=seconds))
    stack.run()
    assert stack.batches()[0].adopted
    assert len(stack.claude.bodies) == 1
    clean(stack)


def test_a_results_stream_without_a_line_proves_nothing() -> None:
    stack = Stack(max_requests=2)
    fail(stack, "claude.create", LOST, after=True, times=2)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()

    def nothing_in_it(name: str) -> None:
        stack.claude.garble = lambda lines: b""

    stack.hooks.clear()
    stack.hooks.before = nothing_in_it
    minutes(stack, 8)
    assert [batch.not_ours for batch in stack.batches()] == [(), ()]
    stack.hooks.clear()
    stack.claude.garble = None
    stack.run()
    assert len(stack.claude.bodies) == 2
    clean(stack)


def test_a_broken_results_stream_proves_nothing() -> None:
    stack = Stack(max_requests=2)
    fail(stack, "claude.create", LOST, after=True, times=2)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()
    fail(stack, "claude._results", Incomplete("cut"), times=8)
    stack.run()
    assert len(stack.claude.bodies) == 2
    clean(stack)


def test_an_adopted_batch_is_not_canceled_before_it_is_known_to_be_ours() -> None:
    stack = Stack()
    stack.claude.seconds = 1800
    stack.claude.inject(theirs(3))
    lost(stack, accepted=False)
    minutes(stack, 6)
    assert stack.batches()[0].adopted
    stack.command("cancel", stack.job().id)
    stack.switch.text = "stop"
    stack.run()
    assert stack.hooks.calls.count("claude.cancel") == 0
    assert stack.job().state == "canceled"
    assert stack.document("manifest.json")["counts"]["canceled"] == 3
    assert stack.audit() == []


def test_a_batch_that_the_list_does_not_show_does_not_cost_the_whole_list() -> None:
    """It is looked for as far back as it can be, and then asked for by its id."""
    stack = Stack()
    stack.claude.page_limit = 2
    for _ in range(40):
        stack.claude.inject(theirs(1))
    stack.clock.advance(3_600)
    stack.drop("inbox/a.jsonl", rows(2))
    while stack.pump():
        pass
    (hidden,) = [batch.api_id for batch in stack.batches()]
    list_page = stack.claude.page

    def page(after: str | None = None) -> ApiPage:
        found = list_page(after)
        return msgspec.structs.replace(found, batches=tuple(one for one in found.batches if one.id != hidden))

    stack.claude.page = page  # type: ignore[method-assign]
    stack.hooks.calls.clear()
    stack.tick()
    assert stack.hooks.calls.count("claude.page") <= 2
    assert stack.hooks.calls.count("claude.retrieve") == 1
    stack.run()
    assert stack.job().state is JobState.done


@pytest.mark.parametrize("late", [4, 8, 14])
def test_a_batch_that_the_api_creates_late_is_adopted_and_not_sent_again(late: int) -> None:
    """Whatever may still be released may still be found: there is no time between the two."""
    stack = Stack(grace=900)
    with keeping_bodies(stack) as bodies:
        stack.drop("inbox/a.jsonl", rows(3))
        stack.pump()
    minutes(stack, late)
    stack.claude.inject(bodies[0])
    stack.run()
    (batch,) = stack.batches()
    assert batch.adopted
    assert len(bodies) + stack.hooks.calls.count("claude.create") == 1
    clean(stack)


def test_a_page_where_results_should_be_stops_nobody() -> None:
    stack = Stack(max_requests=2)
    fail(stack, "claude.create", LOST, after=True, times=2)
    stack.drop("inbox/a.jsonl", rows(4))
    doubtful = stack.job()

    def answer_with_a_page(name: str) -> None:
        stack.claude.garble = lambda lines: b"<html>\n<body>Bad gateway</body>\n</html>\n"

    stack.hooks.before = answer_with_a_page
    minutes(stack, 10)
    assert {batch.state for batch in stack.batches(doubtful)} == {BatchState.submitting}
    stack.drop("inbox/b.jsonl", rows(1))
    minutes(stack, 5)
    assert len(stack.claude.bodies) == 3
    assert [error for who, error in stack.failures if who == "poll"] == []
    stack.hooks.clear()
    stack.claude.garble = None
    stack.run()
    assert {job.state for job in stack.jobs()} == {JobState.done}
    assert stack.audit() == []


def test_a_create_that_never_gets_an_answer_is_sent_less_and_less_often() -> None:
    stack = Stack(grace=900)
    fail(stack, "claude.create", LOST, times=1_000)
    stack.drop("inbox/a.jsonl", rows(3))
    minutes(stack, 1_440)
    sent = stack.hooks.calls.count("claude.create")
    assert 8 <= sent <= 10
    (batch,) = stack.batches()
    assert batch.releases == stack.job().releases
    assert stack.metrics.latest["Stalled"] == 1
    message = stack.document("status.json")["message"]
    assert f"sent {batch.releases} times without a response" in message
    assert f"{batch.not_before:%Y-%m-%d %H:%M} UTC" in message
    stack.hooks.clear()
    stack.run(600)
    assert "without a response" not in stack.document("status.json")["message"]
    assert stack.job().doubt == ""
    assert len(stack.claude.bodies) == 1
    clean(stack)


def test_a_create_in_doubt_is_seen() -> None:
    stack = Stack()
    lost(stack, accepted=True)
    fail(stack, "claude.page", Unavailable("down"), times=500)
    minutes(stack, 6 * 60)
    assert "Stalled" not in stack.metrics.totals
    minutes(stack, 2)
    assert stack.metrics.latest["Stalled"] == 1
    stack.hooks.clear()
    stack.metrics.totals.clear()
    stack.run()
    assert "Stalled" not in stack.metrics.totals


def test_two_creates_that_nothing_tells_apart_end_when_their_results_are_deleted() -> None:
    stack = Stack(max_requests=2)
    fail(stack, "claude.create", LOST, after=True, times=2)
    stack.drop("inbox/a.jsonl", rows(4))
    stack.pump()

    def results_are_lost(name: str) -> None:
        if name == "claude._results":
            raise NotFound("gone", status=404, kind="not_found_error")

    stack.hooks.before = results_are_lost
    minutes(stack, 60)
    assert {batch.state for batch in stack.batches()} == {BatchState.submitting}
    stack.clock.advance(29 * 86_400)
    stack.run()
    assert stack.document("manifest.json")["counts"]["missing"] == 4
    assert len(stack.claude.bodies) == 2
