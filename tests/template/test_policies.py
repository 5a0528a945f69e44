"""The example policies: each lets its people do their part, and keeps the teams apart."""

from __future__ import annotations

import json
import re

import pytest

from tests.docs.pages import blocks
from tests.policies import FOLDER, NAMES, policy
from tests.template.conftest import Template
from tests.template.evaluator import ACCOUNT, REGION, STACK, Decision, Deployed
from tests.template.test_walls import OPERATOR, OPERATORS, STRANGER, by

RED, BLUE = "red", "blue"


@pytest.fixture
def stack(translated: Template) -> Deployed:
    return Deployed(translated, OperatorRoleArns=OPERATORS, SeparateTeams="true")


def _may(stack: Deployed, name: str, action: str, key: str, who: str = STRANGER) -> bool:
    """`key`: empty for the bucket."""
    bucket = stack.arn("Bucket")
    places = {"bucket": bucket.removeprefix("arn:aws:s3:::"), "team": RED, "stack": STACK, "account": ACCOUNT, "region": REGION}
    context = {"s3_prefix": key} if action == "s3:ListBucket" else {}
    resource = bucket if action == "s3:ListBucket" else f"{bucket}/{key}"
    return by(stack, who, action, resource, [policy(name, **places)], **context) is Decision.allow


_OWN = {
    "dropper": [
        ("s3:PutObject", "inbox/red/eu/a.csv"),
        ("s3:PutObject", "inbox/red/recipe.yaml"),
        ("s3:PutObject", "control/cancel/red/job"),
        ("s3:PutObject", "control/retry/red/job"),
        ("s3:GetObject", "outbox/red/a/job/results.csv"),
        *(("s3:GetObject", f"outbox/red/index.{ending}") for ending in ("html", "json")),
        ("s3:ListBucket", "outbox/red/"),
    ],
    "approver": [
        ("s3:PutObject", "control/approve/red/job-code"),
        ("s3:PutObject", "control/approve/red/eu/all-code"),
        ("s3:GetObject", "outbox/red/a/job/status.json"),
        ("s3:ListBucket", "outbox/red/"),
    ],
}
_EVERYTHING = [
    *(("s3:PutObject", f"{prefix}/{{team}}/a") for prefix in ("inbox", "outbox", "work", "config")),
    *(("s3:PutObject", f"control/{command}/{{team}}/job") for command in ("cancel", "retry", "approve", "raise")),
    *((action, f"{prefix}/{{team}}/a") for prefix in ("inbox", "outbox") for action in ("s3:GetObject", "s3:DeleteObject")),
    *(("s3:ListBucket", f"{prefix}/{{team}}/") for prefix in ("inbox", "outbox", "control/approve")),
]


@pytest.mark.parametrize("name", _OWN)
def test_everybody_can_do_their_part(stack: Deployed, name: str) -> None:
    assert [one for one in _OWN[name] if not _may(stack, name, *one)] == []


@pytest.mark.parametrize("name", _OWN)
def test_nobody_reaches_into_another_team(stack: Deployed, name: str) -> None:
    for team in (BLUE, "redder", "Red", ".", ""):
        assert [one for action, key in _EVERYTHING if _may(stack, name, *(one := (action, key.format(team=team))))] == []


@pytest.mark.parametrize("ending", ["html", "json"])
def test_the_index_of_all_jobs_is_read_by_operators_alone(stack: Deployed, ending: str) -> None:
    for team in ("", f"{BLUE}/"):
        key = f"outbox/{team}index.{ending}"
        assert [name for name in NAMES if name in (*_OWN, "operator") and _may(stack, name, "s3:GetObject", key)] == ["operator"]


@pytest.mark.parametrize(("name", "keys"), [("dropper", "control/approve/red/job"), ("approver", "inbox/red/a.csv")])
def test_who_drops_does_not_approve_and_who_approves_does_not_drop(stack: Deployed, name: str, keys: str) -> None:
    assert not _may(stack, name, "s3:PutObject", keys)


@pytest.mark.parametrize("name", _OWN)
def test_nobody_but_operators_lifts_limits_or_deletes(stack: Deployed, name: str) -> None:
    keys = [("s3:PutObject", "control/raise/red/job-code"), *(("s3:DeleteObject", f"{one}/red/a") for one in ("inbox", "outbox"))]
    assert [one for one in keys if _may(stack, name, *one)] == []


def test_operators_can_do_all_that_a_wall_leaves_to_them(stack: Deployed) -> None:
    allowed = [
        *(("s3:PutObject", key) for key in ("config/limits.json", "control/raise/red/job-code", "control/approve/blue/job-code")),
        ("s3:GetObject", "outbox/red/a"),
    ]
    assert [one for one in allowed if not _may(stack, "operator", *one, who=OPERATOR)] == []
    assert [one for one in allowed if _may(stack, "operator", *one, who=STRANGER) and "config/" in one[1]] == []


