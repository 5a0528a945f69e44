"""`batchdrop doctor`: a healthy stack, each thing that may be wrong with it, and what somebody may not see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from click.testing import CliRunner, Result

from batchdrop.adapters.items import models_item, switch_key
from batchdrop.domain.model_list import ListedModel, ModelList
from batchdrop_cli.main import batchdrop
from tests.template import facts

STACK, BUCKET, REGION = "mine", "the-bucket", "eu-central-1"
_OUTPUTS = {
    "Bucket": BUCKET,
    "Table": "the-table",
    "ApiKeySecret": "the-secret",
    "Switch": "/mine/switch",
    "Schedule": "mine-poll",
    "PollFunction": "mine-poll",
    "DeadLetters": "https://sqs/dead",
    "Undelivered": "https://sqs/undelivered",
}
_WRITES = {"put_object"}
"""Calls of the doctor that would write if they were carried out."""


class Account:
    """Answers of AWS by operation: a value, an exception, or a function of the call's arguments."""

    def __init__(self) -> None:
        self.outputs = dict(_OUTPUTS)
        self.region: str | None = REGION
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {
            "get_caller_identity": {"Arn": "arn:aws:iam::1:role/me"},
            "describe_stacks": lambda **_: {
                "Stacks": [
                    {
                        "StackStatus": "UPDATE_COMPLETE",
                        "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()],
                    }
                ]
            },
            "describe_secret": {"VersionIdsToStages": {"1": ["AWSPREVIOUS"], "2": ["AWSCURRENT"]}},
            "get_item": self._item,
            "get_parameter": {"Parameter": {"Value": "run"}},
            "get_schedule": {"State": "ENABLED", "ScheduleExpression": "rate(1 minute)"},
            "get_metric_data": {"MetricDataResults": [{"Values": [4.0, 5.0]}]},
            "get_queue_attributes": {"Attributes": {"ApproximateNumberOfMessages": "0"}},
            "describe_alarms": {"MetricAlarms": []},
            "get_account_settings": {"AccountLimit": {"UnreservedConcurrentExecutions": 10}},
            "list_objects_v2": {},
            "put_object": refusal("BadDigest", 400),
        }
        self.models: ModelList | None = ModelList(fetched_at=datetime.now(UTC), models=(ListedModel(id="m"),))

    def _item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:
        if Key == switch_key() or self.models is None:
            return {}
        return {"Item": models_item(self.models)}

    def client(self, name: str) -> Any:
        return _Client(self)


class _Client:
    class meta:
        region_name = REGION

    def __init__(self, account: Account) -> None:
        self._account = account

    def __getattr__(self, operation: str) -> Any:
        def call(**arguments: Any) -> Any:
            self._account.called.append((operation, arguments))
            answer = self._account.answers[operation]
            if isinstance(answer, Exception):
                raise answer
            return answer(**arguments) if callable(answer) else answer

        return call

    def get_paginator(self, operation: str) -> Any:
        class Paginator:
            @staticmethod
            def paginate(**arguments: Any) -> Iterator[Any]:
                yield getattr(self, operation)(**arguments)

        return Paginator


def refusal(code: str, status: int, operation: str = "PutObject") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "Said."}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    account = Account()

    class Session:
        @property
        def region_name(self) -> str | None:
            return account.region

    monkeypatch.setattr(boto3, "client", account.client)
    monkeypatch.setattr(boto3, "Session", Session)
    return account


