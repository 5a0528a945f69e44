"""`make upgrade FROM=REF`: deploys an earlier commit on this machine, opens jobs, and updates the stack to the last one.

A checkout in a folder of its own goes from one commit to the other, as a user's does. Every job must end, and the audit must find
nothing. It needs git history, so `make test` does not run it: its counterpart there, test_upgrade.py, starts from what an earlier
version has stored.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from batchdrop.domain.records import BatchState, JobState
from batchdrop_cli.audit.table import check_queued
from tests.e2e.laptop import ROOT, Job, Laptop, running
from tests.stack import row, rows

_PARAMETERS = (
    "MaxBatchRequests=25",
    "QueuedRequestsLimit=150",
    "ReconcileGraceSeconds=60",
    "FunctionTimeoutSeconds=60",
    "VisibilityTimeoutSeconds=360",
)
# Longer than an update takes.
_SLOW, _QUICK = 120.0, 1.0
_DURING_SECONDS = 3.0


def main(ref: str) -> int:
    with TemporaryDirectory(prefix="batchdrop-upgrade-") as folder:
        root = Path(folder)
        _run("git", "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), folder, cwd=ROOT)
        _check_out(ref, root)
        started = time.monotonic()
        with running(root / ".local", *_PARAMETERS, root=root) as laptop:
            _say(f"{ref} is deployed after {time.monotonic() - started:.0f} s")
            return _judge(laptop)


def _check_out(ref: str, root: Path) -> None:
    _run("git", "checkout", "--quiet", "--detach", ref, cwd=root)
    _run("make", "setup", cwd=root)


def _run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _say(text: str) -> None:
    print(text, flush=True)


def _judge(laptop: Laptop) -> int:
    jobs = _open_jobs(laptop)
    layers = _layers(laptop)
    before = {job.id: _state(job) for job in jobs}
    _check_out(_run("git", "rev-parse", "HEAD", cwd=ROOT).strip(), laptop.root)
    started = time.monotonic()
    with _dropping(laptop, jobs):
        laptop.update(*_PARAMETERS)
    _say(f"updated in {time.monotonic() - started:.0f} s, with {len(jobs) - len(before)} files dropped meanwhile")
    laptop.claude.settings(seconds=_QUICK)
    started = time.monotonic()
    for job in jobs:
        job.wait()
    laptop.wait(lambda: not check_queued(laptop.ledger()), "every request to be settled")
    _say(f"every job ended within {time.monotonic() - started:.0f} s")
    wrong = [] if _layers(laptop) != layers else ["the functions run the earlier code"]
    for job in jobs:
        manifest = job.manifest()
        counts = {name: number for name, number in manifest["counts"].items() if number}
        expected = "canceled" if job.key == "inbox/canceled.jsonl" else "done"
        wrong += [f"{job.key} is {manifest['state']}, not {expected}"] if manifest["state"] != expected else []
        wrong += [f"{job.key}: {finding.kind}: {finding.sentence}" for finding in job.audit()]
        _say(f"{job.key:28} {before.get(job.id, 'dropped during the update'):58} -> {manifest['state']}, {counts}")
    _say("\n".join(wrong) if wrong else f"{len(jobs)} jobs, all as expected; the audit finds nothing")
    return 1 if wrong else 0


def _open_jobs(laptop: Laptop) -> list[Job]:
    """One that has ended; others that are sent, wait, are being canceled, and do not know whether a batch was accepted."""
    ended = laptop.drop("inbox/ended.jsonl", rows(3)).wait()
    laptop.claude.settings(seconds=_SLOW, cancel_seconds=_SLOW)
    canceled = laptop.drop("inbox/canceled.jsonl", rows(30)).wait_for("running")
    laptop.wait(lambda: _states(canceled)[BatchState.in_progress] == 2, "both batches to be at the API")
    laptop.claude.fault("accept-then-drop", "create")
    lost = laptop.drop("inbox/lost.jsonl", rows(7)).wait_for("running")
    laptop.wait(lambda: bool(laptop.claude.faults()[0]["struck"]), "the answer to be lost")
    packed = laptop.drop("inbox/packed.jsonl.gz", gzip.compress(_mixed(), mtime=0)).wait_for("running")
    crowd = laptop.drop("inbox/crowd.jsonl", rows(200)).wait_for("running")
    laptop.wait(lambda: _states(crowd)[BatchState.in_progress] > 1, "batches to be at the API while others wait")
    laptop.s3.put_object(Bucket=laptop.bucket, Key=f"control/cancel/{canceled.id}", Body=b"")
    laptop.wait(lambda: _states(canceled)[BatchState.canceling] == 2, "both batches to be canceled")
    return [ended, canceled, lost, packed, crowd]


def _mixed() -> bytes:
    """Answers, a row that succeeds the second time, one that never does, and two that are never sent."""
    lines = [row(f"row {number}", f"prompt {number}") for number in range(30)]
    lines[2] = row("again", "[[error:overloaded_error:1]]")
    lines[5] = b"not json"
    lines[7] = row("row 1")
    lines[9] = row("never", "[[error:api_error]]")
    return b"\n".join(lines) + b"\n"


@contextmanager
def _dropping(laptop: Laptop, jobs: list[Job]) -> Iterator[None]:
    """Users who know nothing of the update go on dropping files."""
    ended = threading.Event()

    def drop() -> None:
        while not ended.wait(_DURING_SECONDS):
            jobs.append(laptop.drop(f"inbox/during-{len(jobs)}.jsonl", rows(2)))

    users = threading.Thread(target=drop)
    users.start()
    try:
        yield
    finally:
        ended.set()
        users.join()


def _states(job: Job) -> Counter[BatchState]:
    """Of its batches."""
    return Counter(batch.state for batch in job.laptop.ledger().list_batches(job.id))


def _state(job: Job) -> str:
    """Of a job and its batches, in short."""
    stored = job.laptop.ledger().get_job(job.id)
    described = ", ".join(f"{number} {state}" for state, number in _states(job).items())
    return f"{stored.state if stored else JobState.planning} ({described})"


def _layers(laptop: Laptop) -> list[str]:
    described = laptop.client("lambda").get_function_configuration(FunctionName=f"{laptop.stack}-poll")
    return sorted(layer["Arn"] for layer in described["Layers"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Which earlier commit? For example: make upgrade FROM=v0.1.0")
    sys.exit(main(sys.argv[1]))
