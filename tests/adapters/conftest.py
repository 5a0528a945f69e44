"""Every suite here runs over the adapter with moto behind it, and over its fake; the bucket's over the S3 of `make bench` too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from bench.standin import Server, Store
from tests.fakes import ManualClock
from tests.resources import make_bucket, make_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

REGION: Final = "eu-central-1"
# One session for all tests: it keeps the service models, which take longer to load than a test to run.
SESSION = boto3.session.Session("testing", "testing", region_name=REGION)
QUICK = Config(retries={"mode": "standard", "total_max_attempts": 1})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def s3(aws: None) -> Iterator[S3Client]:
    client = SESSION.client("s3", config=QUICK)
    make_bucket(client, "bucket", REGION)
    yield client
    client.close()


@pytest.fixture
def bench_s3() -> Iterator[S3Client]:
    """The S3 that `make bench` measures with: figures are worth nothing if it is not one."""
    with TemporaryDirectory() as folder, Server(Store(Path(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        client = SESSION.client("s3", config=QUICK, endpoint_url=f"http://127.0.0.1:{server.server_address[1]}")
        yield client
        client.close()
        server.shutdown()


@pytest.fixture
def dynamodb(aws: None) -> Iterator[DynamoDBClient]:
    client = SESSION.client("dynamodb", config=QUICK)
    make_table(client, "table")
    yield client
    client.close()