def said(*arguments: str) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, ["doctor", "--stack", STACK, *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def verdicts(result: Result) -> dict[str, tuple[str, str]]:
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    return {name: (verdict, sentence) for verdict, name, sentence in lines}


def test_all_is_well(account: Account) -> None:
    result = said()
    found = verdicts(result)
    assert (result.exit_code, {verdict for verdict, _ in found.values()}) == (0, {"ok"})
    assert list(found) == [
        *("credentials", "region", "stack", "key", "models", "switch", "schedule", "heartbeat"),
        *("DeadLetters", "Undelivered", "alarms", "concurrency", "answers", "inbox", "approve", "cancel"),
    ]
    assert found["heartbeat"][1] == "poll ran 9 times in the last 10 minutes."


def test_nothing_is_written_and_no_secret_is_read(account: Account) -> None:
    said()
    called = {operation for operation, _ in account.called}
    assert {name for name in called if not name.startswith(("get_", "describe_", "list_"))} == _WRITES
    assert "get_secret_value" not in called
    for operation, arguments in account.called:
        if operation in _WRITES:
            assert arguments["Body"] == b""
            assert arguments["ContentMD5"] != "1B2M2Y8AsgTpgAmY7PhCfg=="  # of no bytes


@pytest.mark.parametrize(
    ("operation", "answer", "name", "sentence"),
    [
        ("describe_secret", {"VersionIdsToStages": {"1": ["AWSCURRENT"]}}, "key", "The secret holds a placeholder."),
        ("get_parameter", {"Parameter": {"Value": "stop"}}, "switch", "It stands at stop: nothing is sent. To go on: batchdrop"),
        ("get_schedule", {"State": "DISABLED"}, "schedule", "The schedule mine-poll is disabled"),
        ("get_metric_data", {"MetricDataResults": [{"Values": []}]}, "heartbeat", "poll has not run for 10 minutes"),
        ("get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": "2"}}, "Undelivered", "2 messages could not"),
        ("describe_alarms", {"MetricAlarms": [{"AlarmName": "mine-Heartbeat\x1b"}]}, "alarms", "1 alarm: mine-Heartbeat."),
        ("get_account_settings", {"AccountLimit": {}}, "concurrency", "Only 0 functions may run at the same time"),
        ("list_objects_v2", refusal("NoSuchBucket", 404), "answers", "There is no bucket the-bucket."),
        ("list_objects_v2", refusal("AccessDenied", 403), "answers", "You may not list outbox/. Ask an operator"),
        ("put_object", refusal("AccessDenied", 403), "inbox", "You may not put anything into inbox/."),
        (
            "get_schedule",
            refusal("ResourceNotFoundException", 404, "GetSchedule"),
            "schedule",
            "AWS did not carry out GetSchedule",
        ),
    ],
)
def test_what_is_wrong_is_said(account: Account, operation: str, answer: object, name: str, sentence: str) -> None:
    account.answers[operation] = answer
    result = said()
    verdict, told = verdicts(result)[name]
    assert (result.exit_code, verdict) == (1, "problem")
    assert told.startswith(sentence)


@pytest.mark.parametrize(("age", "verdict"), [(timedelta(hours=30), "ok"), (timedelta(days=3), "problem"), (None, "problem")])
def test_the_list_of_models_shows_that_the_key_works(account: Account, age: timedelta | None, verdict: str) -> None:
    account.models = None if age is None else ModelList(fetched_at=datetime.now(UTC) - age)
    assert verdicts(said())["models"][0] == verdict


def test_a_stack_in_a_bad_state(account: Account) -> None:
    described = account.answers["describe_stacks"]()
    described["Stacks"][0]["StackStatus"] = "UPDATE_ROLLBACK_FAILED"
    account.answers["describe_stacks"] = described
    assert verdicts(said())["stack"][0] == "problem"


def test_what_one_may_not_see_is_no_problem(account: Account) -> None:
    for operation in ("describe_secret", "get_account_settings", "get_schedule"):
        account.answers[operation] = refusal("AccessDeniedException", 400, operation)
    result = said()
    found = verdicts(result)
    assert result.exit_code == 0
    assert {name for name, (verdict, _) in found.items() if verdict == "unknown"} == {"key", "concurrency", "schedule"}


def test_a_stack_of_an_earlier_version(account: Account) -> None:
    del account.outputs["Undelivered"]
    assert verdicts(said())["Undelivered"] == (
        "problem",
        "The stack mine has no output Undelivered: it is of an earlier version. Deploy this one.",
    )


def test_a_stack_without_a_key(account: Account) -> None:
    del account.outputs["ApiKeySecret"]
    account.outputs["Workspace"] = "wrkspc_1"
    assert verdicts(said())["key"] == ("ok", "None is needed: keys are minted for the workspace wrkspc_1.")


def test_no_stack_and_no_credentials(account: Account) -> None:
    account.answers["describe_stacks"] = account.answers["get_caller_identity"] = NoCredentialsError()
    account.region = None
    result = said()
    assert result.exit_code == 1
    assert {name: verdict for name, (verdict, _) in verdicts(result).items()} == {
        "credentials": "problem",
        "region": "problem",
        "stack": "problem",
    }


def test_with_a_bucket_nothing_of_a_stack_is_called(account: Account) -> None:
    result = said("--bucket", BUCKET, "--folder", "/marketing/")
    assert list(verdicts(result)) == ["credentials", "region", "answers", "inbox", "approve", "cancel"]
    assert {operation for operation, _ in account.called} == {"get_caller_identity", "list_objects_v2", "put_object"}
    put = [arguments["Key"] for operation, arguments in account.called if operation == "put_object"]
    assert put == [f"{one}/marketing/.ds_store" for one in ("inbox", "control/approve", "control/cancel")]


def test_json(account: Account) -> None:
    first = json.loads(said("--json").stdout.splitlines()[0])
    assert first == {"what": "credentials", "verdict": "ok", "said": "You are arn:aws:iam::1:role/me."}


def test_outputs_that_it_reads_are_those_of_the_template() -> None:
    assert set(_OUTPUTS) <= set(facts.source()["Outputs"])
