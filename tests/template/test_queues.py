"""Every edge is a queue that loses nothing."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from typing import Any

import pytest

from batchdrop.domain.redelivery import MAX_RECEIVES, pause_after, silence
from local.stages import STAGES
from tests.template.conftest import ROOT, Template
from tests.template.facts import Resources, of_type, references


def _profiles() -> dict[str, dict[str, str]]:
    """The parameters that each samconfig profile changes."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    profiles = {name: table for name, table in config.items() if isinstance(table, dict)}
    return {
        name: dict(text.split("=", 1) for text in table["deploy"]["parameters"].get("parameter_overrides", []))
        for name, table in profiles.items()
    }


def _value(source: Template, overrides: dict[str, str], value: Any) -> int:
    """A number, or the parameter it refers to."""
    if not isinstance(value, dict):
        return int(value)
    name = value["Ref"]
    return int(overrides.get(name, source["Parameters"][name]["Default"]))


def _dead_letter_queues(resources: Resources) -> set[str]:
    queues = of_type(resources, "AWS::SQS::Queue")
    return {next(references(queue["RedrivePolicy"])) for queue in queues.values() if "RedrivePolicy" in queue} | {
        "PollDeadLetters"
    }


def _consumers(resources: Resources) -> dict[str, str]:
    """The queue of each function that has one."""
    return {
        next(references(mapping["FunctionName"])): next(references(mapping["EventSourceArn"]))
        for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    }


def test_every_stage_but_the_scheduled_one_has_a_queue(resources: Resources) -> None:
    assert sorted(_consumers(resources)) == [f"{stage.capitalize()}Function" for stage in STAGES if stage != "poll"]


def test_every_working_queue_has_its_own_dead_letter_queue(resources: Resources) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    working = {name: queue for name, queue in queues.items() if name not in _dead_letter_queues(resources)}
    assert sorted(working) == sorted(_consumers(resources).values())
    targets = [next(references(queue["RedrivePolicy"]["deadLetterTargetArn"])) for queue in working.values()]
    assert len(set(targets)) == len(working)
    assert all(int(queue["RedrivePolicy"]["maxReceiveCount"]) == MAX_RECEIVES for queue in working.values())


def test_every_queue_keeps_messages_as_long_as_sqs_can_and_encrypts_them(resources: Resources) -> None:
    fourteen_days = 14 * 24 * 3600
    for name, queue in of_type(resources, "AWS::SQS::Queue").items():
        assert queue["MessageRetentionPeriod"] == fourteen_days, name
        assert queue["SqsManagedSseEnabled"] is True, name


@pytest.mark.parametrize("profile", ["template defaults", *_profiles()])
def test_a_message_stays_hidden_for_six_times_the_function(source: Template, resources: Resources, profile: str) -> None:
    overrides = _profiles().get(profile, {})
    functions = of_type(resources, "AWS::Lambda::Function")
    queues = of_type(resources, "AWS::SQS::Queue")
    for function, queue in _consumers(resources).items():
        hidden = _value(source, overrides, queues[queue]["VisibilityTimeout"])
        runs = _value(source, overrides, functions[function]["Timeout"])
        assert hidden >= 6 * runs, function


@pytest.mark.parametrize("profile", ["template defaults", *_profiles()])
def test_poll_waits_for_longer_than_the_queues(source: Template, resources: Resources, profile: str) -> None:
    overrides = _profiles().get(profile, {})
    variables = of_type(resources, "AWS::Lambda::Function")["PollFunction"]["Environment"]["Variables"]
    told = _value(source, overrides, variables["BATCHDROP_VISIBILITY_SECONDS"])
    working = [queue for queue in of_type(resources, "AWS::SQS::Queue").values() if "RedrivePolicy" in queue]
    for queue in working:
        hidden = _value(source, overrides, queue["VisibilityTimeout"])
        for errors in range(int(queue["RedrivePolicy"]["maxReceiveCount"])):
            pause = pause_after(errors) if errors else 0
            assert silence(timedelta(seconds=told), errors) > timedelta(seconds=hidden + pause)


def test_one_message_at_a_time_and_partial_answers(resources: Resources) -> None:
    for name, mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").items():
        assert mapping["BatchSize"] == 1, name
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name
        assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2, name


def test_events_that_cannot_be_delivered_are_kept(resources: Resources) -> None:
    rules = of_type(resources, "AWS::Events::Rule")
    assert len(rules) == 2
    for rule in rules.values():
        for target in rule["Targets"]:
            kept = next(references(target["DeadLetterConfig"]["Arn"]))
            assert kept in _dead_letter_queues(resources)


def test_every_dead_letter_queue_rings_an_alarm(resources: Resources) -> None:
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    watched = {
        next(references(dimension["Value"]))
        for alarm in alarms.values()
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible" and alarm["Threshold"] == 0
        for dimension in alarm["Dimensions"]
    }
    assert watched == _dead_letter_queues(resources)
