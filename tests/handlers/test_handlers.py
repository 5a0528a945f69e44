"""Event in, response out; and one file all the way through the six handlers."""

from __future__ import annotations

import json

import boto3
import pytest

from batchdrop.domain.errors import ConfigurationError
from batchdrop.settings import CollectSettings, PollSettings
from tests.handlers.conftest import BUCKET, QUEUES, Cloud
from tests.stack import row, rows

ALL_TAKEN: dict[str, list[str]] = {"batchItemFailures": []}


def test_a_file_goes_through_all_handlers(cloud: Cloud) -> None:
    body = b"\n".join([rows(3).rstrip(), b"not json", row("again", "[[error:overloaded_error:1]]")])
    assert cloud.invoke("plan", cloud.upload("inbox/a b+ü.jsonl", body)) == ALL_TAKEN
    for _ in range(3):
        cloud.drain()
        cloud.claude.advance(10)
        assert cloud.invoke("poll", cloud.event("poll-tick")) is None
    cloud.drain()
    outputs = {key.rsplit("/", 1)[1]: text for key, text in cloud.outputs().items()}
    of_the_job = {"status.json", "report.html", "results.jsonl", "failed.jsonl", "manifest.json"}
    assert set(outputs) == of_the_job | {"latest.json", "index.json", "index.html"}
    results = [json.loads(line) for line in outputs["results.jsonl"].splitlines()]
    assert [(result["line"], result["attempts"]) for result in results] == [(1, 1), (2, 1), (3, 1), (5, 2)]
    assert json.loads(outputs["manifest.json"])["counts"]["invalid"] == 1
    assert json.loads(outputs["status.json"])["state"] == "done"


def test_old_requests_under_the_old_version(cloud: Cloud) -> None:
    """The models of Anthropic's course, with a parameter that the newest API version refuses."""
    cloud.invoke("poll", cloud.event("poll-tick"))  # fetches the list of models
    models = ("claude-sonnet-4-20250514", "claude-haiku-3-5-20241022", "claude-sonnet-4-6")
    lines = [json.loads(row(model)) for model in models]
    for model, line in zip(models, lines, strict=True):
        line["params"] |= {"model": model, "temperature": 0.5}
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "output-300k-2026-03-24"}
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    assert cloud.invoke("plan", cloud.upload("inbox/old.jsonl", body, **headers)) == ALL_TAKEN
    cloud.drain()
    (created,) = cloud.claude.log("create")
    assert (created["version"], created["betas"]) == ("2023-06-01", ["output-300k-2026-03-24"])
    cloud.claude.advance(10)
    cloud.invoke("poll", cloud.event("poll-tick"))
    cloud.drain()
    outputs = {key.rsplit("/", 1)[1]: text for key, text in cloud.outputs().items()}
    failed = {(line := json.loads(one))["custom_id"]: line["_batchdrop"]["error"] for one in outputs["failed.jsonl"].splitlines()}
    assert {name: error["type"] for name, error in failed.items()} == dict.fromkeys(models[:2], "retired_model")
    assert "claude-sonnet-5-5" in failed[models[0]]["message"]
    assert "claude-haiku-5-5" in failed[models[1]]["message"]
    assert [json.loads(line)["custom_id"] for line in outputs["results.jsonl"].splitlines()] == [models[2]]


def test_a_repeated_event_in_one_delivery_is_one_job(cloud: Cloud) -> None:
    event = cloud.upload("inbox/reviews.jsonl", rows(2))
    event["Records"].append(dict(event["Records"][0], messageId="another"))
    assert cloud.invoke("plan", event) == ALL_TAKEN
    cloud.drain()
    assert cloud.claude.count("create") == 1


def test_odd_keys_arrive_as_they_are(cloud: Cloud) -> None:
    event = cloud.event("plan-odd-keys")
    for record in event["Records"]:
        message = json.loads(record["body"])
        item = message["detail"]["object"]
        item["version-id"] = cloud.s3.put_object(Bucket=BUCKET, Key=item["key"], Body=row("x"))["VersionId"]
        record["body"] = json.dumps(message)
    assert cloud.invoke("plan", event) == ALL_TAKEN
    keys = [key for key in cloud.outputs() if key.endswith("status.json")]
    assert len(keys) == 2  # the third is a folder marker
    assert all(json.loads(cloud.outputs()[key])["input"]["key"].startswith("inbox/") for key in keys)


def test_an_object_that_is_gone_is_reported_not_retried(cloud: Cloud) -> None:
    assert cloud.invoke("plan", cloud.event("plan-upload")) == ALL_TAKEN
    (status,) = [text for key, text in cloud.outputs().items() if key.endswith("status.json")]
    assert "deleted before it could be read" in json.loads(status)["message"]


