"""The six handlers on an AWS in memory, with the environment that the template gives them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from batchdrop.domain.messages import Queue
from local.claude.client import Control, start
from local.stages import STAGES
from tests.resources import make_bucket, make_table

ROOT = Path(__file__).parents[2]
BUCKET = "batchdrop-123456789012-eu-west-1"
QUEUES = tuple(queue.value for queue in Queue)


class Context:
    """Lambda's context object, as far as anybody looks at it."""

    function_name = "batchdrop"
    function_version = "$LATEST"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:batchdrop"
    aws_request_id = "8b1f7a0e-1a8f-4c1c-9a1d-0a7d2f1e9b11"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


class Cloud:
    """What AWS does between the functions: queues and the bucket."""

    def __init__(self, claude: Control) -> None:
        self.claude = claude
        self.s3 = boto3.client("s3")
        self.sqs = boto3.client("sqs")
        self.urls = {name: self.sqs.create_queue(QueueName=name)["QueueUrl"] for name in QUEUES}
        self._handlers = {stage: _handler(stage) for stage in STAGES}

    def invoke(self, stage: str, event: dict[str, Any]) -> Any:
        return self._handlers[stage](event, Context())

    def event(self, name: str) -> dict[str, Any]:
        return dict(json.loads((ROOT / "tests" / "events" / f"{name}.json").read_text()))

    def upload(self, key: str, body: bytes, *, verbatim: str = "plan-upload", **metadata: str) -> dict[str, Any]:
        """Puts an object and returns the event of it, made of a verbatim one."""
        version = self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata)["VersionId"]
        return self.uploaded(key, version, len(body), verbatim=verbatim)

    def uploaded(self, key: str, version: str, size: int, *, verbatim: str = "plan-upload") -> dict[str, Any]:
        """The event of a version that is there."""
        event = self.event(verbatim)
        message = json.loads(event["Records"][0]["body"])
        message["detail"]["object"].update({"key": key, "version-id": version, "size": size})
        event["Records"][0]["body"] = json.dumps(message)
        return event

    def command(self, key: str) -> dict[str, Any]:
        """As `upload`, of a command below `control/`."""
        return self.upload(key, b"", verbatim="control-cancel")

    def drain(self) -> None:
        """Delivers what waits in the queues until nothing does; every message must be taken."""
        moved = True
        while moved:
            moved = False
            for queue in QUEUES:
                while messages := self.sqs.receive_message(QueueUrl=self.urls[queue]).get("Messages"):
                    moved = True
                    self.sqs.delete_message(QueueUrl=self.urls[queue], ReceiptHandle=messages[0]["ReceiptHandle"])
                    event = self.event("finish-job")
                    event["Records"][0]["body"] = messages[0]["Body"]
                    assert self.invoke(queue, event) == {"batchItemFailures": []}

    def outputs(self) -> dict[str, bytes]:
        """Every object under outbox/, by key."""
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix="outbox/").get("Contents", [])
        return {one["Key"]: self.s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in found}


def _handler(stage: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"{stage}_app", ROOT / "functions" / stage / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


@pytest.fixture(scope="session")
def claude() -> Iterator[Control]:
    with start("--clock", "manual", "--seconds", "5") as control:
        yield control


@contextmanager
def surroundings(claude: Control, **changes: str) -> Iterator[None]:
    """An AWS in memory with the stack's resources, and the environment of the functions; `changes` are variables of it."""
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_LAMBDA_FUNCTION_NAME": "batchdrop",
        "POWERTOOLS_METRICS_NAMESPACE": "Batchdrop",
        "POWERTOOLS_SERVICE_NAME": "batchdrop",
        "ANTHROPIC_BASE_URL": claude.base_url,
        "BATCHDROP_ACCOUNT": "123456789012",
        "BATCHDROP_BUCKET": BUCKET,
        "BATCHDROP_TABLE": "table",
        "BATCHDROP_API_KEY_SECRET": "key",
        "BATCHDROP_SWITCH": "/batchdrop/switch",
        "BATCHDROP_ALLOWED_API_VERSIONS": "2026-10-21,2023-06-01",
        "BATCHDROP_ALLOWED_BETAS": "output-300k-2026-03-24",
        "BATCHDROP_QUEUED_REQUESTS_LIMIT": "200000",
        "BATCHDROP_CREATES_PER_TICK": "300",
        "BATCHDROP_OPEN_JOBS_PER_FOLDER": "1000",
        "BATCHDROP_MAX_ATTEMPTS": "3",
        "BATCHDROP_MAX_BATCH_REQUESTS": "100000",
        "BATCHDROP_MAX_BATCH_BYTES": "250000000",
        "BATCHDROP_MAX_INPUT_BYTES": "100000000",
        "BATCHDROP_GRACE_SECONDS": "300",
        "BATCHDROP_VISIBILITY_SECONDS": "5400",
        "BATCHDROP_SPOOL_BYTES": "400000000",
        "BATCHDROP_EVENT_BUS": "default",
        "BATCHDROP_TOPIC": "arn:aws:sns:eu-west-1:123456789012:jobs",
        **{f"BATCHDROP_{queue.upper()}_QUEUE": f"https://sqs.eu-west-1.amazonaws.com/123456789012/{queue}" for queue in QUEUES},
        **changes,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, text in environment.items():
            patch.setenv(name, text)
        with mock_aws():
            _make_resources()
            yield


@pytest.fixture
def cloud(claude: Control) -> Iterator[Cloud]:
    claude.reset()
    with surroundings(claude):
        yield Cloud(claude)


def _make_resources() -> None:
    make_bucket(boto3.client("s3"), BUCKET, "eu-west-1")
    make_table(boto3.client("dynamodb"), "table")
    boto3.client("ssm").put_parameter(Name="/batchdrop/switch", Value="run", Type="String")
    boto3.client("secretsmanager").create_secret(Name="key", SecretString="test-key")
    boto3.client("sns").create_topic(Name="jobs")
