"""A deployed stack goes from an earlier version to this one, back, and to this one again, each time with open jobs."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from batchdrop.domain.records import Batch, BatchState, JobState
from batchdrop_cli.audit.table import check_queued
from tests.e2e.laptop import Job, Laptop
from tests.stack import row, rows
from tests.upgrade.checkout import Checkout

PARAMETERS = (
    "MaxBatchRequests=25",
    "QueuedRequestsLimit=400",
    "MonthlyLimitUsd=100000",
    "ReconcileGraceSeconds=30",
    "FunctionTimeoutSeconds=40",
    "VisibilityTimeoutSeconds=240",
)
# A message that nobody has acted on is sent again after five quarters of the visibility timeout.
_PATIENCE = 900.0
_QUICK = 1.0
# Of a job that is still there to be canceled, however long a deployment takes.
_LASTING = 3600.0
_DURING_SECONDS = 3.0
# A function takes the position of the switch for so long as it has read it, and ends what it has begun.
_CACHED_SECONDS = 8.0
_LIMITS = b'{"default": {"ask_above_usd": 1000}, "folders": {"asks": {"ask_above_usd": 1}, "tries": {"ask_above_usd": 1}}}'
_LOW_LIMITS = _LIMITS.replace(b"}}}", b'}, "limited": {"day_usd": 0.000001}}}')
# A long answer costs $0.0375 as a batch: 20 rows fit into the dollar that nobody is asked about, and few more.
_ANSWER_BYTES = 12_000
_RECIPE = b'model: claude-opus-5\nmax_tokens: 3500\nprompt: "Tell a long story: {{ text }}"\n'


class Journey:
    """`every_state`: also those of which a message has to be missed before they go on, which takes minutes."""

    def __init__(
        self, laptop: Laptop, checkout: Checkout, earlier: bytes, say: Callable[[str], None], *, every_state: bool
    ) -> None:
        self.laptop = laptop
        self.checkout = checkout
        self.earlier = earlier
        self.say = say
        self.every_state = every_state
        # `stop` also cancels what the other states are about.
        self._position = "pause" if every_state else "stop"
        # Longer than an update takes.
        self._slow = 90.0 if every_state else 45.0
        self.jobs: dict[str, Job] = {}
        self.wrong: list[str] = []
        self._stopped: list[str] = []

    def __call__(self) -> list[str]:
        """What went wrong."""
        self._open_in_earlier_version()
        self._update()
        self._end("canceled")
        self._open_in_this_version()
        self._roll_back()
        self._update_again()
        self._end("waiting")
        return self.wrong

    # ---------------------------------------------------------------- there: the earlier version's jobs

    def _open_in_earlier_version(self) -> None:
        laptop = self.laptop
        # It takes up to a minute to take effect, and that version does not know it.
        laptop.s3.put_object(Bucket=laptop.bucket, Key="config/limits.json", Body=_LOW_LIMITS)
        self._drop("ended", rows(3)).wait()
        self._open_behind_stopped_stages()
        laptop.claude.settings(seconds=self._slow, cancel_seconds=self._slow)
        canceled = self._drop("canceled", rows(30))
        self._wait_for(canceled, BatchState.in_progress, 2)
        laptop.s3.put_object(Bucket=laptop.bucket, Key=f"control/cancel/{canceled.id}", Body=b"")
        self._drop("packed", gzip.compress(_mixed(), mtime=0), ending=".jsonl.gz").wait_for("running")
        self._drop_lost("lost", 7)
        crowd = self._drop("crowd", rows(500))
        self._wait_for(crowd, BatchState.in_progress, 2)
        self._wait_for(canceled, BatchState.canceling, 2)
        if self.every_state:
            self._drop_dead("dead letter")
        # As that version's manual says. Nothing is sent until somebody sets it to `run`.
        self._parameter(self._position)
        time.sleep(_CACHED_SECONDS)

    def _open_behind_stopped_stages(self) -> None:
        """Each goes on only once its stage does."""
        self._stop("finish")
        self._drop("finishing", rows(4)).wait_for("finishing")
        self._stop("collect")
        self._wait_for(self._drop("to collect", rows(5)), BatchState.ended, 1)
        if self.every_state:
            self._drop_killed("planning")
            self._stop("submit")
            admitted = self._drop("admitted", rows(6))
            self.laptop.wait(lambda: any(one.admitted_at for one in self._batches(admitted)), "a batch to be admitted")
            self._start("submit")

    def _update(self) -> None:
        if self.every_state:
            self._redrive()
        creates, before = self.laptop.claude.count("create"), self._shown()
        known = set(self.jobs)
        with self._dropping():
            self._deploy(self.checkout.put_this, "updated to this version")
        self._start(*self._stopped)
        self.laptop.claude.settings(seconds=_QUICK, cancel_seconds=_QUICK)
        self.laptop.tick()
        if (sent := self.laptop.claude.count("create") - creates) != 0:
            self.wrong.append(f"{sent} batches were sent although the switch was set to {self._position}")
        for name, state in before.items():
            self.say(f"  {name:12} {state}")
        self.say(f"  {len(set(self.jobs) - known)} files were dropped meanwhile")
        self._parameter("run")
        self.laptop.switch("run")

    # ---------------------------------------------------------------- back: this version's jobs

    def _open_in_this_version(self) -> None:
        laptop = self.laptop
        for folder in ("asks", "tries"):
            laptop.s3.put_object(Bucket=laptop.bucket, Key=f"inbox/{folder}/recipe.yaml", Body=_RECIPE)
        laptop.claude.settings(answer_bytes=_ANSWER_BYTES)
        asks = self._drop("asks/asks", _table(60), ending=".csv")
        limited = self._drop("limited/limited", rows(5))
        asks.asked()
        laptop.wait(lambda: limited.status().get("needs") == "limit", "a job to wait for a limit")
        self._drop("nowhere/no recipe", _table(8), ending=".csv").wait_for("held")
        laptop.claude.settings(seconds=self._slow)
        tries = self._drop("tries/tries", _table(60), ending=".csv")
        self._wait_for(tries, BatchState.in_progress, 1)
        self._drop_lost("lost again", 9)
        laptop.claude.settings(seconds=_LASTING)
        waiting = self._drop("waiting", rows(300))
        self._wait_for(waiting, BatchState.in_progress, 2)
        laptop.claude.settings(seconds=self._slow)
        if self.every_state:
            laptop.claude.settings(seconds=_QUICK)
            self._open_behind_stopped_stages_again()
        self._wait_for(self._drop("crowd again", rows(500)), BatchState.ready, 1)

    def _open_behind_stopped_stages_again(self) -> None:
        self._stop("finish")
        self._drop("finishing again", rows(4)).wait_for("finishing")
        self._stop("collect")
        self._wait_for(self._drop("to collect again", rows(5)), BatchState.ended, 1)
        self._drop_killed("planning again")
        self._stop("submit")
        admitted = self._drop("admitted again", rows(6))
        self.laptop.wait(lambda: any(one.admitted_at for one in self._batches(admitted)), "a batch to be admitted")

    def _roll_back(self) -> None:
        """The earlier version does its own work, and leaves ours alone."""
        laptop = self.laptop
        # As the manual says: what this version has at the API still counts, and would leave no room.
        self._deploy(lambda: self.checkout.put(self.earlier), "rolled back", "QueuedRequestsLimit=1000")
        items, creates = self._items(), laptop.claude.count("create")
        for name, state in self._shown().items():
            self.say(f"  {name:16} {state}")
        self._start(*self._stopped)
        laptop.claude.settings(seconds=_QUICK)
        laptop.s3.put_object(Bucket=laptop.bucket, Key=f"control/cancel/{self.jobs['waiting'].id}", Body=b"")
        self._drop("opened by the earlier version", rows(8)).wait()
        laptop.wait(lambda: "Canceled" in self.jobs["waiting"].status()["message"], "the command to be answered")
        # What the earlier version may have wanted to do, it has had time for.
        time.sleep(2 * _DURING_SECONDS)
        if (sent := laptop.claude.count("create") - creates) != 1:
            self.wrong.append(f"the earlier version sent {sent} batches, not its own one alone")
        for key, item in self._items().items():
            changed = {
                name for name in items.get(key, item).keys() | item.keys() if items.get(key, item).get(name) != item.get(name)
            }
            if changed:
                self.say(f"  it changed {', '.join(sorted(changed))} of {key[0]} {key[1]}")
            if changed and key != (f"JOB#{self.jobs['waiting'].id}", "JOB"):
                self.wrong.append(f"the earlier version wrote {key}")

    def _update_again(self) -> None:
        laptop = self.laptop
        self._deploy(self.checkout.put_this, "updated again")
        for job in (self.jobs["asks/asks"], self.jobs["tries/tries"]):
            laptop.create_folder(f"control/approve/{job.id}-{job.asked()['question']['code']}")
        laptop.s3.put_object(Bucket=laptop.bucket, Key="inbox/nowhere/recipe.yaml", Body=_RECIPE)
        laptop.s3.put_object(Bucket=laptop.bucket, Key="config/limits.json", Body=_LIMITS)

    # ---------------------------------------------------------------- the end of both

    def _end(self, canceled: str) -> None:
        started = time.monotonic()
        for job in self.jobs.values():
            job.wait(_PATIENCE)
        self.laptop.wait(lambda: not check_queued(self.laptop.ledger()), "every request to be settled")
        self.say(f"every job ended within {time.monotonic() - started:.0f} s")
        for name, job in self.jobs.items():
            manifest = job.manifest()
            counts = {status: number for status, number in manifest["counts"].items() if number}
            expected = "canceled" if name == canceled else "done"
            self.wrong += [f"{name} is {manifest['state']}, not {expected}"] if manifest["state"] != expected else []
            self.wrong += [f"{name}: {finding.kind}: {finding.sentence}" for finding in job.audit()]
            self.say(f"  {name:30} {manifest['state']}, {counts}")
        self.jobs.clear()

    # ---------------------------------------------------------------- one job

    def _drop(self, name: str, body: bytes, *, ending: str = ".jsonl") -> Job:
        self.jobs[name] = self.laptop.drop(f"inbox/{name}{ending}", body)
        return self.jobs[name]

    def _drop_lost(self, name: str, number: int) -> None:
        """Accepted, but nobody hears of it."""
        self.laptop.claude.fault("accept-then-drop", "create")
        self._drop(name, rows(number))
        self.laptop.wait(lambda: bool(self.laptop.claude.faults()[0]["struck"]), "the answer to be lost")
        self.laptop.claude.clear_faults()

    def _drop_killed(self, name: str) -> None:
        """Its planner dies at work."""
        job = self._drop(name, _long()).wait_for("planning")
        for worker in self.laptop.workers("plan"):
            worker.kill()
        stored = self.laptop.ledger().get_job(job.id)
        assert stored is not None
        assert stored.state is JobState.planning

    def _drop_dead(self, name: str) -> None:
        """Its event is a dead letter."""
        self._stop("plan")
        self._drop(name, rows(2))
        body = self.laptop.receive(self.laptop.output("UploadsQueue"))
        self.laptop.sqs.send_message(QueueUrl=self.laptop.output("UploadsDeadLetters"), MessageBody=body)
        self._start("plan")

    def _redrive(self) -> None:
        """Before an update, as the manual says: a queue that the new version does without is deleted with what is in it."""
        body = self.laptop.receive(self.laptop.output("UploadsDeadLetters"))
        self.laptop.sqs.send_message(QueueUrl=self.laptop.output("UploadsQueue"), MessageBody=body)

    def _batches(self, job: Job) -> list[Batch]:
        return list(self.laptop.ledger().list_batches(job.id))

    def _states(self, job: Job) -> Counter[BatchState]:
        return Counter(batch.state for batch in self._batches(job))

    def _wait_for(self, job: Job, state: BatchState, number: int) -> None:
        self.laptop.wait(lambda: self._states(job)[state] >= number, f"{number} batches of {job.key} to be {state}")

    # ---------------------------------------------------------------- the stack

    def _deploy(self, put: Callable[[], None], what: str, *others: str) -> None:
        started = time.monotonic()
        put()
        self.laptop.update(*PARAMETERS, *others)
        self.say(f"{what} in {time.monotonic() - started:.0f} s, with open jobs:")

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """Users who know nothing of the update go on dropping files."""
        ended = threading.Event()

        def drop() -> None:
            while not ended.wait(_DURING_SECONDS):
                self._drop(f"during-{len(self.jobs)}", rows(2))

        users = threading.Thread(target=drop)
        users.start()
        try:
            yield
        finally:
            ended.set()
            users.join()

    def _parameter(self, position: str) -> None:
        self.laptop.client("ssm").put_parameter(Name=self.laptop.env["BATCHDROP_SWITCH"], Value=position, Overwrite=True)

    def _stop(self, stage: str) -> None:
        """Its messages wait."""
        self._stopped.append(stage)
        self._listen(stage, enabled=False)

    def _start(self, *stages: str) -> None:
        for stage in stages:
            self._stopped = [one for one in self._stopped if one != stage]
            self._listen(stage, enabled=True)

    def _listen(self, stage: str, *, enabled: bool) -> None:
        functions = self.laptop.client("lambda")
        for mapping in functions.list_event_source_mappings(FunctionName=f"{self.laptop.stack}-{stage}")["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)

    def _shown(self) -> dict[str, str]:
        """Of each job and its batches, in short."""
        return {name: self._described(job) for name, job in self.jobs.items()}

    def _described(self, job: Job) -> str:
        stored = self.laptop.ledger().get_job(job.id)
        batches = ", ".join(f"{number} {state}" for state, number in self._states(job).items())
        needs = f" for {stored.needs}" if stored and stored.needs else ""
        return f"{stored.state if stored else 'no job yet'}{needs} ({batches})"

    def _items(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Of the open jobs, as they are stored."""
        table = self.laptop.client("dynamodb")
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for job in self.jobs.values():
            page = table.query(
                TableName=self.laptop.env["BATCHDROP_TABLE"],
                KeyConditionExpression="pk = :job",
                ExpressionAttributeValues={":job": {"S": f"JOB#{job.id}"}},
                ConsistentRead=True,
            )
            found |= {(item["pk"]["S"], item["sk"]["S"]): item for item in page["Items"]}
        return found


def _mixed() -> bytes:
    """Answers, a row that succeeds the second time, one that never does, and two that are never sent."""
    lines = [row(f"row {number}", f"prompt {number}") for number in range(30)]
    lines[2] = row("again", "[[error:overloaded_error:1]]")
    lines[5] = b"not json"
    lines[7] = row("row 1")
    lines[9] = row("never", "[[error:api_error]]")
    return b"\n".join(lines) + b"\n"


def _long() -> bytes:
    """Bytes that take a planner some seconds, of few rows."""
    return b"".join(row(f"row {number}", "long " * 20_000) + b"\n" for number in range(500))


def _table(number: int) -> bytes:
    return "\n".join(["id,text", *(f"{line},row {line}" for line in range(1, number + 1)), ""]).encode()
