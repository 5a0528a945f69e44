"""Queues, switch, secret, minted keys, notices and clock."""

from __future__ import annotations

import base64
import json
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from batchdrop.adapters.claude import CONNECT_SECONDS
from batchdrop.adapters.clock import LambdaDeadline, SystemClock
from batchdrop.adapters.items import switch_key
from batchdrop.adapters.minted import MintedKey
from batchdrop.adapters.secrets import SecretKey
from batchdrop.adapters.sns import SnsNotices
from batchdrop.adapters.sqs import SqsQueues
from batchdrop.adapters.switch import StackSwitch
from batchdrop.domain.errors import ConfigurationError
from batchdrop.domain.messages import CollectBatch, Queue, SubmitBatch
from batchdrop.ports import SwitchState
from tests.adapters.conftest import REGION, SESSION
from tests.fakes import FakeQueues, FakeSwitch, ManualClock
from tests.resources import make_table

MESSAGE = SubmitBatch(job_id="a", batch="1")

# ---------------------------------------------------------------- queues


def test_a_message_arrives_as_it_was_sent(aws: None) -> None:
    sqs = SESSION.client("sqs")
    url = sqs.create_queue(QueueName="submit")["QueueUrl"]
    SqsQueues(sqs, {Queue.submit: url}).send(MESSAGE)
    (received,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert received["Body"] == '{"job_id":"a","batch":"1"}'
    sqs.close()


def test_a_delay_is_sent_and_cut_to_what_sqs_takes(aws: None) -> None:
    sqs = SESSION.client("sqs")
    url = sqs.create_queue(QueueName="submit")["QueueUrl"]
    sent: list[int] = []
    sqs.meta.events.register("provide-client-params.sqs.SendMessage", lambda params, **_: sent.append(params["DelaySeconds"]))
    for delay in (0, 20, 901, -1):
        SqsQueues(sqs, {Queue.submit: url}).send(MESSAGE, delay=delay)
    assert sent == [0, 20, 900, 0]
    sqs.close()


def test_a_message_that_is_put_off_is_hidden_until_then(aws: None) -> None:
    sqs = SESSION.client("sqs")
    url = sqs.create_queue(QueueName="submit", Attributes={"VisibilityTimeout": "5400"})["QueueUrl"]
    queues = SqsQueues(sqs, {Queue.submit: url})
    queues.send(MESSAGE)
    (first,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    queues.put_off(Queue.submit, first["ReceiptHandle"], 0)
    (again,) = sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert (again["Body"], again["Attributes"]["ApproximateReceiveCount"]) == (first["Body"], "2")
    queues.put_off(Queue.submit, again["ReceiptHandle"], 900)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.close()


def test_a_queue_without_an_address_is_a_configuration_error(aws: None) -> None:
    queues = SqsQueues(SESSION.client("sqs"), {})
    with pytest.raises(ConfigurationError, match="submit"):
        queues.send(MESSAGE)
    with pytest.raises(ConfigurationError, match="submit"):
        queues.put_off(Queue.submit, "receipt", 30)


def test_the_fake_gives_messages_when_they_are_due(clock: ManualClock) -> None:
    queues = FakeQueues(clock)
    other = CollectBatch(job_id="b", batch="2")
    queues.send(MESSAGE, delay=901)
    queues.send(other)
    assert queues.take(Queue.submit) is None
    assert [sent and sent.message for sent in (queues.take(Queue.collect),)] == [other]
    clock.advance(900)
    assert [sent and sent.message for sent in (queues.take(Queue.submit),)] == [MESSAGE]
    assert queues.take(Queue.submit) is None


# ---------------------------------------------------------------- switch


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run", SwitchState.run),
        ("pause", SwitchState.pause),
        ("stop", SwitchState.stop),
        (" Stop\n", SwitchState.stop),
        ("off", SwitchState.pause),
        (None, SwitchState.pause),
    ],
)
def test_the_switch_fails_closed(aws: None, clock: ManualClock, text: str | None, expected: SwitchState) -> None:
    switch = _Switch(clock)
    if text is not None:
        switch.give(text)
    assert switch.live.state() is expected
    fake = FakeSwitch()
    fake.text = text
    assert fake.state() is expected
    switch.close()


