"""The policy of a deploy role, held against the actions in the published schema of each resource type.

The emulator does not check what CloudFormation calls for whoever deploys. Each schema lists it
(AWS CloudFormation user guide, "Resource type schema", `handlers`); cfn-lint's package has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]  # the package ships no types

from tests.policies import policy
from tests.template.conftest import Template
from tests.template.evaluator import ACCOUNT, REGION, STACK, Decision, Deployed, Policy
from tests.template.facts import as_list, of_type
from tests.template.test_walls import OPERATORS, ROLES, by

DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/release"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/{STACK}-boundary"
_PLACES = {"stack": STACK, "account": ACCOUNT, "region": REGION}
_SAM = "aws-sam-cli-managed-default"
_CODE = f"arn:aws:s3:::{_SAM}-samclisourcebucket-1a2b3c4d5e6f"
_THROUGH = ("cloudformation.amazonaws.com",)
# A deployment lists nothing: that handler serves Cloud Control and the console.
_HANDLERS = ("create", "read", "update", "delete")

UNUSED: Mapping[str, tuple[str, ...]] = {
    "AWS::DynamoDB::Table": (
        # replicas in other regions
        *("dynamodb:CreateTableReplica", "dynamodb:AssociateTableReplica", "dynamodb:Scan", "dynamodb:Query", "dynamodb:GetItem"),
        *(
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:BatchWriteItem",
            "iam:CreateServiceLinkedRole",
        ),
        # a table that is filled from S3
        *("dynamodb:ImportTable", "s3:GetObject", "s3:GetObjectMetadata", "s3:ListBucket", "logs:CreateLogGroup"),
        *(
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
            "logs:PutRetentionPolicy",
        ),
        # streams, expiry of items, insights, a policy of the table
        *("dynamodb:EnableKinesisStreamingDestination", "dynamodb:DisableKinesisStreamingDestination"),
        *("dynamodb:UpdateKinesisStreamingDestination", "kinesis:DescribeStream", "kinesis:PutRecords"),
        *("dynamodb:UpdateTimeToLive", "dynamodb:UpdateContributorInsights"),
        *("dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy"),
        # a key of one's own, whose policy says who may use it
        *("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:ListAliases", "kms:RevokeGrant"),
    ),
    "AWS::Events::Rule": ("iam:PassRole",),  # for targets that have a role
    "AWS::IAM::Role": (
        *("iam:AttachRolePolicy", "iam:DetachRolePolicy"),  # managed policies
        "iam:DeleteRolePermissionsBoundary",  # never
    ),
    "AWS::Lambda::EventSourceMapping": ("kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"),  # encrypted filters
    "AWS::Lambda::Function": (
        # a VPC, a file system
        *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeNetworkInterfaces"),
        *("elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets"),
        # a key of one's own for the environment
        *("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"),
        # signed code, reserved and provisioned capacity, chosen runtimes, versions
        *("lambda:GetCodeSigningConfig", "lambda:PutFunctionCodeSigningConfig", "lambda:DeleteFunctionCodeSigningConfig"),
        *("lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency", "lambda:PutFunctionScalingConfig"),
        *("lambda:PassCapacityProvider", "lambda:PutRuntimeManagementConfig", "lambda:AssociateRuntimeAlias"),
        "lambda:PublishVersion",
    ),
    "AWS::Logs::LogGroup": (
        # policies of groups and of the account, indexes, delivery, tokens, protection
        *(
            "logs:PutDataProtectionPolicy",
            "logs:DeleteDataProtectionPolicy",
            "logs:PutResourcePolicy",
            "logs:DeleteResourcePolicy",
        ),
        *("logs:PutIndexPolicy", "logs:DeleteIndexPolicy", "logs:CreateLogDelivery", "s3:REST.PUT.OBJECT"),
        *("firehose:TagDeliveryStream", "logs:PutBearerTokenAuthentication", "logs:PutLogGroupDeletionProtection"),
    ),
    "AWS::S3::Bucket": (
        # what the bucket does not have
        *("s3:PutBucketAbac", "s3:PutAnalyticsConfiguration", "s3:PutBucketCORS", "s3:PutInventoryConfiguration"),
        *("s3:PutMetricsConfiguration", "s3:PutBucketReplication", "s3:PutBucketWebsite", "s3:PutAccelerateConfiguration"),
        *("s3:PutReplicationConfiguration", "s3:PutBucketAcl", "s3:PutObjectAcl", "s3:PutBucketObjectLockConfiguration"),
        *("s3:PutObjectLockConfiguration", "s3:PutBucketLogging", "s3:PutIntelligentTieringConfiguration", "iam:PassRole"),
        *("s3:CreateBucketMetadataTableConfiguration", "s3:DeleteBucketMetadataTableConfiguration"),
        *("s3:UpdateBucketMetadataJournalTableConfiguration", "s3:UpdateBucketMetadataInventoryTableConfiguration"),
        "s3:UpdateBucketMetadataAnnotationTableConfiguration",
        *("s3tables:CreateNamespace", "s3tables:CreateTable", "s3tables:CreateTableBucket", "s3tables:GetTable"),
        *("s3tables:PutTableBucketPolicy", "s3tables:PutTableEncryption", "s3tables:PutTablePolicy"),
        *("s3tables:GetTableMetadataLocation", "s3tables:UpdateTableMetadataLocation"),
        # taking away what is not there; objects are nobody's to delete who deploys
        *(
            "s3:DeleteBucketWebsite",
            "s3:DeleteBucketAnalyticsConfiguration",
            "s3:DeleteBucketCors",
            "s3:DeleteBucketMetricsConfiguration",
        ),
        *("s3:DeleteBucketEncryption", "s3:DeleteBucketLifecycle", "s3:DeleteBucketReplication", "s3:DeleteObject"),
    ),
    "AWS::SNS::Subscription": ("iam:GetRole", "iam:PassRole"),  # Firehose
    "AWS::SNS::Topic": ("sns:PutDataProtectionPolicy", "sns:Unsubscribe", "iam:GetRole", "iam:PassRole"),
    "AWS::SecretsManager::Secret": ("secretsmanager:ReplicateSecretToRegions", "secretsmanager:RemoveRegionsFromReplication"),
}
"""Actions that a schema lists for properties that the template does not use."""

_UNDOING = {"cloudformation:DetectStackDrift", "cloudformation:DescribeStackDriftDetectionStatus"}
"""With change sets: docs/operations.md, "What was changed by hand"."""
_DEPLOYMENT = {
    "cloudformation:CreateChangeSet",
    "cloudformation:DescribeChangeSet",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:DeleteChangeSet",
    "cloudformation:CreateStack",
    "cloudformation:UpdateStack",
    "cloudformation:DeleteStack",
    "cloudformation:RollbackStack",
    "cloudformation:ContinueUpdateRollback",
    "cloudformation:CancelUpdateStack",
    "cloudformation:DescribeStacks",
    "cloudformation:DescribeStackEvents",
    "cloudformation:GetTemplate",
    "cloudformation:ListStackResources",
}
"""Of whoever deploys, with SAM CLI or without, on the stack itself."""


@pytest.fixture(params=["", OPERATORS], ids=["nobody is named", "operators are named"])
def stack(request: pytest.FixtureRequest, translated: Template) -> Deployed:
    return Deployed(translated, OperatorRoleArns=request.param, PermissionsBoundaryArn=BOUNDARY, AlarmEmail="a@example.com")


@cache
def _handlers(kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    return found


def _published(kind: str) -> set[str]:
    return {action for name in _HANDLERS for action in _handlers(kind).get(name, {}).get("permissions", [])}


def _places(stack: Deployed, name: str, action: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The resources, each with the further context, that CloudFormation's call is about."""
    kind, properties = stack.resources[name]["Type"], stack.resources[name].get("Properties", {})
    if action == "iam:PassRole":
        service = {"lambda": "lambda.amazonaws.com", "scheduler": "scheduler.amazonaws.com"}[kind.split("::")[1].lower()]
        role = properties.get("Role") or properties["Target"]["RoleArn"]
        yield stack.arn(role["Fn::GetAtt"][0]), {"iam_PassedToService": service}
    elif kind.startswith("AWS::Lambda::") and action in {"s3:GetObject", "s3:GetObjectVersion"}:
        yield f"{_CODE}/code", {}
    elif action in _WITHOUT_RESOURCE:
        yield "*", {}
    elif kind == "AWS::Lambda::EventSourceMapping":
        yield stack.arn(name), {"lambda_FunctionArn": stack.arn(properties["FunctionName"]["Ref"])}
    elif kind == "AWS::Lambda::Function" and action == "lambda:GetLayerVersion":
        for layer in of_type(stack.resources, "AWS::Lambda::LayerVersion"):
            yield stack.arn(layer), {}
    elif kind == "AWS::IAM::Role":
        yield stack.arn(name), {"iam_PermissionsBoundary": BOUNDARY}
    else:
        for owner in _OWNERS.get(kind, lambda _: [{"Ref": name}])(properties):
            yield stack.arn(owner["Ref"]), {}


