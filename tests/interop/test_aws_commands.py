"""Every `aws` command of the documents is carried out by the AWS CLI, in its page's own shell, against moto.

What a page leaves to its reader is filled in. Other programs do nothing here: CONTRIBUTING says who runs them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import boto3
import pytest
from botocore.config import Config

from tests.docs.pages import PAGES, ROOT, blocks, name_of
from tests.docs.shell import commands_in
from tests.interop.aws_commands import aws_in
from tests.resources import make_bucket, make_table

pytestmark = pytest.mark.interop

_REGION, _STACK, _TABLE = "eu-central-1", "batchdrop-dev", "table"
_DEFINITIONS = blocks(ROOT / "docs" / "operations.md", "sh")[0]
"""Which other pages refer to."""
_SHOWN = [page for page in PAGES if any(one.words[0] == "aws" for block in blocks(page, "sh") for one in commands_in(block))]
_SERVICES = (
    "cloudformation",
    "cloudtrail",
    "dynamodb",
    "events",
    "iam",
    "kms",
    "logs",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
)
_OTHERS = (
    *("batchdrop", "curl", "make", "git", "sam", "python", "duckdb", "jq"),
    *(".venv/bin/sam", ".venv/bin/python", "requirements/sam"),
)
# What moto's server loads for browsers and for API Gateway, which no command here is about.
_NOT_INSTALLED = ("flask_cors", *(f"openapi_spec_validator{part}" for part in ("", ".validation", ".validation.exceptions")))
# Those of this version, and those that the upgrade from 0.1.0 is about.
_QUEUES = [
    "DeadLetters",
    *(name + kind for name in ("Uploads", "Submit", "Collect", "Finish", "Controls") for kind in ("Queue", "DeadLetters")),
]
_TEMPLATE = {
    "Parameters": {name: {"Type": "String", "Default": "100"} for name in ("AskAboveUsd", "MonthlyLimitUsd")},
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
}
_FILLED = {
    "BUCKET": "bucket",
    "ANALYSIS": "analysis",
    "TRAIL": "trail",
    "BACKUP": '"$(aws dynamodb list-backups --query "BackupSummaries[0].BackupArn" --output text)"',
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with patch.dict(sys.modules, {name: MagicMock() for name in _NOT_INSTALLED}):
        from moto.server import ThreadedMotoServer  # noqa: PLC0415

        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture(scope="module")
def stack(endpoint: str) -> None:
    """What the commands are about."""
    session = boto3.session.Session("testing", "testing", region_name=_REGION)

    def client(service: Any) -> Any:
        return session.client(service, endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))

    s3, sqs = client("s3"), client("sqs")
    for name in ("bucket", "analysis", "my-releases"):
        make_bucket(s3, name, _REGION)
    job = "20261122T014233Z-ocgoouztvi7v6pls"
    for key in (
        "index.json",
        "marketing/reviews/latest.json",
        f"marketing/reviews/{job}/results.jsonl",
        f"smoke/reviews/{job}/manifest.json",
    ):
        s3.put_object(Bucket="bucket", Key=f"outbox/{key}", Body=b"{}\n")
    for body in (b"{}", b"{"):
        s3.put_object(Bucket="bucket", Key="config/limits.json", Body=body)
    make_table(client("dynamodb"), _TABLE)
    client("dynamodb").update_continuous_backups(
        TableName=_TABLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    for function in ("plan", "poll", "submit"):
        client("logs").create_log_group(logGroupName=f"/aws/lambda/{_STACK}-{function}")
    client("iam").create_role(RoleName="release", AssumeRolePolicyDocument="{}")
    client("cloudtrail").create_trail(Name="trail", S3BucketName="bucket")
    client("ssm").put_parameter(Name=f"/{_STACK}/switch", Value="run", Type="String")
    secret = client("secretsmanager").create_secret(Name="key", SecretString="none")["ARN"]
    outputs = {
        "Bucket": "bucket",
        "Table": _TABLE,
        "ApiKeySecret": secret,
        "AlarmTopic": client("sns").create_topic(Name="alarms")["TopicArn"],
        "JobsTopic": client("sns").create_topic(Name="jobs")["TopicArn"],
        "PutApiKey": "aws secretsmanager put-secret-value",
        **{name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in _QUEUES},
    }
    template = {
        **_TEMPLATE,
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    client("cloudformation").create_stack(StackName=_STACK, TemplateBody=json.dumps(template))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("programs")
    for name in _OTHERS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to("/bin/true")
    with aws_in(folder, _SERVICES):
        yield folder


@pytest.mark.parametrize("page", _SHOWN, ids=name_of)
def test_the_commands_of_a_page_are_carried_out(page: Path, endpoint: str, stack: None, programs: Path, tmp_path: Path) -> None:
    for name in ("docs", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in (".venv", "requirements"):
        (tmp_path / name).symlink_to(programs / name)
    for name in (".local/env", ".aws-sam/packaged.yaml", "my.jsonl", "prices.json", "bills/a.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(_TEMPLATE) if name.endswith("yaml") else "")
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": _REGION,
        "BATCHDROP_BUCKET": "bucket",
        "STACK": _STACK,
        "JOB": "20261122T014233Z-ocgoouztvi7v6pls",
    }
    script = "\n".join([_DEFINITIONS, *blocks(page, "sh")])
    for word, filled in _FILLED.items():
        script = re.sub(rf"(?<=[ /:\"]){word}(?=[ /\n\"])", filled, script)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        input="sk-ant-test\n",
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
