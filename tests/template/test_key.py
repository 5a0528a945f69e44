"""A KMS key of one's own: what it encrypts, who may use it through which service, and that nothing is lost for want of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.policies import policy
from tests.template.conftest import Template
from tests.template.evaluator import ACCOUNT, REGION, STACK, Decision, Deployed, Policy, Request, decide
from tests.template.facts import as_list, chosen, of_type
from tests.template.test_walls import ROLES, STRANGER

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/9a1a0f52-53c4-4f3c-8d5c-0e5f1c9d7b0e"
_WITH = frozenset({"HasApiKey", "HasKey"})
_USE = ("kms:Decrypt", "kms:GenerateDataKey")
# Of each service's actions in a role, by its prefix, what it asks KMS on the caller's behalf through.
_ASK_KMS = {"s3", "sqs", "sns", "dynamodb", "secretsmanager"}
_KEY_POLICY = policy("key", stack=STACK, account=ACCOUNT, region=REGION)


@pytest.fixture
def stack(translated: Template) -> Deployed:
    return Deployed(translated, KmsKeyArn=KEY)


def _via(service: str) -> str:
    return f"{service}.{REGION}.amazonaws.com"


def _ask(action: str, principal: Mapping[str, str], identity: list[Policy], context: Mapping[str, str]) -> bool:
    return decide(Request(action, KEY, principal, context), identity, _KEY_POLICY) is Decision.allow


def _by(who: str, action: str, service: str, identity: list[Policy] | None = None, account: str = ACCOUNT, **more: str) -> bool:
    context = {"kms:CallerAccount": account, "kms:ViaService": _via(service)}
    context |= {name.replace("_", ":", 1): value for name, value in more.items()}
    return _ask(action, {"AWS": who}, identity or [], context)


# ---------------------------------------------------------------- what is encrypted

_ENCRYPTED: dict[str, Any] = {
    "AWS::S3::Bucket": lambda found: found["BucketEncryption"]["ServerSideEncryptionConfiguration"][0][
        "ServerSideEncryptionByDefault"
    ].get("KMSMasterKeyID"),
    "AWS::DynamoDB::Table": lambda found: found.get("SSESpecification", {}).get("KMSMasterKeyId"),
    "AWS::SecretsManager::Secret": lambda found: found.get("KmsKeyId"),
    "AWS::SNS::Topic": lambda found: found.get("KmsMasterKeyId"),
    "AWS::SQS::Queue": lambda found: found.get("KmsMasterKeyId"),
    "AWS::Logs::LogGroup": lambda found: found.get("KmsKeyId"),
}


def test_everything_that_holds_data_is_encrypted_with_the_key(translated: Template) -> None:
    for kind, key_of in _ENCRYPTED.items():
        for name, found in of_type(translated["Resources"], kind).items():
            assert key_of(chosen(found, _WITH)) == {"Ref": "KmsKeyArn"}, name
            assert key_of(chosen(found)) in {None, "alias/aws/sns"}, name


def test_the_bucket_asks_kms_once_in_a_while(translated: Template) -> None:
    (bucket,) = of_type(translated["Resources"], "AWS::S3::Bucket").values()
    (rule,) = chosen(bucket, _WITH)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["BucketKeyEnabled"] is True
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"


def test_a_queue_is_encrypted_in_one_way_only(translated: Template) -> None:
    for name, queue in of_type(translated["Resources"], "AWS::SQS::Queue").items():
        assert chosen(queue, _WITH)["SqsManagedSseEnabled"] is False, name
        assert chosen(queue)["SqsManagedSseEnabled"] is True, name


# ---------------------------------------------------------------- the roles


def _of_kms(stack: Deployed, role: str) -> list[Mapping[str, Any]]:
    statements = [one for document in stack.identity(role) for one in document["Statement"]]
    return [one for one in statements if any(action.startswith("kms:") for action in as_list(one["Action"]))]


@pytest.mark.parametrize("role", ROLES)
def test_without_a_key_no_role_asks_for_one(translated: Template, role: str) -> None:
    assert _of_kms(Deployed(translated), role) == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_uses_the_key_through_the_services_that_it_calls_alone(stack: Deployed, role: str) -> None:
    actions = {action for document in stack.identity(role) for one in document["Statement"] for action in as_list(one["Action"])}
    called = {action.partition(":")[0] for action in actions} & _ASK_KMS
    (statement,) = _of_kms(stack, role)
    assert statement["Resource"] == KEY
    assert set(as_list(statement["Action"])) == set(_USE)
    assert statement["Condition"] == {"StringEquals": {"kms:ViaService": sorted(map(_via, called))}}


@pytest.mark.parametrize("role", ROLES)
def test_a_key_whose_policy_leaves_all_to_iam_suffices_for_the_roles(stack: Deployed, role: str) -> None:
    (statement,) = _of_kms(stack, role)
    for service in statement["Condition"]["StringEquals"]["kms:ViaService"]:
        context = {"kms:CallerAccount": ACCOUNT, "kms:ViaService": service}
        for action in _USE:
            asked = Request(action, KEY, {"AWS": stack.arn(role)}, context)
            assert decide(asked, stack.identity(role), {"Statement": []}) is Decision.allow
    directly = Request("kms:Decrypt", KEY, {"AWS": stack.arn(role)}, {"kms:CallerAccount": ACCOUNT})
    assert decide(directly, stack.identity(role), _KEY_POLICY) is Decision.nothing


# ---------------------------------------------------------------- the policy of the key


@pytest.mark.parametrize("service", sorted(_ASK_KMS))
def test_who_drops_reads_and_redrives_needs_no_permission_on_the_key(service: str) -> None:
    for action in _USE:
        assert _by(STRANGER, action, service)
        assert not _by(STRANGER.replace(ACCOUNT, "999999999999"), action, service, account="999999999999")
        assert not _ask(action, {"AWS": STRANGER}, [], {"kms:CallerAccount": ACCOUNT})


def test_events_reach_encrypted_queues_and_alarms_of_the_account_an_encrypted_topic() -> None:
    """With SQS and SNS the publishing service itself calls KMS, under its own name; EventBridge names no account with it."""
    for action in _USE:
        assert _ask(action, {"Service": "events.amazonaws.com"}, [], {})
        for account, allowed in ((ACCOUNT, True), ("999999999999", False)):
            assert _ask(action, {"Service": "cloudwatch.amazonaws.com"}, [], {"aws:SourceAccount": account}) is allowed


def test_only_log_groups_of_the_stack_are_encrypted_for_cloudwatch_logs(stack: Deployed) -> None:
    name = "kms:EncryptionContext:aws:logs:arn"
    for group in of_type(stack.resources, "AWS::Logs::LogGroup"):
        own = {name: stack.arn(group).removesuffix(":*")}
        for action in ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:GenerateDataKey", "kms:DescribeKey"):
            assert _ask(action, {"Service": f"logs.{REGION}.amazonaws.com"}, [], own)
    foreign = {name: f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/another"}
    assert not _ask("kms:Decrypt", {"Service": f"logs.{REGION}.amazonaws.com"}, [], foreign)


def test_a_table_keeps_a_grant_and_nobody_else_gets_one() -> None:
    assert _by(STRANGER, "kms:CreateGrant", "dynamodb", kms_GrantIsForAWSResource="true")
    assert not _by(STRANGER, "kms:CreateGrant", "dynamodb", kms_GrantIsForAWSResource="false")
    assert not _by(STRANGER, "kms:CreateGrant", "s3", kms_GrantIsForAWSResource="true")


def test_who_administers_the_account_is_not_locked_out_of_the_key() -> None:
    first = _KEY_POLICY["Statement"][0]
    assert (first["Principal"], first["Action"]) == ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "kms:*")
    assert "Deny" not in {statement["Effect"] for statement in _KEY_POLICY["Statement"]}


def test_the_parameter_takes_the_arn_of_a_key_and_no_alias(source: Template) -> None:
    pattern = source["Parameters"]["KmsKeyArn"]["AllowedPattern"]
    assert re.fullmatch(pattern, KEY)
    assert not re.fullmatch(pattern, KEY.replace("key/", "alias/"))