@pytest.mark.parametrize(
    ("stage", "event"),
    [
        ("plan", "plan-resume"),
        ("submit", "submit-batch"),
        ("collect", "collect-batch"),
        ("finish", "finish-job"),
        ("control", "control-cancel"),
        ("control", "control-retry"),
    ],
)
def test_a_message_about_nothing_is_taken(cloud: Cloud, stage: str, event: str) -> None:
    assert cloud.invoke(stage, cloud.event(event)) == ALL_TAKEN


def test_a_command_for_an_unknown_job_is_counted(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.invoke("control", cloud.event("control-cancel"))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "IgnoredCommands" in line]
    assert json.loads(line)["service"] == "batchdrop"
    assert cloud.outputs() == {}


def test_only_the_message_that_failed_comes_back(cloud: Cloud) -> None:
    event = cloud.upload("inbox/good.jsonl", rows(1))
    event["Records"].insert(0, dict(event["Records"][0], messageId="broken", body="no json"))
    assert cloud.invoke("plan", event) == {"batchItemFailures": [{"itemIdentifier": "broken"}]}
    cloud.drain()
    assert cloud.claude.count("create") == 1


@pytest.mark.parametrize("queue", QUEUES)
def test_a_message_that_fails_is_put_off_for_seconds(cloud: Cloud, queue: str) -> None:
    url = cloud.urls[queue]
    cloud.sqs.send_message(QueueUrl=url, MessageBody="no json")
    (received,) = cloud.sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])["Messages"]
    event = cloud.event("finish-job")
    (record,) = event["Records"]
    record |= {"messageId": received["MessageId"], "receiptHandle": received["ReceiptHandle"], "body": received["Body"]}
    record["attributes"]["ApproximateReceiveCount"] = "3"
    put_off = []
    boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION is not None
    boto3.DEFAULT_SESSION.events.register(
        "provide-client-params.sqs.ChangeMessageVisibility", lambda params, **_: put_off.append(params)
    )
    assert cloud.invoke(queue, event) == {"batchItemFailures": [{"itemIdentifier": received["MessageId"]}]}
    assert put_off == [{"QueueUrl": url, "ReceiptHandle": received["ReceiptHandle"], "VisibilityTimeout": 120}]
    boto3.setup_default_session()


def test_a_metric_is_a_log_line_and_a_tick_at_rest_has_none(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.invoke("poll", cloud.event("poll-tick"))
    assert "CloudWatchMetrics" not in capsys.readouterr().out
    cloud.invoke("control", cloud.event("control-cancel"))
    line = next(line for line in capsys.readouterr().out.splitlines() if '"IgnoredCommands"' in line)
    metrics = json.loads(line)
    assert metrics["IgnoredCommands"] == [1.0]
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Batchdrop"


def test_no_log_line_holds_a_prompt_an_answer_or_the_key(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    prompt = "planted-prompt-7731"
    lines = [row("planted-id-7731", f"{prompt} great"), row("b", f"{prompt} [[error:invalid_request_error]]"), prompt.encode()]
    cloud.invoke("plan", cloud.upload("inbox/a.jsonl", b"\n".join(lines)))
    cloud.claude.fault("refuse", "create", status=400, type="invalid_request_error", message=f"bad: {prompt}")
    for _ in range(4):
        cloud.drain()
        cloud.claude.advance(10)
        cloud.invoke("poll", cloud.event("poll-tick"))
    logged = "\n".join(str(vars(record)) for record in caplog.records)
    assert "create refused" in logged
    for planted in (prompt, "planted-id-7731", "test-key", "great"):
        assert planted not in logged


@pytest.mark.parametrize(("stage", "name"), [("plan", "plan-upload"), ("control", "control-cancel")])
def test_a_foreign_event_is_taken_and_does_nothing(cloud: Cloud, stage: str, name: str) -> None:
    event = cloud.event(name)
    body = json.loads(event["Records"][0]["body"])
    body["detail"]["bucket"]["name"] = "another"
    event["Records"][0]["body"] = json.dumps(body)
    assert cloud.invoke(stage, event) == ALL_TAKEN
    assert cloud.outputs() == {}
    assert boto3.client("dynamodb").scan(TableName="table")["Count"] == 0


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigurationError, match="BATCHDROP_MAX_ATTEMPTS"):
        CollectSettings.from_env(
            {
                "BATCHDROP_ACCOUNT": "123456789012",
                "BATCHDROP_BUCKET": "b",
                "BATCHDROP_TABLE": "t",
                "BATCHDROP_API_KEY_SECRET": "s",
                "BATCHDROP_COLLECT_QUEUE": "c",
                "BATCHDROP_FINISH_QUEUE": "f",
                "BATCHDROP_SPOOL_BYTES": "1",
            }
        )
    with pytest.raises(ConfigurationError, match="BATCHDROP_"):
        PollSettings.from_env({})
