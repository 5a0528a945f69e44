"""The stack as a whole: data that survives it, two stacks side by side, parameters people understand."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from batchdrop.adapters.s3 import ONE_DAY
from tests.template.conftest import ROOT, Template
from tests.template.facts import Resources, of_type, references

# What CloudFormation calls the property that fixes a resource's physical name.
_NAMES = (
    "BucketName",
    "TableName",
    "QueueName",
    "TopicName",
    "RoleName",
    "FunctionName",
    "LogGroupName",
    "AlarmName",
    "Name",
    "LayerName",
)
_NOT_THEIR_OWN = {"AWS::Lambda::EventSourceMapping", "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::Permission"}


def test_data_outlives_the_stack(resources: Resources) -> None:
    for name in ("Bucket", "Table"):
        # A first deployment that fails leaves neither behind, in whose way the next one would be.
        assert (resources[name]["DeletionPolicy"], resources[name]["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_bucket_is_private_versioned_and_encrypted(resources: Resources) -> None:
    (bucket,) = of_type(resources, "AWS::S3::Bucket").values()
    assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True
    assert any("AbortIncompleteMultipartUpload" in rule for rule in bucket["LifecycleConfiguration"]["Rules"])


def test_only_commands_expire_by_age(resources: Resources) -> None:
    """Not `work/`: a rule cannot know which job still waits. What was deleted there can be restored for a month."""
    (bucket,) = of_type(resources, "AWS::S3::Bucket").values()
    rules = [rule for rule in bucket["LifecycleConfiguration"]["Rules"] if "Fn::If" not in rule]
    assert {rule.get("Prefix") for rule in rules if "ExpirationInDays" in rule or "ExpirationDate" in rule} == {"control/"}
    (indexes,) = (rule for rule in rules if "TagFilters" in rule)
    assert urlencode([(tag["Key"], tag["Value"]) for tag in indexes["TagFilters"]]) == ONE_DAY
    assert indexes["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    rules.remove(indexes)
    deleted = {rule["Prefix"]: rule["NoncurrentVersionExpiration"] for rule in rules if "NoncurrentVersionExpiration" in rule}
    assert deleted == {"work/": {"NoncurrentDays": 30}, "control/": {"NoncurrentDays": 1}}


def test_answers_and_old_inputs_expire_if_a_parameter_says_when(source: Template, resources: Resources) -> None:
    (bucket,) = of_type(resources, "AWS::S3::Bucket").values()
    optional = [rule["Fn::If"] for rule in bucket["LifecycleConfiguration"]["Rules"] if "Fn::If" in rule]
    (answers, old) = (rule for _, rule, _ in optional)
    assert [(condition, otherwise) for condition, _, otherwise in optional] == [
        ("AnswersExpire", {"Ref": "AWS::NoValue"}),
        ("OldInputExpires", {"Ref": "AWS::NoValue"}),
    ]
    assert (answers["Prefix"], answers["ExpirationInDays"]) == ("outbox/", {"Ref": "AnswerRetentionDays"})
    # The version that a job was opened for is kept: only one that was replaced or deleted goes.
    assert (old["Prefix"], "ExpirationInDays" in old) == ("inbox/", False)
    assert old["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "OldInputRetentionDays"}}
    taken = {
        "AnswerRetentionDays": {"0": True, "1": False, "29": False, "30": True, "365": True, "00": False},
        "OldInputRetentionDays": {"0": True, "30": False, "399": False, "400": True, "3650": True},
    }
    for name, values in taken.items():
        parameter = source["Parameters"][name]
        assert parameter["Default"] == "0"
        assert {value: bool(re.fullmatch(parameter["AllowedPattern"], value)) for value in values} == values


def test_plain_http_is_denied_unless_the_parameter_says_otherwise(source: Template, resources: Resources) -> None:
    (policy,) = of_type(resources, "AWS::S3::BucketPolicy").values()
    condition, statement, otherwise = policy["PolicyDocument"]["Statement"][0]["Fn::If"]
    assert (condition, otherwise) == ("TlsRequired", {"Ref": "AWS::NoValue"})
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert source["Parameters"]["RequireTls"]["Default"] == "true"


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://api.anthropic.com", True),
        ("https://gateway.example.test/claude", True),
        ("http://127.0.0.1:8089", True),
        ("http://localhost:8089/", True),
        ("http://[::1]:8089", True),
        ("http://gateway.example.test", False),
        ("http://127.0.0.1@example.test", False),
        ("http://127.0.0.1:80@example.test", False),
        ("http://127.0.0.1.example.test", False),
        ("ftp://example.test", False),
    ],
)
def test_the_key_is_never_sent_in_clear_text(source: Template, url: str, taken: bool) -> None:
    # CloudFormation matches the whole value.
    assert bool(re.fullmatch(source["Parameters"]["ApiBaseUrl"]["AllowedPattern"], url)) is taken


def test_the_table_can_be_restored_and_indexes_only_open_work(resources: Resources) -> None:
    (table,) = of_type(resources, "AWS::DynamoDB::Table").values()
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "open"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["shelf", "due"]


def test_two_stacks_have_no_name_in_common(resources: Resources) -> None:
    for logical_id, resource in resources.items():
        if resource["Type"] in _NOT_THEIR_OWN:
            continue
        properties: Mapping[str, Any] = resource.get("Properties", {})
        for name in _NAMES:
            if name in properties and resource["Type"] != "AWS::Lambda::LayerVersion":
                assert "AWS::StackName" in set(references(properties[name])), f"{logical_id}.{name} is the same in every stack"


def test_every_parameter_is_described_in_a_sentence(source: Template) -> None:
    described = {name: found.get("Description", "") for name, found in source["Parameters"].items()}
    assert {name: text for name, text in described.items() if len(text.split()) < 8 or not text.endswith(".")} == {}


def test_every_output_is_described(source: Template) -> None:
    assert [name for name, found in source["Outputs"].items() if not found.get("Description")] == []


def test_every_parameter_is_used(source: Template) -> None:
    everything = {key: source[key] for key in ("Globals", "Resources", "Conditions", "Outputs")}
    assert set(source["Parameters"]) - set(references(everything)) == set()


def test_each_profile_has_a_stack_of_its_own() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    names = [table["global"]["parameters"]["stack_name"] for table in config.values() if isinstance(table, dict)]
    assert len(names) > 3
    assert len(set(names)) == len(names)
