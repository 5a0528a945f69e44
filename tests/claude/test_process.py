"""The emulator as a process: command line, ready line, end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from local.claude import options, worker
from local.claude.client import Control, start
from tests.claude.helpers import BATCHES, HEADERS, requests

PATIENCE = 30


def create(control: Control) -> str:
    body = {"requests": requests("a [[error]]", "b")}
    answer = httpx2.post(f"{control.base_url}{BATCHES}", json=body, headers=HEADERS, verify=False)
    return str(answer.json()["id"])


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_listens_and_ends_cleanly(tmp_path: Path, ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "local.claude", "--port", "0", "--spool", str(tmp_path / "spool")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Claude emulator on http://127.0.0.1:")
        create(Control(line.split()[-1]))
        assert list((tmp_path / "spool").iterdir())
        process.send_signal(ending)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert errors == ""
    assert list((tmp_path / "spool").iterdir()) == [], "nothing is left behind"


def test_with_a_real_clock_batches_end_by_themselves() -> None:
    with start("--speed", "1000", "--seconds", "20") as control:
        batch_id = create(control)
        address = f"{control.base_url}{BATCHES}/{batch_id}"
        until = time.monotonic() + PATIENCE
        while True:
            batch = httpx2.get(address, headers=HEADERS, verify=False).json()
            if batch["processing_status"] == "ended" or time.monotonic() > until:
                break
        assert batch["request_counts"]["succeeded"] == 1
        assert httpx2.get(f"{address}/results", headers=HEADERS, verify=False).text.count("\n") == 2


def test_the_journal_can_be_a_file(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    with start("--journal", str(journal), "--clock", "manual") as control:
        batch_id = create(control)
        control.reset()
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(entry["route"], entry["batch_id"]) for entry in entries] == [("create", batch_id)]


def test_a_seed_draws_the_same_ids_and_without_one_they_differ() -> None:
    drawn = []
    for arguments in (("--seed", "7"), ("--seed", "7"), ()):
        with start(*arguments) as control:
            drawn.append(create(control))
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_clock_can_be_off() -> None:
    with start("--clock-offset", "-3600") as control:
        assert control.now() < time.time() - 3500


def test_it_listens_on_this_machine_only() -> None:
    with start() as control:
        assert urlsplit(control.base_url).hostname == "127.0.0.1"


def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    with start() as control:
        port = str(urlsplit(control.base_url).port)
        command = [sys.executable, "-m", "local.claude", "--port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("The Claude emulator cannot start:")
    assert second.stderr.count("\n") == 1


def test_a_worker_ends_with_the_pipe_to_its_server() -> None:
    """However the server goes, even killed, its end of the pipe closes: no worker stays behind."""
    with subprocess.Popen([sys.executable, "-m", worker.__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.communicate(b"", timeout=PATIENCE)
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", [["--key", "nameless"], ["--speed", "-1"], ["--clock", "sundial"]])
def test_a_command_line_that_makes_no_sense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parse(arguments)
    assert "error" in capsys.readouterr().err


def test_the_command_line_reaches_the_settings() -> None:
    parsed = options.parse(["--seconds", "5", "--eager", "--queued-requests", "10", "--api-key", "k"])
    assert (parsed.settings.seconds, parsed.settings.eager, parsed.settings.queued_requests) == (5, True, 10)
    assert parsed.keys == {"k": options.workspace_of("k")}
