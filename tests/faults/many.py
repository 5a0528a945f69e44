"""`python -m tests.faults.many [--files N]`: many small files dropped at once while functions are killed; each is answered once.

The functions run as on a laptop, two of each at a time. Every few seconds a process of one of them dies, whatever it is at. Exits
with 1 if a job has not ended in time, or if anything was paid twice, lost or left behind.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import logging
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil

from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop_cli.audit.findings import Severity
from local.stages import STAGES
from tests.e2e.laptop import ROOT, Job, Laptop, running
from tests.faults.bill import Bill, check_delivery
from tests.faults.hostile import left
from tests.faults.kills import PARAMETERS
from tests.faults.wire import limit_concurrency
from tests.stack import row

_FILES = 2000
_ROWS = 3
_SECONDS = 900.0
_KILL_EVERY = 5.0
_LOOK = 2.0
_DROPPERS = 8


class Killing:
    """Kills a process of one function after the other."""

    def __init__(self, laptop: Laptop) -> None:
        self._laptop = laptop
        self.kills = 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _run(self, over: threading.Event) -> None:
        for stage in itertools.cycle(STAGES):
            if over.wait(_KILL_EVERY):
                return
            # The busiest: an idle process dies without anybody to notice.
            for worker in sorted(self._laptop.workers(stage), key=_idle)[:1]:
                try:
                    worker.kill()
                except psutil.NoSuchProcess:
                    continue
                self.kills += 1


def _idle(worker: psutil.Process) -> float:
    try:
        return -worker.cpu_percent(0.05)
    except psutil.NoSuchProcess:
        return 0.0


def drop(laptop: Laptop, number: int) -> dict[str, tuple[Job, bytes]]:
    """So many files at once; the jobs by id."""

    def one(place: int) -> tuple[Job, bytes]:
        body = b"\n".join(row(f"r{line}", f"file {place}, row {line}") for line in range(_ROWS))
        return laptop.drop(f"inbox/many/{place:05}.jsonl", body), body

    with ThreadPoolExecutor(_DROPPERS) as pool:
        return {job.id: (job, body) for job, body in pool.map(one, range(number))}


def wait(laptop: Laptop, jobs: dict[str, tuple[Job, bytes]], seconds: float) -> set[str]:
    """Until all have ended, or the time is over. Those that have not."""
    ledger = laptop.ledger()
    open_jobs = set(jobs)
    began = time.monotonic()
    while open_jobs and time.monotonic() < began + seconds:
        time.sleep(_LOOK)
        listed = {job.id for work in _OPEN for job in ledger.list_open_jobs(work)}
        for job_id in open_jobs - listed:
            stored = ledger.get_job(job_id)
            if stored is not None and stored.state in TERMINAL_JOB_STATES:
                open_jobs.discard(job_id)
    return open_jobs


_OPEN = (OpenWork.planning, OpenWork.running, OpenWork.canceling, OpenWork.finishing)


def check(laptop: Laptop, jobs: dict[str, tuple[Job, bytes]]) -> Iterator[str]:
    bill, audit, ledger = Bill(laptop.claude), laptop.auditor(), laptop.ledger()

    def one(job: Job, body: bytes) -> list[str]:
        evidence = bill.of(ledger.list_batches(job.id))
        found = dataclasses.replace(audit, evidence=evidence)(job.id)
        wrong = [finding.sentence for finding in found if finding.severity is Severity.error]
        return [f"{job.id}: {sentence}" for sentence in (*check_delivery(job, body, {"succeeded": _ROWS}, bill), *wrong)]

    with ThreadPoolExecutor(_DROPPERS) as pool:
        for found in pool.map(lambda dropped: one(*dropped), jobs.values()):
            yield from found
    yield from left(laptop, {job.folder for job, _ in jobs.values()})


def main() -> int:
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(prog="python -m tests.faults.many")
    parser.add_argument("--files", type=int, default=_FILES, help="how many (default: %(default)s)")
    files = parser.parse_args().files
    with running(ROOT / ".local" / "many", *PARAMETERS) as laptop:
        limit_concurrency(laptop)
        killing = Killing(laptop)
        began = time.monotonic()
        with killing.going_on():
            jobs = drop(laptop, files)
            print(f"{files} files dropped after {time.monotonic() - began:.0f} s", flush=True)
            open_jobs = wait(laptop, jobs, _SECONDS)
        took = time.monotonic() - began
        states = [f"{job_id} has not ended" for job_id in sorted(open_jobs)]
        ended = {job_id: dropped for job_id, dropped in jobs.items() if job_id not in open_jobs}
        wrong = [*states, *check(laptop, ended)]
    for sentence in wrong[:50]:
        print(f"BROKEN {sentence}")
    print(f"{len(ended)} of {files} files answered in {took:.0f} s, {killing.kills} kills, {len(wrong)} broken promises")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
