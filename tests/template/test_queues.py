"""Every edge is a queue that loses nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from batchdrop.domain.redelivery import MAX_RECEIVES, pause_after, silence
from local.stages import STAGES
from tests.template.conftest import ROOT, Template
from tests.template.facts import Resources, chosen, of_type, references

_OF_A_NEW_ACCOUNT = 10


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
    """Where messages go that failed too often, and what could not be delivered."""
    queues = of_type(resources, "AWS::SQS::Queue")
    targets = [queue["RedrivePolicy"] for queue in queues.values() if "RedrivePolicy" in queue]
    targets += [target["DeadLetterConfig"] for target in _targets(resources)]
    return {next(references(target)) for target in targets}


def _targets(resources: Resources) -> list[Mapping[str, Any]]:
    """Of rules and schedules."""
    rules = [target for rule in of_type(resources, "AWS::Events::Rule").values() for target in rule["Targets"]]
    return rules + [schedule["Target"] for schedule in of_type(resources, "AWS::Scheduler::Schedule").values()]


def _consumers(resources: Resources) -> dict[str, str]:
    """The queue of each function that has one."""
    return {
        next(references(mapping["FunctionName"])): next(references(mapping["EventSourceArn"]))
        for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    }


def test_every_stage_but_the_scheduled_one_has_a_queue(resources: Resources) -> None:
    assert sorted(_consumers(resources)) == [f"{stage.capitalize()}Function" for stage in STAGES if stage != "poll"]


def test_what_failed_in_a_queue_can_be_redriven_and_nothing_else_lies_with_it(resources: Resources) -> None:
    """A redrive brings a message back to the queue that it came from, which only SQS's own dead letters have."""
    queues = of_type(resources, "AWS::SQS::Queue")
    working = {name: queue for name, queue in queues.items() if "RedrivePolicy" in queue}
    assert sorted(working) == sorted(_consumers(resources).values())
    assert {next(references(queue["RedrivePolicy"]["deadLetterTargetArn"])) for queue in working.values()} == {"DeadLetters"}
    assert all(int(queue["RedrivePolicy"]["maxReceiveCount"]) == MAX_RECEIVES for queue in working.values())
    assert {next(references(target["DeadLetterConfig"])) for target in _targets(resources)} == {"Undelivered"}
    assert set(queues) == {*working, "DeadLetters", "Undelivered"}


def test_every_queue_keeps_messages_as_long_as_sqs_can_and_encrypts_them(resources: Resources) -> None:
    fourteen_days = 14 * 24 * 3600
    for name, queue in of_type(resources, "AWS::SQS::Queue").items():
        assert queue["MessageRetentionPeriod"] == fourteen_days, name
        assert chosen(queue)["SqsManagedSseEnabled"] is True, name


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


def _maxima(source: Template, resources: Resources, overrides: dict[str, str]) -> dict[str, int]:
    """Of the functions whose number is bounded."""
    return {
        next(references(mapping["FunctionName"])): _value(source, overrides, mapping["ScalingConfig"]["MaximumConcurrency"])
        for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
        if mapping["ScalingConfig"]  # an empty one takes away what an earlier version has set (AWS CloudFormation user guide)
    }


@pytest.mark.parametrize("profile", ["template defaults", *_profiles()])
def test_ten_invocations_at_once_leave_one_for_each_function(source: Template, resources: Resources, profile: str) -> None:
    """A new account may run ten (Lambda developer guide, "Lambda quotas"), and none of them can be reserved.

    Those that work for minutes, and of which there may be any number, are bounded; the others take seconds, or are as many as one
    tick has admitted.
    """
    maxima = _maxima(source, resources, _profiles().get(profile, {}))
    assert set(maxima) == {"PlanFunction", "CollectFunction"}
    assert all(2 <= most <= 1_000 for most in maxima.values()), "the limits of Lambda"
    others = len(of_type(resources, "AWS::Lambda::Function")) - len(maxima)
    assert sum(maxima.values()) + others <= _OF_A_NEW_ACCOUNT
    # A tick that finds none free is tried again until the next one is due.
    (invoke,) = of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
    assert invoke["MaximumEventAgeInSeconds"] >= 60


def test_readme_says_what_a_new_account_may_run(source: Template) -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"{_OF_A_NEW_ACCOUNT} functions at the same time" in readme
    assert "MaxConcurrency" in readme


def test_every_dead_letter_queue_rings_an_alarm(resources: Resources) -> None:
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    watched = {
        next(references(dimension["Value"]))
        for alarm in alarms.values()
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible" and alarm["Threshold"] == 0
        for dimension in alarm["Dimensions"]
    }
    assert watched == _dead_letter_queues(resources)
