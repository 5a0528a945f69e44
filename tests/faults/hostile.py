"""`python -m tests.faults.hostile`: hostile plans, played against the deployed stack of a laptop system of its own.

A plan is what a slow or failing API, a stranger in the workspace, a careless operator or a malicious file does to one job. Most
are played at the same time; those that everybody notices, such as an account without credit, one after the other. A stored moment
that lies minutes or hours ahead is moved to now: the plans wait for nothing but work.

Afterwards every job must have ended, every row must have been billed once at most by the emulator's own books and delivered once,
the audits must find nothing, and no message, open work or counted request may be left. Exits with 1 otherwise.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import http.client
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from batchdrop.adapters.clock import SystemClock
from batchdrop.domain.errors import LostRace
from batchdrop.domain.messages import CollectBatch
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.reconcile import NOT_FOUND_FOR
from batchdrop.domain.records import Admission, Batch, BatchState
from batchdrop.domain.records import Job as Record
from batchdrop.domain.transitions import TERMINAL_JOB_STATES, Move
from batchdrop_cli.audit.findings import Severity
from batchdrop_cli.audit.table import check_queued
from tests.e2e.laptop import API_KEY, ROOT, Job, Laptop, running
from tests.faults.bill import Bill, check_delivery
from tests.faults.kills import PARAMETERS
from tests.faults.wire import Killer, Moment, limit_concurrency
from tests.stack import row

NEW_KEY = "sk-ant-planted-key-5151"
_WORKSPACE = "wrkspc_hostile"
# An ended batch takes no time; what has to stay at the API is made slow.
_EMULATOR = ("--seconds", "1", "--cancel-seconds", "0", f"--key={API_KEY}={_WORKSPACE}", f"--key={NEW_KEY}={_WORKSPACE}")
_LIMITS = (*(one for one in PARAMETERS if not one.startswith("MaxBatchRequests")), "MaxBatchRequests=16")
# Of one wait: what takes longer does not end.
_BOUND = 240.0
_LOOK = 0.7
# That one run of collect tries, before it believes that answers are missing.
_DOWNLOADS = 4
_SLOW = 3600
_LONGEST_KEY = 1009
_MEMORY = 256 * 1024 * 1024
_QUEUES = ("PLAN", "SUBMIT", "COLLECT", "FINISH", "CONTROL")
_OF_JOBS = (OpenWork.planning, OpenWork.held, OpenWork.running, OpenWork.canceling, OpenWork.finishing)
_FAILED = ("DeadLetters", "Undelivered")


class Dropped(NamedTuple):
    """A file, and how its rows must end."""

    job: Job
    body: bytes
    counts: dict[str, int]


class Story:
    """One plan while it is played. Its prompts bear its name, and so its faults meet no batches but its own."""

    def __init__(self, laptop: Laptop, name: str) -> None:
        self.laptop = laptop
        self.ledger = laptop.ledger()
        self.name = name
        self.dropped: list[Dropped] = []

    # ---------------------------------------------------------------- files

    def row(self, number: int, words: str = "", **params: Any) -> bytes:
        return row(f"r{number}", f"{self.name}: {number} {words}", **params)

    def rows(self, number: int, first: int = 0, **params: Any) -> bytes:
        """No two files of a plan share a row: what is billed is counted by prompt."""
        return b"\n".join(self.row(place, **params) for place in range(first, first + number)) + b"\n"

    def drop(self, body: bytes, *, suffix: str = ".jsonl", storage: str = "STANDARD", **counts: int) -> Job:
        key = f"inbox/hostile/{self.name}-{len(self.dropped)}{suffix}"
        put = self.laptop.s3.put_object(Bucket=self.laptop.bucket, Key=key, Body=body, StorageClass=storage)
        job = self.laptop.job_of(key, put["VersionId"])
        self.dropped.append(Dropped(job, body, counts))
        return job

    def delete(self, job: Job) -> None:
        self.laptop.s3.delete_object(Bucket=self.laptop.bucket, Key=job.key, VersionId=job.version)

    def command(self, text: str) -> None:
        self.laptop.s3.put_object(Bucket=self.laptop.bucket, Key=f"control/{text}", Body=b"")

    def send(self, queue: str, body: str) -> None:
        self.laptop.sqs.send_message(QueueUrl=self.laptop.env[f"BATCHDROP_{queue}_QUEUE"], MessageBody=body)

    # ---------------------------------------------------------------- the API

    def fault(self, kind: str, route: str, *, text: str | None = None, **fields: object) -> None:
        """For calls about batches of this plan alone."""
        self.laptop.claude.fault(kind, route, text=text or f'"{self.name}: ', **fields)

    def unmet(self) -> list[str]:
        """Faults of this plan that met no call. A plan whose faults never happen shows nothing."""
        standing = [one for one in self.laptop.claude.faults() if f"{self.name}: " in one["fault"].get("text", "")]
        return [one["fault"]["kind"] for one in standing if not one["struck"]]

    def stranger(self, requests: int, ids: str = "stranger-") -> str:
        """A batch that somebody else in the workspace creates. It is slow, if the plan has ordered that."""
        body = {
            "requests": [
                {"custom_id": f"{ids}{line}", "params": json.loads(row(None, f"stranger of {self.name}: forged"))["params"]}
                for line in range(1, requests + 1)
            ]
        }
        return str(self.call("POST", "/v1/messages/batches", body)["id"])

    def call(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.laptop.claude.base_url).netloc, timeout=60)
        headers = {"x-api-key": API_KEY, "anthropic-version": "2023-06-01", "content-type": "application/json"}
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
        assert answer.status == http.HTTPStatus.OK, content
        return content

    # ---------------------------------------------------------------- what comes of it

    def record(self, job: Job) -> Record | None:
        return self.ledger.get_job(job.id)

    def batches(self, job: Job) -> list[Batch]:
        return list(self.ledger.list_batches(job.id))

    def batch(self, job: Job) -> Batch:
        """Of a job that has one."""
        self.until(lambda: bool(self.batches(job)), "a batch")
        (batch,) = self.batches(job)
        return batch

    def at_api(self, job: Job) -> Batch:
        self.until(lambda: bool(self.batch(job).api_id), "its batch to be at the API")
        return self.batch(job)

    def until(self, condition: Callable[[], bool], what: str, bound: float = _BOUND) -> None:
        end = time.monotonic() + bound
        while not condition():
            assert time.monotonic() < end, f"waited {bound:.0f} s for {what}"
            time.sleep(_LOOK)

    def has_ended(self, job: Job) -> bool:
        stored = self.record(job)
        return stored is not None and stored.state in TERMINAL_JOB_STATES

    def end(self, *jobs: Job) -> None:
        """Until they have ended."""
        for job in jobs:
            self.until(lambda job=job: self._hurry(job) or self.has_ended(job), f"{job.key} to end")  # type: ignore[misc]  # mypy cannot type a lambda with a default

    def _hurry(self, job: Job) -> bool:
        """No pause of it lasts: moments that are ahead are moved to now, and those from which a wait counts as far back."""
        now = SystemClock().now()
        for batch in self.batches(job):
            changes: dict[str, Any] = {
                name: now for name in ("collect_at", "not_before") if (at := getattr(batch, name)) is not None and at > now
            }
            if batch.not_found_since is not None and batch.not_found_since > now - NOT_FOUND_FOR:
                changes["not_found_since"] = now - NOT_FOUND_FOR - timedelta(seconds=1)
            if changes:
                self.move(batch, replace(batch, **changes))
        stored = self.record(job)
        streak = stored.streak if stored is not None else None
        if stored is not None and streak is not None and streak.next_at is not None and streak.next_at > now:
            passed = streak.since - (streak.next_at - now)
            self.move(stored, replace(stored, streak=replace(streak, next_at=now, since=passed)))
        return False

    def move[R: (Record, Batch, Admission)](self, before: R, after: R) -> None:
        with contextlib.suppress(LostRace):  # the stack was faster: the next look sees what it did
            self.ledger.commit(Move(before, after))

    def empty(self, *queues: str) -> None:
        self.until(lambda: not any(map(self._messages, queues)), f"the queues {queues} to be empty")

    def _messages(self, queue: str) -> int:
        return messages(self.laptop, self.laptop.env[f"BATCHDROP_{queue}_QUEUE"])


class Plan(NamedTuple):
    name: str
    play: Callable[[Story], None]
    alone: bool


PLANS: list[Plan] = []


def together(play: Callable[[Story], None]) -> Callable[[Story], None]:
    """A plan that only its own job notices. Its name is its documentation."""
    PLANS.append(Plan(str(play.__doc__), play, alone=False))
    return play


def alone(play: Callable[[Story], None]) -> Callable[[Story], None]:
    PLANS.append(Plan(str(play.__doc__), play, alone=True))
    return play


# ---------------------------------------------------------------- results


@together
def short_results(story: Story) -> None:
    """results come short whenever they are read, for a while"""
    story.fault("missing-lines", "results", rows=3, times=2 * _DOWNLOADS)
    job = story.drop(story.rows(6), succeeded=6)
    story.until(lambda: (stored := story.record(job)) is not None and stored.batches_incomplete == 1, "answers to be missed")
    story.end(job)


@together
def cut_results(story: Story) -> None:
    """the stream of results is cut, twice"""
    story.fault("cut", "results", lines=3, times=2)
    story.end(story.drop(story.rows(6), succeeded=6))


@together
def page(story: Story) -> None:
    """a proxy's page comes in place of results, twice"""
    story.fault("page", "results", times=2)
    story.end(story.drop(story.rows(5), succeeded=5))