def test_the_switch_is_read_every_few_seconds(aws: None, clock: ManualClock) -> None:
    switch = _Switch(clock)
    switch.give("run")
    assert switch.live.state() is SwitchState.run
    switch.store("stop")
    clock.advance(4.9)
    assert switch.live.state() is SwitchState.run
    clock.advance(0.1)
    assert switch.live.state() is SwitchState.stop
    switch.store("run")
    clock.advance(5)
    assert switch.live.state() is SwitchState.run
    switch.ssm.delete_parameter(Name="/stack/switch")
    clock.advance(5)
    assert switch.live.state() is SwitchState.pause
    switch.close()


@pytest.mark.parametrize(
    ("stored", "given", "expected"),
    [
        (None, "run", SwitchState.run),
        (None, "stop", SwitchState.stop),
        ("stop", "run", SwitchState.stop),
        ("pause", "stop", SwitchState.stop),
        ("stop", "pause", SwitchState.stop),
        ("run", "pause", SwitchState.pause),
        ("off", "run", SwitchState.pause),
        ("run", "off", SwitchState.pause),
    ],
)
def test_the_stricter_position_counts_and_no_deployment_takes_it_back(
    aws: None, clock: ManualClock, stored: str | None, given: str, expected: SwitchState
) -> None:
    switch = _Switch(clock)
    if stored is not None:
        switch.store(stored)
    switch.give(given)
    assert switch.live.state() is expected
    switch.give("run")  # as CloudFormation does
    clock.advance(5)
    assert switch.live.state() is (SwitchState.run if given == "off" else expected)
    switch.close()


@pytest.mark.parametrize("stored", [None, "run"])
def test_whoever_sets_the_switch_at_the_same_moment_goes_first(aws: None, clock: ManualClock, stored: str | None) -> None:
    """`pause` from the parameter does not take back the `stop` of somebody who is in a hurry."""
    switch = _Switch(clock)
    if stored is not None:
        switch.store(stored)
    switch.give("pause")
    switch.ssm.meta.events.register("before-call.ssm.GetParameter", lambda **_: switch.store("stop"))
    assert switch.live.state() is SwitchState.pause
    clock.advance(5)
    assert switch.live.state() is SwitchState.stop
    switch.close()


class _Switch:
    """The switch of a stack, and an operator."""

    def __init__(self, clock: ManualClock) -> None:
        self.ssm = SESSION.client("ssm")
        self._dynamodb = SESSION.client("dynamodb")
        make_table(self._dynamodb, "table")
        self.live = StackSwitch(self._dynamodb, "table", self.ssm, "/stack/switch", clock)

    def give(self, position: str) -> None:
        self.ssm.put_parameter(Name="/stack/switch", Value=position, Type="String", Overwrite=True)

    def store(self, position: str) -> None:
        self._dynamodb.put_item(TableName="table", Item={**switch_key(), "position": {"S": position}})

    def close(self) -> None:
        self.ssm.close()
        self._dynamodb.close()


# ---------------------------------------------------------------- secret


def test_a_replaced_key_is_used_after_five_minutes_or_at_once_on_demand(aws: None, clock: ManualClock) -> None:
    client = SESSION.client("secretsmanager")
    client.create_secret(Name="key", SecretString="sk-first\n")
    key = SecretKey(client, "key", clock)
    assert key.get() == "sk-first"
    client.put_secret_value(SecretId="key", SecretString="sk-second")
    clock.advance(299)
    assert key.get() == "sk-first"
    clock.advance(1)
    assert key.get() == "sk-second"
    client.put_secret_value(SecretId="key", SecretString="sk-third")
    assert key.refresh() == "sk-third"
    assert key.get() == "sk-third"
    assert "sk-" not in repr(key)
    client.close()


