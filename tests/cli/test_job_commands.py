"""`batchdrop status`, `approve` and `cancel`: a job, through its bucket alone."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner, Result

from batchdrop_cli.following import told
from batchdrop_cli.main import batchdrop
from tests.cli.ended_jobs import BAD, EXPIRED, OVERLOADED, in_s3, requests_job
from tests.cli.own_bucket import BUCKET
from tests.stack import Stack, rows

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def said(*arguments: object, typed: str | None = None) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, list(map(str, arguments)), input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def asking() -> Stack:
    """A job that asks for an approval."""
    stack = Stack(ask_above="0")
    stack.drop("inbox/marketing/reviews.jsonl", rows(3))
    return stack


def commands(s3: S3Client) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, Prefix="control/").get("Contents", [])]


def question_of(stack: Stack) -> str:
    assert stack.job().question is not None
    return str(stack.document("status.json")["question"]["code"])


def test_status_is_the_sentence_of_the_job(s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    result = said("status", stack.job().id[-6:])
    assert (result.exit_code, result.stdout.strip()) == (3, stack.document("status.json")["message"])
    assert ", run this command.\n" in result.stderr
    assert "S3 console" in stack.document("status.json")["next"]["text"]
    assert result.stderr.splitlines()[-2:] == [
        f"batchdrop retry {stack.job().id}",
        f"failed.csv or failed.jsonl, and its other files: batchdrop fetch {stack.job().id}",
    ]
    assert json.loads(said("status", stack.job().id, "--json").stdout) == stack.document("status.json")


@pytest.mark.parametrize(("end", "retries"), [(BAD, False), (OVERLOADED, True), (EXPIRED, True)])
def test_a_retry_is_offered_where_it_would_ask_again(s3: S3Client, end: Mapping[str, object], retries: bool) -> None:
    stack = requests_job(ends={2: end})
    in_s3(stack, s3, BUCKET)
    assert (f"\nbatchdrop retry {stack.job().id}\n" in said("status", stack.job().id).stderr) is retries
    assert ("control/retry/" in html.unescape(stack.output("report.html").decode())) is retries


def test_a_job_that_is_all_answered(s3: S3Client) -> None:
    stack = requests_job(ends={})
    in_s3(stack, s3, BUCKET)
    assert said("status", stack.job().id, "--watch").exit_code == 0


def test_a_job_that_goes_on_is_not_done(s3: S3Client) -> None:
    stack = Stack()
    stack.drop("inbox/reviews.jsonl", rows(3))
    in_s3(stack, s3, BUCKET)
    assert said("status", stack.job().id).exit_code == 6
    assert said("status", stack.job().id, "--watch", "--timeout", "0").exit_code == 6


def test_watching_ends_with_the_job(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack()
    stack.drop("inbox/reviews.jsonl", rows(3))
    in_s3(stack, s3, BUCKET)

    def later(_: float) -> None:
        stack.run()
        in_s3(stack, s3, BUCKET)

    monkeypatch.setattr(time, "sleep", later)
    result = said("status", stack.job().id, "--watch")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2


def test_ctrl_c_says_that_the_job_goes_on(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack()
    stack.drop("inbox/reviews.jsonl", rows(3))
    in_s3(stack, s3, BUCKET)

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    result = said("status", stack.job().id, "--watch")
    assert result.exit_code == 6
    assert result.stderr == f"\nThe job goes on. Look again with: batchdrop status {stack.job().id} --watch\n"


def test_what_is_shown_to_be_typed_looks_where_the_command_did(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = asking()
    in_s3(stack, s3, BUCKET)
    monkeypatch.delenv("BATCHDROP_BUCKET")
    shown = said("status", stack.job().id, "--bucket", BUCKET, "--folder", "marketing").stderr.splitlines()[-1]
    assert shown.endswith(f" --bucket {BUCKET} --folder marketing")
    assert said(*shown.split()[1:]).exit_code == 0


def test_who_waits_for_a_recipe_is_shown_the_way_to_the_starter(s3: S3Client) -> None:
    stack = Stack()
    stack.drop("inbox/marketing/reviews.csv", b"id,text\n1,It broke\n")
    in_s3(stack, s3, BUCKET)
    lines = said("status", stack.job().id).stderr.splitlines()
    assert lines[0] == "Put a recipe.yaml into the folder of the file. A starter, if there is one, comes with:"
    assert lines[1] == f"batchdrop fetch {stack.job().id}"


def test_ctrl_c_at_a_question(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "on_terminal", lambda *_: True)
    monkeypatch.setattr(click, "confirm", aborted)
    stack = asking()
    in_s3(stack, s3, BUCKET)
    result = said("approve", stack.job().id)
    assert (result.exit_code, result.stderr) == (4, "\nNothing was approved.\n")


def aborted(*_: object, **__: object) -> bool:
    raise click.Abort


def test_a_message_is_not_obeyed(s3: S3Client) -> None:
    stack = requests_job()
    folder = in_s3(stack, s3, BUCKET)
    document = stack.document("status.json") | {"message": "all \x1b[2J done"}
    s3.put_object(Bucket=BUCKET, Key=f"{folder}status.json", Body=json.dumps(document).encode())
    assert "\x1b" not in said("status", stack.job().id).stdout


def test_a_yes_with_its_code(s3: S3Client) -> None:
    stack = asking()
    in_s3(stack, s3, BUCKET)
    shown = said("status", stack.job().id)
    assert shown.exit_code == 5
    named = f"{stack.job().id}-{question_of(stack)}"
    assert shown.stderr == f"To go on, run this command.\nbatchdrop approve {named}\n"
    result = said("approve", named)
    assert (result.exit_code, result.stdout.partition(".")[0]) == (0, "Approved")
    assert commands(s3) == [f"control/approve/marketing/{named}"]


def test_for_programs_a_command_is_its_key(s3: S3Client) -> None:
    stack = asking()
    in_s3(stack, s3, BUCKET)
    job = stack.job().id
    for command, named in (("approve", f"{job}-{question_of(stack)}"), ("cancel", job)):
        printed = json.loads(said(command, named, "--json").stdout)
        assert printed == {"job_id": job, "command": f"control/{command}/marketing/{named}"}


@pytest.mark.parametrize("code", ["aaaaaa", "7kq", "ABC123", "0123456"])
@pytest.mark.parametrize("of", ["id", "end", "address"])
def test_another_code_approves_nothing(s3: S3Client, code: str, of: str) -> None:
    stack = asking()
    folder = in_s3(stack, s3, BUCKET)
    job = {"id": stack.job().id, "end": stack.job().id[-5:], "address": folder.rstrip("/")}[of]
    result = said("approve", f"{job}-{code}")
    assert result.exit_code == 1
    assert f"Nothing was approved: {code} is not the code of what is asked now." in result.stderr
    assert commands(s3) == []


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 4), ("\n", 4)])
def test_a_yes_on_the_terminal(s3: S3Client, monkeypatch: pytest.MonkeyPatch, typed: str, code: int) -> None:
    monkeypatch.setattr(told, "on_terminal", lambda *_: True)
    stack = asking()
    in_s3(stack, s3, BUCKET)
    assert said("approve", stack.job().id, typed=typed).exit_code == code
    assert len(commands(s3)) == (code == 0)


def test_without_code_and_terminal_nothing_is_approved(s3: S3Client) -> None:
    stack = asking()
    in_s3(stack, s3, BUCKET)
    result = said("approve", stack.job().id)
    assert result.exit_code == 5
    assert f"{stack.job().id}-{question_of(stack)}" in result.stderr
    assert commands(s3) == []


def test_an_address_may_end_in_a_slash(s3: S3Client) -> None:
    stack = asking()
    folder = in_s3(stack, s3, BUCKET)
    for address in (folder, f"s3://{BUCKET}/{folder}"):
        result = said("approve", address)
        assert (result.exit_code, f"{stack.job().id}-{question_of(stack)}" in result.stderr) == (5, True), result.stderr


def test_nothing_to_approve(s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    assert said("approve", stack.job().id).exit_code == 1
    assert commands(s3) == []


def test_a_job_is_stopped(s3: S3Client) -> None:
    stack = asking()
    in_s3(stack, s3, BUCKET)
    result = said("cancel", stack.job().id[-4:])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"The stack was asked to stop {stack.job().id}.")
    assert commands(s3) == [f"control/cancel/marketing/{stack.job().id}"]


def test_what_has_ended_is_not_stopped(s3: S3Client) -> None:
    stack = requests_job()
    in_s3(stack, s3, BUCKET)
    result = said("cancel", stack.job().id)
    assert (result.exit_code, result.stdout) == (0, "")
    assert commands(s3) == []