@together
def collect_twice(story: Story) -> None:
    """a batch is collected by two at once"""
    story.fault("stall", "results", seconds=4, times=2)
    _collect_again(story, story.drop(story.rows(6), succeeded=6))


@together
def collect_twice_short(story: Story) -> None:
    """a batch is collected by two at once, and one of them sees less"""
    story.fault("stall", "results", seconds=4, times=2)
    story.fault("missing-lines", "results", rows=2, times=_DOWNLOADS)
    _collect_again(story, story.drop(story.rows(6), succeeded=6))


def _collect_again(story: Story, job: Job) -> None:
    story.until(lambda: story.batch(job).state is BatchState.ended, "the end of its batch")
    message = CollectBatch(job_id=job.id, batch=story.batch(job).name)
    for _ in range(2):
        story.send("COLLECT", msgspec.json.encode(message).decode())
    story.end(job)


# ---------------------------------------------------------------- creates without an answer: each plan has a size of its own


@together
def created_late(story: Story) -> None:
    """the API creates a batch long after it has closed the connection"""
    story.fault("accept-late", "create", seconds=2)
    story.end(story.drop(story.rows(9), succeeded=9))


@together
def stale_list(story: Story) -> None:
    """an answer is lost, and the list does not show the batch at first"""
    story.fault("accept-then-drop", "create")
    story.fault("late-list", "create", calls=2)
    story.end(story.drop(story.rows(10), succeeded=10))


