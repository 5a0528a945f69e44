"""`batchdrop retry --real-time` as a process of its own: killed at any moment, interrupted, and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import boto3
import pytest

from bench.standin import Server, Store
from local.claude.client import Control, start
from tests.cli.ended_jobs import EXPIRED, in_s3, requests_job
from tests.cli.test_try_command import ENVIRONMENT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "the-bucket"
ROWS = 12
PATIENCE = 60


@pytest.fixture(scope="module")
def emulator() -> Iterator[Control]:
    with start("--seed", "kills") as control:
        yield control


@pytest.fixture
def claude(emulator: Control) -> Iterator[Control]:
    yield emulator
    emulator.clear_faults()
    emulator.reset()


@pytest.fixture
def address() -> Iterator[str]:
    with TemporaryDirectory() as folder, Server(Store(Path(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def s3(address: str) -> Iterator[S3Client]:
    client = boto3.client(
        "s3", endpoint_url=address, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    yield client
    client.close()


class Command:
    def __init__(self, claude: Control, address: str, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            **ENVIRONMENT,
            "ANTHROPIC_BASE_URL": claude.base_url,
            "ANTHROPIC_API_KEY": "test-key",
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "BATCHDROP_BUCKET": BUCKET,
        }

    def begin(self, job: str, *arguments: str, most_kib: int | None = None) -> subprocess.Popen[str]:
        limited = ["bash", "-c", f'ulimit -f {most_kib} && exec "$@"', "limited"] if most_kib else []
        command = [
            *limited,
            sys.executable,
            "-m",
            "batchdrop_cli",
            "retry",
            job,
            "--real-time",
            "--approve-up-to",
            "9",
            *arguments,
        ]
        return subprocess.Popen(
            command, cwd=self._folder, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, job: str, *arguments: str, most_kib: int | None = None) -> tuple[int, str, str]:
        process = self.begin(job, *arguments, most_kib=most_kib)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err


@pytest.fixture
def command(claude: Control, address: str, tmp_path: Path) -> Command:
    return Command(claude, address, tmp_path)


@pytest.fixture
def job(s3: S3Client) -> str:
    stack = requests_job(ROWS, dict.fromkeys(range(1, ROWS + 1), EXPIRED))
    in_s3(stack, s3, BUCKET)
    return stack.job().id


def wait_for(claude: Control, calls: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE
    while claude.count("messages") < calls:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def answers(out: str, s3: S3Client) -> list[int]:
    folder = out.strip().removeprefix(f"s3://{BUCKET}/")
    data = s3.get_object(Bucket=BUCKET, Key=f"{folder}results.jsonl")["Body"].read()
    return [json.loads(line)["line"] for line in data.splitlines()]


@pytest.mark.parametrize("calls", [1, 7])
def test_a_killed_run_goes_on_where_it_was(command: Command, claude: Control, s3: S3Client, job: str, calls: int) -> None:
    claude.fault("stall", "messages", seconds=0.1, times=None)
    process = command.begin(job, "--at-once", "1")
    wait_for(claude, calls, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    claude.clear_faults()
    code, out, err = command.run(job)
    assert out, err
    found = answers(out, s3)
    lost = sorted(set(range(1, ROWS + 1)) - set(found))
    # The one that was under way, unless its answer was kept in the last moment.
    assert len(lost) <= 1
    assert code == (3 if lost else 0), err
    for line in lost:
        assert f"may have been paid, not sent without --may-pay-twice: row {line}" in err
    assert found == sorted(found)
    assert claude.count("messages") <= ROWS, "no row was sent twice"


def test_killed_again_and_again_each_row_is_sent_once(command: Command, claude: Control, s3: S3Client, job: str) -> None:
    claude.fault("stall", "messages", seconds=0.05, times=None)
    for _ in range(2):
        before = claude.count("messages")
        process = command.begin(job, "--at-once", "2")
        wait_for(claude, min(before + 2, ROWS), process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
    claude.clear_faults()
    _, out, err = command.run(job)
    assert claude.count("messages") <= ROWS, err
    assert len(answers(out, s3)) >= ROWS - 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_for_what_is_under_way(
    command: Command, claude: Control, s3: S3Client, job: str, number: signal.Signals
) -> None:
    claude.fault("stall", "messages", seconds=0.3, times=None)
    process = command.begin(job, "--at-once", "3")
    wait_for(claude, 3, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (4, "")
    assert "Stopped by you." in err
    assert f"of {ROWS} rows have an answer" in err
    assert "may have been paid" not in err
    claude.clear_faults()
    code, out, err = command.run(job)
    assert code == 0, err
    assert answers(out, s3) == list(range(1, ROWS + 1))
    assert claude.count("messages") == ROWS


def test_a_second_interrupt_does_not_wait(command: Command, claude: Control, s3: S3Client, job: str) -> None:
    claude.fault("stall", "messages", seconds=30, times=2)
    process = command.begin(job, "--at-once", "2")
    wait_for(claude, 2, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4
    assert "may have been paid: rows 1, 2" in err
    claude.clear_faults()
    code, out, err = command.run(job)
    assert (code, answers(out, s3)) == (3, list(range(3, ROWS + 1))), err
    code, out, err = command.run(out.strip(), "--may-pay-twice")
    assert (code, answers(out, s3)) == (0, [1, 2]), err


def test_two_commands_at_once_send_each_row_once(command: Command, claude: Control, s3: S3Client, job: str) -> None:
    claude.fault("stall", "messages", seconds=0.1, times=None)
    processes = [command.begin(job) for _ in range(2)]
    ends = [(process.communicate(timeout=PATIENCE), process.returncode) for process in processes]
    assert sorted(code for _, code in ends) == [0, 1], ends
    assert claude.count("messages") == ROWS


def test_a_disk_that_takes_no_more(command: Command, claude: Control, s3: S3Client, job: str) -> None:
    code, _, err = command.run(job, "--at-once", "1", most_kib=68)
    assert code == 1, err
    assert "cannot be written" in err
    assert "Traceback" not in err
    sent = claude.count("messages")
    code, out, err = command.run(job)
    assert claude.count("messages") <= ROWS
    assert len(answers(out, s3)) >= ROWS - 1
    assert sent < ROWS
