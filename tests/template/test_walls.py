"""The walls, as AWS would judge them: who is kept out, and that nobody is who has to get in.

The laptop system asks no policy when EventBridge, Scheduler or Lambda deliver. Here their requests are made with the contexts
that AWS gives them, against the policies of the template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local.stages import STAGES
from tests.template.conftest import Template
from tests.template.evaluator import ACCOUNT, REGION, Decision, Deployed, Policy, Request, decide
from tests.template.facts import as_list, of_type

_ROLE = f"arn:aws:iam::{ACCOUNT}:role"
OPERATOR = f"{_ROLE}/operators"
SIGNED_ON = f"{_ROLE}/aws-reserved/sso.amazonaws.com/{REGION}/AWSReservedSSO_Operators_0123456789abcdef"
OPERATORS = f"{OPERATOR},{_ROLE}/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Operators_*"
STRANGER = f"{_ROLE}/reports"
ADMIN = f"{_ROLE}/admin"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
EVERYTHING: list[Policy] = [{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}]
ROLES = (*(f"{stage.capitalize()}Role" for stage in STAGES), "PollScheduleRole")
_TAKING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:PurgeQueue")


@pytest.fixture(params=["", OPERATORS], ids=["nobody is named", "operators are named"])
def stack(request: pytest.FixtureRequest, translated: Template) -> Deployed:
    return Deployed(translated, OperatorRoleArns=request.param)


@pytest.fixture
def open_stack(translated: Template) -> Deployed:
    return Deployed(translated)


@pytest.fixture
def closed_stack(translated: Template) -> Deployed:
    return Deployed(translated, OperatorRoleArns=OPERATORS)


def _context(arn: str, **more: str | tuple[str, ...]) -> Mapping[str, str | tuple[str, ...]]:
    """Of a signed request. A role at work is named by the role's ARN (IAM user guide, "AWS global condition context keys")."""
    keys = {
        "aws:PrincipalArn": arn,
        "aws:PrincipalAccount": arn.split(":")[4],
        "aws:PrincipalIsAWSService": "false",
        "aws:SecureTransport": "true",
    }
    return {**keys, **{name.replace("_", ":", 1): value for name, value in more.items()}}


def by(stack: Deployed, arn: str, action: str, resource: str, identity: list[Policy] = EVERYTHING, **more: Any) -> Decision:
    return decide(Request(action, resource, {"AWS": arn}, _context(arn, **more)), identity, stack.policy_at(resource))


def by_service(stack: Deployed, service: str, action: str, resource: str, source: str, account: str = "") -> Decision:
    """A service principal has no identity policy. `account`: its own, where AWS tells one."""
    context = {
        "aws:SourceArn": source,
        "aws:SourceAccount": ACCOUNT,
        "aws:PrincipalIsAWSService": "true",
        "aws:SecureTransport": "true",
    }
    context |= {"aws:PrincipalAccount": account} if account else {}
    return decide(Request(action, resource, {"Service": service}, context), [], stack.policy_at(resource))


def objects(stack: Deployed, *keys: str) -> list[str]:
    return [f"{stack.arn('Bucket')}/{key}" for key in keys]


def working_queues(stack: Deployed) -> list[str]:
    return [name for name, queue in of_type(stack.resources, "AWS::SQS::Queue").items() if "RedrivePolicy" in queue]


def dead_letter_queues(stack: Deployed) -> list[str]:
    return [name for name in of_type(stack.resources, "AWS::SQS::Queue") if name not in working_queues(stack)]


# ---------------------------------------------------------------- who has to get in


def _granted(stack: Deployed, role: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for policy in stack.identity(role):
        for statement in policy["Statement"]:
            for action in as_list(statement["Action"]):
                for resource in as_list(statement["Resource"]):
                    yield action, resource.replace("/*", "/any/key"), statement.get("Condition", {})


@pytest.mark.parametrize("role", ROLES)
def test_whatever_a_role_of_the_stack_is_granted_no_wall_takes_away(stack: Deployed, role: str) -> None:
    """Lambda takes messages, and Scheduler sends ticks, with these roles; so do the functions all they do."""
    wrong = []
    for action, resource, condition in _granted(stack, role):
        prefixes = condition.get("StringLike", {}).get("s3:prefix", ["-"])
        for prefix in prefixes:
            decision = by(stack, stack.arn(role), action, resource, stack.identity(role), s3_prefix=prefix.replace("*", "any"))
            wrong += [(action, resource)] if decision is not Decision.allow else []
    assert wrong == []


@pytest.mark.parametrize("account", ["", "999999999999"], ids=["without an account", "with the service's own"])
@pytest.mark.parametrize("rule", ["UploadRule", "ControlRule"])
def test_eventbridge_delivers_to_the_queue_of_its_rule_and_nowhere_else(stack: Deployed, rule: str, account: str) -> None:
    target = stack.resources[rule]["Properties"]["Targets"][0]
    ours = {target["Arn"]["Fn::GetAtt"][0], target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]}
    reached = {
        name
        for name in of_type(stack.resources, "AWS::SQS::Queue")
        if by_service(stack, "events.amazonaws.com", "sqs:SendMessage", stack.arn(name), stack.arn(rule), account)
        is Decision.allow
    }
    assert reached == ours


