"""Requests to S3: a read is one, a part is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from batchdrop.adapters.part_plan import MIB
from batchdrop.adapters.s3 import PART_BYTES, S3Objects

BLOCK = bytes(MIB)


@pytest.fixture
def requests() -> Iterator[tuple[S3Objects, Counter[str]]]:
    with mock_aws():
        client = boto3.Session("testing", "testing", region_name="us-east-1").client("s3")
        client.create_bucket(Bucket="bucket")
        counted: Counter[str] = Counter()

        def count(model: Any, **_: Any) -> None:
            counted[model.name] += 1

        client.meta.events.register("before-call", count)
        yield S3Objects(client, "bucket"), counted
        client.close()


def test_a_stream_is_written_in_as_many_requests_as_it_has_parts(requests: tuple[S3Objects, Counter[str]]) -> None:
    objects, counted = requests
    with objects.writer("work/x") as writer:
        for _ in range(2 * PART_BYTES // MIB + 1):
            writer.write(BLOCK)
    assert counted == {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}


def test_a_small_stream_is_one_request(requests: tuple[S3Objects, Counter[str]]) -> None:
    objects, counted = requests
    with objects.writer("work/x") as writer:
        writer.write(BLOCK)
    assert counted == {"PutObject": 1}


def test_a_read_is_one_request_in_whatever_pieces(requests: tuple[S3Objects, Counter[str]]) -> None:
    objects, counted = requests
    objects.put("work/x", 3 * BLOCK)
    counted.clear()
    with objects.read(objects.head("work/x").ref) as stream:
        while stream.read(10_000):
            pass
    assert counted == {"HeadObject": 1, "GetObject": 1}
