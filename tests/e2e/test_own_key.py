"""A stack with a KMS key of its own. The emulator encrypts nothing and asks no key's policy: tests/template judges that."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.laptop import ACCOUNT, Laptop, beside
from tests.policies import policy
from tests.stack import rows

_STACK = "batchdrop-keyed"


def test_everything_is_kept_under_the_key_and_a_job_runs_through_it(laptop: Laptop) -> None:
    document = policy("key", stack=_STACK, account=ACCOUNT, region=laptop.env["AWS_DEFAULT_REGION"])
    key = laptop.client("kms").create_key(Policy=json.dumps(document))["KeyMetadata"]["Arn"]
    keyed = beside(laptop, _STACK, f"KmsKeyArn={key}")
    with keyed.ticking():
        job = keyed.drop("inbox/first.jsonl", rows(30)).wait().wait_for("done")
    assert job.manifest()["counts"]["succeeded"] == 30

    for name in ("results.jsonl", "manifest.json", "status.json"):
        head = keyed.s3.head_object(Bucket=keyed.bucket, Key=job.folder + name)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    (rule,) = keyed.s3.get_bucket_encryption(Bucket=keyed.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["BucketKeyEnabled"]
    table = keyed.client("dynamodb").describe_table(TableName=keyed.env["BATCHDROP_TABLE"])["Table"]
    assert table["SSEDescription"]["KMSMasterKeyArn"] == key
    assert keyed.client("secretsmanager").describe_secret(SecretId=keyed.output("ApiKeySecret"))["KmsKeyId"] == key
    for queue in ("UploadsQueue", "DeadLetters", "Undelivered"):
        found: dict[str, Any] = keyed.sqs.get_queue_attributes(QueueUrl=keyed.output(queue), AttributeNames=["All"])
        assert found["Attributes"]["KmsMasterKeyId"] == key
    for topic in ("JobsTopic", "AlarmTopic"):
        attributes = keyed.client("sns").get_topic_attributes(TopicArn=keyed.output(topic))["Attributes"]
        assert attributes["KmsMasterKeyId"] == key
