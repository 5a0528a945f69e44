"""What an alarm says is what the template makes happen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop.domain import reconcile
from batchdrop.domain.retries import ANSWERS_AWAITED
from tests.template import facts
from tests.template.facts import Resources, of_type, references

_ALARMS = of_type(facts.source()["Resources"], "AWS::CloudWatch::Alarm")


def _words(alarm: Mapping[str, Any]) -> str:
    return str(alarm["AlarmDescription"]["Fn::Sub"])


def _watched(alarm: Mapping[str, Any]) -> str:
    """The queue or function that an alarm of AWS's own metrics is about."""
    (dimension,) = alarm["Dimensions"]
    return next(references(dimension["Value"]))


def _named(metric: str) -> list[str]:
    return [name for name, alarm in _ALARMS.items() if alarm["MetricName"] == metric]


@pytest.mark.parametrize("name", _ALARMS)
def test_every_description_names_the_stack_and_ends_as_a_sentence(name: str) -> None:
    words = _words(_ALARMS[name])
    assert words.startswith("${AWS::StackName}")
    assert words.endswith(".")


@pytest.mark.parametrize("name", _named("Errors"))
def test_what_runs_again_after_an_error(resources: Resources, name: str) -> None:
    """A message is delivered again; an invocation without a queue is retried only as far as its own configuration allows."""
    function = _watched(_ALARMS[name])
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    retries = {
        next(references(config["FunctionName"])): config["MaximumRetryAttempts"]
        for config in of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
    }
    has_queue = function in {next(references(mapping["FunctionName"])) for mapping in mappings}
    assert ("delivered again" in _words(_ALARMS[name])) == has_queue
    assert ("not retried" in _words(_ALARMS[name])) == (retries.get(function) == 0)
    assert has_queue or function in retries


@pytest.mark.parametrize("name", _named("ApproximateNumberOfMessagesVisible"))
def test_how_a_message_got_into_a_dead_letter_queue(resources: Resources, name: str) -> None:
    dead_letters, words = _watched(_ALARMS[name]), _words(_ALARMS[name])
    receives = [
        f"{queue['RedrivePolicy']['maxReceiveCount']} times"
        for queue in of_type(resources, "AWS::SQS::Queue").values()
        if "RedrivePolicy" in queue and dead_letters in references(queue["RedrivePolicy"])
    ]
    targets = [target for rule in of_type(resources, "AWS::Events::Rule").values() for target in rule["Targets"]]
    targets += [schedule["Target"] for schedule in of_type(resources, "AWS::Scheduler::Schedule").values()]
    undelivered = any(dead_letters in references(target["DeadLetterConfig"]) for target in targets)
    assert re.findall(r"failed (\w+ times)", words) == receives
    assert ("could not be delivered" in words) == undelivered
    assert ("redrive" in words) == bool(receives), "what no queue delivers, nobody can redrive"


def test_the_times_that_alarms_name() -> None:
    heartbeat = _ALARMS["HeartbeatAlarm"]
    minutes = heartbeat["Period"] * heartbeat["EvaluationPeriods"] / 60
    assert f"for {minutes:.0f} minutes" in _words(heartbeat)
    assert f"more than {_ALARMS['UncollectedAlarm']['Threshold'] / 24:.0f} days ago" in _words(_ALARMS["UncollectedAlarm"])
    incomplete = _ALARMS["IncompleteResultsAlarm"]
    assert f"for more than {incomplete['Threshold']:.0f} hours" in _words(incomplete)
    assert f"up to {ANSWERS_AWAITED.days} days" in _words(incomplete)
    assert f"more than {_ALARMS['JobAgeAlarm']['Threshold'] / 24:.0f} days" in _words(_ALARMS["JobAgeAlarm"])
    assert f"more than {_ALARMS['OverdueAlarm']['Threshold']:.0f} hours" in _words(_ALARMS["OverdueAlarm"])
    assert f"more than {_ALARMS['InDoubtAlarm']['Threshold']:.0f} hours ago" in _words(_ALARMS["InDoubtAlarm"])


def test_an_alarm_about_unanswered_creates_stays_until_another_one_would_have_come() -> None:
    alarm = _ALARMS["UnansweredAlarm"]
    assert f"at least {alarm['Threshold']} times" in _words(alarm)
    longest_pause = reconcile.pause_before_sending_again(1_000)
    assert f"down to every {longest_pause.total_seconds() / 3600:.0f} hours" in _words(alarm)
    grace = facts.source()["Parameters"]["ReconcileGraceSeconds"]["Default"]
    function = facts.source()["Parameters"]["FunctionTimeoutSeconds"]["Default"]
    between = longest_pause.total_seconds() + grace + function
    assert alarm["Period"] * alarm["EvaluationPeriods"] > between + 3600
