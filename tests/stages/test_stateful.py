"""Anything, in any order: users, operators, AWS, the API and dying processes against one stack. No promise may ever be broken."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batchdrop.domain.errors import Ambiguous, BatchdropError, NotFound, Refused, Throttled, Unavailable
from batchdrop.domain.messages import Upload
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop_cli.audit.findings import Severity
from tests.fakes.small import Sent
from tests.faults.scenarios import fated
from tests.stack import Killed, Stack, row

# Long enough for the longest patience of repair, a day of waiting included.
SETTLING_MINUTES = 3 * 24 * 60

LINES = st.lists(
    st.sampled_from([row(), row(), row(prompt="ü"), b"", b"bad", row("the same")]),
    min_size=1,
    max_size=9,
)
SMALL = st.integers(0, 40)

HARM: dict[str, tuple[str, str, Exception]] = {
    "connection lost": ("before", "claude.create", Ambiguous("lost")),
    "accepted and lost": ("after", "claude.create", Ambiguous("lost")),
    "429": ("before", "claude.create", Refused("slow", status=429, kind="rate_limit_error")),
    "429 with time": ("before", "claude.create", Refused("slow", status=429, kind="rate_limit_error", retry_after=30)),
    "401": ("before", "claude.create", Refused("key", status=401, kind="authentication_error")),
    "529": ("before", "claude.create", Refused("busy", status=529, kind="overloaded_error")),
    "413": ("before", "claude.create", Refused("large", status=413, kind="request_too_large")),
    "no list": ("before", "claude.page", Unavailable("down")),
    "no results": ("before", "claude._results", NotFound("not yet", status=404)),
    "no cancel": ("before", "claude.cancel", Unavailable("down")),
    "table busy": ("before", "ledger.commit", Throttled("busy")),
    "table busy, done": ("after", "ledger.commit", Throttled("busy")),
    "bucket busy": ("before", "objects.put", Throttled("busy")),
    "queue busy": ("before", "queues.send", Throttled("busy")),
}


class Everything(RuleBasedStateMachine):
    @initialize(requests=st.integers(1, 4), limit=st.integers(4, 12))
    def build(self, requests: int, limit: int) -> None:
        logging.disable(logging.CRITICAL)
        self.stack = Stack(max_requests=requests, queue_limit=limit, spool_bytes=900)
        self.stack.claude.answer = fated(self.stack.attempt_of)
        self.uploads: list[Upload] = []
        self.dead: list[Sent] = []

    # ---------------------------------------------------------------- users

    @rule(lines=LINES, priority=st.sampled_from(["high", "normal", "low"]))
    def drop(self, lines: list[bytes], priority: str) -> None:
        if len(self.uploads) < 6:
            name = f"inbox/{len(self.uploads)}.jsonl"
            self.uploads.append(self.stack.drop(name, b"\n".join(lines), {"batchdrop-priority": priority}))

    @precondition(lambda self: self.uploads)
    @rule(which=SMALL)
    def deliver_again(self, which: int) -> None:
        self.stack.deliver(self.uploads[which % len(self.uploads)])

    @precondition(lambda self: self.stack.ledger.jobs)
    @rule(which=SMALL, name=st.sampled_from(["cancel", "retry", "approve"]))
    def command(self, which: int, name: str) -> None:
        jobs = self.stack.jobs()
        self.stack.command(name, jobs[which % len(jobs)].id)

    # ---------------------------------------------------------------- operators, time, and others at the API

    @rule(text=st.sampled_from(["run", "run", "pause", "stop", None]))
    def turn_switch(self, text: str | None) -> None:
        self.stack.switch.text = text

    @rule(seconds=st.integers(1, 1200))
    def wait(self, seconds: int) -> None:
        self.stack.clock.advance(seconds)

    @rule()
    def minute(self) -> None:
        self.stack.step()

    @rule()
    def tick(self) -> None:
        self.stack.tick()

    @rule(seconds=st.integers(0, 100))
    def list_lags(self, seconds: int) -> None:
        self.stack.claude.list_lag = float(seconds)

    @rule(requests=st.integers(1, 4))
    def somebody_else_uses_the_workspace(self, requests: int) -> None:
        wanted = [{"custom_id": f"theirs-{number}", "params": {}} for number in range(requests)]
        self.stack.claude.inject(json.dumps({"requests": wanted}).encode())

    # ---------------------------------------------------------------- queues

    @precondition(lambda self: self.stack.queues.waiting)
    @rule(which=SMALL)
    def deliver_one(self, which: int) -> None:
        waiting = self.stack.queues.waiting
        sent = waiting.pop(which % len(waiting))
        self.stack.receive(sent.queue, sent.message, sent.receives + 1)

    @precondition(lambda self: self.stack.queues.waiting)
    @rule(which=SMALL)
    def deliver_and_keep(self, which: int) -> None:
        waiting = self.stack.queues.waiting
        sent = waiting[which % len(waiting)]
        self.stack.receive(sent.queue, sent.message, sent.receives + 1)

    @precondition(lambda self: self.stack.queues.waiting)
    @rule(which=SMALL)
    def to_the_dead_letters(self, which: int) -> None:
        waiting = self.stack.queues.waiting
        self.dead.append(waiting.pop(which % len(waiting)))

    @precondition(lambda self: self.dead)
    @rule()
    def redrive(self) -> None:
        self.stack.queues.waiting.extend(self.dead)
        self.dead.clear()

    # ---------------------------------------------------------------- harm

    @rule(calls=st.integers(0, 60), after=st.booleans())
    def kill_soon(self, calls: int, after: bool) -> None:
        self._arm("after" if after else "before", _Countdown(self.stack, calls))

    @rule(kind=st.sampled_from(sorted(HARM)))
    def fault_next(self, kind: str) -> None:
        when, call, error = HARM[kind]
        self._arm(when, _Once(call, error))

    @rule(at=st.integers(0, 400))
    def cut_results(self, at: int) -> None:
        self.stack.claude.cut_results_at = at

    @rule(at=st.integers(0, 400))
    def end_results_early(self, at: int) -> None:
        self.stack.claude.garble = lambda lines: lines[:at]

    def _arm(self, when: str, hook: Callable[[str], None]) -> None:
        setattr(self.stack.hooks, when, hook)

    # ---------------------------------------------------------------- promises

    @invariant()
    def no_promise_is_broken(self) -> None:
        before, after = self.stack.hooks.before, self.stack.hooks.after
        self.stack.hooks.clear()
        assert [finding for finding in self.stack.audit() if finding.severity is Severity.error] == []
        self.stack.hooks.before, self.stack.hooks.after = before, after

    def teardown(self) -> None:
        if not hasattr(self, "stack"):
            return
        self.stack.hooks.clear()
        self.stack.switch.text = "run"
        self.stack.claude.list_lag = 0.0
        self.redrive()
        self.stack.run(SETTLING_MINUTES)
        self.stack.hooks.clear()
        assert [job.state for job in self.stack.jobs() if job.state not in TERMINAL_JOB_STATES] == []
        assert self.stack.audit() == []
        for job in self.stack.jobs():
            assert self.stack.document("status.json", job)["state"] == job.state
        unexpected = [error for _, error in self.stack.failures if not isinstance(error, (BatchdropError, Killed))]
        assert unexpected == []
        logging.disable(logging.NOTSET)


class _Countdown:
    """Kills the process at its n-th next call; it does nothing any more on its way out."""

    def __init__(self, stack: Stack, calls: int) -> None:
        self._stack = stack
        self._calls = calls
        self._dead: int | None = None

    def __call__(self, name: str) -> None:
        self._calls -= 1
        if self._calls < 0 and self._dead in (None, self._stack.invocations):
            self._dead = self._stack.invocations
            raise Killed


class _Once:
    def __init__(self, call: str, error: Exception) -> None:
        self._call = call
        self._error: Exception | None = error

    def __call__(self, name: str) -> None:
        if (name == self._call or name.startswith(f"{self._call}.")) and self._error is not None:
            error, self._error = self._error, None
            raise error


TestEverything = Everything.TestCase
TestEverything.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
