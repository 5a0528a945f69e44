"""`batchdrop retry`: the rest of a job, by the stack or in real time; what is asked, kept, said and never paid twice."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain.ids import is_job_id
from batchdrop.reports.sentences import TABLE_GONE
from batchdrop_cli.calling import many_rows, pace
from batchdrop_cli.main import batchdrop
from batchdrop_cli.retrying import kept_answers, real_time, retry_session
from local.claude.client import Control, start
from tests.cli.ended_jobs import BAD, EXPIRED, ended, in_s3, requests_job, table_job
from tests.cli.own_bucket import BUCKET
from tests.stack import row

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="module")
def emulator() -> Iterator[Control]:
    with start("--seed", "retry") as control:
        yield control


@pytest.fixture
def claude(emulator: Control, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Control]:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", emulator.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pace, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(pace, "LONGEST_WAIT", 0.05)
    yield emulator
    emulator.clear_faults()
    emulator.reset()


@pytest.fixture
def paid(claude: Control, monkeypatch: pytest.MonkeyPatch) -> Control:
    """The same API, taken for one that costs money."""
    monkeypatch.setattr(real_time, "is_emulator", lambda _: False)
    return claude


def retried(*arguments: object, typed: str | None = None) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, ["retry", *map(str, arguments)], input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def in_real_time(*arguments: object, typed: str | None = None) -> Result:
    return retried(*arguments, "--real-time", typed=typed)


def keys_below(s3: S3Client, prefix: str) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def body(s3: S3Client, key: str) -> bytes:
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in data.split(b"\n") if line]


def prompts(claude: Control) -> int:
    return claude.count("messages")


# ---------------------------------------------------------------- the whole way


def test_rows_without_an_answer_get_one(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    result = in_real_time(stack.job().id)
    assert result.exit_code == 3, result.stderr
    folder = result.stdout.strip().removeprefix(f"s3://{BUCKET}/")
    assert folder.startswith(f"outbox/marketing/reviews.retry-of-{stack.job().id}/")
    assert sorted(key.removeprefix(folder) for key in keys_below(s3, folder)) == [
        "complete.jsonl",
        "failed.jsonl",
        "manifest.json",
        "results.jsonl",
        "status.json",
    ]
    answered = lines(body(s3, folder + "results.jsonl"))
    assert [(one["custom_id"], one["line"], one["result"]["type"]) for one in answered] == [
        ("row 2", 2, "succeeded"),
        ("row 4", 4, "succeeded"),
    ]
    (failed,) = lines(body(s3, folder + "failed.jsonl"))
    assert failed == stack.lines("failed.jsonl")[2], "what cannot be asked again is handed on as it is"
    manifest = json.loads(body(s3, folder + "manifest.json"), parse_float=Decimal)
    assert manifest["counts"] == {
        "total": 3,
        "succeeded": 2,
        "errored": 1,
        "expired": 0,
        "canceled": 0,
        "invalid": 0,
        "missing": 0,
    }
    assert manifest["real_time"] == {
        "of": stack.job().id,
        "job": stack.job().id,
        "file": "inbox/marketing/reviews.jsonl",
        "asked": 2,
    }
    assert prompts(claude) == 2


def test_it_costs_the_list_price(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    manifest = json.loads(in_real_time(stack.job().id, "--json").stdout, parse_float=Decimal)
    (usage,) = manifest["usage"].values()
    # Haiku 4.5: a dollar and five dollars for a million tokens.
    assert manifest["cost"]["usd"] == (usage["input_tokens"] + 5 * usage["output_tokens"]) / Decimal(1_000_000)
    assert manifest["cost"]["real_time_usd"] == manifest["cost"]["usd"]
    assert "real time" in manifest["message"]


def test_a_table_comes_back_with_its_rows_and_columns(claude: Control, s3: S3Client) -> None:
    stack = table_job()
    in_s3(stack, s3, BUCKET)
    result = in_real_time(stack.job().id[-6:])
    assert result.exit_code == 0, result.stderr
    folder = result.stdout.strip().removeprefix(f"s3://{BUCKET}/")
    table = list(csv.DictReader(io.StringIO(body(s3, folder + "results.csv").decode("utf-8-sig")), delimiter=";"))
    assert [(one["id"], one["text"], one["batchdrop_row"], one["batchdrop_status"]) for one in table] == [
        ("2", "'=1+1 Bad. It broke", "3", "succeeded"),
        ("4", "I love it, a great bed", "5", "succeeded"),
    ]
    assert [one["label"] for one in table] == ["negative", "positive"]
    assert [one["row"]["id"] for one in lines(body(s3, folder + "results.jsonl"))] == ["2", "4"]
    assert (Path(f"retry-{stack.job().id}") / "results.csv").read_bytes() == body(s3, folder + "results.csv")


_OF_THE_FILE = ("line", "of", "custom_id", "cost_usd")


def test_what_a_batch_would_write_of_the_same_answers_is_written(claude: Control, s3: S3Client) -> None:
    """The same lines as of a retry by the stack, but for numbers of lines, places in the whole table, and answers."""
    stack = table_job()
    in_s3(stack, s3, BUCKET)
    folder = in_real_time(stack.job().id).stdout.strip().removeprefix(f"s3://{BUCKET}/")
    mine = lines(body(s3, folder + "results.jsonl"))
    first = stack.job().id
    stack.claude.answer = lambda custom_id, params: {
        "type": "succeeded",
        "message": mine[(int(custom_id.rpartition("-")[2]) - 1) % 2]["result"]["message"],
    }
    stack.command("retry", first)
    (upload,) = (key for key in stack.objects.keys("inbox/") if "retry-of" in key)
    stack.drop(upload, stack.objects.body(upload))
    stack.run()
    (again,) = (job for job in stack.jobs() if job.id != first)
    theirs = stack.lines("results.jsonl", again)

    def comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in one.items() if name not in _OF_THE_FILE} for one in rows]

    assert json.dumps(comparable(mine), default=float) == json.dumps(comparable(theirs))
    header = body(s3, folder + "results.csv").partition(b"\n")[0]
    assert header == stack.output("results.csv", again).partition(b"\n")[0]
    # The whole table, too: what is cheaper there is the price of a batch.
    whole = lines(body(s3, folder + "complete.jsonl"))
    assert [one["line"] for one in whole] == [2, 3, 4, 5, 6]
    assert comparable_whole(whole) == comparable_whole(stack.lines("complete.jsonl", again))
    assert without_costs(body(s3, folder + "complete.csv")) == without_costs(stack.output("complete.csv", again))
    told = json.loads(body(s3, folder + "manifest.json"))["complete"]
    of_stack = json.loads(stack.output("manifest.json", again))["complete"]
    assert told == {**of_stack, "jobs": [first, folder.rstrip("/").rpartition("/")[2]]}


def comparable_whole(rows: list[dict[str, Any]]) -> str:
    return json.dumps(
        [{name: value for name, value in one.items() if name not in {"cost_usd", "job_id"}} for one in rows], default=float
    )


def without_costs(table: bytes) -> list[list[str]]:
    rows = list(csv.reader(io.StringIO(table.decode("utf-8-sig")), delimiter=";"))
    assert rows[0][-1] == "batchdrop_usd"
    return [row[:-1] for row in rows]


def test_what_is_left_of_a_whole_table_completes_it(claude: Control, s3: S3Client) -> None:
    """A retry by the stack leaves rows; what is asked of them in real time, twice, ends in the table of the first job."""
    stack = requests_job()
    first = stack.job().id
    stack.command("retry", first)
    (upload,) = (key for key in stack.objects.keys("inbox/") if "retry-of" in key)
    stack.claude.answer = lambda custom_id, params: EXPIRED
    stack.drop(upload, stack.objects.body(upload))
    stack.run()
    (again,) = (job for job in stack.jobs() if job.id != first)
    for key in stack.objects.keys(""):
        s3.put_object(Bucket=BUCKET, Key=key, Body=stack.objects.body(key))
    claude.fault("accept-then-drop", "messages")
    runs: list[str] = []
    for job, options in ((again.id, ()), (None, ("--may-pay-twice",))):
        result = in_real_time(job or runs[-1], "--at-once", 1, *options)
        assert result.exit_code in {0, 3}, result.stderr
        folder = result.stdout.strip().removeprefix(f"s3://{BUCKET}/")
        runs.append(folder.rstrip("/").rpartition("/")[2])
    whole = lines(body(s3, folder + "complete.jsonl"))
    assert [one["line"] for one in whole] == [1, 2, 3, 4, 5, 6]
    told = json.loads(body(s3, folder + "manifest.json"))["complete"]
    assert told["jobs"] == [first, again.id, *runs]
    assert (told["rows"], told["answered"]) == (6, 5)
    assert ["result" in one for one in whole] == [True, True, True, True, False, True]
    assert {one.get("job_id", first) for one in whole if "result" in one} <= {first, *runs}


def test_without_the_old_answers_there_is_no_whole_table(claude: Control, s3: S3Client) -> None:
    stack = table_job()
    in_s3(stack, s3, BUCKET)
    (key,) = (key for key in keys_below(s3, "outbox/") if key.endswith("/results.jsonl"))
    s3.delete_object(Bucket=BUCKET, Key=key)
    result = in_real_time(stack.job().id)
    assert result.exit_code == 0, result.stderr
    folder = result.stdout.strip().removeprefix(f"s3://{BUCKET}/")
    assert not [key for key in keys_below(s3, folder) if "complete" in key]
    manifest = json.loads(body(s3, folder + "manifest.json"))
    assert manifest["complete"]["rows"] is None
    assert TABLE_GONE in manifest["message"]


def test_a_job_of_which_everything_is_answered(claude: Control, s3: S3Client) -> None:
    stack = requests_job(ends={})
    in_s3(stack, s3, BUCKET)
    result = in_real_time(stack.job().id)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing to ask again" in result.stderr


def test_a_job_whose_rows_failed_for_good(claude: Control, s3: S3Client) -> None:
    stack = requests_job(ends={5: BAD})
    in_s3(stack, s3, BUCKET)
    result = in_real_time(stack.job().id)
    assert result.exit_code == 3, result.stderr
    assert "a reason that does not pass" in result.stderr
    assert prompts(claude) == 0


def test_headers_of_the_job_are_sent(claude: Control, s3: S3Client) -> None:
    """By the version that files usually have, this row would be invalid."""
    body_of = b"\n".join(row(f"row {line}", f"prompt {line}", temperature=1) for line in (1, 2)) + b"\n"
    stack = ended("inbox/a.jsonl", body_of, {2: EXPIRED}, {"anthropic-version": "2023-06-01"})
    in_s3(stack, s3, BUCKET)
    assert in_real_time(stack.job().id).exit_code == 0
    (call,) = claude.log("messages")
    assert call["version"] == "2023-06-01"


def test_headers_of_a_table_are_sent(claude: Control, s3: S3Client) -> None:
    stack = table_job({"anthropic-version": "2023-06-01"})
    in_s3(stack, s3, BUCKET)
    assert in_real_time(stack.job().id).exit_code == 0
    assert {call["version"] for call in claude.log("messages")} == {"2023-06-01"}


def test_long_requests_ask_for_what_is_written_in_real_time(claude: Control, s3: S3Client) -> None:
    long = {"model": "claude-haiku-5-5", "max_tokens": 200_000}
    body_of = b"\n".join(row(f"row {line}", f"prompt {line}", **long) for line in (1, 2)) + b"\n"
    stack = ended("inbox/a.jsonl", body_of, {2: EXPIRED}, {"anthropic-beta": "output-300k-2026-03-24"})
    in_s3(stack, s3, BUCKET)
    result = in_real_time(stack.job().id)
    assert result.exit_code == 0, result.stderr
    assert "answers end at 128,000 tokens" in result.stderr
    (call,) = claude.log("messages")
    assert call["betas"] == []


# ---------------------------------------------------------------- the price


@pytest.mark.parametrize(("typed", "code"), [("n\n", 4), ("\n", 4)])
def test_no_is_no(paid: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch, typed: str, code: int) -> None:
    monkeypatch.setattr(real_time, "on_terminal", lambda *_: True)
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    result = in_real_time(stack.job().id, typed=typed)
    assert result.exit_code == code, result.stderr
    assert "twice the price of a batch" in result.stderr
    assert "Nothing was sent." in result.stderr
    assert prompts(paid) == 0


def test_yes_is_yes(paid: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_time, "on_terminal", lambda *_: True)
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    assert in_real_time(stack.job().id, typed="y\n").exit_code == 3
    assert prompts(paid) == 2


def test_without_a_terminal_nothing_is_sent_unasked(paid: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    result = in_real_time(stack.job().id)
    assert result.exit_code == 5
    assert "--approve-up-to" in result.stderr
    assert in_real_time(stack.job().id, "--approve-up-to", "0.000001").exit_code == 5
    assert prompts(paid) == 0
    assert in_real_time(stack.job().id, "--approve-up-to", "$1").exit_code == 3
    assert prompts(paid) == 2


def test_a_model_without_a_price_is_not_asked(paid: Control, s3: S3Client) -> None:
    stack = requests_job()
    folder = in_s3(stack, s3, BUCKET)
    failed = body(s3, f"{folder}failed.jsonl").replace(b"claude-haiku-4-5", b"claude-new-9")
    s3.put_object(Bucket=BUCKET, Key=f"{folder}failed.jsonl", Body=failed)
    result = in_real_time(stack.job().id, "--approve-up-to", 100)
    assert result.exit_code == 2
    assert "No price is known of claude-new-9" in result.stderr
    assert prompts(paid) == 0


def test_rows_that_name_files_are_left_to_the_stack(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    folder = in_s3(stack, s3, BUCKET)
    block = b'[{"type":"document","source":"s3://the-bucket/inbox/marketing/a.pdf"}]'
    failed = body(s3, f"{folder}failed.jsonl").replace(b'"prompt 2"', block)
    assert block in failed
    s3.put_object(Bucket=BUCKET, Key=f"{folder}failed.jsonl", Body=failed)
    result = in_real_time(stack.job().id)
    assert result.exit_code == 2
    assert "the stack alone reads these" in result.stderr
    assert prompts(claude) == 0
    assert retried(stack.job().id).exit_code == 0


def test_a_recipe_that_names_files_is_left_to_the_stack(claude: Control, s3: S3Client) -> None:
    stack = table_job()
    folder = in_s3(stack, s3, BUCKET)
    recipe = body(s3, f"{folder}recipe.yaml") + b'documents: ["{{ text }}"]\n'
    s3.put_object(Bucket=BUCKET, Key=f"{folder}recipe.yaml", Body=recipe)
    result = in_real_time(stack.job().id)
    assert (result.exit_code, prompts(claude)) == (2, 0)
    assert "the stack alone reads these" in result.stderr


def test_a_key_is_needed(claude: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_time, "is_emulator", lambda _: False)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    result = in_real_time(stack.job().id)
    assert result.exit_code == 2
    assert "There is no API key." in result.stderr
    assert list(Path.cwd().iterdir()) == []


# ---------------------------------------------------------------- the API refuses, is slow, or breaks off


def test_a_storm_of_429_slows_all_and_loses_nothing(claude: Control, s3: S3Client) -> None:
    stack = requests_job(30, dict.fromkeys(range(1, 31), EXPIRED))
    in_s3(stack, s3, BUCKET)
    claude.fault("refuse", "messages", status=429, times=20, retry_after=0)
    claude.fault("refuse", "messages", status=529, times=5)
    result = in_real_time(stack.job().id, "--at-once", 8)
    assert result.exit_code == 0, result.stderr
    assert "waiting  " in result.stderr
    assert "It is tried again for 10 min; Ctrl-C stops it." in result.stderr
    log = claude.log("messages")
    assert [one["status"] for one in log].count(200) == 30
    assert len(log) == 55


def test_a_wait_that_takes_too_long_ends_it_with_nothing_lost(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    claude.fault("refuse", "messages", status=429, times=1, skip=1, retry_after=7_200)
    result = in_real_time(stack.job().id, "--at-once", 1)
    assert result.exit_code == 1
    assert "(429)" in result.stderr
    assert "1 of 2 rows have an answer" in result.stderr
    assert in_real_time(stack.job().id).exit_code == 3
    assert [one["status"] for one in claude.log("messages")] == [200, 429, 200]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "refuse", "status": 401}, "(401)"),
        ({"kind": "refuse", "status": 402}, "(402)"),
        ({"kind": "refuse", "status": 400, "message": "Your credit balance is too low to access the API."}, "credit balance"),
        ({"kind": "spend-cap"}, "(429)"),
    ],
)
def test_what_is_wrong_with_the_account_ends_it_at_once(claude: Control, s3: S3Client, fault: dict[str, Any], said: str) -> None:
    stack = requests_job(10, dict.fromkeys(range(1, 11), EXPIRED))
    in_s3(stack, s3, BUCKET)
    claude.fault(route="messages", times=None, **fault)
    result = in_real_time(stack.job().id, "--at-once", 2)
    assert result.exit_code == 1
    assert said in result.stderr
    assert prompts(claude) <= 2
    claude.clear_faults()
    assert in_real_time(stack.job().id).exit_code == 0


def test_a_refused_row_is_one_row(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    folder = in_s3(stack, s3, BUCKET)
    claude.fault("refuse", "messages", status=400, message="\x1b[2Jtoo long")
    result = in_real_time(stack.job().id, "--at-once", 1)
    assert result.exit_code == 3, result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    (mine,) = (key for key in keys_below(s3, "outbox/") if key.endswith("failed.jsonl") and not key.startswith(folder))
    first, second = lines(body(s3, mine))
    assert (first["_batchdrop"]["line"], second["_batchdrop"]["line"]) == (2, 5)
    assert first["_batchdrop"]["status"] == "errored"
    assert first["_batchdrop"]["error"]["type"] == "invalid_request_error"
    assert "too long" in first["_batchdrop"]["error"]["message"]


def test_ten_alike_are_not_about_rows(claude: Control, s3: S3Client) -> None:
    stack = requests_job(20, dict.fromkeys(range(1, 21), EXPIRED))
    in_s3(stack, s3, BUCKET)
    claude.fault("refuse", "messages", status=404, message="model: gone", times=None)
    result = in_real_time(stack.job().id, "--at-once", 1)
    assert result.exit_code == 1
    assert "model: gone" in result.stderr
    assert prompts(claude) == many_rows.MOST_ALIKE_IN_A_ROW
    claude.clear_faults()
    assert in_real_time(stack.job().id).exit_code == 0
    assert prompts(claude) == many_rows.MOST_ALIKE_IN_A_ROW + 20


@pytest.mark.parametrize("kind", ["accept-then-drop", "drop-before", "accept-then-500", "page"])
def test_a_row_without_an_answer_is_not_sent_again_in_silence(claude: Control, s3: S3Client, kind: str) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    claude.fault(kind, "messages")
    result = in_real_time(stack.job().id, "--at-once", 1)
    assert result.exit_code == 3, result.stderr
    assert "may have been paid: row 2." in result.stderr
    assert prompts(claude) == 2
    folder = result.stdout.strip().removeprefix(f"s3://{BUCKET}/")
    failed = lines(body(s3, folder + "failed.jsonl"))[0]["_batchdrop"]
    assert (failed["line"], failed["status"], failed["error"]["type"], failed["cost_usd"]) == (
        2,
        "missing",
        "answer_unknown",
        None,
    )
    # By the id of that run, and only if somebody wants to pay twice.
    again = in_real_time(folder.rstrip("/").rsplit("/", 1)[-1])
    assert "may have been answered and paid for" in again.stderr
    assert prompts(claude) == 2
    final = in_real_time(folder.rstrip("/").rsplit("/", 1)[-1], "--may-pay-twice")
    assert prompts(claude) == 3
    deepest = final.stdout.strip().removeprefix(f"s3://{BUCKET}/")
    assert [one["line"] for one in lines(body(s3, deepest + "results.jsonl"))] == [2], "lines are those of the first file"


def test_many_without_an_answer_are_not_risked(claude: Control, s3: S3Client) -> None:
    stack = requests_job(20, dict.fromkeys(range(1, 21), EXPIRED))
    in_s3(stack, s3, BUCKET)
    claude.fault("accept-then-drop", "messages", times=None)
    result = in_real_time(stack.job().id, "--at-once", 1)
    assert result.exit_code == 1
    assert prompts(claude) == many_rows.MOST_LOST_IN_A_ROW
    assert "rows 1, 2, 3, 4, 5" in result.stderr
    claude.clear_faults()
    assert in_real_time(stack.job().id).exit_code == 3
    assert prompts(claude) == 20, "the five are left alone"


def test_what_never_left_is_sent_again(claude: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    address = claude.base_url
    monkeypatch.setattr(many_rows, "PATIENCE", 0.05)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(real_time, "is_emulator", lambda _: True)
    result = in_real_time(stack.job().id)
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
    monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
    assert in_real_time(stack.job().id).exit_code == 3
    assert prompts(claude) == 2


# ---------------------------------------------------------------- what is kept


def test_rows_that_may_have_been_paid_in_the_job_need_a_word(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    folder = in_s3(stack, s3, BUCKET)
    failed = body(s3, f"{folder}failed.jsonl").replace(
        b'"status":"expired","error":{"type":"expired"', b'"status":"missing","error":{"type":"answer_not_delivered"'
    )
    s3.put_object(Bucket=BUCKET, Key=f"{folder}failed.jsonl", Body=failed)
    result = in_real_time(stack.job().id)
    assert "1 row of the job may have been paid" in result.stderr
    assert prompts(claude) == 1
    manifest = json.loads(in_real_time(stack.job().id, "--json").stdout)
    assert (manifest["counts"]["missing"], manifest["counts"]["succeeded"]) == (1, 1)
    assert prompts(claude) == 1


def test_a_full_disk_is_seen_before_a_row_is_paid(claude: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    with monkeypatch.context() as patched:
        full = shutil.disk_usage("/")._replace(free=1_000_000)
        patched.setattr(shutil, "disk_usage", lambda _: full)
        result = in_real_time(stack.job().id)
    assert result.exit_code == 1
    assert "has 1 MB left" in result.stderr
    assert prompts(claude) == 0
    assert in_real_time(stack.job().id).exit_code == 3


def test_an_answer_that_cannot_be_kept_is_told(claude: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    put = kept_answers.KeptAnswers._put

    def full(self: Any, line: int, end: Any, **more: Any) -> None:
        if end is kept_answers.End.answered:
            with self._writing():
                raise sqlite3.OperationalError("database or disk is full")
        put(self, line, end, **more)

    with monkeypatch.context() as patched:
        patched.setattr(kept_answers.KeptAnswers, "_put", full)
        result = in_real_time(stack.job().id, "--at-once", 1)
    assert result.exit_code == 1
    assert "disk is full" in result.stderr
    assert "The answers to row 2 came, are paid, and could not be kept." in result.stderr
    again = in_real_time(stack.job().id)
    assert "sent by an earlier run, may have been paid, not sent without --may-pay-twice: row 2" in again.stderr
    assert prompts(claude) == 2


def test_two_at_once_are_one(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    with kept_answers.KeptAnswers(Path(f"retry-{stack.job().id}/state/answers.sqlite")):
        result = in_real_time(stack.job().id)
    assert result.exit_code == 1
    assert "Another command works with" in result.stderr
    assert prompts(claude) == 0
    assert in_real_time(stack.job().id).exit_code == 3


def test_a_folder_of_something_else_is_left_alone(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    state = Path("mine/state")
    state.mkdir(parents=True)
    (state / "answers.sqlite").write_bytes(b"not a database, and much longer than the header of one would be " * 20)
    result = in_real_time(stack.job().id, "--out", "mine")
    assert result.exit_code == 2
    assert "holds something else" in result.stderr
    other = table_job()
    in_s3(other, s3, BUCKET)
    assert in_real_time(stack.job().id, "--out", "ours").exit_code == 3
    assert "belongs to another job" in in_real_time(other.job().id, "--out", "ours").stderr


def test_a_run_that_is_over_is_not_asked_again(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    first = in_real_time(stack.job().id)
    again = in_real_time(stack.job().id)
    assert (again.exit_code, again.stdout) == (first.exit_code, first.stdout)
    assert "This was done before." in in_real_time(stack.job().id, "--may-pay-twice").stderr
    assert prompts(claude) == 2
    elsewhere = in_real_time(stack.job().id, "--out", "elsewhere")
    assert elsewhere.exit_code == 2
    assert "were asked again before" in elsewhere.stderr
    assert not Path("elsewhere").exists()
    assert prompts(claude) == 2


def test_a_run_that_was_killed_behind_its_manifest_is_over(
    claude: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Further answers would not be those that the manifest tells of."""
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    claude.fault("accept-then-drop", "messages")
    keep = kept_answers.KeptAnswers.keep_run

    def killed(self: kept_answers.KeptAnswers, run: kept_answers.Run) -> None:
        if run.placed:
            raise SystemExit(9)
        keep(self, run)

    with monkeypatch.context() as patched:
        patched.setattr(kept_answers.KeptAnswers, "keep_run", killed)
        assert in_real_time(stack.job().id, "--at-once", 1).exit_code == 9
    again = in_real_time(stack.job().id, "--may-pay-twice")
    assert "This was done before." in again.stderr
    assert prompts(claude) == 2