@together
def failing_create(story: Story) -> None:
    """a create is answered 500 three times, and nothing comes of it"""
    story.fault("refuse", "create", status=500, times=3)
    story.end(story.drop(story.rows(11), succeeded=11))


@together
def deleting_stranger(story: Story) -> None:
    """a stranger's batch of the same size is adopted, and its owner deletes it"""
    story.fault("slow", "create", seconds=_SLOW, text=f"stranger of {story.name}: ", times=None)
    theirs = story.stranger(13)
    story.fault("refuse", "create", status=500)
    job = story.drop(story.rows(13), succeeded=13)
    story.until(lambda: story.batch(job).api_id == theirs, "the stranger's batch to be adopted")
    story.call("POST", f"/v1/messages/batches/{theirs}/cancel")
    story.call("DELETE", f"/v1/messages/batches/{theirs}")
    story.end(job)


@together
def forging_stranger(story: Story) -> None:
    """a stranger holds a batch of the same size ready, with ids as they can be guessed from the job's"""
    story.fault("refuse", "create", status=500)
    job = story.drop(story.rows(14), succeeded=14)
    story.stranger(14, ids=f"{job.id.rsplit('-', 1)[1]}-1-")
    story.end(job)


@together
def many_strangers(story: Story) -> None:
    """an answer is lost among 200 batches of strangers that look alike"""
    for _ in range(200):
        story.stranger(1)
    story.fault("accept-then-drop", "create")
    story.end(story.drop(story.rows(1), succeeded=1))