_OWNERS: dict[str, Any] = {
    "AWS::Lambda::EventInvokeConfig": lambda properties: [properties["FunctionName"]],
    "AWS::S3::BucketPolicy": lambda properties: [properties["Bucket"]],
    "AWS::SNS::Subscription": lambda properties: [properties["TopicArn"]],
    "AWS::SNS::TopicPolicy": lambda properties: properties["Topics"],
    "AWS::SQS::QueuePolicy": lambda properties: properties["Queues"],
    "AWS::SecretsManager::ResourcePolicy": lambda properties: [properties["SecretId"]],
}
"""What a resource that is only a part of another one belongs to."""

# Service Authorization Reference: these take no resource, or are asked for all.
_WITHOUT_RESOURCE = {
    "cloudwatch:DescribeAlarms",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "secretsmanager:GetRandomPassword",
    "sns:GetSubscriptionAttributes",
    "sns:SetSubscriptionAttributes",
    "sns:Unsubscribe",
}


def _deployer() -> list[Policy]:
    return [policy("deploy-role", **_PLACES)]


def _may(stack: Deployed, action: str, resource: str, **context: Any) -> bool:
    return by(stack, DEPLOYER, action, resource, _deployer(), aws_CalledVia=_THROUGH, **context) is Decision.allow


