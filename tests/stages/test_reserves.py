"""What a batch has reserved: given back in full when it is not sent, settled by what it was billed, kept where nobody knows."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import pytest
from msgspec.structs import replace

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import Ambiguous, NotFound, Refused
from batchdrop.domain.money import added
from batchdrop.domain.records import BatchState, JobLimits, JobState
from batchdrop.domain.retries import RESULTS_KEPT
from batchdrop.stages.poll.settle import _UNKNOWN
from tests.fakes.claude import Withheld, greet
from tests.money import MAX_TOKENS, ROW, Watch, answers_of, dear_rows, held, purses_kept, stack_of, until
from tests.stack import Stack, row
from tests.stages.harm import refused
from tests.stages.test_splitting import poison, refuse

KEY = "inbox/team/file.jsonl"
DAY, MONTH = "day 2026-11-22", "month 2026-11"
PURSES = (MONTH, DAY, f"{DAY} team", f"{MONTH} team")


def used(stack: Stack) -> tuple[int, int]:
    """Of each purse the same."""
    (found,) = {(purse.used, purse.spent) for purse in stack.ledger.get_purses(PURSES)}
    return found


def reserved(stack: Stack) -> list[int]:
    return [batch.reserved for batch in stack.batches()]


def once(stack: Stack, call: str, error: Exception) -> list[str]:
    """The first such call fails."""
    failed: list[str] = []

    def before(name: str) -> None:
        if name == call and not failed:
            failed.append(name)
            raise error

    stack.hooks.before = before
    return failed


def ends_well(stack: Stack, watch: Watch, rows: int, tokens: int = 1_000, minutes: int = 240) -> None:
    stack.run(minutes)
    assert stack.job().state is JobState.done
    assert watch.wrong == []
    assert list(purses_kept(stack.ledger)) == []
    (spent,) = {purse.spent for purse in stack.ledger.get_purses(PURSES)}
    assert used(stack) == (spent, spent)
    assert spent == stack.job().spent == stack.job().used
    assert spent == rows * (5 + tokens * 5 // 2)


# ---------------------------------------------------------------- what is not sent gives all of it back


def test_what_is_reserved_is_the_high_end_and_what_is_spent_is_what_was_billed() -> None:
    stack = stack_of(1_000)
    watch = Watch(stack)
    stack.drop(KEY, dear_rows(4))
    assert all(2 * ROW < amount < 2.01 * ROW for amount in reserved(stack))
    assert used(stack) == (sum(reserved(stack)), 0)
    ends_well(stack, watch, 4)


def test_a_refused_batch() -> None:
    stack = stack_of(1_000)
    watch = Watch(stack)
    once(stack, "claude.create", refused(429, "rate_limit_error"))
    stack.drop(KEY, dear_rows(2))
    stack.pump()
    assert (used(stack), reserved(stack)) == ((0, 0), [0])
    assert stack.job().used == 0
    ends_well(stack, watch, 2)


def test_a_batch_that_is_put_back() -> None:
    stack = stack_of(1_000)
    watch = Watch(stack)
    stack.drop(KEY, dear_rows(2))
    stack.switch.text = "pause"
    stack.pump()
    assert (used(stack), reserved(stack), stack.job().used) == ((0, 0), [0], 0)
    stack.switch.text = "run"
    ends_well(stack, watch, 2)


def test_a_batch_that_left_no_trace() -> None:
    stack = stack_of(1_000)
    watch = Watch(stack)
    once(stack, "claude.create", Ambiguous("lost"))
    stack.drop(KEY, dear_rows(2))
    stack.pump()
    assert used(stack)[0] > 2 * ROW  # it may be there
    until(stack, lambda: any(batch.releases for batch in stack.batches()), steps=60)
    ends_well(stack, watch, 2)


def test_a_batch_that_is_cut_in_two_reserves_in_two_what_it_reserved() -> None:
    stack = stack_of(1_000, max_requests=4)
    watch = Watch(stack)
    once(stack, "claude.create", Refused("too large", status=413, kind="request_too_large"))
    stack.drop(KEY, dear_rows(4))
    before = reserved(stack)
    stack.pump()
    assert (used(stack), reserved(stack)) == ((0, 0), [0, 0])
    until(stack, lambda: all(amount for amount in reserved(stack)))
    assert sum(before) <= sum(reserved(stack)) <= sum(before) + 2
    ends_well(stack, watch, 4)


def test_a_batch_that_the_api_never_takes() -> None:
    """One row that is refused for itself ends; it was never billed."""
    stack = stack_of(1_000, max_requests=1)
    watch = Watch(stack)
    once(stack, "claude.create", Refused("messages: bad", status=400, kind="invalid_request_error"))
    stack.drop(KEY, dear_rows(1))
    stack.run(60 * 48)
    assert watch.wrong == []
    assert list(purses_kept(stack.ledger)) == []


def test_a_cancel_before_it_was_sent() -> None:
    stack = stack_of(1_000)
    watch = Watch(stack)
    stack.drop(KEY, dear_rows(4))
    assert used(stack)[0] > 4 * ROW
    stack.command("cancel", stack.job().id)
    assert used(stack) == (0, 0)
    stack.run()
    assert (stack.job().state, stack.job().used, used(stack)) == (JobState.canceled, 0, (0, 0))
    assert watch.wrong == []


def test_the_switch_to_stop_gives_back_what_is_canceled_at_the_api() -> None:
    stack = stack_of(1_000)
    watch = Watch(stack)
    stack.claude.seconds = 3_600
    stack.drop(KEY, dear_rows(4))
    stack.pump()
    stack.switch.text = "stop"
    stack.run(minutes=10)
    assert used(stack) == (0, 0)
    assert watch.wrong == []
    stack.switch.text = "run"
    stack.run(minutes=10)
    assert list(purses_kept(stack.ledger)) == []


# ---------------------------------------------------------------- what nobody knows the cost of


def fails(custom_id: str, params: dict[str, Any]) -> Any:
    return {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}}


def test_rows_that_go_again_reserve_and_are_counted_once() -> None:
    stack = stack_of(1_000)
    watch = Watch(stack)
    stack.claude.answer = fails
    stack.drop(KEY, dear_rows(2))
    until(stack, lambda: len(stack.batches()) == 2 and bool(stack.batches()[1].reserved))
    first, again = stack.batches()
    assert (first.reserved, used(stack)[0]) == (0, again.reserved)
    assert again.reserved > 2 * ROW
    stack.claude.answer = answers_of(1_000)
    ends_well(stack, watch, 2)


def test_rows_that_go_again_meet_the_limit() -> None:
    stack = stack_of(daily_limit="0.025", answer=lambda custom_id, params: first_then(stack, custom_id, params))
    stack.drop(KEY, dear_rows(2))
    # What another job has spent meanwhile.
    day = stack.ledger.purses[DAY]
    stack.ledger.purses[DAY] = replace(day, used=day.used + ROW, spent=ROW)
    held(stack, "limit")
    first, again = stack.batches()
    assert (first.state, again.attempt, again.waiting) == (BatchState.collected, 2, True)
    assert used_of(stack, DAY) == (ROW + 5 + ROW, ROW + 5 + ROW)
    for _ in range(30):
        stack.step(3600)
    assert stack.job().state is JobState.done
    assert used_of(stack, "day 2026-11-23") == (5 + ROW, 5 + ROW)
    assert stack.job().used == stack.job().spent == 2 * (5 + ROW)


def used_of(stack: Stack, name: str) -> tuple[int, int]:
    (purse,) = stack.ledger.get_purses([name])
    return purse.used, purse.spent


def first_then(stack: Stack, custom_id: str, params: dict[str, Any]) -> Any:
    """The second row fails at first."""
    if custom_id.endswith("-2") and stack.attempt_of(custom_id) == 1:
        return fails(custom_id, params)
    return answers_of(4_000)(custom_id, params)


def test_rows_whose_results_are_withheld_keep_their_share() -> None:
    def answer(custom_id: str, params: dict[str, Any]) -> Any:
        return Withheld("succeeded") if custom_id.endswith("-2") else answers_of(1_000)(custom_id, params)

    stack = stack_of(answer=answer)
    watch = Watch(stack)
    stack.drop(KEY, dear_rows(2))
    (share,) = (-(-amount // 2) for amount in reserved(stack))
    for _ in range(9 * 24):
        stack.step(3600)
    assert stack.job().state is JobState.done
    assert stack.document("manifest.json")["counts"]["missing"] == 1
    assert used(stack) == (2_505 + share, 2_505 + share)
    assert (stack.job().used, stack.job().spent) == (2_505 + share, 2_505 + share)
    assert watch.wrong == []


def test_results_that_were_deleted_before_anybody_read_them_cost_what_was_reserved() -> None:
    stack = stack_of(1_000)
    watch = Watch(stack)
    stack.drop(KEY, dear_rows(2))
    (amount,) = reserved(stack)
    stack.pump()
    stack.clock.advance(120)
    for _ in range(int(RESULTS_KEPT.total_seconds()) // (6 * 3600) + 8):
        _hide(stack)
        stack.step(6 * 3600)
    assert stack.job().state is JobState.done
    assert stack.document("manifest.json")["counts"]["missing"] == 2
    assert used(stack) == (amount, amount)
    assert watch.wrong == []


def _hide(stack: Stack) -> None:
    """Results that the API has and does not show."""

    def before(name: str) -> None:
        if name == "claude._results":
            raise NotFound("gone", status=404, kind="not_found_error")

    stack.hooks.before = before


def test_what_may_have_been_sent_and_is_given_up_costs_what_was_reserved() -> None:
    """Two batches that nothing tells apart, and whose results nobody can read any more."""
    stack = stack_of(1_000)
    stack.drop(KEY, dear_rows(2))
    (batch,) = stack.batches()
    amount = batch.reserved
    now = stack.clock.now()
    sent = stack.ledger.commit(transitions.intended(batch, "aaaaaaaaaaaaaaaa", "key", now=now, lease_until=now))
    stack.poll.commit(transitions.unsent(sent, _UNKNOWN, now=now))
    stack.queues.waiting = [one for one in stack.queues.waiting if one.queue.value == "collect"]
    stack.run(minutes=30)
    assert stack.job().state is JobState.done
    assert used(stack) == (amount, amount)
    assert list(purses_kept(stack.ledger)) == []


def test_a_price_that_is_gone_when_it_is_collected_costs_what_was_reserved() -> None:
    stack = stack_of(daily_limit="10", answer=greet)
    entry = {"model": "claude-new-7", "input": 1, "output": 5, "write_5m": 1, "write_1h": 1, "read": 1}
    stack.objects.drop(keys.PRICES, json.dumps([entry]).encode())
    stack.drop(KEY, dear_rows(2, model="claude-new-7"))
    (amount,) = reserved(stack)
    assert amount > 2 * ROW
    stack.pump()
    stack.objects.delete(keys.PRICES)
    stack.clock.advance(120)
    stack.run(minutes=30)
    assert stack.job().state is JobState.done
    assert used(stack) == (amount, amount)
    assert list(purses_kept(stack.ledger)) == []


# ---------------------------------------------------------------- strict


def strictly(stack: Stack) -> None:
    def after(name: str) -> None:
        if name == "ledger.commit.opened":
            stack.ledger.jobs = {job.id: replace(job, limits=JobLimits(strict=True)) for job in stack.jobs()}

    stack.hooks.after = after


@pytest.mark.parametrize("strict", [True, False])
def test_after_a_pilot_a_strict_job_reserves_the_worst_and_another_one_what_it_has_learned(strict: bool) -> None:
    stack = stack_of(400, max_requests=10, ask_above="0.25")
    if strict:
        strictly(stack)
    stack.drop(KEY, dear_rows(60))
    if strict:
        held(stack, "approval")
        job = stack.job()
        assert job.question is not None
        assert job.question.high > 40 * ROW
        stack._control(f"control/approve/{job.id}-{job.question.code}")
        stack.tick()
    until(stack, lambda: any(batch.reserved for batch in stack.batches()[1:]))
    rates = [batch.reserved / batch.requests for batch in stack.batches()[1:] if batch.reserved]
    assert all(rate > ROW if strict else rate < ROW / 5 for rate in rates)
    stack.hooks.clear()
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.job().spent == 60 * 1_005
    assert list(purses_kept(stack.ledger)) == []


def also_watched(stack: Stack) -> Watch:
    before = stack.hooks.after
    watch = Watch(stack)
    look = stack.hooks.after

    def both(name: str) -> None:
        before(name)
        look(name)

    stack.hooks.after = both
    return watch


def worst(place: int, of: int) -> dict[str, Any]:
    """One row in ten may answer at length, and does."""
    return {"max_tokens": MAX_TOKENS if place % of == 0 else 10}


def test_a_strict_limit_holds_where_rows_are_not_alike() -> None:
    """Long rows fail at first, so that all that go again are long ones."""

    def answer(custom_id: str, params: dict[str, Any]) -> Any:
        long = params["max_tokens"] == MAX_TOKENS
        if long and stack.attempt_of(custom_id) == 1:
            return fails(custom_id, params)
        return answers_of(params["max_tokens"])(custom_id, params)

    stack = stack_of(max_requests=20, daily_limit="0.025", answer=answer)
    strictly(stack)
    watch = also_watched(stack)
    body = b"\n".join(row(f"row {place}", f"Hello {place}", **worst(place, 10)) for place in range(1, 41))
    stack.drop(KEY, body)
    for _ in range(90):
        stack.step(3600)
    assert stack.job().state is JobState.done
    assert watch.most_of("day") <= 25_000
    assert watch.wrong == []


def test_a_strict_limit_holds_where_a_batch_is_cut_in_two() -> None:
    """Its one dear row is cut off with others, and then alone: it has reserved what it costs all the time."""
    stack = stack_of(max_requests=40, daily_limit="0.025", answer=lambda *of: answers_of(of[1]["max_tokens"])(*of))
    strictly(stack)
    watch = also_watched(stack)
    poison(stack, b"poison")
    stack.claude.seconds = 3_600
    rows = [row(f"row {place}", "poison" if place == 2 else "Hello", **worst(place - 1, 40)) for place in range(1, 33)]
    stack.drop(KEY, b"\n".join(rows))
    until(stack, lambda: stack.batches(stack.jobs()[0])[0].requests == 1)
    for name in "abc":
        stack.drop(f"inbox/team/{name}.jsonl", dear_rows(1))
    for _ in range(40):
        stack.step(3600)
    assert {job.state for job in stack.jobs()} == {JobState.done}
    assert watch.most_of("day") <= 25_000
    assert watch.wrong == []


def test_pieces_of_a_batch_are_sized_by_their_own_rows() -> None:
    """A row that alone has its model counts where it lies, and nowhere else."""
    stack = stack_of(max_requests=40, answer=greet)
    poison(stack, b"poison")
    rows = [row(f"row {place}", "poison" if place == 2 else "Hello") for place in range(1, 33)]
    rows[29] = row("row 30", "Hello", model="claude-opus-4-5")
    stack.drop(KEY, b"\n".join(rows))
    (whole,) = stack.batches()
    stack.run()
    pieces = stack.batches()
    assert len(pieces) > 4
    assert reduce(added, (piece.sizes for piece in pieces)) == whole.sizes
    assert [piece.requests for piece in pieces] == [sum(size.requests for size in piece.sizes.values()) for piece in pieces]
    (its,) = (piece for piece in pieces if "claude-opus-4-5" in piece.sizes)
    assert its.first_line <= 30 <= its.last_line


def test_rows_that_are_gone_before_their_batch_is_cut() -> None:
    """They end, and what was reserved for them is given back at once."""
    stack = stack_of(1_000, max_requests=4)
    watch = Watch(stack)

    def deleted(body: bytes) -> Refused:
        stack.objects.purge(KEY)
        return Refused("too large", status=413, kind="request_too_large")

    refuse(stack, deleted)
    stack.drop(KEY, dear_rows(4))
    stack.run()
    assert stack.job().state is JobState.done
    assert (used(stack), stack.job().splits, stack.failures) == ((0, 0), 0, [])
    assert watch.wrong == []