# ---------------------------------------------------------------- refusals


@together
def named_rows(story: Story) -> None:
    """two rows of twelve make the API refuse their batch, and it says that it is about a request"""
    _bad_rows(story, 12, message="requests.3.params: Input should be better")


@together
def unnamed_rows(story: Story) -> None:
    """two rows of eight make the API refuse their batch, in words about nothing"""
    _bad_rows(story, 8, message="Your request was refused.")


def _bad_rows(story: Story, number: int, message: str) -> None:
    story.fault("refuse", "create", status=400, text=f'"{story.name}: 4 bad', times=None, message=message)
    story.fault("refuse", "create", status=400, text=f'"{story.name}: 5 bad', times=None, message=message)
    rows = [story.row(place, "bad" if place in (4, 5) else "") for place in range(number)]
    story.end(story.drop(b"\n".join(rows), succeeded=number - 2, errored=2))


@together
def forbidden_rows(story: Story) -> None:
    """one job is answered 403 for a while, and no other notices"""
    story.fault("refuse", "create", status=403, times=3)
    job = story.drop(story.rows(4), succeeded=4)
    story.end(job)
    assert not story.ledger.get_admission().blocked, "one job's 403 stopped the stack"


# ---------------------------------------------------------------- files and events


@together
def huge_ids(story: Story) -> None:
    """two rows have one custom_id of 21 MB"""
    huge = b'{"custom_id": "%b", %b' % (rb"\"" * 10_700_000, story.row(0).split(b", ", 1)[1])
    body = b"\n".join([huge, huge, *(story.row(place) for place in range(1, 9))])
    story.end(story.drop(gzip.compress(body, 1), suffix=".jsonl.gz", succeeded=9, invalid=1))


@together
def tiny_keys(story: Story) -> None:
    """a line of 32 MB holds nothing but tiny keys"""
    keys = b",".join(b'"%x":0' % number for number in range(2_900_000))
    body = b"\n".join([b'{"custom_id": "k", "params": {%b}}' % keys, story.rows(3)])
    story.end(story.drop(gzip.compress(body, 1), suffix=".jsonl.gz", succeeded=3, invalid=1))
    peak = story.laptop.peak_memory("plan")
    assert peak < _MEMORY, f"plan took {peak / 1024 / 1024:.0f} MiB"


@together
def greedy_rows(story: Story) -> None:
    """every row asks for 999,999,999 tokens"""
    job = story.drop(story.rows(15, max_tokens=999_999_999), errored=15)
    story.end(job)
    assert len(story.batches(job)) == 1, "each row became a batch of its own"


@together
def unreadable_input(story: Story) -> None:
    """an archived file cannot be read, and its owner cancels"""
    job = story.drop(story.rows(3), storage="GLACIER")
    story.command(f"cancel/{job.id}")
    story.end(job)


@together
def damaged_gzip(story: Story) -> None:
    """a compressed file breaks off"""
    whole = gzip.compress(b"".join(story.row(place) + b"\n" for place in range(2)) + story.row(2) + b" " * 200_000)
    story.drop(whole[: len(whole) - 60], suffix=".jsonl.gz")
    story.end(story.dropped[0].job)
    assert story.dropped[0].job.manifest()["counts"]["total"], "nothing was read"


