"""A bucket that moto plays, with the environment of somebody who works with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from tests.resources import make_bucket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET, REGION = "the-bucket", "eu-central-1"


@contextmanager
def own_bucket(monkeypatch: pytest.MonkeyPatch, name: str = BUCKET) -> Iterator[S3Client]:
    for variable, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "BATCHDROP_BUCKET": name,
    }.items():
        monkeypatch.setenv(variable, value)
    for variable in ("AWS_ENDPOINT_URL", "BATCHDROP_FOLDER"):
        monkeypatch.delenv(variable, raising=False)
    with mock_aws():
        client = boto3.client("s3")
        make_bucket(client, name, REGION)
        yield client
        client.close()
