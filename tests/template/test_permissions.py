"""What the roles may do: named actions on named resources, each function for itself."""

from __future__ import annotations

import re

import pytest

from tests.template import facts
from tests.template.evaluator import Decision, Deployed, Request, decide
from tests.template.facts import Resources, Template, as_list, named, of_type, references, statements

_BUCKET = "arn:${AWS::Partition}:s3:::${Bucket}"
# They are about a bucket, not about objects; the first two know a condition on the prefix (Service Authorization Reference).
_LISTING = {"s3:ListBucket", "s3:ListBucketVersions"}
_ON_BUCKET = {*_LISTING, "s3:ListBucketMultipartUploads"}


def test_no_action_holds_a_wildcard(resources: Resources) -> None:
    actions = [(entry.role, action) for entry in statements(resources) for action in entry.actions]
    assert actions
    assert [pair for pair in actions if "*" in pair[1]] == []


def test_every_resource_names_something_of_this_stack(resources: Resources) -> None:
    for entry in statements(resources):
        for resource in entry.resources:
            assert resource != "*", entry
            # The bus of workflows is the account's own, and a parameter names the one.
            ours = {*resources, "EventBus"} if entry.actions == ("events:PutEvents",) else set(resources)
            assert set(references(resource)) & ours, f"{entry.role}/{entry.sid} names nothing of this stack: {resource}"


def test_objects_are_reached_by_prefix_only(resources: Resources) -> None:
    scoped = re.compile(
        re.escape(_BUCKET) + r"/((inbox|outbox|work|control|config)/\*|outbox/\*/latest\.json|outbox/\*index\.(json|html))"
    )
    seen = 0
    for entry in statements(resources):
        if not any(action.startswith("s3:") for action in entry.actions) or set(entry.actions) <= _ON_BUCKET:
            continue
        for resource in entry.resources:
            assert scoped.fullmatch(resource["Fn::Sub"]), entry
            seen += 1
    assert seen


def test_listing_is_limited_to_prefixes(resources: Resources) -> None:
    listing = [entry for entry in statements(resources) if _LISTING & set(entry.actions)]
    assert listing
    for entry in listing:
        prefixes = entry.condition["StringLike"]["s3:prefix"]
        assert all(re.fullmatch(r"(inbox|outbox|work|control|config)/\*", prefix) for prefix in prefixes), entry


# ---------------------------------------------------------------- files of other buckets

_LISTED = "arn:aws:s3:::archive/invoices/*,arn:aws:s3:::scans/*"
_ROLES = ("PlanRole", "SubmitRole", "PollRole", "CollectRole", "FinishRole", "ControlRole")


def _may(stack: Deployed, role: str, action: str, resource: str) -> bool:
    who = {"AWS": stack.arn(role)}
    return decide(Request(action, resource, who, {}), stack.identity(role), {"Statement": []}) is Decision.allow


@pytest.mark.parametrize("role", _ROLES)
def test_files_of_other_buckets_are_read_where_they_are_listed_by_who_looks_and_who_sends(
    translated: Template, role: str
) -> None:
    stack = Deployed(translated, FileSourceArns=_LISTED)
    reads = role in {"PlanRole", "SubmitRole"}
    for key in ("archive/invoices/a.pdf", "archive/invoices/2026/a.pdf", "scans/a.pdf"):
        found = {action: _may(stack, role, action, f"arn:aws:s3:::{key}") for action in ("s3:GetObject", "s3:GetObjectVersion")}
        assert set(found.values()) == {reads}, key
        for action in ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectAcl"):
            assert not _may(stack, role, action, f"arn:aws:s3:::{key}"), action
    for key in ("archive/a.pdf", "archive/invoices", "archive/invoices-of-others/a.pdf", "scans-of-others/a.pdf", "other/a.pdf"):
        assert not _may(stack, role, "s3:GetObject", f"arn:aws:s3:::{key}"), key
    # Whoever may list learns what there is; without that right, S3 says of what is missing that it is closed.
    for bucket in ("archive", "scans"):
        assert not _may(stack, role, "s3:ListBucket", f"arn:aws:s3:::{bucket}")


@pytest.mark.parametrize("role", _ROLES)
def test_without_a_list_no_other_bucket_is_read(translated: Template, role: str) -> None:
    assert not _may(Deployed(translated), role, "s3:GetObject", "arn:aws:s3:::archive/invoices/a.pdf")


@pytest.mark.parametrize(
    ("listed", "taken"),
    [
        ("", True),
        ("arn:aws:s3:::archive/invoices/*", True),
        (_LISTED, True),
        ("arn:aws-us-gov:s3:::archive/*", True),
        ("*", False),
        ("arn:aws:s3:::*", False),
        ("arn:aws:s3:::archive*", False),
        ("arn:aws:s3:::arch*/invoices/*", False),
        ("arn:aws:s3:::archive/*/invoices/*", False),
        ("arn:aws:s3:::archive/invoices/?*", False),
        ("arn:aws:s3:::archive/invoices/a.pdf", False),
        ("arn:aws:s3:::archive/*, arn:aws:s3:::scans/*", False),
        ("arn:aws:s3:::archive/*,", False),
        ("arn:aws:dynamodb:::table/*", False),
    ],
)
def test_the_list_names_objects_of_a_bucket_below_a_prefix(source: Template, listed: str, taken: bool) -> None:
    assert bool(re.fullmatch(source["Parameters"]["FileSourceArns"]["AllowedPattern"], listed)) is taken


