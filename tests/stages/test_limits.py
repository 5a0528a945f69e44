"""Limits of the stack's day and month and of folders: nothing is admitted beyond, and what waits goes on by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.records import JobLimits, JobState, Purse
from batchdrop.domain.transitions import TERMINAL_JOB_STATES, Reserve
from tests.fakes.claude import Withheld
from tests.money import ROW, Watch, answers_of, dear_rows, held, purses_kept, say, shown, stack_of, until
from tests.stack import Stack

LATE = datetime(2026, 11, 22, 23, 50, tzinfo=UTC)
KEY = "inbox/team/sub/file.jsonl"


def limits(stack: Stack, **said: Any) -> None:
    """`config/limits.json`; the stack looks once a minute."""
    stack.objects.drop(keys.LIMITS, json.dumps(said).encode())
    stack.clock.advance(60)


def to(stack: Stack, moment: datetime) -> None:
    """Nothing happens until then."""
    stack.clock.advance((moment - stack.clock.now()).total_seconds())


def used(stack: Stack, purse: str) -> int:
    return stack.ledger.get_purses([purse])[0].used


def sent(stack: Stack) -> int:
    return len(stack.claude.ids)


FOLDER_LIMITS: dict[str, dict[str, Any]] = {
    "its own": {"folders": {"team/sub": {"day_usd": "0.05"}}},
    "one above": {"folders": {"team": {"day_usd": "0.05"}}},
    "default": {"default": {"day_usd": "0.05"}},
    "the smaller of two": {"folders": {"team": {"day_usd": "0.05"}, "team/sub": {"day_usd": 100}}},
}


def limited(where: str) -> Stack:
    """Two batches of two rows fit, and no third one."""
    if where == "stack":
        return stack_of(4_000, daily_limit="0.05")
    stack = stack_of(4_000)
    limits(stack, **FOLDER_LIMITS[where])
    return stack


@pytest.mark.parametrize("where", ["stack", *FOLDER_LIMITS])
def test_nothing_is_admitted_beyond_a_day_and_the_rest_goes_on_the_next(where: str) -> None:
    stack = limited(where)
    watch = Watch(stack)
    stack.drop(KEY, dear_rows(10))
    job = held(stack, "limit")
    assert sent(stack) == 2
    assert 0.04e6 < job.used == job.spent <= 0.05e6
    status = stack.document("status.json")
    assert (status["state"], status["needs"]) == ("held", "limit")
    words = {"stack": "of this stack", "its own": "of the folder team/sub"}.get(where, "of the folder team")
    assert f"Today's limit {words}, $0.05, has $0.0" in status["message"]
    assert "6 rows that are not sent yet will cost" in status["message"]
    place = {"stack": "DailyLimitUsd", "its own": "day_usd of team/sub in", "default": "day_usd of default in"}
    assert f"an operator raises it ({place.get(where, 'day_usd of team in')}" in status["message"]
    assert "go on by themselves on 2026-11-23" in status["message"]
    assert job.question is not None
    assert f"the code {job.question.code} lifts it" in status["message"]
    assert f"-{job.question.code}" in status["next"]["command"]
    to(stack, datetime(2026, 11, 22, 23, 58, tzinfo=UTC))
    stack.step()
    assert sent(stack) == 2
    stack.step()
    stack.step()
    assert sent(stack) == 4
    until(stack, lambda: stack.job().state in TERMINAL_JOB_STATES, steps=72, seconds=3600)
    assert stack.job().state is JobState.done
    assert sent(stack) == 5
    assert watch.wrong == []
    assert list(purses_kept(stack.ledger)) == []
    assert watch.most_of("day") <= 0.05e6
    assert stack.audit() == []


def test_a_month_holds_as_a_day_does_and_turns_in_utc() -> None:
    stack = stack_of(4_000, monthly_limit="0.05", daily_limit="10")
    stack.drop(KEY, dear_rows(6))
    held(stack, "limit")
    assert "go on by themselves on 2026-12-01" in stack.document("status.json")["message"]
    to(stack, datetime(2026, 11, 30, 23, 58, 30, tzinfo=UTC))
    stack.step()
    assert (sent(stack), stack.job().state) == (2, JobState.held)
    stack.step()
    stack.step()
    assert sent(stack) == 3
    stack.run()
    assert stack.job().state is JobState.done
    assert used(stack, "month 2026-11") == 4 * ROW + 4 * 5
    assert used(stack, "month 2026-12") == 2 * ROW + 2 * 5
    assert list(purses_kept(stack.ledger)) == []


def test_a_batch_settles_in_the_purses_of_its_admission() -> None:
    stack = stack_of(1_000, daily_limit="0.05")
    stack.clock.advance((LATE - stack.clock.now()).total_seconds())
    stack.claude.seconds = 3600
    stack.drop(KEY, dear_rows(6))
    until(stack, lambda: sent(stack) == 2)
    until(stack, lambda: stack.clock.now().day == 23 and sent(stack) == 3)
    assert used(stack, "day 2026-11-22") > 4 * ROW
    stack.run()
    assert (used(stack, "day 2026-11-22"), used(stack, "day 2026-11-23")) == (4 * 2_505, 2 * 2_505)
    assert list(purses_kept(stack.ledger)) == []


def test_what_comes_back_from_a_batch_lets_the_next_one_go() -> None:
    """Batches reserve what they cost at worst, and cost a quarter."""
    stack = stack_of(1_000, daily_limit="0.05")
    watch = Watch(stack)
    stack.drop(KEY, dear_rows(12))
    stack.run(minutes=60)
    assert stack.job().state is JobState.done
    assert watch.most["day 2026-11-22"] <= 0.05e6
    assert used(stack, "day 2026-11-22") == 12 * 2_505
    assert watch.wrong == []


def test_a_folder_that_is_not_named_does_not_count_against_another() -> None:
    stack = stack_of(4_000)
    limits(stack, folders={"a": {"day_usd": "0.03"}, "a/b": {"month_usd": "0.03"}})
    for key in ("inbox/a/b/one.jsonl", "inbox/a/c/two.jsonl", "inbox/ab/three.jsonl", "inbox/four.jsonl"):
        stack.drop(key, dear_rows(2))
    stack.run(minutes=30)
    states = {job.input.key: (job.state, job.needs) for job in stack.jobs()}
    assert states == {
        "inbox/a/b/one.jsonl": (JobState.done, ""),
        "inbox/a/c/two.jsonl": (JobState.held, "limit"),
        "inbox/ab/three.jsonl": (JobState.done, ""),
        "inbox/four.jsonl": (JobState.done, ""),
    }
    assert shown(stack) == []


def test_ten_named_folders_one_within_the_other_all_hold() -> None:
    path = "/".join("abcdefghij")
    folders = {path[: 2 * depth + 1]: {"day_usd": 1, "month_usd": 1} for depth in range(10)}
    stack = stack_of(4_000, ask_above="5", daily_limit="1")
    limits(stack, folders=folders)
    stack.drop(f"inbox/{path}/k/file.jsonl", dear_rows(2))
    stack.run(minutes=30)
    (job,) = stack.jobs()
    assert job.state is JobState.done
    assert len(stack.batches()[0].purses) == 2 + 2 * 10 + 1
    assert {stack.ledger.purses[name].used for name in stack.batches()[0].purses} == {job.spent}


def test_a_limit_of_nothing_lets_nothing_go() -> None:
    """Not even rows of which nobody knows what they cost."""
    stack = stack_of(4_000)
    limits(stack, folders={"team": {"day_usd": 0}})
    stack.drop(KEY, dear_rows(2))
    stack.drop("inbox/team/cheap.jsonl", dear_rows(1, model="claude-haiku-4-5"))
    stack.run(minutes=10)
    assert [(job.state, job.needs) for job in stack.jobs()] == [(JobState.held, "limit")] * 2
    assert sent(stack) == 0


def test_those_that_wait_go_on_in_their_order_and_through_the_limits_again() -> None:
    stack = stack_of(4_000, daily_limit="0.03")
    for number in range(4):
        stack.drop(f"inbox/team/{number}.jsonl", dear_rows(2))
        stack.step()
    ended: list[str] = []
    for _ in range(24 * 5):
        stack.step(3600)
        assert sent(stack) <= 1 + (stack.clock.now() - datetime(2026, 11, 22, tzinfo=UTC)).days
        ended += [job.input.key for job in stack.jobs() if job.state is JobState.done and job.input.key not in ended]
        assert shown(stack) == []
    assert ended == [f"inbox/team/{number}.jsonl" for number in range(4)]
    assert list(purses_kept(stack.ledger)) == []


def test_nobody_is_asked_for_seven_days_and_a_limit_takes_as_long_as_it_takes() -> None:
    stack = stack_of(4_000, monthly_limit="0.03")
    to(stack, datetime(2026, 12, 1, tzinfo=UTC))
    stack.drop(KEY, dear_rows(4))
    for _ in range(4 * 32):
        stack.step(6 * 3600)
    assert stack.job().state is JobState.done
    assert stack.document("manifest.json")["counts"]["succeeded"] == 4


def test_a_limit_that_is_raised_lets_go_what_waits() -> None:
    stack = stack_of(4_000)
    limits(stack, folders={"team": {"month_usd": "0.03"}})
    stack.drop(KEY, dear_rows(4))
    held(stack, "limit")
    limits(stack, folders={"team": {"month_usd": "0.05"}})
    stack.run(minutes=10)
    assert stack.job().state is JobState.done


@pytest.mark.parametrize("ask_above", ["", "100"])
@pytest.mark.parametrize("fault", [b'{"folders": {"team": {"day_us": 2}}}', b"{", None])
def test_a_typo_frees_no_money(fault: bytes | None, ask_above: str) -> None:
    """Neither of a job that waits for a limit nor of one that comes later, of whatever folder."""
    stack = stack_of(4_000, ask_above=ask_above)
    limits(stack, folders={"team": {"day_usd": "0.05"}})
    stack.drop(KEY, dear_rows(10))
    job = held(stack, "limit")
    before = sent(stack)
    mended = False
    if fault is None:
        stack.objects.forbid(keys.LIMITS, head=True, when=lambda: not mended)
    else:
        stack.objects.drop(keys.LIMITS, fault)
    stack.clock.advance(60)
    stack.drop("inbox/other/file.jsonl", dear_rows(2))
    stack.run(minutes=10)
    assert sent(stack) == before
    waiting = [stack.document("status.json", job) for job in stack.jobs()]
    assert [status["state"] for status in waiting] == ["held", "held"]
    other = next(status for status in waiting if status["job_id"] != job.id)
    assert other["message"].startswith("Waiting for an operator: config/limits.json ")
    assert "Until then nothing more is sent, since nobody knows what a folder may cost." in other["message"]
    mended = True
    limits(stack, folders={"team": {"day_usd": "0.05"}})
    stack.run(minutes=30)
    assert [job.state for job in stack.jobs()] == [JobState.held, JobState.done]
    assert stack.jobs()[0].needs == "limit"


# ---------------------------------------------------------------- control/raise


def test_a_raise_lifts_it_for_one_job_by_the_amount_that_was_shown() -> None:
    stack = stack_of(4_000, daily_limit="0.03")
    watch = Watch(stack)
    stack.drop(KEY, dear_rows(6))
    job = held(stack, "limit")
    stack.step()
    used = stack.job().used
    stack.drop("inbox/team/other.jsonl", dear_rows(2))
    key = say(stack, "raise", stack.ledger.jobs[job.id], slash=True)
    stack.run(minutes=30)
    job, other = stack.jobs()
    assert (job.state, other.state, other.needs) == (JobState.done, JobState.held, "limit")
    (yes,) = job.approvals
    assert (yes.key, job.raised_to) == (key, used + yes.amount)
    assert 4 * ROW < yes.amount < 4.1 * ROW
    assert watch.most["day 2026-11-22"] <= 0.03e6 + yes.amount
    assert watch.wrong == []
    assert shown(stack) == []


def test_a_raise_by_its_folder_and_by_no_other() -> None:
    stack = stack_of(4_000, daily_limit="0.03")
    stack.drop(KEY, dear_rows(4))
    job = held(stack, "limit")
    say(stack, "raise", job, folder="team/sub/none")
    say(stack, "raise", job, folder="tea")
    stack.run(minutes=5)
    assert stack.job().state is JobState.held
    assert stack.job().note == ""
    assert stack.metrics.totals["IgnoredCommands"] == 2
    say(stack, "raise", stack.job(), folder="team")
    stack.run(minutes=5)
    assert stack.job().state is JobState.done


def test_a_code_of_another_question_raises_nothing() -> None:
    stack = stack_of(4_000, daily_limit="0.03")
    stack.drop(KEY, dear_rows(6))
    first = held(stack, "limit")
    say(stack, "raise", first, code="aaaaaa")
    stack.command("raise", first.id)
    assert "that code does not belong to what is asked now" in stack.document("status.json")["message"]
    to(stack, datetime(2026, 11, 23, 0, 1, tzinfo=UTC))
    held(stack, "limit")
    until(stack, lambda: sent(stack) == 2)
    second = held(stack, "limit")
    assert second.question is not None
    assert first.question is not None
    assert second.question.code != first.question.code
    say(stack, "raise", first)
    stack.run(minutes=5)
    assert (stack.job().state, stack.job().raised_to, sent(stack)) == (JobState.held, 0, 2)


def test_one_raise_that_is_delivered_again_and_again_raises_once() -> None:
    stack = stack_of(4_000, daily_limit="0.03", queue_limit=2)
    stack.drop(KEY, dear_rows(8))
    job = held(stack, "limit")
    say(stack, "raise", job)
    raised_to = stack.job().raised_to
    for _ in range(4):
        say(stack, "raise", job)
        stack.step()
    assert (len(stack.job().approvals), stack.job().raised_to) == (1, raised_to)


def test_a_raise_is_used_once_and_not_on_each_later_day() -> None:
    """A batch goes beyond the limits as long as it is paid from what was raised, and the transaction judges that too."""
    stack = stack_of(4_000, daily_limit="0.03")
    stack.drop(KEY, dear_rows(6))
    say(stack, "raise", held(stack, "limit"))
    stack.run(minutes=30)
    job = stack.job()
    assert job.state is JobState.done
    assert job.used <= job.raised_to < job.used + ROW
    batch = stack.batches()[0]
    for used, goes in ((job.raised_to - 2 * ROW - 1_000, True), (job.raised_to - ROW, False)):
        reserve = stack.poll.let_go.budget.reserve(replace(job, used=used), batch, stack.clock.now())
        assert isinstance(reserve, Reserve) is goes
        if isinstance(reserve, Reserve):
            assert reserve.may_use == job.raised_to
            assert {charge.limit for charge in reserve.charges} == {None}
    to(stack, LATE.replace(day=24))
    assert isinstance(stack.poll.let_go.budget.reserve(replace(job, used=job.raised_to), batch, stack.clock.now()), Reserve)


def test_an_approval_passes_no_limit() -> None:
    stack = stack_of(4_000, ask_above="0.001", daily_limit="0.21")
    stack.drop(KEY, dear_rows(30))
    say(stack, "approve", held(stack, "approval"))  # 20 rows are tried
    say(stack, "approve", held(stack, "approval"))
    held(stack, "limit")
    stack.step()
    limited = stack.job()
    assert sent(stack) == 1
    say(stack, "approve", limited)
    assert "There is nothing to approve" in stack.document("status.json")["message"]
    stack.run(minutes=5)
    assert (sent(stack), stack.job().state) == (1, JobState.held)
    say(stack, "raise", limited)
    stack.run(minutes=30)
    assert stack.job().state is JobState.done
    assert len(stack.job().approvals) == 3
    assert list(purses_kept(stack.ledger)) == []


def test_a_job_that_waits_for_a_limit_can_be_canceled() -> None:
    stack = stack_of(4_000, daily_limit="0.03")
    stack.drop(KEY, dear_rows(6))
    job = held(stack, "limit")
    stack.command("cancel", job.id)
    say(stack, "raise", job)
    stack.run(minutes=30)
    assert stack.job().state is JobState.canceled
    assert sent(stack) == 1
    manifest = stack.document("manifest.json")
    assert (manifest["counts"]["succeeded"], manifest["counts"]["canceled"]) == (2, 4)
    assert list(purses_kept(stack.ledger)) == []


def test_jobs_of_earlier_versions_are_not_asked_and_are_limited() -> None:
    stack = stack_of(4_000, ask_above="0.001", daily_limit="0.03")
    upload = stack.drop(KEY, dear_rows(6), deliver=False)

    def opened(name: str) -> None:
        if name == "ledger.commit.opened":
            of_before(stack)

    stack.hooks.after = opened
    stack.deliver(upload)
    stack.hooks.clear()
    job = held(stack, "limit")
    assert (job.may_use, job.question is not None, sent(stack)) == (None, True, 1)
    until(stack, lambda: stack.job().state is JobState.done, steps=4 * 24, seconds=3600)


def of_before(stack: Stack) -> None:
    """As version 0.1.0 would have opened it."""
    stack.ledger.jobs = {job.id: replace(job, may_use=None) for job in stack.jobs()}


def test_a_batch_without_sizes_meets_a_limit_that_is_used_up() -> None:
    """Version 0.1.0 has stored none, and nobody knows what it costs."""
    stack = stack_of(4_000, daily_limit="0.03")
    stack.switch.text = "pause"
    stack.drop("inbox/team/old.jsonl", dear_rows(4))
    of_before(stack)
    stack.ledger.stored = {key: replace(batch, sizes={}) for key, batch in stack.ledger.stored.items()}
    stack.ledger.purses["day 2026-11-22"] = Purse(name="day 2026-11-22", used=30_000, spent=30_000)
    stack.switch.text = "run"
    stack.run(minutes=10)
    assert sent(stack) == 0
    assert (stack.job().state, stack.job().needs) == (JobState.held, "limit")


def test_none_that_waits_hides_another() -> None:
    """More jobs wait for the month than a tick looks at; another one only for tomorrow."""
    stack = stack_of(4_000, max_requests=10)
    limits(stack, folders={"a": {"month_usd": "0.001"}, "b": {"day_usd": "0.015"}})
    stack.drop("inbox/b/first.jsonl", dear_rows(1))
    for number in range(250):
        stack.drop(f"inbox/a/{number}.jsonl", dear_rows(1))
    stack.drop("inbox/b/last.jsonl", dear_rows(1))
    last = next(job for job in stack.jobs() if job.input.key == "inbox/b/last.jsonl")
    assert (last.state, last.needs) == (JobState.held, "limit")
    to(stack, datetime(2026, 11, 23, 0, 1, tzinfo=UTC))
    for _ in range(10):
        stack.step()
    by_key = {job.input.key: job.state for job in stack.jobs()}
    assert by_key["inbox/b/last.jsonl"] is JobState.done


def test_a_batch_that_fits_into_no_day_says_so() -> None:
    stack = stack_of(4_000, daily_limit="0.015")
    stack.drop(KEY, dear_rows(2))
    job = held(stack, "limit")
    message = stack.document("status.json")["message"]
    assert "by themselves" not in message
    assert "They go on when an operator raises it" in message
    say(stack, "raise", job)
    stack.run(minutes=5)
    assert stack.job().state is JobState.done


def test_a_plan_looks_at_its_limits_once_however_many_batches_there_are() -> None:
    stack = stack_of(40, daily_limit="50")
    stack.switch.text = "pause"
    stack.drop(KEY, dear_rows(200))
    assert stack.job().batches_total == 100
    assert stack.hooks.calls.count("ledger.get_purses") < 10


def test_a_file_that_fits_into_no_day_at_worst_is_tried_first() -> None:
    """Its answers are short, and nobody is asked about anything."""
    stack = stack_of(40, max_requests=100, daily_limit="0.30")
    stack.drop(KEY, dear_rows(60))
    stack.run(minutes=30)
    assert (stack.job().state, stack.job().tried) == (JobState.done, 20)
    assert list(purses_kept(stack.ledger)) == []


def test_of_two_limits_the_one_that_waits_longer_is_told() -> None:
    stack = stack_of(4_000, daily_limit="0.03")
    limits(stack, folders={"team/sub": {"month_usd": "0.03"}})
    stack.drop(KEY, dear_rows(4))
    held(stack, "limit")
    stack.step()
    message = stack.document("status.json")["message"]
    assert "This month's limit of the folder team/sub, $0.03" in message
    assert "on 2026-12-01" in message


def test_how_far_a_limit_may_be_exceeded_is_said() -> None:
    """The rows that were tried have short answers, all others the longest there may be."""
    seen: dict[str, None] = {}

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object] | Withheld:
        seen.setdefault(custom_id)
        return answers_of(40 if list(seen).index(custom_id) < 20 else 4_000)(custom_id, params)

    stack = stack_of(max_requests=100, answer=answer, daily_limit="0.21")
    stack.drop(KEY, dear_rows(2_520))
    until(stack, lambda: stack.job().needs == "limit")
    under_way = [batch for batch in stack.ledger.stored.values() if batch.reserved]
    said = re.search(
        r"Its rows at the API may cost up to \$([\d.]+) more than is reserved", stack.document("status.json")["message"]
    )
    assert said is not None
    most = float(said[1]) * 1e6
    assert most == pytest.approx(sum(batch.requests * ROW - batch.reserved for batch in under_way), rel=0.02)
    until(stack, lambda: not stack.ledger.get_admission().queued and stack.job().batches_ended == stack.job().batches_collected)
    assert 0.21e6 + most / 2 < used(stack, "day 2026-11-22") <= 0.21e6 + most
    stack.step()
    assert "more than is reserved" not in stack.document("status.json")["message"]


# ---------------------------------------------------------------- a file of limits that cannot be used


@pytest.mark.parametrize("approved", [True, False])
def test_a_fault_in_the_limits_lifts_none(approved: bool) -> None:
    """Nobody knows then what the folder may spend."""
    stack = stack_of(4_000, ask_above="0.001" if approved else "")
    limits(stack, folders={"team": {"day_usd": "0.21"}})
    stack.drop(KEY, dear_rows(30))
    for _ in range(2 * approved):
        say(stack, "approve", held(stack, "approval"))
    held(stack, "limit")
    stack.step()
    before = sent(stack)
    stack.objects.drop(keys.LIMITS, b'{"folders": {"team": {"day_usd": "x"}}}')
    stack.run(minutes=10)
    job = stack.job()
    assert (job.state, job.needs, sent(stack)) == (JobState.held, "price", before)
    assert "config/limits.json" in stack.document("status.json")["message"]
    assert shown(stack) == []
    limits(stack, folders={"team": {"day_usd": "10"}})
    stack.run(minutes=30)
    assert stack.job().state is JobState.done
    assert list(purses_kept(stack.ledger)) == []


# ---------------------------------------------------------------- the limit of a recipe


def test_a_job_never_costs_more_than_its_recipe_allows_and_a_raise_is_for_an_operator() -> None:
    stack = stack_of(4_000)

    def opened(name: str) -> None:
        if name == "ledger.commit.opened":
            stack.ledger.jobs = {job.id: replace(job, limits=JobLimits(most=45_000)) for job in stack.jobs()}

    stack.hooks.after = opened
    stack.drop(KEY, dear_rows(6))
    held(stack, "limit")
    stack.step()
    job = stack.job()
    assert (sent(stack), job.used) == (2, 4 * (ROW + 5))
    message = stack.document("status.json")["message"]
    assert "$0.045" in message
    assert "by themselves" not in message
    say(stack, "approve", job)
    to(stack, datetime(2027, 1, 1, tzinfo=UTC))
    stack.run(minutes=5)
    assert (stack.job().state, sent(stack)) == (JobState.held, 2)
    say(stack, "raise", stack.job())
    stack.run(minutes=10)
    assert stack.job().state is JobState.done
    assert list(purses_kept(stack.ledger)) == []