@together
def deleted_input(story: Story) -> None:
    """the input is deleted while its batch is at the API, and its event comes again"""
    story.fault("slow", "create", seconds=10)
    job = story.drop(story.rows(5), succeeded=5)
    story.at_api(job)
    story.delete(job)
    story.send("PLAN", job.event())
    story.end(job)


@together
def late_event(story: Story) -> None:
    """the event of a file comes again when its job has ended and the file is deleted"""
    job = story.drop(story.rows(4), succeeded=4)
    story.end(job)
    manifest = job.read("manifest.json")
    story.delete(job)
    story.send("PLAN", job.event())
    story.empty("PLAN")
    assert job.read("manifest.json") == manifest
    assert job.status()["state"] == "done"


@together
def event_again(story: Story) -> None:
    """the event of a file comes four times at once"""
    job = story.drop(story.rows(20), succeeded=20)
    for _ in range(3):
        story.send("PLAN", job.event())
    story.end(job)


# ---------------------------------------------------------------- operators


@together
def unreadable_list(story: Story) -> None:
    """an operator overwrites the list of invalid rows of a batch that is at the API"""
    story.fault("slow", "create", seconds=10)
    job = story.drop(b"not json\n" + story.rows(5) + b"nor this\n", succeeded=5, invalid=2)
    key = story.at_api(job).invalid_key
    story.laptop.s3.put_object(Bucket=story.laptop.bucket, Key=key, Body=b"\x00 no list\n")
    story.end(job)


@together
def command_in_finish(story: Story) -> None:
    """commands come one after the other while a job finishes"""
    job = story.drop(story.rows(3), succeeded=3)
    story.at_api(job)
    for _ in range(30):
        if story.has_ended(job):
            break
        story.command(f"retry/{job.id}")
        time.sleep(_LOOK)
    story.end(job)


@together
def planted_commands(story: Story) -> None:
    """control/ is filled with keys that are no commands, unknown jobs and a key of 1,009 characters"""
    job = story.drop(story.rows(2), succeeded=2)
    unknown = "20261122T003115Z-k3f4x2m7qa5bcdef"
    for text in (f"cancel/{unknown}", f"pay all/{job.id}", "cancel/../inbox", "retry", f"approve/{unknown}/{unknown}"):
        story.command(text)
    story.command("cancel/".ljust(_LONGEST_KEY - len("control/"), "x"))
    story.end(job)
    story.empty("CONTROL")
    assert "pay all" not in json.dumps(job.status())


@together
def forged_messages(story: Story) -> None:
    """somebody who may send to the queue of commands, and write nothing, forges cancels, foreign events and a retry"""
    job = story.drop(story.rows(2), succeeded=2)
    event = json.loads(job.event())
    event["detail"]["object"] = {"key": f"control/cancel/{job.id}", "size": 0, "etag": "e", "version-id": job.version}
    story.send("CONTROL", json.dumps(event))
    event["detail"]["object"].pop("version-id")
    story.send("CONTROL", json.dumps(event))
    event["detail"]["bucket"]["name"] = "another"
    story.send("CONTROL", json.dumps(event))
    story.end(job)
    story.send("CONTROL", json.dumps({"job_id": job.id}))
    story.empty("CONTROL")
    assert not story.laptop.exists(f"inbox/hostile/{story.name}-0.retry-of-{job.id}.jsonl")
    assert job.status()["state"] == "done"


# ---------------------------------------------------------------- what everybody notices


@alone
def list_down(story: Story) -> None:
    """an answer is lost, the list is down for longer than the grace, and stale when it returns"""
    story.fault("accept-then-drop", "create")
    story.fault("late-list", "create", calls=2)
    story.laptop.claude.fault("refuse", "list", status=500, times=None)
    job = story.drop(story.rows(6), succeeded=6)
    story.until(lambda: story.batch(job).state is BatchState.submitting, "its create to be lost")
    time.sleep(10)  # twice the grace, which a list that is down must not use up
    story.laptop.claude.clear_faults()
    story.end(job)


