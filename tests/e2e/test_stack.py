"""The real template, deployed with policies enforced: what users and operators see, from outside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.stages import STAGES
from tests.e2e.laptop import API_KEY, Laptop
from tests.stack import row, rows

MIB = 1024 * 1024
# A job needs no command: `control` may never have been called.
_OF_A_JOB = tuple(stage for stage in STAGES if stage != "control")


def test_a_file_with_an_odd_name_and_odd_rows(laptop: Laptop) -> None:
    content = b'"\\u00e9 \xc3\xa9 \\/ \xe2\x80\xa8 \\n"'
    params = b'{"max_tokens" : 10,"model":"claude-haiku-4-5", "messages":[{"role":"user","content":' + content + b"}] }"
    odd = b'{ "params": ' + params + b' , "custom_id": "spaces, \\"quotes\\" and \xc3\xbc"}'
    late, gone = row("late", "[[error:overloaded_error:1]]"), row("gone", "[[error:invalid_request_error]]")
    body = b"\r\n".join([row("one"), odd, b"not json", row("one"), late, gone])
    job = laptop.drop('inbox/a+b %20/«ü» "x".jsonl', b"\xef\xbb\xbf" + body).wait()
    assert [(line["line"], line["attempts"]) for line in job.lines("results.jsonl")] == [(1, 1), (2, 1), (5, 2)]
    assert job.lines("results.jsonl")[1]["custom_id"] == 'spaces, "quotes" and ü'
    failed = {line["_batchdrop"]["line"]: line["_batchdrop"]["error"]["type"] for line in job.lines("failed.jsonl")}
    assert failed == {3: "not_json", 4: "duplicate_custom_id", 6: "invalid_request_error"}
    manifest = job.manifest()
    assert manifest["counts"] == {
        "total": 6,
        "succeeded": 3,
        "errored": 1,
        "expired": 0,
        "canceled": 0,
        "invalid": 2,
        "missing": 0,
    }
    job.wait_for("done")
    sent = b"".join(laptop.claude.body(batch["id"]) for batch in manifest["batches"])
    assert b'"params":' + params + b"}" in sent


def test_one_version_is_one_job_however_often_its_event_comes(laptop: Laptop) -> None:
    creates = laptop.claude.count("create")
    job = laptop.drop("inbox/repeated.jsonl", rows(20))

    def send(_: int) -> None:
        laptop.sqs.send_message(QueueUrl=laptop.env["BATCHDROP_PLAN_QUEUE"], MessageBody=job.event())

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(send, range(5)))
    job.wait()
    laptop.wait(lambda: _empty(laptop, "BATCHDROP_PLAN_QUEUE"), "the repeated events to be taken")
    assert laptop.claude.count("create") == creates + 1
    assert len(job.lines("results.jsonl")) == 20


def test_a_rejected_file_says_why(laptop: Laptop) -> None:
    job = laptop.drop("inbox/empty.jsonl", b"").wait()
    assert job.status()["state"] == "rejected"
    assert job.status()["message"] == "The file is empty; nothing was sent."


def test_a_lost_answer_is_paid_once(laptop: Laptop) -> None:
    creates = laptop.claude.count("create")
    laptop.claude.fault("accept-then-drop", "create")
    job = laptop.drop("inbox/lost.jsonl", rows(7)).wait()
    assert laptop.claude.count("create") == creates + 1
    assert job.manifest()["counts"]["succeeded"] == 7


def test_pause_holds_and_run_goes_on(laptop: Laptop) -> None:
    laptop.switch("pause")
    creates = laptop.claude.count("create")
    job = laptop.drop("inbox/paused.jsonl", rows(3)).wait_for("running")
    laptop.wait(lambda: "pause" in job.status()["message"], "the status to name the switch")
    assert laptop.claude.count("create") == creates
    laptop.switch("run")
    assert job.wait().manifest()["counts"]["succeeded"] == 3


def test_a_deployment_leaves_the_switch_where_it_stands(laptop: Laptop) -> None:
    """CloudFormation writes the parameter's value again when its tags change; the emulated one may not, so this does it too."""
    laptop.switch("stop")
    formation = laptop.client("cloudformation")
    (stack,) = formation.describe_stacks(StackName=laptop.stack)["Stacks"]
    parameters = [{"ParameterKey": one["ParameterKey"], "UsePreviousValue": True} for one in stack["Parameters"]]
    for stage in ("first", "second"):
        formation.update_stack(
            StackName=laptop.stack,
            UsePreviousTemplate=True,
            Parameters=parameters,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Tags=[{"Key": "stage", "Value": stage}],
        )
        formation.get_waiter("stack_update_complete").wait(StackName=laptop.stack, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        laptop.client("ssm").put_parameter(Name=laptop.env["BATCHDROP_SWITCH"], Value="run", Overwrite=True)
    before = len(laptop.claude.batches())
    job = laptop.drop("inbox/stopped.jsonl", rows(2))
    laptop.wait(lambda: "stop" in job.status().get("message", ""), "the status to name the switch")
    laptop.tick()
    assert len(laptop.claude.batches()) == before
    laptop.switch("run")
    job.wait().wait_for("done")


def test_cancel_keeps_what_has_finished(laptop: Laptop) -> None:
    laptop.claude.settings(seconds=3600.0, finished_share=0.5)
    try:
        job = laptop.drop("inbox/canceled.jsonl", rows(10)).wait_for("running")
        laptop.wait(
            lambda: any(batch["requests"] == 10 and not batch["ended_at"] for batch in laptop.claude.batches()), "the batch"
        )
        laptop.s3.put_object(Bucket=laptop.bucket, Key=f"control/cancel/{job.id}", Body=b"")
        job.wait()
    finally:
        laptop.claude.settings(seconds=1.0)
    counts = job.manifest()["counts"]
    assert job.manifest()["state"] == "canceled"
    assert counts["succeeded"] + counts["canceled"] == 10
    assert counts["succeeded"] == len(job.lines("results.jsonl"))
    assert len(job.lines("failed.jsonl")) == counts["canceled"] > 0


def test_failed_rows_are_run_again_on_command(laptop: Laptop) -> None:
    job = laptop.drop("inbox/again.jsonl", b"\n".join([row("good"), row("bad", "[[error:overloaded_error:3]]")])).wait()
    assert job.manifest()["counts"]["errored"] == 1
    laptop.s3.put_object(Bucket=laptop.bucket, Key=f"control/retry/{job.id}", Body=b"")
    key = f"inbox/again.retry-of-{job.id}.jsonl"
    laptop.wait(lambda: laptop.exists(key), "the retry to be dropped")
    version = laptop.s3.head_object(Bucket=laptop.bucket, Key=key)["VersionId"]
    again = laptop.job_of(key, version).wait()
    assert [line["custom_id"] for line in again.lines("results.jsonl")] == ["bad"]
    laptop.wait(lambda: key in job.status()["message"], "the answer to the command")


def test_a_dead_letter_redriven_completes_its_job(laptop: Laptop) -> None:
    """What failed too often lies in the dead-letter queue; moved back, it is work again, and the job ends."""
    lambdas = laptop.client("lambda")
    name = f"{laptop.env['BATCHDROP_STACK']}-collect"
    (mapping,) = lambdas.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    collect, dead = laptop.env["BATCHDROP_COLLECT_QUEUE"], laptop.output("DeadLetters")
    job = laptop.drop("inbox/dead.jsonl", rows(4))
    found = laptop.receive(collect)
    laptop.sqs.send_message(QueueUrl=dead, MessageBody=found)
    lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert job.status()["state"] == "running"
    # The emulated SQS has no StartMessageMoveTask: this is what that call does.
    laptop.sqs.send_message(QueueUrl=collect, MessageBody=laptop.receive(dead))
    assert job.wait().manifest()["counts"]["succeeded"] == 4


def test_a_quarter_of_a_million_rows(laptop: Laptop) -> None:
    number = 250_000
    job = laptop.drop("inbox/large/file.jsonl", b"".join(row(f"row {i}", f"Review {i}: great") + b"\n" for i in range(number)))
    job.wait(900)
    manifest = job.manifest()
    assert [batch["requests"] for batch in manifest["batches"]] == [100_000, 100_000, 50_000]
    assert manifest["counts"]["succeeded"] == manifest["counts"]["total"] == number
    assert manifest["files"]["results.jsonl"]["checksum"].startswith("crc64nvme:")
    expected = 0
    for line in job.read("results.jsonl").split(b"\n")[:-1]:
        expected += 1
        assert line.startswith(b'{"custom_id":"row %d","line":%d,' % (expected - 1, expected))
    assert expected == number
    for stage in _OF_A_JOB:
        assert 0 < laptop.peak_memory(stage) < 256 * MIB, stage


def test_no_log_line_holds_a_prompt_an_answer_or_the_key(laptop: Laptop) -> None:
    planted = "planted-words-9921"
    job = laptop.drop(
        "inbox/secret.jsonl", b"\n".join([row(planted, planted), planted.encode(), row("e", f"{planted} [[error:api_error]]")])
    )
    job.wait()
    logged = laptop.logs()
    assert job.id in logged
    assert planted not in logged
    assert API_KEY not in logged


def _empty(laptop: Laptop, queue: str) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = laptop.sqs.get_queue_attributes(QueueUrl=laptop.env[queue], AttributeNames=names)["Attributes"]
    return all(answer[name] == "0" for name in names)


@pytest.mark.scale
def test_a_line_of_300_megabytes_costs_one_row(laptop: Laptop, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(row("first") + b'\n{"custom_id": "long", "x": "')
        for _ in range(300):
            file.write(b"y" * 1_000_000)
        file.write(b'"}\n' + row("last"))
    job = laptop.drop("inbox/long.jsonl", path).wait()
    assert [line["custom_id"] for line in job.lines("results.jsonl")] == ["first", "last"]
    (failed,) = job.lines("failed.jsonl")
    assert (failed["_batchdrop"]["line"], failed["_batchdrop"]["error"]["type"]) == (2, "line_too_long")
    assert all(laptop.peak_memory(stage) < 256 * MIB for stage in _OF_A_JOB)


@pytest.mark.scale
def test_600_megabytes_of_large_rows_are_split_by_bytes(laptop: Laptop, tmp_path: Path) -> None:
    number, size = 6_000, 100_000
    before, after = (row("row 0", "great " * (size // 6)) + b"\n").split(b"row 0")
    path = tmp_path / "wide.jsonl"
    with path.open("wb") as file:
        for i in range(number):
            file.write(b"%brow %d%b" % (before, i, after))
    job = laptop.drop("inbox/large/wide.jsonl", path).wait(900)
    manifest = job.manifest()
    assert len(manifest["batches"]) == 3
    assert manifest["counts"]["succeeded"] == number
    assert [line["line"] for line in job.lines("results.jsonl")] == list(range(1, number + 1))
    for stage in _OF_A_JOB:
        assert 0 < laptop.peak_memory(stage) < 256 * MIB, stage
