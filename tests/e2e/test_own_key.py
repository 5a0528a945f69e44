"""A stack with a KMS key of its own.

The emulator encrypts nothing, asks no key's policy, and passes over how bucket and table are encrypted: tests/template has that.
"""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.laptop import ACCOUNT, Laptop, beside
from tests.policies import policy
from tests.stack import rows

_STACK = "batchdrop-keyed"


def test_a_stack_with_a_key_of_its_own_answers(laptop: Laptop) -> None:
    document = policy("key", stack=_STACK, account=ACCOUNT, region=laptop.env["AWS_DEFAULT_REGION"])
    key = laptop.client("kms").create_key(Policy=json.dumps(document))["KeyMetadata"]["Arn"]
    keyed = beside(laptop, _STACK, f"KmsKeyArn={key}")
    with keyed.ticking():
        job = keyed.drop("inbox/first.jsonl", rows(30)).wait().wait_for("done")
    assert job.manifest()["counts"]["succeeded"] == 30

    assert keyed.client("secretsmanager").describe_secret(SecretId=keyed.output("ApiKeySecret"))["KmsKeyId"] == key
    for queue in ("UploadsQueue", "DeadLetters", "Undelivered"):
        found: dict[str, Any] = keyed.sqs.get_queue_attributes(QueueUrl=keyed.output(queue), AttributeNames=["All"])
        assert found["Attributes"]["KmsMasterKeyId"] == key
    (group,) = keyed.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{_STACK}-plan")["logGroups"]
    assert group["kmsKeyId"] == key