@pytest.mark.parametrize("text", [" ", '{"api_key": "sk-1"}', "sk-ü", "sk\n1"])
def test_a_secret_that_is_no_key_is_a_configuration_error(aws: None, clock: ManualClock, text: str) -> None:
    client = SESSION.client("secretsmanager")
    client.create_secret(Name="key", SecretString=text)
    with pytest.raises(ConfigurationError) as caught:
        SecretKey(client, "key", clock).get()
    assert "sk" not in str(caught.value)
    client.close()


# ---------------------------------------------------------------- minted keys


def parts_of(key: str) -> dict[str, str]:
    """What a key says in its query."""
    signed = base64.b64decode(key.removeprefix("aws-external-anthropic-api-key-"), validate=True).decode()
    host, _, query = signed.partition("/?")
    return {"host": host} | {name: values[0] for name, values in parse_qs(query, strict_parsing=True).items()}


def test_a_key_is_minted_every_five_minutes_and_lives_as_long_as_a_create_may_take(
    monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFIRST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    key = MintedKey(clock)
    first = key.get()
    parts = parts_of(first)
    assert parts["host"] == "aws-external-anthropic.amazonaws.com"
    assert parts["Action"] == "CallWithBearerToken"
    assert parts["X-Amz-Credential"].startswith("AKIAFIRST/")
    assert parts["X-Amz-Credential"].endswith(f"/{REGION}/aws-external-anthropic/aws4_request")
    create = CONNECT_SECONDS + 600
    assert int(parts["X-Amz-Expires"]) == create + 5 * 60
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASECOND")
    clock.advance(299)
    assert key.get() == first
    # What is left of its life is enough for a create that begins now.
    assert int(parts["X-Amz-Expires"]) - 299 > create
    clock.advance(1)
    assert parts_of(key.get())["X-Amz-Credential"].startswith("AKIASECOND/")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATHIRD")
    assert parts_of(key.refresh())["X-Amz-Credential"].startswith("AKIATHIRD/")
    assert key.get() not in repr(key)


@pytest.mark.parametrize("lacking", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"])
def test_a_role_without_credentials_or_region_mints_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: ManualClock, lacking: str
) -> None:
    given = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for name in (lacking, "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="no key can be minted"):
        MintedKey(clock).get()


# ---------------------------------------------------------------- notices


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("reviews.jsonl is done", "reviews.jsonl is done"),
        ("Grüße\r\nBcc:\tx\x00y", "Gr??e Bcc: x?y"),
        ("x" * 300, "x" * 99),
    ],
)
def test_a_notice_fits_an_email(aws: None, subject: str, expected: str) -> None:
    sns = SESSION.client("sns")
    topic = sns.create_topic(Name="jobs")["TopicArn"]
    sent: list[dict[str, Any]] = []
    sns.meta.events.register("provide-client-params.sns.Publish", lambda params, **_: sent.append(params))
    document = {"job_id": "x", "counts": {"total": 3}, "name": "Grüße"}
    SnsNotices(sns, topic).publish(subject, "All rows have an answer.\n", document, {"state": "done"})
    (notice,) = sent
    assert (notice["TopicArn"], notice["Subject"], notice["MessageStructure"]) == (topic, expected, "json")
    messages = json.loads(notice["Message"])
    assert messages.keys() == {"default", "email"}
    assert json.loads(messages["default"]) == document
    assert messages["email"] == "All rows have an answer.\n"
    assert notice["MessageAttributes"] == {"state": {"DataType": "String", "StringValue": "done"}}
    sns.close()


# ---------------------------------------------------------------- time


def test_the_system_clock_is_in_utc() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    clock.sleep(0)


def test_the_deadline_is_in_seconds() -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 1500

    assert LambdaDeadline(Context()).remaining() == 1.5