@alone
def new_key(story: Story) -> None:
    """an answer is lost, the key is replaced and the old one revoked"""
    story.fault("accept-then-drop", "create")
    lost = story.drop(story.rows(7), succeeded=7)
    story.until(lambda: story.batch(lost).state is BatchState.submitting, "its create to be lost")
    secrets = story.laptop.client("secretsmanager")
    secrets.put_secret_value(SecretId=story.laptop.env["BATCHDROP_API_KEY_SECRET"], SecretString=NEW_KEY)
    story.laptop.claude.fault("refuse", key=API_KEY, status=401, times=None)
    story.end(lost, story.drop(story.rows(8, first=7), succeeded=8))


@alone
def no_credit(story: Story) -> None:
    """the credit is used up, in a 400 without a code"""
    _refused_account(story, status=400, message="Your credit balance is too low to access the Anthropic API.")


@alone
def on_hold(story: Story) -> None:
    """the organization is on hold"""
    _refused_account(story, status=400, message="On hold.", details={"error_code": "organization_on_hold"})


@alone
def spend_limit(story: Story) -> None:
    """a spend limit is reached, in a 429 without a retry-after"""
    _refused_account(story, status=429, message="Limit.", details={"error_code": "enforced_spend_limit_reached"})


def _refused_account(story: Story, **refusal: object) -> None:
    story.laptop.claude.fault("refuse", "create", times=None, **refusal)
    jobs = [story.drop(story.rows(4), succeeded=4), story.drop(story.rows(5, first=4), succeeded=5)]
    story.until(lambda: bool(story.ledger.get_admission().blocked), "the stack to stop")
    sentence = story.ledger.get_admission().blocked
    story.until(lambda: sentence in json.dumps([job.status() for job in jobs]), "a status that tells")
    assert sum(len(story.batches(job)) for job in jobs) == len(jobs), "a batch was cut for what is no row's fault"
    story.laptop.claude.clear_faults()

    def probed() -> bool:
        admission, now = story.ledger.get_admission(), SystemClock().now()
        if admission.blocked and admission.probe_at is not None and admission.probe_at > now:
            story.move(admission, replace(admission, probe_at=now))
        return not admission.blocked

    story.until(probed, "the stack to go on")
    story.end(*jobs)


@alone
def killed_functions(story: Story) -> None:
    """plan is killed while it unpacks, poll in mid-tick, and collect before it records"""
    moments = (
        Moment("plan", "a part of a copy is uploaded", r"^PUT /\S+/input\.jsonl\?\S*partNumber", "after"),
        Moment("poll", "an end is seen, not recorded", r"TransactWriteItems.*\"ended\"", "before"),
        Moment("collect", "all outputs are written", r"TransactWriteItems.*\"collected\"", "before"),
    )
    killer = Killer(story.laptop, moments)
    with killer.wired():
        wide = b"\n".join(story.row(place, "w" * 4_000_000) for place in range(6))
        story.end(
            story.drop(gzip.compress(wide, 1), suffix=".jsonl.gz", succeeded=6), story.drop(story.rows(5, first=6), succeeded=5)
        )
    assert not killer.left(), f"never came: {[moment.name for moment in killer.left()]}"


# ---------------------------------------------------------------- all of them


def play(laptop: Laptop, plans: list[Plan]) -> dict[str, list[str]]:
    """What is wrong, by plan; what concerns none under an empty name."""
    limit_concurrency(laptop)
    stories = [Story(laptop, plan.play.__name__) for plan in plans]
    played = list(zip(plans, stories, strict=True))
    side_by_side = [(plan, story) for plan, story in played if not plan.alone]
    with ThreadPoolExecutor(max(len(side_by_side), 1)) as pool:
        found = dict(pool.map(_play, side_by_side))
    for plan, story in played:
        if plan.alone:
            laptop.claude.clear_faults()
            found |= [_play((plan, story))]
    laptop.claude.clear_faults()
    bill = Bill(laptop.claude)
    for plan, story in played:
        found[plan.name] += _check(story, bill)
    known = {dropped.job.folder for _, story in played for dropped in story.dropped}
    return found | {"": list(left(laptop, known))}


