"""Cancel, retry, approve: in every state, twice, and for jobs that are not there."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from batchdrop.domain import ids, transitions
from batchdrop.domain.errors import ConfigurationError, Unavailable
from batchdrop.domain.messages import Dropped, Queue, RetryJob
from batchdrop.domain.records import BatchState, JobState
from batchdrop.stages.poll import tick
from tests.fakes.claude import Withheld
from tests.faults.scenarios import EXPIRED
from tests.stack import Stack, rows
from tests.stages.harm import LOST, fail, minutes, refused


def dropped(lines: int = 4, queue_limit: int = 100_000) -> Stack:
    stack = Stack(max_requests=2, queue_limit=queue_limit)
    stack.drop("inbox/a.jsonl", rows(lines))
    return stack


def cancel(stack: Stack) -> None:
    stack.command("cancel", stack.job().id)


def canceled(stack: Stack, *, sent: int, lines: int = 4) -> None:
    """The job has ended as canceled, with every row in one of the files."""
    stack.run()
    assert stack.job().state is JobState.canceled
    assert stack.document("manifest.json")["state"] == "canceled"
    assert len(stack.claude.custom_ids()) == sent
    assert len(stack.lines("results.jsonl")) + len(stack.lines("failed.jsonl")) == lines
    assert stack.ledger.get_admission().queued == 0
    assert stack.audit() == []


class TestCancel:
    def test_before_anything_was_sent(self) -> None:
        stack = dropped()
        cancel(stack)
        canceled(stack, sent=0)
        assert {line["_batchdrop"]["attempts"] for line in stack.lines("failed.jsonl")} == {0}

    def test_before_the_file_is_looked_at(self) -> None:
        """A program that drops a file and cancels it at once; S3's events come in any order."""
        stack = Stack()
        upload = stack.drop("inbox/a.jsonl", rows(4), deliver=False)
        file = stack.objects.head("inbox/a.jsonl")
        stack.command("cancel", ids.job_id(file.ref, file.written_at))
        assert "IgnoredCommands" not in stack.metrics.totals
        stack.claude.seconds = 100_000
        stack.deliver(upload)
        canceled(stack, sent=4)
        assert stack.failures == []

    def test_a_job_that_never_comes_is_not_waited_for_long(self) -> None:
        stack = dropped()
        stack.run()
        now = stack.clock.now()
        for moment in (now, now + timedelta(days=1)):
            stack.command("cancel", f"{moment:%Y%m%dT%H%M%SZ}-aaaaaaaaaaaaaaaa")
        stack.command("cancel", "20261399T250000Z-aaaaaaaaaaaaaaaa")
        assert stack.metrics.totals["IgnoredCommands"] == 2
        minutes(stack, 30)
        assert stack.metrics.totals["IgnoredCommands"] == 3
        assert (stack.commands, stack.failures) == ([], [])

    def test_while_waiting_for_room(self) -> None:
        stack = dropped(queue_limit=2)
        stack.pump()
        cancel(stack)
        canceled(stack, sent=2)

    def test_at_the_api(self) -> None:
        stack = dropped()
        stack.claude.seconds = 100_000
        stack.pump()
        cancel(stack)
        assert {batch.state for batch in stack.batches()} == {BatchState.canceling}
        canceled(stack, sent=4)

    def test_the_api_does_not_let_go_at_once(self) -> None:
        stack = dropped()
        stack.claude.seconds = 100_000
        stack.pump()
        fail(stack, "claude.cancel", Unavailable("busy"), times=6)
        cancel(stack)
        assert {batch.state for batch in stack.batches()} == {BatchState.in_progress}
        canceled(stack, sent=4)

    def test_of_more_jobs_than_a_tick_looks_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first ones take their time at the API, which must cost the others no row."""
        monkeypatch.setattr(tick, "CANCELING", 2)
        stack = Stack()
        stack.claude.seconds = stack.claude.cancel_seconds = 100_000
        for number in range(5):
            stack.drop(f"inbox/{number}.jsonl", rows(1))
        stack.pump()
        fail(stack, "claude.cancel", Unavailable("busy"), times=5)
        for job in stack.jobs():
            stack.command("cancel", job.id)
        stack.hooks.clear()
        assert {batch.state for batch in stack.ledger.stored.values()} == {BatchState.in_progress}
        for _ in range(3):
            stack.step()
        assert {batch.state for batch in stack.ledger.stored.values()} == {BatchState.canceling}

    def test_of_a_job_behind_one_that_cannot_be_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stack = Stack()
        stack.claude.seconds = stack.claude.cancel_seconds = 100_000
        stack.drop("inbox/closed/a.csv", b"text\none\n")
        stack.pump()
        put = stack.objects.put

        def closed(key: str, *arguments: Any, **options: Any) -> bool:
            if key.startswith("outbox/closed/"):
                raise ConfigurationError("a bucket policy denies it")
            return put(key, *arguments, **options)

        monkeypatch.setattr(stack.objects, "put", closed)
        stack.ledger.commit(transitions.cancel_requested(stack.job(), "Canceled."))
        stack.clock.advance(60)
        stack.drop("inbox/open/a.jsonl", rows(1))
        stack.pump()
        fail(stack, "claude.cancel", Unavailable("busy"))
        stack.command("cancel", stack.jobs()[1].id)
        stack.hooks.clear()
        for _ in range(3):
            stack.step()
        assert {batch.state for batch in stack.ledger.stored.values()} == {BatchState.canceling}
        assert any(isinstance(error, ConfigurationError) for _, error in stack.failures)

    def test_while_a_create_is_under_way_and_then_refused(self) -> None:
        stack = dropped(2)

        def cancel_then_refuse(name: str) -> None:
            if name == "claude.create":
                stack.hooks.clear()
                cancel(stack)
                raise refused(429, "rate_limit_error")

        stack.hooks.before = cancel_then_refuse
        canceled(stack, sent=0, lines=2)

    def test_while_a_create_is_under_way_and_then_accepted(self) -> None:
        stack = dropped(2)
        stack.claude.seconds = 100_000

        def cancel_first(name: str) -> None:
            if name == "claude.create":
                stack.hooks.clear()
                cancel(stack)

        stack.hooks.before = cancel_first
        stack.pump()
        assert stack.batches()[0].state is BatchState.canceling
        canceled(stack, sent=2, lines=2)

    @pytest.mark.parametrize("accepted", [True, False])
    def test_of_a_create_without_an_answer(self, accepted: bool) -> None:
        stack = dropped(2)
        fail(stack, "claude.create", LOST, after=accepted)
        stack.pump()
        stack.hooks.clear()
        cancel(stack)
        canceled(stack, sent=2 if accepted else 0, lines=2)

    def test_keeps_every_row_that_has_finished(self) -> None:
        stack = dropped(queue_limit=2)
        stack.pump()
        stack.clock.advance(60)
        stack.claude.seconds = 100_000
        stack.tick()
        stack.pump()
        cancel(stack)
        canceled(stack, sent=4)
        assert [line["line"] for line in stack.lines("results.jsonl")] == [1, 2]
        assert [line["_batchdrop"]["line"] for line in stack.lines("failed.jsonl")] == [3, 4]

    def test_nothing_is_tried_again(self) -> None:
        stack = dropped(2)
        stack.claude.answer = lambda custom_id, params: EXPIRED
        stack.pump()
        stack.clock.advance(60)
        cancel(stack)
        canceled(stack, sent=2, lines=2)

    @pytest.mark.parametrize("moment", ["claude._results", "ledger.commit.collected"])
    def test_while_the_results_are_being_collected(self, moment: str) -> None:
        """The follow-up is not opened any more, however close the cancel comes."""
        stack = dropped(2)
        stack.claude.answer = lambda custom_id, params: EXPIRED

        def cancel_now(name: str) -> None:
            if name == moment:
                stack.hooks.clear()
                cancel(stack)

        stack.hooks.before = cancel_now
        canceled(stack, sent=2, lines=2)
        assert len(stack.batches()) == 1

    def test_while_planning(self) -> None:
        stack = Stack(max_requests=2)

        def cancel_now(name: str) -> None:
            if name == "ledger.commit.added":
                stack.hooks.clear()
                cancel(stack)

        stack.hooks.before = cancel_now
        stack.drop("inbox/a.jsonl", rows(4))
        canceled(stack, sent=0)

    def test_too_late(self) -> None:
        stack = dropped()
        stack.run()
        cancel(stack)
        assert stack.job().state is JobState.done
        assert "too late" in stack.document("status.json")["message"]

    def test_twice(self) -> None:
        stack = dropped()
        stack.pump()
        cancel(stack)
        cancel(stack)
        canceled(stack, sent=4)

    def test_its_failed_rows_can_be_dropped_again(self) -> None:
        stack = dropped()
        cancel(stack)
        stack.run()
        stack.clock.advance(1)
        stack.drop("inbox/b.jsonl", stack.output("failed.jsonl"))
        stack.run()
        second = stack.jobs()[-1]
        assert [line["custom_id"] for line in stack.lines("results.jsonl", second)] == [f"row {i}" for i in range(1, 5)]


class TestRetry:
    def test_runs_the_rows_that_may_work_next_time(self) -> None:
        stack = Stack(max_attempts=1)
        stack.claude.answer = lambda custom_id, params: EXPIRED
        stack.drop("inbox/team/a.jsonl", b"bad\n" + rows(3))
        stack.run()
        job = stack.job()
        stack.command("retry", job.id)
        key = f"inbox/team/a.retry-of-{job.id}.jsonl"
        assert f"3 failed rows were put in again as {key}" in stack.document("status.json", job)["message"]
        again = [json.loads(line) for line in stack.objects.body(key).splitlines()]
        assert [line["_batchdrop"]["line"] for line in again] == [2, 3, 4]

    def test_twice_drops_one_file(self) -> None:
        stack = Stack(max_attempts=1)
        stack.claude.answer = lambda custom_id, params: EXPIRED
        stack.drop("inbox/a.jsonl", rows(1))
        stack.run()
        for _ in range(2):
            stack.command("retry", stack.job().id)
        assert stack.objects.count_versions(f"inbox/a.retry-of-{stack.job().id}.jsonl") == 1

    def test_what_may_have_been_paid_is_not_asked_again(self) -> None:
        stack = Stack(max_attempts=1)
        stack.claude.answer = lambda custom_id, params: Withheld("succeeded") if custom_id.endswith("-2") else EXPIRED
        stack.drop("inbox/a.jsonl", rows(2))
        for _ in range(100):
            stack.step(4 * 3600)
        assert stack.document("manifest.json")["counts"]["missing"] == 1
        stack.command("retry", stack.job().id)
        again = stack.objects.body(f"inbox/a.retry-of-{stack.job().id}.jsonl").splitlines()
        assert [json.loads(line)["_batchdrop"]["line"] for line in again] == [1]

    def test_nothing_to_retry(self) -> None:
        stack = dropped()
        stack.run()
        stack.command("retry", stack.job().id)
        assert "nothing to retry" in stack.document("status.json")["message"]
        assert stack.objects.keys("inbox/") == ["inbox/a.jsonl"]

    def test_only_permanent_failures(self) -> None:
        stack = Stack()
        stack.drop("inbox/a.jsonl", rows(1) + b"bad\n")
        stack.run()
        stack.command("retry", stack.job().id)
        assert "nothing to retry" in stack.document("status.json")["message"]
        assert stack.objects.keys("inbox/") == ["inbox/a.jsonl"]

    def test_before_the_end(self) -> None:
        stack = dropped()
        stack.command("retry", stack.job().id)
        assert "only after it has ended" in stack.document("status.json")["message"]


def test_approve_without_anything_to_approve() -> None:
    stack = dropped()
    stack.command("approve", stack.job().id)
    assert "nothing to approve" in stack.document("status.json")["message"]


UNKNOWN_JOB = "20261121T220000Z-aaaaaaaaaaaaaaaa"


def _told(stack: Stack) -> dict[str, bytes]:
    """All objects but the commands themselves."""
    return {key: stack.objects.body(key) for key in stack.objects.keys("") if not key.startswith("control/")}


@pytest.mark.parametrize(
    "key",
    [
        f"control/cancel/{UNKNOWN_JOB}",
        "control/cancel/team/reviews",
        "control/cancel/reviews",
        "control/cancel/",
        "control/cancel",
        f"control/cancel/{UNKNOWN_JOB}/",
        f"control/cancel/{UNKNOWN_JOB.replace('2', chr(0x0662))}",
        f"control/{UNKNOWN_JOB}",
        "control/cancel/" + "x" * 994,
        "control/" + "é" * 500 + "/" + "x",
    ],
)
def test_a_key_that_names_no_job_is_counted_and_writes_nothing(key: str) -> None:
    stack = dropped()
    before = _told(stack)
    stack.objects.drop(key, b"")
    stack.control(Dropped(key=key), stack.deadline())
    assert _told(stack) == before
    assert stack.metrics.totals["IgnoredCommands"] == 1


@pytest.mark.parametrize("name", ["explode", "Your files are lost, call 0900", "x" * 970])
def test_an_unknown_command_puts_no_text_into_a_status(name: str) -> None:
    stack = dropped()
    before = _told(stack)
    stack.command(name, stack.job().id)
    assert _told(stack) == before
    assert stack.metrics.totals["IgnoredCommands"] == 1
    assert stack.job().note == ""
    stack.run()
    assert stack.job().state is JobState.done
    assert not stack.failures


@pytest.mark.parametrize("name", ["cancel", "retry", "approve"])
@pytest.mark.parametrize("minutes_before", [0, 10])
def test_a_command_writes_in_the_folder_of_its_job_only(name: str, minutes_before: int) -> None:
    stack = Stack(max_attempts=1)
    stack.claude.answer = lambda custom_id, params: EXPIRED
    stack.drop("inbox/team/a.jsonl", rows(2))
    job = stack.job()
    stack.drop("inbox/other/a.jsonl", rows(2))
    minutes(stack, minutes_before)
    before = _told(stack)
    stack.command(name, job.id)
    written = {key for key, body in _told(stack).items() if before.get(key) != body}
    mine = {f"outbox/team/a/{job.id}/{name}" for name in ("status.json", "report.html")}
    assert written <= {*mine, f"inbox/team/a.retry-of-{job.id}.jsonl"}
    assert f"outbox/team/a/{job.id}/status.json" in written
    assert "IgnoredCommands" not in stack.metrics.totals


def test_a_command_that_fails_comes_again() -> None:
    stack = dropped()
    stack.claude.seconds = 3600
    fail(stack, "ledger.commit.cancel_requested", Unavailable("no answer"))
    cancel(stack)
    assert stack.failures
    assert not stack.job().cancel_requested
    stack.hooks.clear()
    minutes(stack, 7)
    assert stack.job().cancel_requested


def test_a_lost_collect_message_of_a_canceled_job_is_sent_again() -> None:
    stack = dropped(queue_limit=2)
    cancel(stack)
    stack.queues.waiting.clear()
    assert not stack.queues.messages(Queue.collect)
    canceled(stack, sent=0)


# ---------------------------------------------------------------- who may only send to the queue


def _forged(key: str, version_id: str | None = "v") -> Dropped:
    return Dropped(key=key, version_id=version_id, source_ip="192.0.2.1")


@pytest.mark.parametrize("version_id", [None, "v"])
def test_a_message_without_its_object_is_no_command(version_id: str | None) -> None:
    stack = dropped()
    stack.claude.seconds = 100_000
    stack.pump()
    before = _told(stack)
    stack.control(_forged(f"control/cancel/{stack.job().id}", version_id), stack.deadline())
    assert not stack.job().cancel_requested
    assert _told(stack) == before
    assert stack.metrics.totals["IgnoredCommands"] == 1


def test_a_message_about_another_version_of_a_command_is_none() -> None:
    stack = dropped()
    key = f"control/cancel/{stack.job().id}"
    stack.objects.drop(key, b"")
    stack.control(_forged(key, "another"), stack.deadline())
    assert not stack.job().cancel_requested


def test_nobody_approves_by_a_message_alone() -> None:
    stack = Stack(ask_above="0.000001")
    stack.drop("inbox/team/a.jsonl", rows(4))
    stack.run(minutes=5)
    job = stack.job()
    assert job.question is not None
    for key in (f"{job.id}-{job.question.code}", f"team/{job.id}-{job.question.code}", f"team/all-{job.question.code}"):
        stack.control(_forged(f"control/approve/{key}"), stack.deadline())
    assert stack.job().state is JobState.held
    assert stack.job().approvals == ()


def test_a_command_that_s3_does_not_hand_out_does_nothing_and_does_not_come_back() -> None:
    """It may name a key of KMS that the function may not use."""
    stack = dropped()
    key = f"control/cancel/{stack.job().id}"
    stack.objects.forbid(key, head=True)
    stack.command("cancel", stack.job().id)
    assert not stack.commands
    assert not stack.job().cancel_requested


def test_nobody_begins_a_retry_by_a_message_alone() -> None:
    stack = Stack(max_attempts=1)
    stack.claude.answer = lambda custom_id, params: EXPIRED
    stack.drop("inbox/a.jsonl", rows(2))
    stack.run()
    stack.control(RetryJob(job_id=stack.job().id), stack.deadline())
    assert [key for key in stack.objects.all_keys() if key.startswith("inbox/")] == ["inbox/a.jsonl"]
    assert "Give the command again" in stack.document("status.json")["message"]


# ---------------------------------------------------------------- teams that are kept apart


def _asking() -> Stack:
    stack = Stack(ask_above="0.000001", separate_teams=True, max_attempts=1)
    stack.drop("inbox/red/eu/a.jsonl", rows(4))
    stack.run(minutes=5)
    assert stack.job().question is not None
    return stack


def test_where_teams_are_apart_the_answer_that_is_shown_works() -> None:
    stack = _asking()
    shown = stack.document("status.json")
    assert shown["question"]["answer"].startswith("control/approve/red/eu/")
    assert shown["question"]["code"] in shown["message"]
    assert shown["question"]["answer"] in shown["next"]["command"]
    stack._control(shown["question"]["answer"])
    assert stack.job().state is JobState.running


@pytest.mark.parametrize("folder", ["", "/", "blue/", "re/", "red/e/", "Red/", "red/../red/"])
def test_where_teams_are_apart_a_command_needs_a_folder_of_its_job(folder: str) -> None:
    stack = _asking()
    job, before = stack.job(), _told(stack)
    assert job.question is not None
    for command in ("approve", "raise"):
        stack._control(f"control/{command}/{folder}{job.id}-{job.question.code}")
    for command in ("cancel", "retry"):
        stack._control(f"control/{command}/{folder}{job.id}")
    assert stack.job() == job
    assert _told(stack) == before
    assert stack.metrics.totals["IgnoredCommands"] == 4


@pytest.mark.parametrize("folder", ["red/", "red/eu/"])
def test_where_teams_are_apart_a_command_may_name_any_folder_above_its_file(folder: str) -> None:
    stack = _asking()
    stack.command("cancel", f"{folder}{stack.job().id}")
    assert stack.job().cancel_requested


@pytest.mark.parametrize("folder", ["", "blue/"])
def test_where_teams_are_apart_nobody_retries_another_teams_job(folder: str) -> None:
    stack = Stack(separate_teams=True, max_attempts=1)
    stack.claude.answer = lambda custom_id, params: EXPIRED
    stack.drop("inbox/red/a.jsonl", rows(2))
    stack.run()
    stack.command("retry", f"{folder}{stack.job().id}")
    assert stack.objects.keys("inbox/") == ["inbox/red/a.jsonl"]
    stack.command("retry", f"red/{stack.job().id}")
    assert stack.objects.keys("inbox/") == ["inbox/red/a.jsonl", f"inbox/red/a.retry-of-{stack.job().id}.jsonl"]


@pytest.mark.parametrize("key", ["inbox/blue.jsonl", "inbox//blue.jsonl"])
def test_where_teams_are_apart_a_file_that_is_no_teams_is_rejected(key: str) -> None:
    """Its answers would lie in the folder of the team that it is named after."""
    stack = Stack(separate_teams=True)
    stack.drop(key, rows(2))
    stack.run()
    assert stack.job().state is JobState.rejected
    assert "keeps teams apart" in stack.document("status.json")["message"]
    assert stack.claude.custom_ids() == []


def test_a_recipe_at_the_root_serves_no_team() -> None:
    stack = Stack(separate_teams=True)
    stack.drop("inbox/recipe.yaml", b"model: claude-haiku-4-5\nprompt: '{{ text }}'\n")
    stack.drop("inbox/red/recipe.yaml", b"model: claude-haiku-4-5\nprompt: '{{ text }}'\n")
    stack.drop("inbox/blue/a.csv", b"text\nfine\n")
    stack.run(minutes=3)
    assert stack.job().state is JobState.held
    assert stack.job().recipe is None