def test_versions_are_removed_in_the_folders_of_jobs_only(resources: Resources) -> None:
    removing = [entry for entry in statements(resources) if "s3:DeleteObjectVersion" in entry.actions]
    assert {entry.role for entry in removing} == {"FinishRole", "PollRole"}
    assert {resource["Fn::Sub"] for entry in removing for resource in entry.resources} == {f"{_BUCKET}/work/*"}
    listing = [entry for entry in statements(resources) if "s3:ListBucketVersions" in entry.actions]
    assert {entry.role: entry.condition["StringLike"]["s3:prefix"] for entry in listing} == {
        "FinishRole": ["work/*"],
        "PollRole": ["work/*"],
        # It finds the documents of a folder that way, and removes nothing.
        "PlanRole": ["inbox/*"],
    }


def test_every_statement_says_what_it_is_for(resources: Resources) -> None:
    assert all(entry.sid for entry in statements(resources))


def test_roles_have_no_managed_policies(resources: Resources) -> None:
    roles = of_type(resources, "AWS::IAM::Role")
    assert {
        name: properties["ManagedPolicyArns"] for name, properties in roles.items() if properties.get("ManagedPolicyArns")
    } == {}


def test_every_role_takes_the_permissions_boundary(resources: Resources) -> None:
    for name, properties in of_type(resources, "AWS::IAM::Role").items():
        assert "PermissionsBoundaryArn" in set(references(properties["PermissionsBoundary"])), name


def test_a_stack_with_a_key_asks_nothing_of_claude_platform_on_aws(resources: Resources) -> None:
    actions = {action for entry in statements(resources) for action in entry.actions}
    assert not {action for action in actions if action.startswith("aws-external-anthropic:")}


def test_a_stack_without_a_key_has_no_secret(source: Template, resources: Resources) -> None:
    secrets = of_type(resources, "AWS::SecretsManager::Secret")
    assert list(secrets) == ["ApiKey"]
    assert resources["ApiKey"]["Condition"] == "HasApiKey"
    assert [name for name, output in source["Outputs"].items() if "ApiKey" in set(references(output["Value"]))] == [
        name for name, output in source["Outputs"].items() if output.get("Condition") == "HasApiKey"
    ]
    kept = {
        name: facts.chosen(resource, facts.KEYLESS)
        for name, resource in resources.items()
        if resource.get("Condition") != "HasApiKey"
    }
    assert [name for name, resource in kept.items() if "ApiKey" in set(references(resource))] == []
    keyless = [entry for entry in statements(resources, facts.KEYLESS) for action in entry.actions if "secretsmanager" in action]
    assert keyless == []


def test_a_stack_without_a_key_names_its_workspace(source: Template) -> None:
    """And its prompts go to AWS in its own region, unless it is told of another place."""
    (rule,) = (rule for rule in source["Rules"].values() if "AwsWorkspaceId" in set(references(rule["Assertions"])))
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "ApiAccess"}, "aws"]}
    functions = of_type(source["Resources"], "AWS::Serverless::Function")
    variables = {name: function.get("Environment", {}).get("Variables", {}) for name, function in functions.items()}
    for name, found in variables.items():
        if "ANTHROPIC_BASE_URL" not in found:
            continue
        told = facts.chosen(found, facts.KEYLESS)
        assert told["ANTHROPIC_BASE_URL"] == {"Fn::Sub": "https://aws-external-anthropic.${AWS::Region}.api.aws"}, name
        assert told["BATCHDROP_WORKSPACE"] == {"Ref": "AwsWorkspaceId"}, name
        assert "BATCHDROP_API_KEY_SECRET" not in told, name
        elsewhere = facts.chosen(found, frozenset({"HasWorkspace"}))
        assert elsewhere["ANTHROPIC_BASE_URL"] == {"Ref": "ApiBaseUrl"}, name
        usual = facts.chosen(found)
        assert usual["ANTHROPIC_BASE_URL"] == {"Ref": "ApiBaseUrl"}, name
        assert "BATCHDROP_WORKSPACE" not in usual, name
    assert sum("ANTHROPIC_BASE_URL" in found for found in variables.values()) == 4


@pytest.mark.parametrize("role", ["PlanRole", "FinishRole"])
def test_functions_that_never_call_claude_cannot_read_the_key(resources: Resources, role: str) -> None:
    assert "secretsmanager:GetSecretValue" not in {
        action for entry in statements(resources) if entry.role == role for action in entry.actions
    }


def test_only_the_rule_may_send_to_a_queue_that_events_feed(resources: Resources) -> None:
    entries = [
        entry
        for properties in of_type(resources, "AWS::SQS::QueuePolicy").values()
        for entry in properties["PolicyDocument"]["Statement"]
        if entry.get("Effect") == "Allow"
    ]
    assert len(entries) == 3
    for entry in entries:
        for rule in as_list(entry["Condition"]["ArnEquals"]["aws:SourceArn"]):
            assert resources[next(references(rule))]["Type"] == "AWS::Events::Rule"
        assert as_list(entry["Action"]) == ["sqs:SendMessage"]


def test_a_topic_hears_only_what_it_is_for(resources: Resources) -> None:
    policies = of_type(resources, "AWS::SNS::TopicPolicy")
    who = {
        named(properties["Topics"][0]): [entry["Principal"] for entry in properties["PolicyDocument"]["Statement"]]
        for properties in policies.values()
    }
    assert who == {
        "{JobsTopic}": [{"AWS": [{"Fn::GetAtt": ["FinishRole", "Arn"]}, {"Fn::GetAtt": ["PollRole", "Arn"]}]}],
        "{AlarmTopic}": [{"Service": "cloudwatch.amazonaws.com"}],
    }
    assert set(who) == {f"{{{name}}}" for name in of_type(resources, "AWS::SNS::Topic")}
