"""Questions and their answers: one code for one question, an approval of one amount, and what makes a job wait or ask again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.admission import is_waiting
from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import Refused
from batchdrop.domain.records import PILOT, Approval, Batch, Job, JobState, ObjectRef, Question
from batchdrop.ports import DEFAULT_HEADERS, ApiBatch
from tests.fakes.claude import FakeClaude, greet
from tests.money import ROW, answers_of, dear_rows, held, purses_kept, say, shown, stack_of, until
from tests.stack import Stack, row

KEY = "inbox/team/sub/file.jsonl"
ASK = "0.30"
"""Twenty rows may be tried unasked; what they cost leaves too little for the others."""
HAIKU = {"model": "claude-haiku-4-5", "input": 1, "output": 5, "write_5m": "1.25", "write_1h": 2, "read": "0.1"}


def prices(stack: Stack, *entries: dict[str, Any]) -> None:
    """`config/prices.json`; the stack looks once a minute."""
    stack.objects.drop(keys.PRICES, json.dumps(entries).encode())
    stack.clock.advance(60)


def asked(stack: Stack) -> Job:
    """After the pilot."""
    job = held(stack, "approval")
    assert job.question is not None
    assert not job.question.for_pilot
    return job


def asking(tokens: int = 3_000, rows: int = 60, **settings: Any) -> tuple[Stack, Job]:
    stack = stack_of(tokens, max_requests=10, ask_above=ASK, **settings)
    stack.drop(KEY, dear_rows(rows))
    return stack, asked(stack)


def sent(stack: Stack) -> int:
    """Requests, not batches."""
    return len(stack.claude.custom_ids())


def message(stack: Stack) -> str:
    text: str = stack.document("status.json")["message"]
    return text


# ---------------------------------------------------------------- the code


def test_another_amount_recipe_price_or_number_of_rows_is_another_question() -> None:
    stack, job = asking()
    pause, now = stack.poll.let_go.pause, stack.clock.now()
    rest = list(filter(is_waiting, stack.batches()))
    recipe = ObjectRef(bucket="bucket", key="inbox/team/recipe.yaml", version_id="1", etag="e", size=1)
    yes = Approval(code="abcdef", amount=1, key="k", version_id="v", at=now)

    def code(job: Job = job, rest: list[Batch] = rest) -> str:
        return pause.question(job, rest, now).code

    assert code() == code(rest=list(rest)) == (job.question and job.question.code)
    others = [
        code(replace(job, id="20261122T003115Z-aaaaaaaaaaaaaaaa")),
        code(replace(job, recipe=recipe)),
        code(replace(job, recipe=replace(recipe, version_id="2"))),
        code(replace(job, learned=None)),
        code(replace(job, used=job.used + 1)),
        code(replace(job, approvals=(yes,))),
        code(rest=rest[1:]),
        code(rest=[replace(rest[0], requests=rest[0].requests - 1), *rest[1:]]),
    ]
    prices(stack, HAIKU | {"output": 6})
    now = stack.clock.now()
    others.append(code())
    assert len({*others, job.question and job.question.code}) == len(others) + 1


def test_prices_that_change_while_it_waits_ask_anew() -> None:
    stack, job = asking()
    prices(stack, HAIKU | {"output": 10})
    stack.step()
    anew = stack.job()
    assert anew.question is not None
    assert job.question is not None
    assert anew.question.code != job.question.code
    assert anew.question.high > 1.5 * job.question.high
    assert anew.question.code in message(stack)
    say(stack, "approve", job)
    assert "Nothing was changed" in message(stack)
    assert stack.job().state is JobState.held
    say(stack, "approve", anew)
    stack.run(minutes=30)
    assert stack.job().state is JobState.done
    assert [yes.amount for yes in stack.job().approvals] == [anew.question.high]


# ---------------------------------------------------------------- the answer


@pytest.mark.parametrize(("folder", "slash"), [("", False), ("", True), ("team", False), ("team/sub", True)])
def test_a_yes(folder: str, slash: bool) -> None:
    stack, job = asking()
    key = say(stack, "approve", job, folder=folder, slash=slash)
    stack.run(minutes=30)
    assert job.question is not None
    assert stack.job().state is JobState.done
    (yes,) = stack.job().approvals
    assert (yes.code, yes.amount, yes.key) == (job.question.code, job.question.high, key)
    assert stack.job().may_use == job.question.may_use(job.used)
    assert stack.job().spent <= job.used + job.question.high
    assert list(purses_kept(stack.ledger)) == []


@pytest.mark.parametrize("folder", ["tea", "team2", "team/sub/file.jsonl", "sub", "TEAM", "team//sub", "/team"])
def test_a_yes_of_another_folder_counts_for_nothing(folder: str) -> None:
    stack, job = asking()
    say(stack, "approve", job, folder=folder)
    stack.run(minutes=5)
    assert (stack.job().state, stack.job().note, sent(stack)) == (JobState.held, "", 20)
    assert stack.metrics.totals["IgnoredCommands"] == 1


@pytest.mark.parametrize("code", ["", "-aaaaaa", "-AAAAAA", "-aaaaaaa", "-aaaaaa/x"])
def test_a_yes_without_its_code_counts_for_nothing(code: str) -> None:
    stack, job = asking()
    stack._control(f"control/approve/{job.id}{code}")
    stack.run(minutes=5)
    assert (stack.job().state, sent(stack)) == (JobState.held, 20)


def test_a_yes_twice_is_one_and_says_nothing_more() -> None:
    stack, job = asking()
    for _ in range(3):
        say(stack, "approve", job)
        stack.step()
    stack.run(minutes=30)
    say(stack, "approve", job)
    assert stack.job().state is JobState.done
    assert (len(stack.job().approvals), stack.job().note) == (1, "")
    assert shown(stack) == []


def test_a_yes_that_is_late_says_so() -> None:
    stack, job = asking()
    stack.command("cancel", job.id)
    say(stack, "approve", job)
    assert "There is nothing to approve: the job is being canceled." in message(stack)
    stack.run(minutes=30)
    assert stack.job().state is JobState.canceled
    say(stack, "approve", job)
    assert "There is nothing to approve: the job asks nothing now; it is stopped." in message(stack)
    assert sent(stack) == 20
    assert stack.job().approvals == ()
    assert list(purses_kept(stack.ledger)) == []


def test_a_job_that_asks_nothing_cannot_be_approved_in_advance() -> None:
    stack = stack_of(3_000, max_requests=10, ask_above=ASK)
    stack.drop(KEY, dear_rows(60))
    (job,) = stack.jobs()
    question = Question(code="aaaaaa", low=1, high=10**9, rows=60, asked_at=stack.clock.now())
    say(stack, "approve", replace(job, question=question))
    job = asked(stack)
    assert job.may_use == 0


def test_who_asks_and_dies_has_asked_all_the_same() -> None:
    """Before the status said so: nobody would know, and the job would end after 7 days."""
    stack = stack_of(3_000, max_requests=10, ask_above=ASK)
    died: list[str] = []

    def die(name: str) -> None:
        job = stack.jobs()[0] if stack.jobs() else None
        if not died and name == "objects.put" and job and job.question and not job.question.for_pilot:
            died.append(name)
            raise KeyboardInterrupt

    stack.drop(KEY, dear_rows(60))
    stack.hooks.before = die
    with pytest.raises(KeyboardInterrupt):
        until(stack, lambda: False)
    stack.hooks.clear()
    job = stack.job()
    assert job.question is not None
    assert job.question.code not in message(stack)
    stack.step()
    assert job.question.code in message(stack)


# ---------------------------------------------------------------- what an approval covers


def test_what_costs_more_than_was_approved_asks_again() -> None:
    """Answers grow once the pilot is back."""
    stack, job = asking(2_000, rows=100, queue_limit=10)
    stack.claude.answer = answers_of(4_000)
    say(stack, "approve", job)
    again = asked(stack)
    assert again.question is not None
    assert job.question is not None
    assert again.question.code != job.question.code
    assert again.question.rows < job.question.rows
    # It has seen what answers take by now.
    worst = 4_000 * 2.5 * again.question.rows
    assert 0.9 * worst < again.question.high
    assert (again.expected and again.expected.by) == "answered"
    assert "the rows that were answered have cost $0." in message(stack)
    assert stack.document("status.json")["estimate"]["known_by"] == "the rows of this file that were answered so far"
    # Ten rows were under way, which cost more than they had reserved.
    assert again.may_use
    assert again.used <= again.may_use + 10 * ROW
    rows_before = sent(stack)
    say(stack, "approve", job)
    stack.run(minutes=5)
    assert (sent(stack), stack.job().state) == (rows_before, JobState.held)
    say(stack, "approve", again)
    for _ in range(9):
        stack.run(minutes=20)
        if stack.job().state is JobState.held:
            say(stack, "approve", stack.job())
    assert stack.job().state is JobState.done
    assert list(purses_kept(stack.ledger)) == []


class Narrow(FakeClaude):
    """Refuses what has more requests than `most`, as a body that is too large."""

    most = 10**9

    def create(self, body: Path, headers: CallHeaders = DEFAULT_HEADERS, *, within: float = 600.0) -> ApiBatch:
        if len(json.loads(body.read_bytes())["requests"]) > self.most:
            raise Refused("too large", status=413, kind="request_too_large")
        return super().create(body, headers, within=within)


@pytest.mark.parametrize("rows", range(41, 55, 2))
def test_what_was_approved_pays_for_the_halves_of_a_batch(rows: int) -> None:
    """Each half is rounded up to a millionth of a dollar."""
    claude: list[Narrow] = []

    def api(clock: Any, hooks: Any) -> FakeClaude:
        claude.append(Narrow(clock, hooks, answer=answers_of(3_000)))
        return claude[0]

    stack = Stack(ask_above=ASK, max_requests=1_000, api=api)
    stack.drop(KEY, b"\n".join(row(f"row {number}", "long" * number, max_tokens=4_000) for number in range(rows)))
    job = asked(stack)
    assert job.question is not None
    claude[0].most = job.question.rows // 2 + 1
    say(stack, "approve", job)
    stack.run(minutes=60)
    assert stack.job().state is JobState.done


def test_what_is_within_what_was_approved_after_all_goes_on() -> None:
    stack, job = asking(2_000, rows=100, queue_limit=10)
    stack.claude.answer = answers_of(4_000)
    say(stack, "approve", job)
    again = asked(stack)
    assert again.question is not None
    stack.step()
    assert stack.job().state is JobState.held
    stack.ledger.jobs[again.id] = replace(stack.job(), may_use=stack.job().used + again.question.high)
    stack.step()
    assert stack.job().state is JobState.running


def test_the_estimate_of_a_job_that_is_paused_counts_what_is_at_the_api() -> None:
    stack = stack_of(4_000, daily_limit="0.31", max_requests=10)
    stack.claude.seconds = 3_600
    stack.drop(KEY, dear_rows(60))
    until(stack, lambda: stack.job().state is JobState.held)
    status = stack.document("status.json")
    cost, estimate = status["cost"], status["estimate"]
    assert cost["reserved_usd"] > 0
    assert estimate["low"] < 0.1 < cost["reserved_usd"]
    assert estimate["high"] >= 60 * 0.01


def test_rows_that_go_again_count_against_what_was_approved() -> None:
    stack, job = asking(3_000)
    failing = {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}}
    stack.claude.answer = lambda custom_id, params: failing
    say(stack, "approve", job)
    until(stack, lambda: any(batch.attempt == 2 and batch.reserved for batch in stack.batches()))
    again = [batch for batch in stack.batches() if batch.attempt == 2 and batch.reserved]
    assert all(batch.reserved > 7_000 * batch.requests for batch in again)
    stack.claude.answer = answers_of(3_000)
    stack.run(minutes=60)
    assert stack.job().state is JobState.done
    assert list(purses_kept(stack.ledger)) == []


def test_nobody_is_asked_within_what_a_team_may_use_in_a_day() -> None:
    """The sum of small files is what counts, by team and by day."""
    stack = stack_of(4_000, ask_above="0.05")
    for number in range(4):
        stack.drop(f"inbox/team/{number}/file.jsonl", dear_rows(2))
        stack.run(minutes=5)
    stack.drop("inbox/other/file.jsonl", dear_rows(2))
    stack.run(minutes=5)
    states = [(job.input.key.split("/")[1], job.state, job.needs) for job in stack.jobs()]
    assert states == [
        *[("team", JobState.done, "")] * 2,
        *[("team", JobState.held, "approval")] * 2,
        ("other", JobState.done, ""),
    ]
    stack.clock.advance((datetime(2026, 11, 23, tzinfo=UTC) - stack.clock.now()).total_seconds())
    stack.drop("inbox/team/new.jsonl", dear_rows(2))
    stack.run(minutes=5)
    assert [job.state for job in stack.jobs() if job.input.key == "inbox/team/new.jsonl"] == [JobState.done]


def test_a_folder_may_go_unattended_and_another_asks_at_once() -> None:
    stack = stack_of(4_000, ask_above="0.05")
    said = {"folders": {"free": {"ask_above_usd": 100}, "free/not": {"ask_above_usd": 0}}}
    stack.objects.drop(keys.LIMITS, json.dumps(said).encode())
    stack.drop("inbox/free/file.jsonl", dear_rows(10))
    stack.drop("inbox/free/not/file.jsonl", dear_rows(1))
    stack.run(minutes=10)
    found = {job.input.key: (job.state, job.needs) for job in stack.jobs()}
    assert found == {"inbox/free/file.jsonl": (JobState.done, ""), "inbox/free/not/file.jsonl": (JobState.held, "approval")}


# ---------------------------------------------------------------- without an answer


def test_after_seven_days_without_an_answer_it_ends() -> None:
    stack, job = asking()
    for _ in range(7 * 4 - 1):
        stack.step(6 * 3600)
    assert stack.job().state is JobState.held
    for _ in range(3):
        stack.step(6 * 3600)
    job = stack.job()
    assert job.state is JobState.canceled
    manifest = stack.document("manifest.json")
    assert "Nobody approved it within 7 days" in manifest["message"]
    assert (manifest["counts"]["succeeded"], manifest["counts"]["canceled"]) == (20, 40)
    assert sent(stack) == 20
    assert list(purses_kept(stack.ledger)) == []


def test_a_new_question_has_seven_days_of_its_own() -> None:
    stack, _ = asking()
    for _ in range(6 * 4):
        stack.step(6 * 3600)
    prices(stack, HAIKU | {"output": 10})
    for _ in range(6 * 4):
        stack.step(6 * 3600)
    assert stack.job().state is JobState.held
    for _ in range(6):
        stack.step(6 * 3600)
    assert stack.job().state is JobState.canceled


# ---------------------------------------------------------------- files of the operators


def test_with_faulty_prices_what_would_ask_waits_and_goes_on_when_they_are_mended() -> None:
    stack = stack_of(3_000, max_requests=10, ask_above=ASK)
    stack.objects.drop(keys.PRICES, b'{"default": 7}')
    stack.drop(KEY, dear_rows(60))
    stack.drop("inbox/other/cheap.jsonl", dear_rows(1))
    until(stack, lambda: stack.jobs()[0].needs == "price" and not stack.jobs()[0].trying)
    stack.run(minutes=10)
    dear, cheap = stack.jobs()
    assert (dear.state, dear.needs, cheap.state, sent(stack)) == (JobState.held, "price", JobState.done, 21)
    text = stack.document("status.json", dear)["message"]
    assert text.startswith(f"Waiting for an operator: {keys.PRICES}")
    say(stack, "approve", replace(dear, question=Question(code="aaaaaa", low=1, high=1, rows=1, asked_at=stack.clock.now())))
    assert "There is nothing to approve" in stack.document("status.json", dear)["message"]
    stack.objects.drop(keys.PRICES, b"[]")
    stack.run(minutes=3)
    dear, _ = stack.jobs()
    assert (dear.state, dear.needs) == (JobState.held, "approval")
    say(stack, "approve", dear)
    stack.run(minutes=30)
    assert [job.state for job in stack.jobs()] == [JobState.done] * 2


@pytest.mark.parametrize(
    ("limits", "where"),
    [
        (b'{"folders":\n {"merger/acme": {"day_usd": "-3"}}}', "on line 2"),
        (b'{"folders":\n {"merger/acme": {"day_usd": 1, "month_usb": 3}}}', "on line 2"),
        (b'{"folders": {"merger/acme": 1,\n "merger/acme": 2}}', "on line 2"),
        (b'{"folders": {"merger/acme/": {}}}', "on line 1"),
        (b'{"folders": {"merger/acme": {}} acme', "on line 1"),
        (b'{"folders": "acme%s"}' % (b" " * 70_000), "is faulty."),
    ],
)
def test_of_a_faulty_file_a_job_shows_the_line_and_none_of_its_words(limits: bytes, where: str) -> None:
    stack = stack_of(3_000, max_requests=10, ask_above=ASK)
    stack.objects.drop(keys.LIMITS, limits)
    stack.drop(KEY, dear_rows(60))
    until(stack, lambda: message(stack).startswith("Waiting for an operator: config/limits.json"))
    assert where in message(stack)
    shown = stack.output("status.json").decode()
    assert not any(word in shown for word in ("acme", "merger", "day_usd", "usb"))


def test_a_fault_after_the_approval_stops_it_too() -> None:
    stack, job = asking()
    stack.objects.drop(keys.PRICES, b"no prices")
    say(stack, "approve", job)
    stack.clock.advance(60)
    stack.run(minutes=10)
    assert (stack.job().state, stack.job().needs, sent(stack)) == (JobState.held, "price", 20)
    assert "config/prices.json" in message(stack)
    prices(stack)
    stack.run(minutes=30)
    assert stack.job().state is JobState.done
    assert len(stack.job().approvals) == 1


def test_a_model_without_a_price_waits_for_it_and_then_tries_some_rows() -> None:
    stack = stack_of(max_requests=10, ask_above=ASK)
    stack.drop(KEY, dear_rows(60, model="claude-new-7"))
    job = held(stack, "price")
    assert (sent(stack), job.question) == (0, None)
    assert "none is known of claude-new-7" in message(stack)
    assert "config/prices.json" in message(stack)
    for _ in range(4 * 8):
        stack.step(6 * 3600)
    assert (stack.job().state, sent(stack)) == (JobState.held, 0)
    prices(stack, HAIKU | {"model": "claude-new-7"})
    stack.claude.answer = lambda custom_id, params: answers_of(3_000)(custom_id, params | {"model": "claude-new-7"})
    job = asked(stack)
    assert sent(stack) == 20
    assert stack.batches()[0].name == PILOT
    say(stack, "approve", job)
    stack.run(minutes=30)
    assert stack.job().state is JobState.done
    assert stack.job().spent == 60 * (5 + 7_500)
    assert list(purses_kept(stack.ledger)) == []


def test_the_price_of_an_alias_is_one_of_its_dated_name() -> None:
    stack = stack_of(answer=greet, daily_limit="5")
    stack.drop(KEY, dear_rows(2, model="claude-new-7-20261101"))
    held(stack, "price")
    prices(stack, HAIKU | {"model": "claude-new-7"})
    stack.run(minutes=30)
    assert stack.job().state is JobState.done


def test_models_whose_names_are_not_kept_wait_for_another_upload() -> None:
    stack = stack_of(answer=greet, daily_limit="5", max_requests=50)
    stack.drop(KEY, b"\n".join(row(f"row {number}", model=f"claude-new-{number}") for number in range(25)))
    held(stack, "price")
    prices(stack, *(HAIKU | {"model": f"claude-new-{number}"} for number in range(25)))
    stack.run(minutes=30)
    assert sent(stack) == 0
    assert "names 20 models or more of which none is known" in message(stack)


def test_a_row_without_a_price_is_one_however_few_there_are() -> None:
    """Neither a pilot that does not draw it nor a share of its batch makes it none."""
    for seed in range(4):
        stack = stack_of(answer=greet, ask_above=ASK, max_requests=500)
        stack.drop(f"inbox/team/{seed}.jsonl", b"\n".join([dear_rows(199), row("new", model="claude-new-7")]))
        stack.run(minutes=10)
        assert (stack.job().state, stack.job().needs, sent(stack)) == (JobState.held, "price", 0)


def test_who_waits_for_a_price_hears_of_a_fault_in_its_file() -> None:
    stack = stack_of(answer=greet)
    stack.drop(KEY, dear_rows(2, model="claude-new-7"))
    held(stack, "price")
    stack.objects.drop(keys.PRICES, b'[\n{"model": 1}]')
    stack.clock.advance(60)
    stack.step()
    assert "config/prices.json is faulty on line 2" in message(stack)


def test_one_row_without_a_price_makes_the_file_wait() -> None:
    stack = stack_of(ask_above=ASK)
    stack.drop(KEY, b"\n".join([dear_rows(3), row("new", model="claude-new-7")]))
    held(stack, "price")
    assert sent(stack) == 0


def test_a_price_is_waited_for_where_nothing_is_limited_too() -> None:
    stack = stack_of(answer=greet)
    stack.drop(KEY, dear_rows(2, model="claude-new-7"))
    held(stack, "price")
    assert sent(stack) == 0


@pytest.mark.parametrize("way", ["deleted", "faulty"])
def test_a_price_that_is_gone_while_a_job_runs_is_waited_for(way: str) -> None:
    stack = stack_of(4_000, daily_limit="0.50", queue_limit=2)
    prices(stack, HAIKU | {"model": "claude-new-7"})
    stack.drop(KEY, dear_rows(8, model="claude-new-7"))
    until(stack, lambda: sent(stack) > 0)
    if way == "deleted":
        stack.objects.delete(keys.PRICES)
    else:
        stack.objects.drop(keys.PRICES, b'[{"model": 1}]')
    job = held(stack, "price")
    assert ("none is known of claude-new-7" if way == "deleted" else "config/prices.json is faulty on line 1") in job.reason
    rows_before = sent(stack)
    assert rows_before < 8
    stack.run(minutes=20)
    assert sent(stack) == rows_before
    prices(stack, HAIKU | {"model": "claude-new-7"})
    stack.run(minutes=30)
    assert stack.job().state is JobState.done
    assert list(purses_kept(stack.ledger)) == []


def test_what_is_at_the_api_when_prices_rise_is_billed_by_those_that_hold_when_it_is_collected() -> None:
    stack, job = asking(3_000)
    stack.claude.seconds = 600
    say(stack, "approve", job)
    until(stack, lambda: sent(stack) == 60)
    prices(stack, HAIKU | {"output": 20})
    stack.run(minutes=60)
    assert stack.job().state is JobState.done
    assert stack.job().spent == 20 * (5 + 7_500) + 40 * (5 + 30_000)
    assert list(purses_kept(stack.ledger)) == []


def test_when_prices_rise_the_rest_is_asked_about_again() -> None:
    stack, job = asking(3_000, rows=100, queue_limit=10)
    say(stack, "approve", job)
    until(stack, lambda: sent(stack) > 20)
    prices(stack, HAIKU | {"output": 20})
    again = asked(stack)
    assert again.question is not None
    assert again.may_use is not None
    assert again.used + again.question.high > again.may_use
    assert again.question.high > again.question.rows * 25_000
    say(stack, "approve", again)
    stack.run(minutes=60)
    assert stack.job().state is JobState.done
    assert len(stack.job().approvals) == 2
    assert list(purses_kept(stack.ledger)) == []
