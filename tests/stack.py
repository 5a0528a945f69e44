"""A whole Batchdrop in memory: the real use cases over the fakes, with queues that deliver again and a clock one can turn.

`Killed` is what a killed process looks like from inside: it is no Exception, so nothing on its way may swallow it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from batchdrop.domain import keys
from batchdrop.domain.records import Batch, Job
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.jobs.admit import Admit
from batchdrop.jobs.cancel import Cancel
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Queue
from batchdrop.stages.collect.ended_batch import Collect
from batchdrop.stages.control.commands import Control
from batchdrop.stages.finish.outputs import Finish
from batchdrop.stages.plan.batches import CutFile
from batchdrop.stages.plan.cutter import Limits
from batchdrop.stages.plan.upload import Plan, Upload
from batchdrop.stages.poll.repair import Repair
from batchdrop.stages.poll.settle import Settle
from batchdrop.stages.poll.tick import Poll
from batchdrop.stages.poll.watch import Watch
from batchdrop.stages.submit.post import Submit
from batchdrop_cli.audit.findings import Finding
from batchdrop_cli.audit.job_audit import AuditJob
from batchdrop_cli.audit.table import check_queued
from tests.evidence import FakeEvidence
from tests.fakes.claude import FakeClaude
from tests.fakes.clock import FakeDeadline, ManualClock
from tests.fakes.hooks import Hooks
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects
from tests.fakes.small import FakeMetrics, FakeNotices, FakeQueues, FakeSwitch, Sent

BUCKET = "bucket"
TIMEOUT = 60.0
VISIBILITY = 360.0
TICK = 60.0


class Killed(BaseException):
    """The process is gone."""


type Parts = Callable[[ManualClock, Hooks], tuple[FakeObjects, FakeLedger]]


def _fakes(clock: ManualClock, hooks: Hooks) -> tuple[FakeObjects, FakeLedger]:
    return FakeObjects(clock, hooks, bucket=BUCKET), FakeLedger(clock, hooks)


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
        grace: float = 120.0,
        timeout: float = TIMEOUT,
        parts: Parts = _fakes,
    ) -> None:
        self.hooks = Hooks()
        self.clock = ManualClock()
        self.timeout = timeout
        self.objects, self.ledger = parts(self.clock, self.hooks)
        self.queues = FakeQueues(self.clock, self.hooks)
        self.claude = FakeClaude(self.clock, self.hooks)
        self.switch = FakeSwitch(hooks=self.hooks)
        self.notices = FakeNotices(self.hooks)
        self.metrics = FakeMetrics(self.hooks)
        self.failures: list[tuple[str, BaseException]] = []
        """Messages and ticks that raised, in order."""
        self.invocations = 0
        self.doing: Callable[[], None] | None = None
        """The message being handled: called again, it is a second delivery."""
        self.commands: list[tuple[datetime, str]] = []
        """Keys under `control/` that wait for their delivery, and since when they may come."""
        publish = Publish(self.objects, self.ledger, self.clock)
        cancel = Cancel(self.ledger, self.queues, self.clock, self.claude)
        admit = Admit(self.ledger, self.queues, self.switch, self.clock, limit=queue_limit, per_tick=per_tick)
        limits = Limits(max_requests=max_requests, max_body_bytes=max_body_bytes, max_answer_bytes=10**12)
        self.plan = Plan(
            self.objects,
            self.ledger,
            self.queues,
            self.clock,
            admit,
            Cancel(self.ledger, self.queues, self.clock),
            publish,
            CutFile(self.objects, self.ledger, limits),
            bucket=BUCKET,
            max_input_bytes=max_input_bytes,
        )
        self.submit = Submit(self.objects, self.ledger, self.queues, self.claude, self.switch, self.clock, cancel, publish)
        self.collect = Collect(
            self.objects,
            self.ledger,
            self.queues,
            self.claude,
            self.clock,
            publish,
            spool_bytes=spool_bytes,
            max_attempts=max_attempts,
        )
        self.finish = Finish(self.objects, self.ledger, self.clock, self.notices, publish)
        self.control = Control(self.objects, self.ledger, self.clock, cancel, publish)
        self.resolve = Settle(self.ledger, self.claude, self.clock, cancel, grace=timedelta(seconds=grace))
        self.poll = Poll(
            self.ledger,
            self.switch,
            self.clock,
            self.metrics,
            Watch(self.ledger, self.queues, self.claude, self.clock),
            self.resolve,
            Repair(self.ledger, self.queues, self.clock, self.metrics, patience=timedelta(seconds=VISIBILITY)),
            admit,
            cancel,
            publish,
        )

    # ---------------------------------------------------------------- what users and AWS do

    def drop(self, key: str, body: bytes, metadata: dict[str, str] | None = None, *, deliver: bool = True) -> Upload:
        """Puts an object and, unless told otherwise, delivers its event."""
        ref = self.objects.drop(key, body, metadata)
        upload = Upload(key=key, version_id=ref.version_id, etag=ref.etag, size=ref.size, at=self.clock.now())
        if deliver:
            self.deliver(upload)
        return upload

    def deliver(self, upload: Upload) -> None:
        """One delivery of an S3 event; what fails comes back after the visibility timeout."""
        message = {"upload": json.dumps([upload.key, upload.version_id, upload.etag, upload.size])}
        self.receive(Queue.plan, message)

    def command(self, name: str, job_id: str) -> None:
        """Drops a command; it is delivered at once."""
        self._control(f"control/{name}/{job_id}")

    def tick(self) -> None:
        self._try("poll", self.poll.tick, lambda _: None)

    def deadline(self) -> FakeDeadline:
        return FakeDeadline(self.clock, self.timeout)

    def pump(self) -> int:
        """Delivers every message that is due. Returns how many."""
        delivered = 0
        for queue in Queue:
            while (message := self.queues.take(queue)) is not None:
                delivered += 1
                self.receive(queue, message)
        due = [command for command in self.commands if command[0] <= self.clock.now()]
        for command in due:
            self.commands.remove(command)
            self._control(command[1])
        return delivered + len(due)

    def receive(self, queue: Queue, message: dict[str, str]) -> None:
        """One delivery of a message to the function behind its queue."""
        self._try(
            queue.value,
            self._consumer(queue, message),
            lambda due: self.queues.waiting.append(Sent(queue, message, 0, due)),
        )

    def step(self) -> None:
        """One minute: all due messages, then a tick."""
        while self.pump():
            pass
        self.clock.advance(TICK)
        self.tick()
        while self.pump():
            pass

    def run(self, minutes: int = 240) -> None:
        """Lets time pass until every job has ended and no message is left."""
        for _ in range(minutes):
            self.step()
            if not self.queues.waiting and not self.commands and all(job.state in TERMINAL_JOB_STATES for job in self.jobs()):
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

    # ---------------------------------------------------------------- how messages come and come back

    def _consumer(self, queue: Queue, message: dict[str, str]) -> Callable[[], None]:
        match queue:
            case Queue.plan if "upload" in message:
                key, version_id, etag, size = json.loads(message["upload"])
                upload = Upload(key=key, version_id=version_id, etag=etag, size=size, at=self.clock.now())
                return lambda: self.plan.dropped(upload, self.deadline())
            case Queue.plan:
                return lambda: self.plan.resumed(message["job_id"], self.deadline())
            case Queue.submit:
                return lambda: self.submit.batch(message["job_id"], message["batch"], self.deadline())
            case Queue.collect:
                return lambda: self.collect.batch(message["job_id"], message["batch"])
            case Queue.finish:
                return lambda: self.finish.job(message["job_id"])

    def _control(self, key: str) -> None:
        self._try("control", lambda: self.control.dropped(key), lambda due: self.commands.append((due, key)))

    def _try(self, who: str, call: Callable[[], None], again: Callable[[datetime], None]) -> None:
        """One invocation. What fails comes `again` after the visibility timeout."""
        outer, self.doing = self.doing, call
        self.invocations += 1
        try:
            call()
        except (Exception, Killed) as error:
            self.failures.append((who, error))
            again(self.clock.now() + timedelta(seconds=VISIBILITY))
        finally:
            self.doing = outer


def row(custom_id: str | None = None, prompt: str = "Hello", **params: Any) -> bytes:
    """One good input line, without a newline."""
    body = {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": prompt}], **params}
    line = {"params": body} if custom_id is None else {"custom_id": custom_id, "params": body}
    return json.dumps(line, ensure_ascii=False).encode()


def rows(number: int) -> bytes:
    return b"\n".join(row(f"row {i}", f"prompt {i}") for i in range(1, number + 1)) + b"\n"