# ---------------------------------------------------------------- it suffices


def test_all_that_a_deployment_calls_is_allowed_on_the_resources_of_the_stack(stack: Deployed) -> None:
    """Whatever the walls deny, too: whoever deploys is not locked out by what was deployed."""
    missing = {
        (action, resource)
        for name, found in stack.resources.items()
        for action in _published(found["Type"]) - set(UNUSED.get(found["Type"], ()))
        for resource, context in _places(stack, name, action)
        if not _may(stack, action, resource, **context)
    }
    assert missing == set()


def test_what_is_left_out_is_in_the_schemas(stack: Deployed) -> None:
    kinds = {found["Type"] for found in stack.resources.values()}
    for kind, actions in UNUSED.items():
        assert kind in kinds
        assert len(set(actions)) == len(actions), kind
        assert set(actions) - _published(kind) == set(), kind


@pytest.mark.parametrize("deployed", [STACK, _SAM])
def test_sam_and_create_stack_may_do_their_part(stack: Deployed, deployed: str) -> None:
    at = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{deployed}/9a1a0f52-53c4-4f3c-8d5c-0e5f1c9d7b0e"
    assert {action for action in _DEPLOYMENT if not _may(stack, action, at)} == set()
    assert _may(stack, "cloudformation:CreateChangeSet", f"arn:aws:cloudformation:{REGION}:aws:transform/Serverless-2016-10-31")
    assert _may(stack, "cloudformation:GetTemplateSummary", "*")
    companion = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}-0a1b2c3d-CompanionStack/*"
    assert _may(stack, "cloudformation:DescribeStacks", companion)


def test_the_bucket_that_sam_puts_code_into_can_be_made_and_filled(stack: Deployed) -> None:
    made = {"s3:CreateBucket", "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging"}
    made |= {"s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:ListBucket"}
    filled = {"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"}
    assert {action for action in made if not _may(stack, action, _CODE)} == set()
    assert {action for action in filled if not _may(stack, action, f"{_CODE}/code")} == set()


# ---------------------------------------------------------------- and is not more


def test_every_action_is_one_that_a_deployment_calls(stack: Deployed) -> None:
    called = set.union(*(_published(found["Type"]) - set(UNUSED.get(found["Type"], ())) for found in stack.resources.values()))
    called |= {*_DEPLOYMENT, *_UNDOING, "cloudformation:GetTemplateSummary", "s3:PutObject", "s3:AbortMultipartUpload"}
    written = {action for statement in _deployer()[0]["Statement"] for action in as_list(statement["Action"])}
    assert {action for action in written if "*" not in action} - called == set()
    reads = {action for action in written if "*" in action}
    assert reads == {
        *("cloudformation:Describe*", "dynamodb:Describe*", "s3:Get*Configuration", "s3:GetBucket*", "lambda:GetFunction*"),
        *("lambda:*EventSourceMapping", "lambda:*FunctionEventInvokeConfig"),
    }


def test_it_reaches_nothing_outside_of_the_stack(stack: Deployed) -> None:
    for statement in _deployer()[0]["Statement"]:
        for resource in as_list(statement["Resource"]):
            named = STACK in resource or _SAM in resource or "ApiKey-" in resource or ":layer:" in resource
            assert named or statement["Sid"] in {"DeployTheStack", "EventSources", "TagsOfEventSources", "WhatKnowsNoResource"}
    foreign = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:another"
    assert not _may(stack, "lambda:CreateEventSourceMapping", "*", lambda_FunctionArn=foreign)
    assert not _may(stack, "cloudformation:UpdateStack", f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}-2/1")


@pytest.mark.parametrize("boundary", [None, f"arn:aws:iam::{ACCOUNT}:policy/another"])
@pytest.mark.parametrize("action", ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"])
def test_no_role_is_made_or_widened_without_the_boundary(stack: Deployed, action: str, boundary: str | None) -> None:
    context = {} if boundary is None else {"iam_PermissionsBoundary": boundary}
    assert not _may(stack, action, stack.arn("PlanRole"), **context)
    assert not _may(stack, "iam:DeleteRolePermissionsBoundary", stack.arn("PlanRole"), **context)


def test_a_role_is_passed_to_functions_and_the_schedule_alone(stack: Deployed) -> None:
    assert not _may(stack, "iam:PassRole", stack.arn("PlanRole"), iam_PassedToService="ec2.amazonaws.com")
    other = f"arn:aws:iam::{ACCOUNT}:role/admin"
    assert not _may(stack, "iam:PassRole", other, iam_PassedToService="lambda.amazonaws.com")


def test_it_changes_no_managed_policy_and_reads_no_answer_and_no_key(stack: Deployed) -> None:
    for action in ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeletePolicy"):
        assert not _may(stack, action, BOUNDARY)
    bucket, key = stack.arn("Bucket"), stack.arn("ApiKey")
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert not _may(stack, action, f"{bucket}/outbox/a/job/results.jsonl")
    directly = by(stack, DEPLOYER, "secretsmanager:GetSecretValue", key, _deployer())
    assert directly is not Decision.allow


# ---------------------------------------------------------------- the boundary

_ACCESS: tuple[dict[str, str], ...] = (
    {},
    {"ApiAccess": "aws", "AwsWorkspaceId": "wrkspc_1", "DeleteBatchesAtApi": "true"},
    {"FileSourceArns": "arn:aws:s3:::archive/invoices/*"},
)
_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/9a1a0f52-53c4-4f3c-8d5c-0e5f1c9d7b0e"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("access", _ACCESS, ids=["an API key", "none", "files of other buckets"])
def test_the_boundary_takes_nothing_from_a_role(translated: Template, role: str, access: dict[str, str]) -> None:
    stack = Deployed(translated, PermissionsBoundaryArn=BOUNDARY, KmsKeyArn=_KEY, **access)
    boundary = policy("boundary", **_PLACES, sources="archive/invoices/*")
    granted = [
        (action, resource.replace("/*", "/any/key"), service)
        for document in stack.identity(role)
        for statement in document["Statement"]
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        for service in statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService", [""])
    ]
    assert granted
    taken = [
        (action, resource, service)
        for action, resource, service in granted
        if by(stack, stack.arn(role), action, resource, [boundary], kms_ViaService=service) is not Decision.allow
    ]
    assert taken == []


def test_the_boundary_has_no_action_that_no_role_has(translated: Template) -> None:
    had = set()
    for access in _ACCESS:
        stack = Deployed(translated, KmsKeyArn=_KEY, **access)
        documents = [document for role in ROLES for document in stack.identity(role)]
        had |= {action for one in documents for statement in one["Statement"] for action in as_list(statement["Action"])}
    bound = {action for statement in policy("boundary")["Statement"] for action in as_list(statement["Action"])}
    assert bound == had
