"""`python -m tests.faults.kills [--kills N]`: real processes of every function, killed at exact moments on a system of their own.

Afterwards every job must have ended and the checker must find nothing: no row paid twice, lost, invented or counted wrong.
Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest

from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.ports import Ledger
from batchdrop_cli.audit.findings import Finding
from batchdrop_cli.audit.table import check_queued
from tests.e2e.laptop import ROOT, Job, Laptop, running
from tests.faults.wire import Kill, Killer, Moment
from tests.stack import row

# Short enough to see work come back, long enough for cold starts on a busy machine; the list of the emulator is never late.
PARAMETERS = (
    "FunctionTimeoutSeconds=20",
    "VisibilityTimeoutSeconds=60",
    "ReconcileGraceSeconds=5",
    "MaxBatchRequests=5",
    "CollectDiskMiB=512",
)
_USUAL_KILLS = 40
_ROUNDS = 4
# From the first file to the end of the last job, all rounds together.
_SECONDS = 420.0
# Five of them are an upload of several parts.
_WIDE_ROW = 4_000_000

MOMENTS = (
    Moment("plan", "the job is opened", r"TransactWriteItems.*\"planning\"", "after"),
    Moment("plan", "half of a file is read", r"^GET /\S+/inbox/", "midway"),
    Moment("plan", "a batch is stored", r"TransactWriteItems.*BATCH#", "after"),
    Moment("plan", "all batches are stored", r"TransactWriteItems.*\"running\"", "before"),
    Moment("plan", "the job is planned, nothing admitted", r"TransactWriteItems.*\"running\"", "after"),
    Moment("plan", "admitted, the message not sent", r"AmazonSQS\.SendMessage", "before"),
    Moment("plan", "a part of a copy is uploaded", r"^PUT /\S+/input\.jsonl\?\S*partNumber", "after"),
    Moment("submit", "half of the rows are read", r"^GET /\S+/inbox/", "midway"),
    Moment("submit", "the body is rendered", r"TransactWriteItems.*\"submitting\"", "before"),
    Moment("submit", "the intent is written", r"TransactWriteItems.*\"submitting\"", "after"),
    Moment("submit", "the POST is on its way", r"^POST /v1/messages/batches ", "before"),
    Moment("submit", "the POST is accepted, unanswered", r"^POST /v1/messages/batches ", "after"),
    Moment("submit", "another POST is accepted, unanswered", r"^POST /v1/messages/batches ", "after"),
    Moment("submit", "answered, not recorded", r"TransactWriteItems.*API#", "before"),
    Moment("submit", "recorded", r"TransactWriteItems.*API#", "after"),
    Moment("poll", "the list is asked for", r"^GET /v1/messages/batches\?", "before"),
    Moment("poll", "half of the list has come", r"^GET /v1/messages/batches\?", "midway"),
    Moment("poll", "an end is seen, not recorded", r"TransactWriteItems.*\"ended\"", "before"),
    Moment("poll", "an end is recorded", r"TransactWriteItems.*\"ended\"", "after"),
    Moment("poll", "an end is recorded, the message not sent", r"AmazonSQS\.SendMessage", "before"),
    Moment("poll", "the index is read", r"DynamoDB_\w+\.Query", "after"),
    Moment("collect", "half of the results have come", r"^GET /v1/messages/batches/\S+/results", "midway"),
    Moment("collect", "all results have come", r"^GET /v1/messages/batches/\S+/results", "after"),
    Moment("collect", "a part of an output is uploaded", r"^PUT /\S+/work/\S+partNumber", "after"),
    Moment("collect", "an output is written", r"^PUT /\S+/work/\S+/results-\w+\.jsonl", "after"),
    Moment("collect", "all outputs are written", r"TransactWriteItems.*\"collected\"", "before"),
    Moment("collect", "recorded, with what follows", r"TransactWriteItems.*\"collected\"", "after"),
    Moment("collect", "the last one, finish not told", r"AmazonSQS\.SendMessage", "before"),
    Moment("finish", "the parts are read", r"^GET /\S+/work/", "after"),
    Moment("finish", "the results are written", r"^PUT /\S+/results\.jsonl", "after"),
    Moment("finish", "before the manifest", r"^PUT /\S+/manifest\.json", "before"),
    Moment("finish", "the manifest is written", r"^PUT /\S+/manifest\.json", "after"),
    Moment("finish", "subscribers know", r"Action=Publish", "after"),
    Moment("finish", "the end is recorded", r"TransactWriteItems.*\"done\"", "after"),
    Moment("control", "a cancel is read", r"TransactWriteItems.*cancel_requested", "before"),
    Moment("control", "a cancel is recorded", r"TransactWriteItems.*cancel_requested", "after"),
    Moment("control", "a cancel is on its way", r"^POST /v1/messages/batches/\S+/cancel", "before"),
    Moment("control", "a cancel is accepted, unanswered", r"^POST /v1/messages/batches/\S+/cancel", "after"),
    Moment("control", "a retry is dropped", r"^PUT /\S+/inbox/", "after"),
    Moment("control", "before the answer to a command", r"^PUT /\S+/status\.json", "before"),
)


def first(number: int) -> list[Moment]:
    """So many moments, spread over the functions."""
    by_stage: dict[str, list[Moment]] = {}
    for moment in MOMENTS:
        by_stage.setdefault(moment.stage, []).append(moment)
    spread = [moment for turn in zip_longest(*by_stage.values()) for moment in turn if moment is not None]
    return spread[:number]


def still_open(ledger: Ledger, job_ids: Iterable[str]) -> Iterator[str]:
    """Of each job that has not ended: where it stands, and where each of its batches does."""
    for job_id in job_ids:
        job = ledger.get_job(job_id)
        if job is None:
            yield f"{job_id} was never opened"
        elif job.state not in TERMINAL_JOB_STATES:
            yield f"{job_id} is {job.state}, its message sent {job.repairs} more times: {job.note or job.reason or 'no note'}"
            for batch in ledger.list_batches(job_id):
                yield f"  {batch.name} is {batch.state}, {batch.api_id or 'not at the API'}, {batch.requests} requests"


class Run:
    """Files dropped and commands given until every moment has come, then time for everything to end."""

    def __init__(self, laptop: Laptop, moments: Sequence[Moment], *, seconds: float = _SECONDS) -> None:
        self.laptop = laptop
        self.killer = Killer(laptop, moments)
        self.jobs: list[Job] = []
        self._until = time.monotonic() + seconds

    def play(self, *, files: int, wide: bool) -> None:
        with self.killer.wired():
            for number in range(_ROUNDS):
                self._round(number, files, wide=wide)
                if not self.killer.left():
                    return

    def findings(self) -> dict[str, list[Finding]]:
        """What is wrong, by job; what concerns none under an empty name."""
        audit_job = self.laptop.auditor()
        found = {job.id: audit_job(job.id) for job in self.jobs}
        return {job_id: wrong for job_id, wrong in {**found, "": check_queued(self.laptop.ledger())}.items() if wrong}

    def _round(self, number: int, files: int, *, wide: bool) -> None:
        dropped = [self._drop(f"inbox/kill/{number}-{file}.jsonl", _rows(file)) for file in range(files)]
        if wide:
            body = b"\n".join(row(f"w{i}", f"{i} {'w' * _WIDE_ROW} [[error:overloaded_error:1]]") for i in range(6))
            self._drop(f"inbox/kill/{number}-wide.jsonl.gz", gzip.compress(body, 1))
        if any(moment.stage == "control" for moment in self.killer.left()):
            self._cancel(dropped[: files // 3])
        self._wait(self.jobs)
        if any(moment.stage == "control" for moment in self.killer.left()):
            self._retry([job for job in dropped if job.lines("failed.jsonl")][:2])

    def _drop(self, key: str, body: bytes) -> Job:
        job = self.laptop.drop(key, body)
        self.jobs.append(job)
        return job

    def _cancel(self, jobs: list[Job]) -> None:
        for job in jobs:
            self.laptop.wait(lambda job=job: self._at_api(job) or self._ended(job), f"{job.key} to be at the API", self._left())  # type: ignore[misc]  # mypy cannot type a lambda with a default
            self.laptop.s3.put_object(Bucket=self.laptop.bucket, Key=f"control/cancel/{job.id}", Body=b"")

    def _retry(self, jobs: list[Job]) -> None:
        again = []
        for job in jobs:
            self.laptop.s3.put_object(Bucket=self.laptop.bucket, Key=f"control/retry/{job.id}", Body=b"")
            again.append(job.key.removesuffix(".jsonl") + f".retry-of-{job.id}.jsonl")
        for key in again:
            self.laptop.wait(lambda key=key: self.laptop.exists(key), f"{key} to be dropped", self._left())  # type: ignore[misc]  # as above
            version = self.laptop.s3.head_object(Bucket=self.laptop.bucket, Key=key)["VersionId"]
            self.jobs.append(self.laptop.job_of(key, version))
        self._wait(self.jobs)

    def _wait(self, jobs: list[Job]) -> None:
        try:
            self.laptop.wait(lambda: all(self._ended(job) for job in jobs), "every job to end", self._left())
        except AssertionError as late:
            raise AssertionError("\n".join([str(late), *still_open(self.laptop.ledger(), [job.id for job in jobs])])) from late

    def _left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def _ended(self, job: Job) -> bool:
        stored = self.laptop.ledger().get_job(job.id)
        return stored is not None and stored.state in TERMINAL_JOB_STATES

    def _at_api(self, job: Job) -> bool:
        return any(batch.api_id for batch in self.laptop.ledger().list_batches(job.id))


def _rows(number: int) -> bytes:
    """12 rows in three batches: answers, a row that works the second time, one that never does, two that are never sent."""
    lines = [row(f"r{i}", f"prompt {number} {i}") for i in range(12)]
    lines[2] = row("again", f"prompt {number} [[error:overloaded_error:1]]")
    lines[5] = b"not json"
    lines[7] = row("r1")
    lines[9] = row("never", f"prompt {number} [[error:api_error]]")
    return b"\n".join(lines) + b"\n"


def table(kills: Sequence[Kill], findings: dict[str, list[Finding]]) -> Iterator[str]:
    yield f"{'function':9} {'killed when':42} outcome"
    for kill in sorted(kills, key=lambda kill: MOMENTS.index(kill.moment)):
        wrong = list(chain(*findings.values())) if not kill.job_id else findings.get(kill.job_id, [])
        outcome = "; ".join(str(finding.sentence) for finding in wrong[:2]) or "job ended, nothing wrong"
        yield f"{kill.moment.stage:9} {kill.moment.name:42} {outcome}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills")
    parser.add_argument("--kills", type=int, default=_USUAL_KILLS, help=f"how many, of {len(MOMENTS)} (default: %(default)s)")
    moments = first(parser.parse_args().kills)
    began = time.monotonic()
    with running(ROOT / ".local" / "kills", *PARAMETERS, emulator=("--seconds", "6")) as laptop:
        run = Run(laptop, moments)
        run.play(files=9, wide=True)
        findings = run.findings()
    print("\n".join(table(run.killer.kills, findings)))
    for moment in run.killer.left():
        print(f"never came: {moment.stage}, {moment.name}")
    wrong = sum(len(found) for found in findings.values())
    print(f"{len(run.killer.kills)} kills, {len(run.jobs)} jobs, {wrong} broken promises, {time.monotonic() - began:.0f} s")
    return 1 if wrong or run.killer.left() else 0


if __name__ == "__main__":
    sys.exit(main())