_DELETES = [
    (action, f"{one}/red/a") for one in ("inbox", "outbox", "work") for action in ("s3:DeleteObject", "s3:DeleteObjectVersion")
]


def test_who_deletes_for_good_has_a_policy_for_it_and_no_other_has(stack: Deployed) -> None:
    assert [one for one in _DELETES if not _may(stack, "eraser", *one, who=OPERATOR)] == []
    assert [one for one in _DELETES if _may(stack, "eraser", *one) and not one[1].startswith("inbox/")] == []
    for name in (*_OWN, "operator"):
        assert [one for one in _DELETES if _may(stack, name, *one, who=OPERATOR)] == []


_RUNBOOKS = [
    ("lambda:InvokeFunction", "PollFunction"),
    ("sns:Subscribe", "AlarmTopic"),
    ("sns:Subscribe", "JobsTopic"),
    ("sns:ListSubscriptionsByTopic", "AlarmTopic"),
    ("ssm:PutParameter", "Switch"),
    ("sqs:StartMessageMoveTask", "DeadLetters"),
]


@pytest.mark.parametrize(("action", "name"), _RUNBOOKS)
def test_operators_can_do_what_their_runbooks_say(stack: Deployed, action: str, name: str) -> None:
    filled = policy("operator", bucket="any", stack=STACK, account=ACCOUNT, region=REGION)
    assert by(stack, OPERATOR, action, stack.arn(name), [filled]) is Decision.allow


def test_operators_enable_the_schedule_and_look_at_metrics(stack: Deployed) -> None:
    filled = policy("operator", bucket="any", stack=STACK, account=ACCOUNT, region=REGION)
    schedule = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{STACK}-poll"
    role = f"arn:aws:iam::{ACCOUNT}:role/{STACK}-ScheduleRole-1"
    assert by(stack, OPERATOR, "scheduler:UpdateSchedule", schedule, [filled]) is Decision.allow
    assert by(stack, OPERATOR, "cloudwatch:ListMetrics", "*", [filled]) is Decision.allow
    for service, allowed in (("scheduler.amazonaws.com", True), ("lambda.amazonaws.com", False)):
        decision = by(stack, OPERATOR, "iam:PassRole", role, [filled], iam_PassedToService=service)
        assert (decision is Decision.allow) is allowed


def test_without_teams_the_page_lets_droppers_reach_every_file(stack: Deployed) -> None:
    """Also one that lies in no folder, which `*` in place of TEAM would not."""
    page = blocks(FOLDER.parents[0] / "security.md", "sh")
    (block,) = (one for one in page if "s#TEAM/" in one)
    changes = re.findall(r"s#(.+?)#(.+?)#g", block)
    assert changes == [(r"TEAM/\*", "*")] * 2
    for name, keys in (("dropper", ("inbox/my.csv", "control/cancel/job")), ("approver", ("control/approve/job-code",))):
        text = (FOLDER / f"{name}.json").read_text().replace("TEAM/*", "*")
        bucket = stack.arn("Bucket")
        filled = json.loads(text.replace("BUCKET", bucket.removeprefix("arn:aws:s3:::")))
        for key in keys:
            assert by(stack, STRANGER, "s3:PutObject", f"{bucket}/{key}", [filled]) is Decision.allow
        assert by(stack, STRANGER, "s3:ListBucket", bucket, [filled], s3_prefix="outbox/") is Decision.allow


@pytest.mark.parametrize(("items", "allowed"), [(("SWITCH",), True), (("ADMISSION",), False), (("SWITCH", "JOB#1"), False)])
def test_operators_write_no_item_but_the_switch(stack: Deployed, items: tuple[str, ...], allowed: bool) -> None:
    filled = policy("operator", bucket="any", stack=STACK, account=ACCOUNT, region=REGION)
    decision = by(stack, OPERATOR, "dynamodb:PutItem", stack.arn("Table"), [filled], dynamodb_LeadingKeys=items)
    assert (decision is Decision.allow) is allowed


@pytest.mark.parametrize("name", NAMES)
def test_every_example_says_what_each_statement_is_for(name: str) -> None:
    filled = policy(name, bucket="b" * 63, team=RED, stack="s" * 30, account=ACCOUNT, region="ap-southeast-99")
    assert all(statement["Sid"] for statement in filled["Statement"])
    # IAM and AWS STS quotas: the inline policies of a role, or a managed policy; spaces do not count.
    most = 10_240 if name == "deploy-role" else 6_144
    assert len(json.dumps(filled, separators=(",", ":"))) < most
    assert set(re.findall(r"\b[A-Z]{4,}\b", (FOLDER / f"{name}.json").read_text())) <= {
        "BUCKET",
        "TEAM",
        "STACK",
        "ACCOUNT",
        "REGION",
        "SWITCH",
        "SOURCES",
    }
