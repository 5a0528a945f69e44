"""Every alarm of the template rings when a person is needed, and is quiet again afterwards.

Values of our own metrics come from the log lines that a function writes, those of AWS from what the services would publish. Each
alarm is judged by its own period, statistic, threshold and treatment of missing data.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from batchdrop.domain import keys
from batchdrop.domain.errors import ConfigurationError, NotFound, Throttled, Unavailable
from batchdrop.domain.messages import Queue
from batchdrop.domain.records import BatchState, JobState
from batchdrop.domain.redelivery import MAX_RECEIVES
from tests.cloudwatch import Alarm, CloudWatch, LoggedMetrics, Metric, evaluate
from tests.money import dear_rows, say, stack_of
from tests.stack import TICK, Invocation, Stack, rows
from tests.stages.harm import LOST, fail, refused
from tests.template import facts
from tests.template.facts import of_type, references

STACK = "batchdrop-test"
_TEMPLATE = of_type(facts.source()["Resources"], "AWS::CloudWatch::Alarm")
_BUSY = Throttled("busy")
_HOUR = 60
_DAY = 24 * _HOUR


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What the template gives each function. To write down the same exception a thousand times takes most of the time."""
    caplog.set_level(logging.CRITICAL, logger="batchdrop")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Batchdrop")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", STACK)


def _name(value: object) -> str:
    """Of a queue or a function as its logical id; of the stack as it is called here."""
    named = next(references(value))
    return STACK if named == "AWS::StackName" else named