def test_a_rule_of_somebody_else_delivers_nothing(stack: Deployed) -> None:
    foreign = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/another"
    for name in of_type(stack.resources, "AWS::SQS::Queue"):
        decision = by_service(stack, "events.amazonaws.com", "sqs:SendMessage", stack.arn(name), foreign)
        assert decision is not Decision.allow


@pytest.mark.parametrize("key", ["outbox/a/results.jsonl", "work/job/part", "control/cancel/job"])
def test_what_s3_does_by_its_own_rules_is_nobodys_request(stack: Deployed, key: str) -> None:
    """Lifecycle rules are no request by anybody of the account, should S3 ever ask a policy about them."""
    (resource,) = objects(stack, key)
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload"):
        assert by_service(stack, "s3.amazonaws.com", action, resource, stack.arn("Bucket")) is Decision.nothing


@pytest.mark.parametrize("operator", [OPERATOR, SIGNED_ON])
def test_an_operator_redrives(closed_stack: Deployed, operator: str) -> None:
    """SQS, `StartMessageMoveTask`, "Permissions": all of these are the caller's."""
    for name in dead_letter_queues(closed_stack):
        for action in ("sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
            assert by(closed_stack, operator, action, closed_stack.arn(name)) is Decision.allow
    for name in working_queues(closed_stack):
        assert by(closed_stack, operator, "sqs:SendMessage", closed_stack.arn(name)) is Decision.allow


def test_without_named_operators_a_redrive_stays_open(open_stack: Deployed) -> None:
    for name in dead_letter_queues(open_stack):
        for action in ("sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage"):
            assert by(open_stack, ADMIN, action, open_stack.arn(name)) is Decision.allow
    for name in working_queues(open_stack):
        assert by(open_stack, ADMIN, "sqs:SendMessage", open_stack.arn(name)) is Decision.allow


def test_without_named_operators_what_they_do_in_the_bucket_stays_open(open_stack: Deployed) -> None:
    (config, answer) = objects(open_stack, "config/limits.json", "outbox/a/job/results.jsonl")
    assert by(open_stack, ADMIN, "s3:PutObject", config) is Decision.allow
    assert by(open_stack, ADMIN, "s3:DeleteObjectVersion", answer) is Decision.allow


def test_an_operator_writes_config_and_deletes_answers(closed_stack: Deployed) -> None:
    for resource in objects(closed_stack, "config/limits.json", "outbox/a/job/results.jsonl", "work/job/part"):
        for action in ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"):
            assert by(closed_stack, OPERATOR, action, resource) is Decision.allow


_WAYS_OUT = {
    "Bucket": (
        "s3:PutBucketPolicy",
        "s3:DeleteBucketPolicy",
        "s3:GetBucketPolicy",
        "s3:PutLifecycleConfiguration",
        "s3:DeleteBucket",
    ),
    "ApiKey": (
        "secretsmanager:PutResourcePolicy",
        "secretsmanager:DeleteResourcePolicy",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecret",
        "secretsmanager:DescribeSecret",
        "secretsmanager:DeleteSecret",
    ),
    "Queue": ("sqs:SetQueueAttributes", "sqs:GetQueueAttributes", "sqs:TagQueue", "sqs:DeleteQueue"),
}


@pytest.mark.parametrize("who", [ADMIN, ROOT])
@pytest.mark.parametrize("via", [(), ("cloudformation.amazonaws.com",)], ids=["by hand", "by CloudFormation"])
def test_whoever_deploys_is_never_locked_out(stack: Deployed, who: str, via: tuple[str, ...]) -> None:
    wanted = [(stack.arn(name), action) for name in ("Bucket", "ApiKey") for action in _WAYS_OUT[name]]
    wanted += [(stack.arn(name), action) for name in of_type(stack.resources, "AWS::SQS::Queue") for action in _WAYS_OUT["Queue"]]
    denied = [(action, at) for at, action in wanted if by(stack, who, action, at, aws_CalledVia=via) is not Decision.allow]
    assert denied == []


def test_cloudformation_reads_a_secret_that_it_updates(stack: Deployed) -> None:
    key = stack.arn("ApiKey")
    via = ("cloudformation.amazonaws.com",)
    assert by(stack, ADMIN, "secretsmanager:GetSecretValue", key, aws_CalledVia=via) is Decision.allow
    assert by(stack, ADMIN, "secretsmanager:GetSecretValue", key, aws_CalledVia=("athena.amazonaws.com",)) is Decision.deny


def test_who_drops_and_reads_meets_no_wall(stack: Deployed) -> None:
    (dropped, command, answer) = objects(stack, "inbox/a/file.csv", "control/cancel/a/job", "outbox/a/job/results.jsonl")
    for action, resource in (("s3:PutObject", dropped), ("s3:PutObject", command), ("s3:GetObject", answer)):
        assert by(stack, STRANGER, action, resource) is Decision.allow


# ---------------------------------------------------------------- who is kept out, whatever else allows it


@pytest.mark.parametrize("who", [STRANGER, ADMIN, ROOT, f"{_ROLE}/batchdrop-PlanRole-1A2B3C4D5E6G"])
def test_nobody_forges_answers(stack: Deployed, who: str) -> None:
    for resource in objects(stack, "outbox/", "outbox/a/job/results.jsonl", "work/job/input.jsonl"):
        assert by(stack, who, "s3:PutObject", resource) is Decision.deny


@pytest.mark.parametrize("who", [STRANGER, ADMIN, ROOT])
def test_nobody_takes_messages_away(stack: Deployed, who: str) -> None:
    for name in working_queues(stack):
        for action in _TAKING:
            assert by(stack, who, action, stack.arn(name)) is Decision.deny


@pytest.mark.parametrize("who", [STRANGER, ADMIN, ROOT, OPERATOR])
def test_nobody_reads_the_key(stack: Deployed, who: str) -> None:
    assert by(stack, who, "secretsmanager:GetSecretValue", stack.arn("ApiKey")) is Decision.deny


@pytest.mark.parametrize("stage", ["Plan", "Finish"])
def test_nor_does_a_function_that_never_calls_claude(stack: Deployed, stage: str) -> None:
    assert by(stack, stack.arn(f"{stage}Role"), "secretsmanager:GetSecretValue", stack.arn("ApiKey")) is Decision.deny


@pytest.mark.parametrize("who", [STRANGER, ADMIN, ROOT])
def test_where_operators_are_named_nobody_else_does_their_work(closed_stack: Deployed, who: str) -> None:
    stack = closed_stack
    wanted = [(stack.arn(name), "sqs:SendMessage") for name in of_type(stack.resources, "AWS::SQS::Queue")]
    wanted += [(stack.arn(name), action) for name in dead_letter_queues(stack) for action in _TAKING]
    deleting = ("s3:DeleteObject", "s3:DeleteObjectVersion")
    wanted += [(one, action) for one in objects(stack, "outbox/a/job/results.jsonl", "work/job/part") for action in deleting]
    wanted += [(one, action) for one in objects(stack, "config/limits.json") for action in ("s3:PutObject", *deleting)]
    assert [(action, at) for at, action in wanted if by(stack, who, action, at) is not Decision.deny] == []


def test_nor_does_a_role_of_the_same_name_in_another_account(closed_stack: Deployed) -> None:
    """Nothing allows it: a wall is about this account, and across accounts both sides must allow."""
    foreign = OPERATOR.replace(ACCOUNT, "999999999999")
    for name in of_type(closed_stack.resources, "AWS::SQS::Queue"):
        assert by(closed_stack, foreign, "sqs:SendMessage", closed_stack.arn(name), []) is Decision.nothing


def test_plain_http_is_denied_to_all(stack: Deployed) -> None:
    (key,) = objects(stack, "inbox/a.jsonl")
    assert by(stack, ADMIN, "s3:PutObject", key, aws_SecureTransport="false") is Decision.deny


# ---------------------------------------------------------------- how they are written


def test_every_wall_is_about_principals_of_this_account_alone(stack: Deployed) -> None:
    """A negated operator alone also matches a request without the key, and that is how some services come."""
    policies = [
        stack.of_bucket(),
        stack.of_secret(),
        *(stack.of_queue(name) for name in of_type(stack.resources, "AWS::SQS::Queue")),
    ]
    walls = [
        one for policy in policies for one in policy["Statement"] if one["Effect"] == "Deny" and one["Sid"] != "DenyPlainHttp"
    ]
    assert walls
    for wall in walls:
        assert wall["Condition"]["StringEquals"] == {"aws:PrincipalAccount": ACCOUNT}
        assert wall["Condition"]["ArnNotLike"]["aws:PrincipalArn"]
        assert "*" not in "".join(as_list(wall["Action"]))


def test_every_policy_of_a_queue_is_within_the_bounds_of_sqs(stack: Deployed) -> None:
    """Amazon SQS developer guide, "Limitations of Amazon SQS custom policies"."""
    for name in of_type(stack.resources, "AWS::SQS::Queue"):
        policy = stack.of_queue(name)
        assert len(policy["Statement"]) <= 20
        assert len(str(policy)) < 8192
        for statement in policy["Statement"]:
            assert len(as_list(statement["Action"])) <= 7
            assert len(statement.get("Condition", {})) <= 10


def test_policies_that_an_earlier_version_wrote_keep_their_names(source: Template) -> None:
    """CloudFormation removes a policy with the resource that wrote it, after the one that replaces it was written."""
    wrote = {"UploadsQueuePolicy": "UploadsQueue", "ControlsQueuePolicy": "ControlsQueue"}
    for policy, queue in wrote.items():
        assert {"Ref": queue} in source["Resources"][policy]["Properties"]["Queues"]
    assert source["Resources"]["BucketPolicy"]["Type"] == "AWS::S3::BucketPolicy"
