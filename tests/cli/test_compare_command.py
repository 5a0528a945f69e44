"""`batchdrop compare`: the same rows both ways, on the emulator; what asks first, what is kept, and how it is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchdrop_cli.calling.account import is_emulator, is_loopback
from batchdrop_cli.comparing import compare_session
from batchdrop_cli.comparing.sent_batch import SentBatch
from batchdrop_cli.comparing.shown_comparison import amount
from batchdrop_cli.main import batchdrop
from local.claude.client import Control, start
from tests.cli.test_try_command import ENVIRONMENT, RECIPE, TABLE, laid, request

KEPT = "compare-reviews.csv.json"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Control]:
    with start("--seed", "compare", "--seconds", "0.1", "--cancel-seconds", "0.1") as control:
        yield control


@pytest.fixture
def claude(emulator: Control, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Control]:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", emulator.base_url)
    monkeypatch.chdir(tmp_path)
    yield emulator
    emulator.clear_faults()
    emulator.settings(seconds=0.1, finished_share=None)
    emulator.reset()


@pytest.fixture
def paid(claude: Control, monkeypatch: pytest.MonkeyPatch) -> Control:
    """The same API, taken for one that costs money."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    monkeypatch.setattr(compare_session, "is_emulator", lambda _: False)
    return claude


def compared(*arguments: object, typed: str | None = None) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, ["compare", *map(str, arguments)], input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def kept(name: str = KEPT) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(name).read_text(), parse_float=Decimal)
    return found


def words(text: str) -> str:
    return " ".join(text.split())


# ---------------------------------------------------------------- both ways


def test_both_ways_side_by_side(claude: Control, tmp_path: Path) -> None:
    result = compared(laid(tmp_path), "--rows", 3)
    assert result.exit_code == 0, result.stderr
    rows = {line.split("  ")[0]: line.split() for line in result.stdout.splitlines()}
    assert rows["answers"] == ["answers", "3", "of", "3", "3", "of", "3"]
    assert "reviews.csv: 3 of 5 rows, claude-haiku-4-5" in result.stdout
    assert "The batch cost 50 % of what one by one cost" in words(result.stdout)
    assert "All 5 rows at these rates" in words(result.stdout)
    assert "This was the emulator" in words(result.stdout)
    assert result.stderr == f"Written to {KEPT}.\n"
    # The same rows, byte for byte, and no other: the first, the last and the one between them.
    assert claude.count("messages") == 3
    assert claude.count("create") == 1
    (batch,) = claude.batches()
    sent = json.loads(claude.body(batch["id"]))["requests"]
    assert [one["custom_id"].rsplit("-", 1)[1] for one in sent] == ["2", "4", "6"] == list(map(str, kept()["lines"]))
    assert batch["id"] == kept()["batch_id"]


def test_figures_are_those_of_the_api(claude: Control, tmp_path: Path) -> None:
    printed = json.loads(compared(laid(tmp_path), "--rows", 5, "--json").stdout, parse_float=Decimal)
    assert printed == kept()
    assert printed["progress"] == "done"
    results = [json.loads(line)["result"]["message"]["usage"] for line in claude.results(printed["batch_id"]).splitlines()]
    read, written = (sum(usage[name] for usage in results) for name in ("input_tokens", "output_tokens"))
    batch, singly = printed["batch"], printed["one_by_one"]
    assert (batch["input_tokens"], batch["output_tokens"], batch["answered"], batch["failed"]) == (read, written, 5, 0)
    # Haiku 4.5: a dollar and five dollars for a million tokens, and half of that.
    assert batch["usd"] == (read + 5 * written) * Decimal("0.0000005")
    assert singly["usd"] == 2 * batch["usd"]
    assert printed["at_most_usd"] >= singly["usd"] + batch["usd"]
    assert batch["seconds"] > 0 < singly["seconds"]
    # Figures alone: no row, no answer.
    assert "lamp" not in Path(KEPT).read_text()


def test_rows_are_asked_one_after_the_other(claude: Control, tmp_path: Path) -> None:
    claude.fault("stall", "messages", seconds=0.2, times=5)
    compared(laid(tmp_path), "--rows", 5)
    assert [call["route"] for call in claude.log()][:6] == ["messages"] * 5 + ["create"]
    # Each waits for the one before it.
    assert kept()["one_by_one"]["seconds"] >= 1


