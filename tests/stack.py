"""A whole Batchdrop in memory: the real stages over the fakes, with queues that deliver again and a clock that a test advances.

`Killed` is what a killed process looks like from inside: it is no Exception, so nothing on its way may swallow it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

from batchdrop import bootstrap
from batchdrop.domain import keys
from batchdrop.domain.errors import PutOff
from batchdrop.domain.ids import prefixes_of
from batchdrop.domain.messages import (
    CollectBatch,
    Dropped,
    FinishJob,
    Message,
    Queue,
    ResumePlanning,
    RetryJob,
    SubmitBatch,
    Upload,
)
from batchdrop.domain.records import Batch, Job
from batchdrop.domain.redelivery import Delivery
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.settings import (
    CollectSettings,
    ControlSettings,
    FinishSettings,
    PlanSettings,
    PollSettings,
    SubmitSettings,
)
from batchdrop_cli.audit.findings import Finding
from batchdrop_cli.audit.job_audit import AuditJob
from batchdrop_cli.audit.table import check_queued
from tests.evidence import FakeEvidence
from tests.fakes.claude import FakeClaude
from tests.fakes.clock import FakeDeadline, ManualClock
from tests.fakes.hooks import Hooks
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects
from tests.fakes.small import FakeEvents, FakeInspector, FakeMetrics, FakeNotices, FakeQueues, FakeSwitch, Sent

BUCKET = "bucket"
TIMEOUT = 60.0
VISIBILITY = 360
TICK = 60.0
_PUMPS = 100


class Killed(BaseException):
    """The process is gone."""


class Command(NamedTuple):
    said: Dropped
    due: datetime
    receives: int


class Invocation:
    """One call of a function. `again` delivers the same message once more."""

    def __init__(self, number: int, stage: str, began: datetime, again: Callable[[], None]) -> None:
        self.number = number
        self.stage = stage
        self.began = began
        self.again = again
        self.calls = 0
        """That left the process so far, as far as a harness counts them."""


type Parts = Callable[[ManualClock, Hooks], tuple[FakeObjects, FakeLedger]]


def _fakes(clock: ManualClock, hooks: Hooks) -> tuple[FakeObjects, FakeLedger]:
    return FakeObjects(clock, hooks, bucket=BUCKET), FakeLedger(hooks)


class Stack:
    """Attributes are the fakes; `drop` and `run` are the user and the passing of time."""

    def __init__(
        self,
        *,
        max_requests: int = 100,
        max_body_bytes: int = 1_000_000,
        queue_limit: int = 100_000,
        per_tick: int = 100,
        max_attempts: int = 3,
        max_input_bytes: int = 10_000_000,
        spool_bytes: int = 10_000_000,
        grace: int = 120,
        ask_above: str = "",
        daily_limit: str = "",
        monthly_limit: str = "",
        separate_teams: bool = False,
        delete_batches: bool = False,
        high_priority: str = "*",
        open_jobs: int = 1000,
        allowed_betas: str = "output-300k-2026-03-24",
        timeout: float = TIMEOUT,
        parts: Parts = _fakes,
        api: Callable[[ManualClock, Hooks], FakeClaude] = FakeClaude,
    ) -> None:
        self.region = "us-east-1"
        self.hooks = Hooks()
        self.clock = ManualClock()
        self.timeout = timeout
        self.objects, self.ledger = parts(self.clock, self.hooks)
        self.queues = FakeQueues(self.clock, self.hooks)
        self.claude = api(self.clock, self.hooks)
        self.switch = FakeSwitch(hooks=self.hooks)
        self.notices = FakeNotices(self.hooks)
        self.events = FakeEvents(self.hooks)
        self.metrics = FakeMetrics(self.hooks)
        self.inspector = FakeInspector(self.hooks)
        self.failures: list[tuple[str, BaseException]] = []
        """Messages and ticks that raised, in order."""
        self.invocations = 0
        self.ended: Callable[[Invocation], None] = lambda invocation: None
        """Told of each invocation that is over, whatever became of it."""
        self._running = threading.local()
        self.max_receives: int | None = None
        """After so many failures a message is a dead letter; None: never."""
        self.dead_letters: list[tuple[Queue, Message | Upload]] = []
        self.commands: list[Command] = []
        """Those that wait for their delivery."""
        self._attempts: dict[str, int] = {}
        environment = {
            "BATCHDROP_ACCOUNT": "123456789012",
            "BATCHDROP_BUCKET": BUCKET,
            "BATCHDROP_TABLE": "table",
            "BATCHDROP_SWITCH": "switch",
            "BATCHDROP_TOPIC": "topic",
            "BATCHDROP_EVENT_BUS": "default",
            "BATCHDROP_API_KEY_SECRET": "secret",
            **{f"BATCHDROP_{queue.upper()}_QUEUE": queue.value for queue in Queue},
            "BATCHDROP_QUEUED_REQUESTS_LIMIT": str(queue_limit),
            "BATCHDROP_CREATES_PER_TICK": str(per_tick),
            "BATCHDROP_ALLOWED_API_VERSIONS": "2026-10-21,2023-06-01",
            "BATCHDROP_ALLOWED_BETAS": allowed_betas,
            "BATCHDROP_MAX_BATCH_REQUESTS": str(max_requests),
            "BATCHDROP_MAX_BATCH_BYTES": str(max_body_bytes),
            "BATCHDROP_MAX_INPUT_BYTES": str(max_input_bytes),
            "BATCHDROP_SPOOL_BYTES": str(spool_bytes),
            "BATCHDROP_MAX_ATTEMPTS": str(max_attempts),
            "BATCHDROP_GRACE_SECONDS": str(grace),
            "BATCHDROP_ASK_ABOVE_USD": ask_above,
            "BATCHDROP_DAILY_LIMIT_USD": daily_limit,
            "BATCHDROP_MONTHLY_LIMIT_USD": monthly_limit,
            "BATCHDROP_SEPARATE_TEAMS": str(separate_teams).lower(),
            "BATCHDROP_DELETE_BATCHES": str(delete_batches).lower(),
            "BATCHDROP_HIGH_PRIORITY_FOLDERS": high_priority,
            "BATCHDROP_OPEN_JOBS_PER_FOLDER": str(open_jobs),
            "BATCHDROP_VISIBILITY_SECONDS": str(VISIBILITY),
        }
        # A small disk of the collector is a matter of its own: batches are not cut smaller for it.
        uncut = environment | {"BATCHDROP_SPOOL_BYTES": str(10**12)}
        self.plan = bootstrap.plan(PlanSettings.from_env(uncut), ports=self)
        self.submit = bootstrap.submit(SubmitSettings.from_env(environment), ports=self)
        self.poll = bootstrap.poll(PollSettings.from_env(environment), ports=self)
        self.collect = bootstrap.collect(CollectSettings.from_env(environment), ports=self)
        self.finish = bootstrap.finish(FinishSettings.from_env(environment), ports=self)
        self.control = bootstrap.control(ControlSettings.from_env(environment), ports=self)
        self._deliver = {queue: bootstrap.deliver(queue, self) for queue in Queue}

    # ---------------------------------------------------------------- what users and AWS do

    def drop(self, key: str, body: bytes, metadata: dict[str, str] | None = None, *, deliver: bool = True) -> Upload:
        """Puts an object and, unless told otherwise, delivers its event."""
        ref = self.objects.drop(key, body, metadata)
        upload = Upload(key=key, version_id=ref.version_id, etag=ref.etag, size=ref.size, at=self.clock.now())
        if deliver:
            self.deliver(upload)
        return upload

    def deliver(self, upload: Upload) -> None:
        """One delivery of an S3 event; what fails comes back."""
        self.receive(Queue.plan, upload)

    def command(self, name: str, job_id: str) -> None:
        """Drops a command; it is delivered at once."""
        self._control(f"control/{name}/{job_id}")

    def tick(self) -> None:
        self._try("poll", self.poll)

    def deadline(self) -> FakeDeadline:
        return FakeDeadline(self.clock, self.timeout)

    def pump(self) -> int:
        """Delivers every message that is due. Returns how many."""
        delivered = 0
        for queue in Queue:
            for _ in self.queues.messages(queue):
                if (sent := self.queues.take(queue)) is not None:
                    delivered += 1
                    self.receive(queue, sent.message, sent.receives + 1)
        due = [command for command in self.commands if command.due <= self.clock.now()]
        for command in due:
            self.commands.remove(command)
            self._hear(command.said, command.receives + 1)
        return delivered + len(due)

    def _pump_all(self) -> None:
        """What fails again and again takes time each time, and so becomes due again: a minute must end all the same."""
        for _ in range(_PUMPS):
            if not self.pump():
                return

    def receive(self, queue: Queue, message: Message | Upload, receives: int = 1) -> None:
        """One delivery of a message to the function behind its queue. What has failed comes back, unless too often."""
        due = self._receive(queue, message, self._consumer(message), receives)
        if due is None:
            return
        if self.max_receives is None or receives < self.max_receives:
            self.queues.waiting.append(Sent(queue, message, 0, due, receives))
        else:
            self.dead_letters.append((queue, message))

    def _receive[M: Message | Upload | Dropped](
        self, queue: Queue, message: M, work: Callable[[M], None], receives: int
    ) -> datetime | None:
        """Returns when the message comes back if it has failed: as it was put off, else after the visibility timeout."""
        receipt = str(self.invocations + 1)
        delivery = Delivery(receipt, receives)
        if self._try(queue.value, lambda: self._deliver[queue](delivery, lambda: message, work)):
            return None
        return self.queues.put_off_to.pop(receipt, self.clock.now() + timedelta(seconds=VISIBILITY))

    def redrive(self) -> None:
        """What an operator does with dead letters."""
        for queue, message in self.dead_letters:
            self.queues.waiting.append(Sent(queue, message, 0, self.clock.now()))
        self.dead_letters.clear()

    def repeat(self, invocation: Invocation) -> None:
        """The same message once more. If that fails nothing comes back: it is one message, and its first delivery has it."""
        self._try(invocation.stage, invocation.again)

    def step(self, seconds: float = TICK) -> None:
        """One minute: all due messages, then a tick."""
        self._pump_all()
        self.clock.advance(seconds)
        self.tick()
        self._pump_all()

    def run(self, minutes: int = 240) -> None:
        """Lets time pass until every job has ended, subscribers know of it, and no message is left."""
        for _ in range(minutes):
            self.step()
            over = all(job.state in TERMINAL_JOB_STATES and not job.untold for job in self.jobs())
            if over and not self.queues.waiting and not self.commands:
                return

    # ---------------------------------------------------------------- what a test looks at

    def audit(self) -> list[Finding]:
        """Everything that is wrong with any job, or with the stack as a whole."""
        audit_job = AuditJob(
            objects=self.objects,
            ledger=self.ledger,
            evidence=FakeEvidence(self.claude),
            count_versions=self.objects.count_versions,
        )
        return [*check_queued(self.ledger), *(finding for job in self.jobs() for finding in audit_job(job.id))]

    def jobs(self) -> list[Job]:
        return sorted(self.ledger.jobs.values(), key=lambda job: job.id)

    def job(self) -> Job:
        """The only one."""
        (job,) = self.jobs()
        return job

    def batches(self, job: Job | None = None) -> list[Batch]:
        of = (job or self.job()).id
        return [batch for (job_id, _), batch in sorted(self.ledger.stored.items()) if job_id == of]

    def attempt_of(self, custom_id: str) -> int:
        """At the API a custom id does not tell: only our batches know their prefixes. 0 for one that is not ours."""
        prefix = custom_id.rpartition("-")[0]
        if prefix not in self._attempts:
            self._attempts |= {prefix: batch.attempt for batch in self.ledger.stored.values() for prefix in prefixes_of(batch)}
        return self._attempts.get(prefix, 0)

    def output(self, name: str, job: Job | None = None) -> bytes:
        job = job or self.job()
        return self.objects.body(keys.outbox_folder(job.input.key, job.id) + name)

    def document(self, name: str, job: Job | None = None) -> Any:
        return json.loads(self.output(name, job))

    def lines(self, name: str, job: Job | None = None) -> list[Any]:
        """Rows of `results.jsonl` or `failed.jsonl`; an absent file has none."""
        job = job or self.job()
        key = keys.outbox_folder(job.input.key, job.id) + name
        return [json.loads(line) for line in self.objects.body(key).split(b"\n") if line] if self.objects.keys(key) else []

    @property
    def invocation(self) -> Invocation | None:
        """The one at work in this thread: its innermost, if it was made to wait for another."""
        return getattr(self._running, "invocation", None)

    @property
    def at_work(self) -> str:
        """The stage whose invocation is under way."""
        return self.invocation.stage if self.invocation else ""

    # ---------------------------------------------------------------- how messages come and come back

    def _consumer(self, message: Message | Upload) -> Callable[[Message | Upload], None]:
        match message:
            case Upload() | ResumePlanning():
                return lambda _: self.plan(message, self.deadline())
            case SubmitBatch():
                return lambda _: self.submit(message, self.deadline())
            case CollectBatch():
                return lambda _: self.collect(message)
            case FinishJob():
                return lambda _: self.finish(message, self.deadline())
            case RetryJob():
                return lambda _: self.control(message, self.deadline())

    def _control(self, key: str) -> None:
        version_id = self.objects.drop(key, b"").version_id
        self._hear(Dropped(key=key, version_id=version_id, at=self.clock.now(), source_ip="192.0.2.1"))

    def _hear(self, said: Dropped, receives: int = 1) -> None:
        due = self._receive(Queue.control, said, lambda _: self.control(said, self.deadline()), receives)
        if due is not None:
            self.commands.append(Command(said, due, receives))

    def _try(self, who: str, call: Callable[[], None]) -> bool:
        """One invocation, and whether it succeeded."""
        self.invocations += 1
        outer = self.invocation
        self._running.invocation = Invocation(self.invocations, who, self.clock.now(), call)
        try:
            call()
        except (Exception, Killed) as error:
            if not isinstance(error, PutOff):
                self.failures.append((who, error))
            return False
        else:
            return True
        finally:
            ended, self._running.invocation = self._running.invocation, outer
            self.ended(ended)


def once(stack: Stack, call: str, action: Callable[[], object], *, nth: int = 1) -> None:
    """Does it before the next call of that name, or before the nth."""
    calls = count(1)

    def hook(name: str) -> None:
        if name == call and next(calls) == nth:
            action()

    stack.hooks.before = hook


def row(custom_id: str | None = None, prompt: str = "Hello", **params: Any) -> bytes:
    """One good input line, without a newline."""
    body = {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": prompt}], **params}
    line = {"params": body} if custom_id is None else {"custom_id": custom_id, "params": body}
    return json.dumps(line, ensure_ascii=False).encode()


def rows(number: int) -> bytes:
    return b"\n".join(row(f"row {i}", f"prompt {i}") for i in range(1, number + 1)) + b"\n"