def _play(played: tuple[Plan, Story]) -> tuple[str, list[str]]:
    plan, story = played
    began = time.monotonic()
    try:
        plan.play(story)
        assert not story.unmet(), f"never happened: {story.unmet()}"
    except Exception as error:
        where = [_where(story, dropped.job) for dropped in story.dropped if not story.has_ended(dropped.job)]
        print(f"BROKEN  {plan.name}: {error}", flush=True)
        return plan.name, ["; ".join([f"{type(error).__name__}: {error}", *where])]
    print(f"{time.monotonic() - began:5.0f} s  {plan.name}", flush=True)
    return plan.name, []


def _where(story: Story, job: Job) -> str:
    stored = story.record(job)
    batches = ", ".join(f"{batch.name} {batch.state}" for batch in story.batches(job))
    return f"{job.id} is {stored.state if stored else 'not known'}, its batches: {batches or 'none'}"


def _check(story: Story, bill: Bill) -> Iterator[str]:
    audit = story.laptop.auditor()
    for dropped in story.dropped:
        if not story.has_ended(dropped.job):
            continue  # it was waited for, so that is told already
        if dropped.counts:
            yield from check_delivery(dropped.job, dropped.body, dropped.counts, bill)
        evidence = bill.of(story.batches(dropped.job))
        for finding in dataclasses.replace(audit, evidence=evidence)(dropped.job.id):
            if finding.severity is Severity.error:
                yield f"{dropped.job.key}: {finding.sentence}"


def left(laptop: Laptop, known: set[str]) -> Iterator[str]:
    """What nobody works on any more must not lie about, and nobody gets an object in the outbox without a file."""
    urls = {queue: laptop.env[f"BATCHDROP_{queue}_QUEUE"] for queue in _QUEUES}
    urls |= {queue: laptop.output(queue) for queue in _FAILED}
    with contextlib.suppress(AssertionError):
        laptop.wait(lambda: not any(messages(laptop, urls[queue]) for queue in _QUEUES), "empty queues", 90)
    for name, url in urls.items():
        if number := messages(laptop, url):
            yield f"{name}: {number} messages are left"
    ledger = laptop.ledger()
    yield from (finding.sentence for finding in check_queued(ledger))
    if queued := ledger.get_admission().queued:
        yield f"{queued} requests still count as queued"
    for work in OpenWork:
        listed = ledger.list_open_jobs(work) if work in _OF_JOBS else ledger.list_open_batches(work)
        yield from (f"{left} is still listed as {work}" for left in listed)
    pages = laptop.s3.get_paginator("list_objects_v2").paginate(Bucket=laptop.bucket, Prefix="outbox/")
    for key in (one["Key"] for page in pages for one in page.get("Contents", [])):
        if key.rsplit("/", 1)[0] + "/" not in known:
            yield f"{key} belongs to no file that was dropped"


def messages(laptop: Laptop, url: str) -> int:
    """Visible or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    return sum(
        int(number) for number in laptop.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    )


def main() -> int:
    logging.disable(logging.CRITICAL)
    wanted = set(sys.argv[1:])
    plans = [plan for plan in PLANS if not wanted or plan.play.__name__ in wanted]
    began = time.monotonic()
    with running(ROOT / ".local" / "hostile", *_LIMITS, emulator=_EMULATOR) as laptop:
        found = play(laptop, plans)
    for name, wrong in found.items():
        for sentence in wrong:
            print(f"BROKEN {name or 'after all of them'}: {sentence}")
    broken = sum(len(wrong) for wrong in found.values())
    print(f"{len(plans)} hostile plans, {broken} broken promises, {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