def test_headers_of_the_recipe_are_sent_both_ways(claude: Control, tmp_path: Path) -> None:
    recipe = f"{RECIPE}betas: [some-beta-2026-01-01]\nanthropic_version: '2023-06-01'\n"
    compared(laid(tmp_path, recipe=recipe), "--rows", 1)
    calls = [json.dumps(call) for call in claude.log() if call["route"] in ("messages", "create")]
    assert len(calls) == 2
    assert all("2023-06-01" in call for call in calls)


def test_rows_without_an_answer_are_counted_both_ways(claude: Control, tmp_path: Path) -> None:
    table = "text\nA lamp\nA lamp [[error:invalid_request_error]]\nA bed [[expire]]\n"
    result = compared(laid(tmp_path, table), "--rows", 3)
    assert result.exit_code == 3
    assert kept()["one_by_one"]["errors"] == {"invalid_request_error": 1}
    assert kept()["batch"]["errors"] == {"invalid_request_error": 1, "expired": 1}
    assert (kept()["one_by_one"]["failed"], kept()["batch"]["failed"]) == (1, 2)
    assert "Without an answer as a batch: 1 expired, 1 invalid_request_error." in words(result.stdout)


def test_a_row_that_is_counted_as_answered_and_has_no_result(claude: Control, tmp_path: Path) -> None:
    compared(laid(tmp_path, "text\nA lamp [[missing]]\nA bed [[duplicate]]\n"))
    assert (kept()["batch"]["answered"], kept()["batch"]["failed"]) == (1, 1)


def test_rows_that_cannot_be_sent_are_left_out(claude: Control, tmp_path: Path) -> None:
    body = json.dumps({"params": request("a")}) + "\n{}\n"
    result = compared(laid(tmp_path, body, "rows.jsonl", recipe=None))
    assert result.exit_code == 3
    assert "1 row that would have been asked about cannot be sent" in words(result.stdout)
    assert claude.count("messages") == 1
    only = compared(laid(tmp_path, '{"params": {}}\n', "none.jsonl", recipe=None))
    assert (only.exit_code, only.stdout) == (1, "")
    assert "None of 1 row can be sent." in only.stderr


# ---------------------------------------------------------------- who says yes


def test_without_a_terminal_it_waits_for_a_yes(paid: Control, tmp_path: Path) -> None:
    result = compared(laid(tmp_path), "--rows", 3)
    assert (result.exit_code, result.stdout) == (5, "")
    assert "This sends 3 rows twice, and costs $" in result.stderr
    assert "at most" in result.stderr
    assert "--approve-up-to" in result.stderr
    assert paid.log() == []
    assert not Path(KEPT).exists()


def test_an_amount_that_is_too_low_is_no_yes(paid: Control, tmp_path: Path) -> None:
    result = compared(laid(tmp_path), "--approve-up-to", "0.0001")
    assert result.exit_code == 5
    assert "more than you approve" in result.stderr
    assert paid.log() == []


@pytest.mark.parametrize("amount", ["1", "$1.00"])
def test_an_amount_is_a_yes(paid: Control, tmp_path: Path, amount: str) -> None:
    result = compared(laid(tmp_path), "--rows", 2, "--approve-up-to", amount)
    assert result.exit_code == 0
    assert "costs $" in result.stderr
    assert "emulator" not in result.stdout
    found = kept()
    assert found["at_most_usd"] >= found["one_by_one"]["usd"] + found["batch"]["usd"] > 0


@pytest.mark.parametrize("amount", ["much", "-1", "NaN", "inf", ""])
def test_what_is_no_amount(paid: Control, tmp_path: Path, amount: str) -> None:
    assert compared(laid(tmp_path), "--approve-up-to", amount).exit_code == 2


@pytest.mark.parametrize(("typed", "code", "calls"), [("n\n", 4, 0), ("\n", 4, 0), ("", 4, 0), ("y\n", 0, 2)])
def test_a_person_is_asked(
    paid: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, calls: int
) -> None:
    monkeypatch.setattr(compare_session, "on_terminal", lambda *streams: len(streams) > 1)
    result = compared(laid(tmp_path), "--rows", 2, typed=typed)
    assert result.exit_code == code
    assert "Go on? [y/N]" in result.stderr
    assert paid.count("messages") == calls
    assert Path(KEPT).exists() is (code == 0)


