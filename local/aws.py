"""The emulated AWS: MiniStack as one process, with IAM policies enforced."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3

from local.errors import CannotRun
from local.paths import HOME, MINISTACK_PYTHON, ROOT, TEMPORARY
from local.processes import Process, clean_environment

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

REGION = "us-east-1"
# To MiniStack, this identity is the account's root; every other one needs a policy (`AUTH=true`).
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}


class Aws:
    """MiniStack on one port of the loopback interface, and clients for it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        server = str(ROOT / "local" / "ministack_server.py")
        self.process = Process("ministack", [str(MINISTACK_PYTHON), "-I", server, sysconfig.get_paths()["platlib"]])

    def start(self) -> None:
        if not MINISTACK_PYTHON.exists():
            raise CannotRun("MiniStack is not installed: run make setup.")
        shutil.rmtree(TEMPORARY, ignore_errors=True)
        TEMPORARY.mkdir(parents=True)
        self.process.start(
            {
                **clean_environment(),
                **CREDENTIALS,
                "AUTH": "true",
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(self.port),
                "MINISTACK_HOST": "127.0.0.1",
                "SFTP_ENABLED": "0",
                "TMPDIR": str(TEMPORARY),
            }
        )
        self.process.wait_until_serving(f"{self.url}/_ministack/health")

    def environment(self) -> dict[str, str]:
        """What a program needs to use this AWS, and none of the user's own settings."""
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(HOME / "no-aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(HOME / "no-aws-credentials"),
        }

    def _session(self) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )

    def s3(self) -> S3Client:
        return self._session().client("s3", endpoint_url=self.url)

    def cloudformation(self) -> CloudFormationClient:
        return self._session().client("cloudformation", endpoint_url=self.url)

    def secrets(self) -> SecretsManagerClient:
        return self._session().client("secretsmanager", endpoint_url=self.url)

    def functions(self) -> LambdaClient:
        return self._session().client("lambda", endpoint_url=self.url)

    def queues(self) -> SQSClient:
        return self._session().client("sqs", endpoint_url=self.url)

    def tables(self) -> DynamoDBClient:
        return self._session().client("dynamodb", endpoint_url=self.url)

    def identities(self) -> STSClient:
        return self._session().client("sts", endpoint_url=self.url)

    def logged(self, group_prefix: str, since: datetime) -> Iterator[str]:
        """What the functions whose log groups begin so have written since a moment."""
        client: Any = self._session().client  # there are no types of this one here
        logs = client("logs", endpoint_url=self.url)
        start = int(since.timestamp() * 1000)
        for group in logs.describe_log_groups(logGroupNamePrefix=group_prefix)["logGroups"]:
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"], startTime=start):
                yield from (event["message"] for event in page["events"])
