"""`batchdrop doctor`: a healthy stack, each thing that may be wrong with it, and what somebody may not see."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from click.testing import CliRunner, Result

from batchdrop.adapters.items import admission_item, admission_key, batch_item, models_item, switch_key
from batchdrop.domain.model_list import ListedModel, ModelList
from batchdrop.domain.records import Admission, Batch, BatchState, ObjectRef, Span
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
    "AlarmTopic": "arn:aws:sns:eu-central-1:1:alarms",
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
            "list_subscriptions_by_topic": {"Subscriptions": [{"SubscriptionArn": "arn:aws:sns:eu-central-1:1:alarms:1"}]},
            "get_object": self._object,
            "query": lambda **_: {"Items": [batch_item(batch) for batch in self.batches]},
            "put_object": refusal("BadDigest", 400),
        }
        self.admission = Admission()
        self.batches: list[Batch] = []
        self.config: dict[str, bytes] = {}
        self.models: ModelList | None = ModelList(fetched_at=datetime.now(UTC), models=(ListedModel(id="m"),))

    def _item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:
        if Key == admission_key():
            return {"Item": admission_item(self.admission)}
        if Key == switch_key() or self.models is None:
            return {}
        return {"Item": models_item(self.models)}

    def _object(self, *, Key: str, **_: Any) -> dict[str, Any]:
        if Key not in self.config:
            raise refusal("NoSuchKey", 404, "GetObject")
        return {"Body": io.BytesIO(self.config[Key])}

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


def a_batch(intent_at: datetime) -> Batch:
    return Batch(
        job_id="20261122T003115Z-62fmogqc4o6pk3ik",
        first_line=1,
        last_line=1,
        span=Span(object=ObjectRef(bucket=BUCKET, key="inbox/a.jsonl"), start=0, end=1, first_line=1),
        requests=1,
        state=BatchState.submitting,
        start_tag=intent_at,
        intent_at=intent_at,
    )


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
        *("credentials", "region", "stack", "key", "models", "switch", "submission", "config"),
        *("schedule", "heartbeat", "DeadLetters", "Undelivered", "alarms", "subscribers", "concurrency"),
        *("answers", "inbox", "approve", "cancel"),
    ]
    assert found["heartbeat"][1] == "poll ran 9 times in the last 10 minutes."


def test_nothing_is_written_and_no_secret_is_read(account: Account) -> None:
    said()
    called = {operation for operation, _ in account.called}
    assert {name for name in called if not name.startswith(("get_", "describe_", "list_", "query"))} == _WRITES
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
        ("list_objects_v2", refusal("AccessDenied", 403), "answers", "You may not list outbox/. If you should, ask an operator"),
        ("list_subscriptions_by_topic", {"Subscriptions": []}, "subscribers", "Nobody is told of alarms. Deploy with AlarmEmail"),
        (
            "list_subscriptions_by_topic",
            {"Subscriptions": [{"SubscriptionArn": "PendingConfirmation"}]},
            "subscribers",
            "Nobody is told of alarms: no subscription is confirmed.",
        ),
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


def test_what_one_may_not_put_is_no_problem(account: Account) -> None:
    """An operator by docs/policies/operator.json drops nothing, and a dropper approves nothing."""
    account.answers["put_object"] = refusal("AccessDenied", 403)
    result = said()
    assert {name for name, (verdict, _) in verdicts(result).items() if verdict == "no"} == {"inbox", "approve", "cancel"}
    assert (result.exit_code, verdicts(result)["inbox"][1].startswith("You may not put anything into inbox/.")) == (0, True)


def test_what_keeps_rows_from_being_sent(account: Account) -> None:
    account.admission = Admission(blocked="The API refused the key (401).", blocked_at=datetime(2026, 11, 22, 8, 31, tzinfo=UTC))
    result = said()
    told = "Nothing is sent since 22 November 08:31 UTC: The API refused the key (401)."
    assert (result.exit_code, verdicts(result)["submission"]) == (1, ("problem", told))


@pytest.mark.parametrize(("minutes", "verdict"), [(5, "ok"), (20, "problem")])
def test_a_batch_in_doubt(account: Account, minutes: int, verdict: str) -> None:
    account.batches = [a_batch(intent_at=datetime.now(UTC) - timedelta(minutes=minutes))]
    assert verdicts(said())["submission"][0] == verdict


def test_claude_asks_for_fewer_calls(account: Account) -> None:
    account.admission = Admission(throttled_until=datetime.now(UTC) + timedelta(hours=1))
    assert verdicts(said())["submission"][0] == "ok"


def test_a_file_of_the_operators_that_has_a_fault(account: Account) -> None:
    account.config = {"config/sources.json": b"{}", "config/limits.json": b'{"folders": {"a": {"day_us": 1}}}'}
    result = said()
    verdict, told = verdicts(result)["config"]
    assert (result.exit_code, verdict) == (1, "problem")
    assert told.startswith("config/limits.json, line 1, `folders.a.day_us`:")
    del account.config["config/limits.json"]
    assert verdicts(said())["config"] == ("ok", "config/sources.json can be used.")


def test_a_list_that_is_older_than_the_key_says_nothing(account: Account) -> None:
    account.answers["describe_secret"]["LastChangedDate"] = datetime.now(UTC) + timedelta(minutes=1)
    result = said()
    assert (result.exit_code, verdicts(result)["models"][0]) == (0, "unknown")
    account.answers["describe_secret"]["LastChangedDate"] = datetime.now(UTC) - timedelta(days=1)
    assert verdicts(said())["models"][0] == "ok"


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


@pytest.mark.parametrize("folder", ["/marketing/", "inbox/marketing"])
def test_with_a_bucket_nothing_of_a_stack_is_called(account: Account, folder: str) -> None:
    result = said("--bucket", BUCKET, "--folder", folder)
    assert list(verdicts(result)) == ["credentials", "region", "answers", "inbox", "approve", "cancel"]
    assert {operation for operation, _ in account.called} == {"get_caller_identity", "list_objects_v2", "put_object"}
    put = [arguments["Key"] for operation, arguments in account.called if operation == "put_object"]
    assert put == [f"{one}/marketing/.ds_store" for one in ("inbox", "control/approve", "control/cancel")]


def test_json(account: Account) -> None:
    first = json.loads(said("--json").stdout.splitlines()[0])
    assert first == {"what": "credentials", "verdict": "ok", "said": "You are arn:aws:iam::1:role/me."}


def test_outputs_that_it_reads_are_those_of_the_template() -> None:
    assert set(_OUTPUTS) <= set(facts.source()["Outputs"])