def test_without_a_key_it_says_so(claude: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    result = compared(laid(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ANTHROPIC_API_KEY" in result.stderr


def test_no_key_is_sent_in_clear_text(claude: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://gateway.example.test")
    result = compared(laid(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "begins with https://" in result.stderr


def test_nobody_says_yes_to_an_amount_that_nobody_knows(paid: Control, tmp_path: Path) -> None:
    result = compared(laid(tmp_path, recipe=RECIPE.replace("haiku-4-5", "haiku-6")), "--approve-up-to", 100)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No price is known of claude-haiku-6" in result.stderr
    assert paid.log() == []


class _Proxy(BaseHTTPRequestHandler):
    """Answers everything, as a gateway on this machine may that sends on what it gets."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"ok":true}')

    def log_message(self, *_: object) -> None: ...


def test_a_proxy_on_this_machine_is_no_emulator(claude: Control) -> None:
    with HTTPServer(("127.0.0.1", 0), _Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert not is_emulator(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert is_emulator(claude.base_url)
    for url in ("https://api.anthropic.com", "http://192.0.2.1:80", "http://127.0.0.1.example.org", "ftp://127.0.0.1", "x", ""):
        assert not is_emulator(url)
    assert [is_loopback(host) for host in ("localhost", "127.9.9.9", "::1", "10.0.0.1", "localhost.example.org")] == [
        True,
        True,
        True,
        False,
        False,
    ]


# ---------------------------------------------------------------- what is kept


def test_nothing_is_overwritten(claude: Control, tmp_path: Path) -> None:
    Path(KEPT).write_text("mine")
    result = compared(laid(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not overwritten" in result.stderr
    Path("link.json").symlink_to(tmp_path / "elsewhere.json")
    assert compared(tmp_path / "reviews.csv", "--out", "link.json").exit_code == 2
    assert claude.log() == []
    assert Path(KEPT).read_text() == "mine"
    assert not (tmp_path / "elsewhere.json").exists()
    assert compared(tmp_path / "reviews.csv", "--rows", 1, "--out", "other.json").exit_code == 0
    assert kept("other.json")["progress"] == "done"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".other")]


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_sent(claude: Control, tmp_path: Path) -> None:
    result = compared(laid(tmp_path), "--out", tmp_path / "none" / "x.json")
    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr
    assert claude.log() == []


def test_a_batch_that_takes_too_long_is_fetched_later(claude: Control, tmp_path: Path) -> None:
    claude.settings(seconds=1000)
    result = compared(laid(tmp_path), "--rows", 2, "--timeout", 0)
    assert (result.exit_code, result.stdout) == (6, "")
    (batch,) = claude.batches()
    assert batch["id"] in result.stderr
    assert result.stderr.rstrip().endswith(f"batchdrop compare {tmp_path / 'reviews.csv'} --go-on")
    assert kept()["progress"] == "sent"
    again = compared(tmp_path / "reviews.csv", "--timeout", 0, "--go-on")
    assert again.exit_code == 6
    claude.advance(1000)
    late = compared(tmp_path / "reviews.csv", "--go-on")
    assert late.exit_code == 0
    assert kept()["batch"]["answered"] == 2
    assert kept()["batch"]["seconds"] >= 1000
    assert (claude.count("messages"), claude.count("create")) == (2, 1)
    done = compared(tmp_path / "reviews.csv", "--go-on")
    assert done.exit_code == 2
    assert "There is nothing to fetch" in done.stderr


def test_there_is_nothing_to_go_on_with(claude: Control, tmp_path: Path) -> None:
    assert "Run this without --go-on." in compared(laid(tmp_path), "--go-on").stderr
    Path(KEPT).write_text('{"file": 1}')
    result = compared(tmp_path / "reviews.csv", "--go-on")
    assert result.exit_code == 2
    assert "is no file of a comparison" in result.stderr


# ---------------------------------------------------------------- what breaks off


def test_a_batch_that_is_refused(paid: Control, tmp_path: Path) -> None:
    paid.fault("refuse", "create", status=400, times=1)
    result = compared(laid(tmp_path), "--rows", 2, "--approve-up-to", 1)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The API did not accept the batch:" in result.stderr
    assert re.search(r"Paid so far: \$0\.0+[1-9]", result.stderr)
    assert not Path(KEPT).exists()


def test_a_create_without_an_answer_is_never_sent_again(paid: Control, tmp_path: Path) -> None:
    paid.fault("accept-then-drop", "create", times=1)
    result = compared(laid(tmp_path), "--rows", 2, "--approve-up-to", 1)
    assert result.exit_code == 1
    assert "it may be with the API, and is paid then" in result.stderr
    assert "batch of 2 requests" in result.stderr
    assert paid.count("create") == 1
    assert kept()["progress"] == "unknown"


def test_results_that_are_not_there_at_once(claude: Control, tmp_path: Path) -> None:
    claude.fault("not-found", "results", times=2)
    claude.fault("cut", "results", lines=2)
    assert compared(laid(tmp_path), "--rows", 3).exit_code == 0
    assert kept()["batch"]["answered"] == 3
    assert kept()["one_by_one"]["usd"] == 2 * kept()["batch"]["usd"]


def test_what_concerns_every_row_ends_it_before_the_batch(paid: Control, tmp_path: Path) -> None:
    table = "text\nA lamp\nA lamp [[error:authentication_error]]\n"
    result = compared(laid(tmp_path, table), "--approve-up-to", 1)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not accept the key" in result.stderr
    assert re.search(r"No batch was sent\. Paid so far: \$0\.0+[1-9]", result.stderr)
    assert paid.count("create") == 0
    assert not Path(KEPT).exists()


def test_ctrl_c_cancels_the_batch_and_says_what_was_paid(paid: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paid.settings(seconds=1000, finished_share=0.5)
    wait = SentBatch.wait

    def interrupted(batches: SentBatch, batch_id: str, seconds: float) -> Any:
        monkeypatch.setattr(SentBatch, "wait", wait)
        raise KeyboardInterrupt

    monkeypatch.setattr(SentBatch, "wait", interrupted)
    result = compared(laid(tmp_path), "--rows", 4, "--approve-up-to", 1)
    assert (result.exit_code, result.stdout) == (4, "")
    (batch,) = paid.batches()
    assert f"Stopped by you: {batch['id']} is canceled; 2 of its 4 rows had an answer by then." in result.stderr
    found = kept()
    assert found["progress"] == "canceled"
    assert (found["batch"]["answered"], found["batch"]["errors"]) == (2, {"canceled": 2})
    total = found["one_by_one"]["usd"] + found["batch"]["usd"]
    assert 0 < found["batch"]["usd"] < found["one_by_one"]["usd"] / 2
    assert f"Paid so far: {amount(total)}." in result.stderr


def test_ctrl_c_twice_says_where_the_batch_is(paid: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(SentBatch, "wait", interrupted)
    result = compared(laid(tmp_path), "--rows", 2, "--approve-up-to", 1)
    assert result.exit_code == 4
    (batch,) = paid.batches()
    assert f"Whether {batch['id']} is canceled is not known yet" in result.stderr
    assert result.stderr.rstrip().endswith("--go-on")
    assert kept()["progress"] == "sent"


def test_ctrl_c_while_rows_are_asked_sends_no_batch(paid: Control, tmp_path: Path) -> None:
    paid.fault("stall", "messages", seconds=30, when="before", skip=1)
    said = _interrupted(tmp_path, paid, lambda: paid.count("messages") >= 1)
    assert said.returncode == 4
    assert paid.count("create") == 0
    assert "No batch was sent." in said.stderr
    assert not Path(KEPT).exists()


def test_a_real_ctrl_c_cancels_the_batch(claude: Control, tmp_path: Path) -> None:
    claude.settings(seconds=1000)
    said = _interrupted(tmp_path, claude, lambda: claude.count("retrieve") > 1)
    assert said.returncode == 4
    assert "is canceled" in said.stderr
    (batch,) = claude.batches()
    assert batch["processing_status"] == "ended"
    assert kept()["progress"] == "canceled"
    assert "Traceback" not in said.stderr


def _interrupted(tmp_path: Path, claude: Control, when: Any, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "batchdrop_cli", "compare", str(laid(tmp_path)), "--rows", "3", *options]
    with subprocess.Popen(
        command, env=os.environ | ENVIRONMENT, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + 30
        while not when() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:
            printed, said = process.communicate(timeout=60)
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.returncode, printed, said)


# ---------------------------------------------------------------- odd files


def test_an_empty_file_and_rows_without_a_recipe(claude: Control, tmp_path: Path) -> None:
    assert compared(laid(tmp_path, b"", "empty.jsonl", recipe=None)).exit_code == 1
    result = compared(laid(tmp_path, TABLE, recipe=None))
    assert result.exit_code == 2
    assert "Its columns: id, text." in result.stderr
    assert compared(tmp_path / "none.csv").exit_code == 2
    assert claude.log() == []


def test_help_says_that_it_is_paid_twice() -> None:
    assert "All are paid twice" in words(compared("--help").stdout)
