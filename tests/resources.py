"""The table and the bucket, as template.yaml declares them, in an AWS in memory."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from tests.template.facts import source

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

_OF_A_TABLE = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")


@cache
def _declared(resource: str) -> dict[str, Any]:
    return dict(source()["Resources"][resource]["Properties"])


def make_table(client: DynamoDBClient, name: str) -> None:
    client.create_table(TableName=name, **{part: _declared("Table")[part] for part in _OF_A_TABLE})


def make_bucket(client: S3Client, name: str, region: str) -> None:
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]  # any region
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration=_declared("Bucket")["VersioningConfiguration"])