def test_a_run_that_was_killed_before_its_manifest_leaves_no_rows_that_have_an_answer(
    claude: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = requests_job(4, {2: EXPIRED})
    in_s3(stack, s3, BUCKET)
    claude.fault("accept-then-drop", "messages")

    def killed(*_: Any, **__: Any) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patched:
        patched.setattr(S3Objects, "put", killed)
        assert in_real_time(stack.job().id).exit_code == 9
    second = in_real_time(stack.job().id, "--may-pay-twice")
    assert second.exit_code == 0, second.stderr
    sent = prompts(claude)
    assert "There is nothing to ask again" in in_real_time(second.stdout.strip(), "--out", "elsewhere").stderr
    assert prompts(claude) == sent == 2


def test_a_row_that_may_have_been_paid_stays_one_whatever_becomes_of_it_later(
    claude: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    claude.fault("accept-then-drop", "messages")
    with monkeypatch.context() as patched:
        patched.setattr(S3Objects, "put_file", denied)
        assert in_real_time(stack.job().id, "--at-once", 1).exit_code == 3
    claude.fault("refuse", "messages", status=401, times=None)
    assert "(401)" in in_real_time(stack.job().id, "--may-pay-twice").stderr
    claude.clear_faults()
    sent = prompts(claude)
    result = in_real_time(stack.job().id)
    assert "may have been paid, not sent without --may-pay-twice: row 2" in result.stderr
    assert prompts(claude) == sent


def test_a_row_that_has_its_answer_later_has_it_in_the_whole_table(
    claude: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = requests_job(6, {2: EXPIRED, 4: EXPIRED})
    in_s3(stack, s3, BUCKET)
    claude.fault("accept-then-drop", "messages")
    with monkeypatch.context() as patched:
        patched.setattr(S3Objects, "put_file", denied)
        first = in_real_time(stack.job().id, "--at-once", 1)
    here = Path(first.stdout.strip())
    assert (here / "failed.jsonl").exists()
    result = in_real_time(stack.job().id, "--may-pay-twice")
    assert result.exit_code == 0, result.stderr
    whole = lines(body(s3, f"{result.stdout.strip().removeprefix(f's3://{BUCKET}/')}complete.jsonl"))
    assert ["result" in one for one in whole] == [True] * 6
    assert not (here / "failed.jsonl").exists()


def test_of_a_row_that_is_named_twice_the_answer_is_in_the_whole_table(claude: Control, s3: S3Client) -> None:
    stack = requests_job(4, {2: EXPIRED})
    first, (failed,) = stack.job().id, stack.lines("failed.jsonl")
    stack.claude.answer = lambda custom_id, params: EXPIRED
    twice = (json.dumps(failed | {"custom_id": name}).encode() for name in ("one", "other"))
    stack.drop("inbox/marketing/again.jsonl", b"\n".join(twice))
    stack.run()
    (again,) = (job for job in stack.jobs() if job.id != first)
    for key in stack.objects.keys(""):
        s3.put_object(Bucket=BUCKET, Key=key, Body=stack.objects.body(key))
    claude.fault("accept-then-drop", "messages")
    result = in_real_time(again.id, "--at-once", 1)
    assert result.exit_code == 3, result.stderr
    folder = result.stdout.strip().removeprefix(f"s3://{BUCKET}/")
    assert [one["custom_id"] for one in lines(body(s3, folder + "results.jsonl"))] == ["other"]
    assert ["result" in one for one in lines(body(s3, folder + "complete.jsonl"))] == [True] * 4


def test_a_run_that_goes_on_leaves_what_the_stack_asks_meanwhile(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    job = stack.job().id
    claude.fault("refuse", "messages", status=401, times=None)
    assert "(401)" in in_real_time(job, "--at-once", 1).stderr
    claude.clear_faults()
    sent = prompts(claude)
    stack.command("retry", job)
    in_s3(stack, s3, BUCKET)
    result = in_real_time(job)
    assert result.exit_code == 2
    assert "asked again meanwhile, as the file inbox/marketing/reviews.retry-of-" in result.stderr
    assert prompts(claude) == sent
    assert in_real_time(job, "--may-pay-twice").exit_code == 3
    assert prompts(claude) == sent + 2


def test_rows_that_the_stack_asks_again_are_not_asked_here(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    stack.command("retry", stack.job().id)
    in_s3(stack, s3, BUCKET)
    result = in_real_time(stack.jobs()[0].id)
    assert result.exit_code == 2
    assert "as the file inbox/marketing/reviews.retry-of-" in result.stderr
    assert prompts(claude) == 0


def denied(*_: Any, **__: Any) -> None:
    raise ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "PutObject")  # type: ignore[typeddict-item]


def test_without_the_right_to_write_answers_stay_here(claude: Control, s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)

    with monkeypatch.context() as patched:
        patched.setattr(S3Objects, "put_file", denied)
        result = in_real_time(stack.job().id)
    assert result.exit_code == 3
    assert result.stdout.strip() == f"retry-{stack.job().id}"
    assert "only the stack and its operators" in result.stderr
    # An operator, with that folder.
    placed = in_real_time(stack.job().id)
    assert placed.stdout.startswith("s3://")
    assert prompts(claude) == 2


# ---------------------------------------------------------------- the bucket, and the stack's own retry


def test_the_stack_is_asked_for_a_batch(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job that it makes is named, and the command that follows it."""
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    job = stack.job().id

    def later(_: float) -> None:
        stack.command("retry", job)
        in_s3(stack, s3, BUCKET)

    monkeypatch.setattr(time, "sleep", later)
    result = retried(job[-4:])
    assert result.exit_code == 0, result.stderr
    assert result.stderr == f"The stack asks again. Follow it: batchdrop status {result.stdout.strip()} --watch\n"
    assert (is_job_id(result.stdout.strip()), result.stdout.strip() == job) == (True, False)
    assert f"control/retry/marketing/{job}" in keys_below(s3, "control/")


def test_a_retry_that_is_not_known_yet(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    monkeypatch.setattr(retry_session, "_PATIENCE_SECONDS", 0)
    job = stack.job().id
    result = retried(job)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"The stack was asked for it. See what becomes of it: batchdrop status {job}\n"
    key = f"control/retry/marketing/{job}"
    assert json.loads(retried(job, "--json").stdout) == {"job_id": job, "command": key, "retry": None}


def test_the_stack_is_not_asked_for_what_was_asked_in_real_time(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    in_real_time(stack.job().id)
    result = retried(stack.job().id)
    assert result.exit_code == 2
    assert "were asked again before" in result.stderr
    assert keys_below(s3, "control/") == []


def test_the_rest_of_the_rest_of_a_table(claude: Control, s3: S3Client) -> None:
    """With the recipe as it was, whatever is in the inbox by now."""
    stack = table_job()
    in_s3(stack, s3, BUCKET)
    claude.fault("accept-then-drop", "messages")
    first = in_real_time(stack.job().id, "--at-once", 1)
    assert first.exit_code == 3, first.stderr
    s3.put_object(Bucket=BUCKET, Key="inbox/marketing/recipe.yaml", Body=b"nonsense")
    second = in_real_time(first.stdout.strip(), "--may-pay-twice")
    assert second.exit_code == 0, second.stderr
    folder = second.stdout.strip().removeprefix(f"s3://{BUCKET}/")
    (row_of,) = csv.DictReader(io.StringIO(body(s3, folder + "results.csv").decode("utf-8-sig")), delimiter=";")
    assert (row_of["batchdrop_row"], row_of["label"]) == ("3", "negative")
    assert json.loads(body(s3, folder + "manifest.json"))["real_time"]["job"] == stack.job().id


def test_what_was_asked_in_real_time_is_no_job_of_the_stack(claude: Control, s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    folder = in_real_time(stack.job().id).stdout.strip()
    result = retried(folder)
    assert result.exit_code == 2
    assert "the stack knows no such job" in result.stderr


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("20261122T003115Z-aaaaaaaaaaaaaaaa", "There is no job"),
        ("zzzz", "There is no job"),
        ("abc", "is no job id"),
        ("s3://other/outbox/a/20261122T003115Z-aaaaaaaaaaaaaaaa", "is not in the bucket"),
        ("outbox/a/20261122T003115Z-aaaaaaaaaaaaaaaa", "There is no job at"),
        ("\x1b[31mred/x", "is no job id"),
    ],
)
def test_a_job_that_is_not_there(s3: S3Client, job: str, said: str) -> None:
    result = retried(job)
    assert result.exit_code in {1, 2}
    assert said in result.stderr
    assert "\x1b" not in result.stderr


def test_an_ambiguous_end_of_an_id(s3: S3Client) -> None:
    for job in ("20261122T003115Z-aaaaaaaaaaaaaaaa", "20261123T003115Z-aaaaaaaaaaaaaaaa"):
        s3.put_object(Bucket=BUCKET, Key=f"outbox/a/b/{job}/status.json", Body=b"{}")
    result = retried("aaaaaa")
    assert result.exit_code == 2
    assert "20261122T003115Z-aaaaaaaaaaaaaaaa, 20261123T003115Z-aaaaaaaaaaaaaaaa" in result.stderr
    assert "Several jobs" in result.stderr
    assert "has not ended" in retried("20261122T003115Z-aaaaaaaaaaaaaaaa").stderr


def test_a_bucket_has_to_be_named(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATCHDROP_BUCKET")
    assert retried("abcd").exit_code == 2
    assert "There is no bucket nowhere-at-all" in retried("abcd", "--bucket", "nowhere-at-all").stderr
    assert "is no name of a bucket" in retried("abcd", "--bucket", "a b").stderr