class Account:
    """A stack with the alarms of its template. A minute passes, and the services publish what they saw of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.watch = CloudWatch()
        self.alarms = {name: Alarm(properties, _name) for name, properties in _TEMPLATE.items()}
        self.scheduled = True
        """Whether the schedule is enabled."""
        self.undelivered = 0
        self.rung: set[str] = set()
        """What is in ALARM."""
        self.ever: set[str] = set()
        stack.metrics.also = LoggedMetrics(stack.clock, self.watch)

    def minutes(self, number: int) -> set[str]:
        """Returns what rings at the end."""
        for _ in range(number):
            self._minute()
        return self.rung

    def until(self, *, rings: set[str], within: int) -> int:
        """Minutes until exactly these alarms ring."""
        for passed in range(within):
            if self.rung == rings:
                return passed
            self._minute()
        pytest.fail(f"{self.rung or 'nothing'} rings after {within} minutes, and has rung: {self.ever}")

    def leap(self, minutes: int) -> None:
        """Nothing but ticks that change nothing: as if they had been, without being run."""
        self.stack.clock.advance(TICK * minutes)
        for back in range(_HOUR):
            self._publish("AWS/Lambda", "Invocations", "PollFunction", 1, back * TICK)
            self._publish("AWS/Lambda", "Errors", "PollFunction", 0, back * TICK)

    def _minute(self) -> None:
        before = len(self.stack.failures)
        if self.scheduled:
            self.stack.step()
            self._publish("AWS/Lambda", "Invocations", "PollFunction", 1)
            failed = sum(who == "poll" for who, _ in self.stack.failures[before:])
            self._publish("AWS/Lambda", "Errors", "PollFunction", failed)
        else:
            self.stack.clock.advance(TICK)
            self.stack.pump()
        # A queue that nobody has used for six hours publishes nothing (Amazon SQS developer guide, "CloudWatch metrics").
        for queue, visible in (("DeadLetters", len(self.stack.dead_letters)), ("Undelivered", self.undelivered)):
            if visible:
                self._publish("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, visible)
        self.rung = set(evaluate(self.alarms, self.watch, self.stack.clock.now()))
        self.ever |= self.rung

    def _publish(self, namespace: str, name: str, of: str, value: float, ago: float = 0.0) -> None:
        dimension = {"AWS/Lambda": "FunctionName", "AWS/SQS": "QueueName"}[namespace]
        at = self.stack.clock.now() - timedelta(seconds=ago)
        self.watch.put(Metric(namespace, name, ((dimension, of),)), at, value)


def _account(stack: Stack | None = None) -> Account:
    """Deployed for a quarter of an hour."""
    account = Account(stack or Stack())
    assert account.minutes(15) == set()
    account.ever.clear()
    return account


# ---------------------------------------------------------------- what goes wrong, and what makes it right

type _Steps = Iterator[Account | None]
"""The account once what is wrong is wrong, then when it is right again. The time between the two is what the alarm takes."""


def _schedule_off() -> _Steps:
    account = _account()
    account.scheduled = False
    yield account
    account.scheduled = True
    yield None


def _poll_fails() -> _Steps:
    account = _account()
    fail(account.stack, "ledger.has_open_work", _BUSY, times=10_000)
    yield account
    account.stack.hooks.clear()
    yield None


def _dead_letters() -> _Steps:
    account = _account(Stack(timeout=900))
    account.stack.max_receives = MAX_RECEIVES
    fail(account.stack, "objects.read", _BUSY, times=10_000)
    account.stack.drop("inbox/a.jsonl", rows(2))
    account.minutes(6 * _HOUR)
    assert account.ever == set(), "an outage of six hours needs nobody"
    yield account
    account.stack.hooks.clear()
    account.stack.redrive()
    yield None


def _event_undelivered() -> _Steps:
    account = _account()
    account.undelivered = 1
    yield account
    account.undelivered = 0
    yield None


def _account_refused() -> _Steps:
    account = _account()
    fail(account.stack, "claude.create", refused(401, "authentication_error"), times=10_000)
    account.stack.drop("inbox/a.jsonl", rows(2))
    yield account
    account.stack.hooks.clear()
    yield None


def _month_is_full() -> _Steps:
    account = _account(stack_of(4_000, monthly_limit="0.25", max_requests=1))
    account.stack.drop("inbox/team/file.jsonl", dear_rows(60))
    yield account
    say(account.stack, "raise", account.stack.job())
    account.minutes(_HOUR)
    account.leap(30 * _DAY)
    account.stack.drop("inbox/team/next-month.jsonl", dear_rows(1))
    yield None


def _faulty_config_at_rest() -> _Steps:
    account = _account()
    account.stack.objects.drop(keys.LIMITS, b"{")
    yield account
    account.stack.objects.delete(keys.LIMITS)
    yield None


def _faulty_config_with_open_work() -> _Steps:
    account = _account()
    account.stack.claude.seconds = 3_600.0 * 5
    account.stack.drop("inbox/a.jsonl", rows(2))
    account.stack.objects.drop(keys.PRICES, b"[{}]")
    yield account
    account.stack.objects.delete(keys.PRICES)
    yield None


def _batch_does_not_end() -> _Steps:
    account = _account()
    stack = account.stack
    stack.drop("inbox/a.jsonl", rows(2))
    stack.pump()
    stack.claude.list_lag = 40 * 86_400
    fail(stack, "claude.retrieve", NotFound("gone", status=404), times=100_000)
    account.leap(26 * _HOUR)
    assert account.minutes(0) == set()
    yield account
    stack.hooks.clear()
    yield None


def _in_doubt() -> _Steps:
    account = _account()
    fail(account.stack, "claude.create", LOST, after=True)
    account.stack.drop("inbox/a.jsonl", rows(2))
    account.stack.pump()
    fail(account.stack, "claude.page", Unavailable("down"), times=100_000)
    account.minutes(5 * _HOUR)
    assert account.ever == set()
    yield account
    account.stack.hooks.clear()
    yield None


def _unanswered() -> _Steps:
    account = _account(Stack(grace=900))
    fail(account.stack, "claude.create", LOST, times=10_000)
    account.stack.drop("inbox/a.jsonl", rows(2))
    account.minutes(_HOUR)
    assert account.ever == set()
    yield account
    assert account.minutes(3 * _HOUR) == {"StalledAlarm"}, "while it waits to be sent again"
    account.stack.hooks.clear()
    yield None


def _incomplete() -> _Steps:
    account = _account()
    account.stack.claude.line_lag = lambda custom_id: 86_400 * 2.0 if custom_id.endswith("1") else 0.0
    account.stack.drop("inbox/a.jsonl", rows(2))
    account.minutes(23 * _HOUR)
    assert account.ever == set()
    yield account
    account.minutes(_DAY)
    yield None


def _collect_never_begins() -> _Steps:
    account = _account()
    account.stack.hooks.after = _dropping(account.stack, Queue.collect, times=1_000)
    account.stack.drop("inbox/a.jsonl", rows(2))
    yield account
    account.stack.hooks.clear()
    yield None


def _refused_for_a_day() -> _Steps:
    account = _account(Stack(max_requests=2))
    unknown = refused(400, "invalid_request_error", text="The moon is in the wrong phase.")
    fail(account.stack, "claude.create", unknown, times=100_000)
    account.stack.drop("inbox/a.jsonl", rows(60))
    account.minutes(23 * _HOUR)
    assert account.ever == set()
    yield account
    account.stack.hooks.clear()
    yield None


def _old_job() -> _Steps:
    account = _account()
    account.stack.switch.text = "pause"
    account.stack.drop("inbox/a.jsonl", rows(2))
    account.minutes(5)
    account.leap(14 * _DAY - _HOUR)
    assert account.minutes(30) == set()
    yield account
    account.stack.switch.text = "run"
    yield None


def _uncollected() -> _Steps:
    account = _account()
    account.stack.claude.line_lag = lambda _: 60.0
    fail(account.stack, "claude._results", NotFound("not here", status=404), times=100_000)
    account.stack.drop("inbox/a.jsonl", rows(2))
    account.minutes(5)
    account.leap(20 * _DAY)
    yield account
    account.stack.hooks.clear()
    yield None


def _pieces_deleted() -> _Steps:
    account = _account()
    stack = account.stack

    def purge(call: str) -> None:
        if call == "objects.get" and stack.jobs() and stack.job().state is JobState.finishing:
            for key in stack.objects.keys("work/"):
                stack.objects.purge(key)

    stack.hooks.before = purge
    stack.drop("inbox/a.jsonl", rows(2))
    yield account
    yield None


def _nobody_can_be_told() -> _Steps:
    account = _account()
    stack = account.stack

    def refuse(call: str) -> None:
        if call == "notices.publish":
            raise ConfigurationError("somebody has deleted the topic")

    stack.hooks.before = refuse
    stack.drop("inbox/a.jsonl", rows(2))
    yield account
    stack.hooks.clear()
    yield None


def _spent_four_fifths() -> _Steps:
    account = _account(stack_of(4_000, monthly_limit="0.25", max_requests=1))
    for name, number in (("a", 18), ("b", 4)):
        account.stack.drop(f"inbox/team/{name}.jsonl", dear_rows(number))
        account.minutes(10)
    yield account
    account.minutes(_HOUR)
    account.leap(30 * _DAY)
    account.stack.drop("inbox/team/next-month.jsonl", dear_rows(1))
    yield None


_SCENARIOS: dict[Callable[[], _Steps], tuple[set[str], int]] = {
    _schedule_off: ({"HeartbeatAlarm"}, 30),
    _poll_fails: ({"PollErrorsAlarm"}, 20),
    _dead_letters: ({"DeadLettersAlarm"}, 30),
    _event_undelivered: ({"UndeliveredAlarm"}, 10),
    _account_refused: ({"SubmissionBlockedAlarm"}, 20),
    _month_is_full: ({"SubmissionBlockedAlarm", "SpendAlarm"}, 20),
    _faulty_config_at_rest: ({"SubmissionBlockedAlarm"}, 35),
    _faulty_config_with_open_work: ({"SubmissionBlockedAlarm"}, 20),
    _batch_does_not_end: ({"StalledAlarm"}, 25),
    _in_doubt: ({"StalledAlarm"}, 90),
    _unanswered: ({"StalledAlarm"}, 120),
    _incomplete: ({"StalledAlarm"}, 2 * _HOUR),
    _collect_never_begins: ({"StalledAlarm"}, 60),
    _refused_for_a_day: ({"StalledAlarm"}, 90),
    _old_job: ({"StalledAlarm"}, 60),
    _uncollected: ({"AnswersAtRiskAlarm"}, 10),
    _pieces_deleted: ({"AnswersAtRiskAlarm"}, 10),
    _nobody_can_be_told: ({"StalledAlarm"}, 30),
    _spent_four_fifths: ({"SpendAlarm"}, 10),
}
"""Which alarms ring, and within how many minutes."""


@pytest.mark.parametrize("scenario", _SCENARIOS, ids=lambda scenario: scenario.__name__.strip("_"))
def test_an_alarm_rings_and_is_quiet_again(scenario: Callable[[], _Steps]) -> None:
    rings, within = _SCENARIOS[scenario]
    steps = scenario()
    account = next(steps)
    assert account is not None
    account.until(rings=rings, within=within)
    assert account.ever == rings, "none but these"
    next(steps)
    account.until(rings=set(), within=6 * _HOUR + 60)


def test_each_alarm_is_made_to_ring() -> None:
    assert set().union(*(rings for rings, _ in _SCENARIOS.values())) == set(_TEMPLATE)


# ---------------------------------------------------------------- what needs nobody


def _dropping(stack: Stack, queue: Queue, *, times: int) -> Callable[[str], None]:
    """The next messages to a queue are lost on their way."""
    left = [times]

    def drop(name: str) -> None:
        if name == "queues.send" and left[0] and stack.queues.waiting and stack.queues.waiting[-1].queue is queue:
            left[0] -= 1
            stack.queues.waiting.pop()

    return drop


_HARMLESS: dict[str, Callable[[Stack], None]] = {
    "nothing": lambda _: None,
    "a lost message": lambda stack: setattr(stack.hooks, "after", _dropping(stack, Queue.collect, times=1)),
    "a tick that failed": lambda stack: fail(stack, "ledger.list_open_jobs", _BUSY),
    "an hour without the API": lambda stack: fail(stack, "claude.page", Unavailable("down"), times=60),
    "a refusal that passes": lambda stack: fail(stack, "claude.create", refused(401, "authentication_error")),
    "too many requests": lambda stack: fail(stack, "claude.create", refused(429, "rate_limit_error"), times=3),
    "an answer that was lost": lambda stack: fail(stack, "claude.create", LOST, after=True),
    "a create that never arrived": lambda stack: fail(stack, "claude.create", LOST),
    "an hour without storage": lambda stack: fail(stack, "objects.read", _BUSY, times=7),
    "answers that come an hour late": lambda stack: setattr(stack.claude, "line_lag", lambda _: 3_600.0),
}


@pytest.mark.parametrize("harm", _HARMLESS)
def test_what_mends_itself_rings_nothing(harm: str) -> None:
    account = _account(Stack(monthly_limit="100"))
    _HARMLESS[harm](account.stack)
    account.stack.drop("inbox/a.jsonl", rows(3))
    account.minutes(4 * _HOUR)
    assert account.stack.job().state is JobState.done
    assert account.ever == set()


def test_a_batch_that_takes_a_day_rings_nothing() -> None:
    account = _account()
    account.stack.claude.seconds = 86_000.0
    account.stack.drop("inbox/a.jsonl", rows(3))
    account.minutes(_HOUR)
    account.leap(22 * _HOUR)
    account.minutes(2 * _HOUR)
    assert account.stack.job().state is JobState.done
    assert account.ever == set()


@pytest.mark.parametrize("stage", [Queue.plan, Queue.submit])
def test_what_was_sent_again_until_it_was_taken_rings_no_more(stage: Queue) -> None:
    """Its function was broken for hours. Since somebody has mended it, the batch is at the API, and that takes a day."""
    account = _account()
    stack = account.stack
    stack.claude.seconds = 86_000.0
    upload = stack.drop("inbox/a.jsonl", rows(2), deliver=False)
    if stage is Queue.plan:
        fail(stack, "objects.read", _BUSY)
        stack.repeat(Invocation(0, "plan", stack.clock.now(), lambda: stack.plan(upload, stack.deadline())))
    stack.hooks.after = _dropping(stack, stage, times=3)
    if stage is Queue.submit:
        stack.deliver(upload)
    account.until(rings={"StalledAlarm"}, within=20 * _HOUR)
    account.until(rings=set(), within=20 * _HOUR)
    (batch,) = stack.batches()
    assert batch.state is BatchState.in_progress
    account.ever.clear()
    account.minutes(6 * _HOUR)
    assert account.ever == set()


def test_many_jobs_for_which_all_is_well_hide_none_that_needs_a_person() -> None:
    account = _account(Stack(max_requests=2))
    stack = account.stack
    stack.claude.seconds = 93_000.0
    for number in range(200):
        stack.drop(f"inbox/many/{number}.jsonl", rows(1))
    account.minutes(2)
    unknown = refused(400, "invalid_request_error", text="The moon is in the wrong phase.")
    fail(stack, "claude.create", unknown, times=100_000)
    stack.drop("inbox/other/a.jsonl", rows(60))
    account.minutes(5)
    assert len(stack.claude.bodies) >= 200
    account.leap(_DAY)
    account.until(rings={"StalledAlarm"}, within=_HOUR)


def test_at_rest_no_metric_of_our_own_has_a_value() -> None:
    account = _account(Stack(monthly_limit="100"))
    account.minutes(_HOUR)
    assert account.watch.known("Batchdrop") == set()


def test_metrics_of_alarms_have_no_value_while_all_is_well() -> None:
    account = _account(Stack(monthly_limit="100"))
    account.stack.drop("inbox/a.jsonl", rows(3))
    account.minutes(_HOUR)
    assert account.stack.batches()[0].state is BatchState.collected
    told = {metric.name for metric in account.watch.known("Batchdrop")}
    assert told & {"SubmissionBlocked", "Stalled", "AnswersAtRisk"} == set()
    assert "OldestJobHours" in told
