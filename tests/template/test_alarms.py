"""What an alarm says is what the template makes happen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from batchdrop.domain import refusals
from batchdrop.domain.retries import ANSWER_AWAITED, ANSWERS_AWAITED, RESULTS_KEPT
from batchdrop.stages.poll import stalled
from batchdrop.stages.poll.measure import UNCOLLECTED_AFTER
from tests.docs.pages import ROOT, anchors
from tests.template import facts
from tests.template.facts import Resources, of_type, references

_ALARMS = of_type(facts.source()["Resources"], "AWS::CloudWatch::Alarm")
# Characters of a description (Amazon CloudWatch API Reference, PutMetricAlarm).
_LONGEST = 1_024


def _words(alarm: Mapping[str, Any]) -> str:
    return str(alarm["AlarmDescription"]["Fn::Sub"])


def _watched(alarm: Mapping[str, Any]) -> str:
    """The queue or function that an alarm of AWS's own metrics is about."""
    (dimension,) = alarm["Dimensions"]
    return next(references(dimension["Value"]))


@pytest.mark.parametrize("name", _ALARMS)
def test_every_description_names_the_stack_and_ends_with_the_page_that_says_more(name: str) -> None:
    words, page, anchor = _words(_ALARMS[name]).strip().rpartition(" See docs/operations.md#")
    assert words.startswith("${AWS::StackName}")
    assert words.endswith(".")
    assert page
    assert anchor in anchors(ROOT / "docs" / "operations.md")
    assert anchor == name.lower()


@pytest.mark.parametrize("name", _ALARMS)
def test_a_description_fits_and_goes_to_the_topic_in_both_directions(name: str) -> None:
    assert len(_words(_ALARMS[name])) <= _LONGEST
    assert all(next(references(_ALARMS[name][actions])) == "AlarmTopic" for actions in ("AlarmActions", "OKActions"))


def test_poll_alone_is_watched_by_its_invocations(resources: Resources) -> None:
    """Errors of the others are put off and counted by their queues; what no queue delivers again nobody else would see."""
    watched = {alarm["MetricName"]: _watched(alarm) for alarm in _ALARMS.values() if alarm["Namespace"] == "AWS/Lambda"}
    assert watched == {"Invocations": "PollFunction", "Errors": "PollFunction"}
    queued = {
        next(references(mapping["FunctionName"])) for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    }
    assert set(of_type(resources, "AWS::Lambda::Function")) - queued == {"PollFunction"}
    (invoke,) = of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
    assert ("not retried" in _words(_ALARMS["PollErrorsAlarm"])) == (invoke["MaximumRetryAttempts"] == 0)
    assert _ALARMS["HeartbeatAlarm"]["TreatMissingData"] == "breaching"


def test_how_a_message_got_into_a_dead_letter_queue(resources: Resources) -> None:
    queues = [queue for queue in of_type(resources, "AWS::SQS::Queue").values() if "RedrivePolicy" in queue]
    (receives,) = {queue["RedrivePolicy"]["maxReceiveCount"] for queue in queues}
    failed, lost = _words(_ALARMS["DeadLettersAlarm"]), _words(_ALARMS["UndeliveredAlarm"])
    assert f"failed {receives} times" in failed
    assert "redrive" in failed
    assert "could not be delivered" in lost
    assert "redrive" not in lost, "what no queue delivers, nobody can redrive"


def test_the_times_that_alarms_name() -> None:
    heartbeat = _ALARMS["HeartbeatAlarm"]
    assert f"at least {heartbeat['Period'] * heartbeat['EvaluationPeriods'] / 60:.0f} minutes" in _words(heartbeat)
    blocked = _ALARMS["SubmissionBlockedAlarm"]
    # Three periods in a row have a value: the first and the last of them maybe just one.
    assert f"more than {blocked['Period'] * (blocked['EvaluationPeriods'] - 1) / 60:.0f} minutes" in _words(blocked)
    assert refusals.PROBE_EVERY.total_seconds() < blocked["Period"] * (blocked["EvaluationPeriods"] - 1)
    words = _words(_ALARMS["StalledAlarm"])
    assert f"at Claude for more than {_hours(stalled.NOT_ENDED_AFTER)} hours" in words
    assert f"in doubt for more than {_hours(stalled.IN_DOUBT_AFTER)}," in words
    assert f"without an answer {stalled.UNANSWERED} times" in words
    assert stalled.INCOMPLETE_AFTER == stalled.REFUSED_AFTER
    assert f"for more than {_hours(stalled.REFUSED_AFTER)} hours" in words
    assert stalled.REPAIRS == 2
    assert "sent again twice" in words
    assert f"older than {stalled.OLD_AFTER.days} days" in words
    risk = _words(_ALARMS["AnswersAtRiskAlarm"])
    assert f"more than {UNCOLLECTED_AFTER.days} days ago" in risk
    assert f"after {RESULTS_KEPT.days} days" in risk


def test_nobody_is_called_before_what_waits_for_a_person_or_for_the_api_has_ended() -> None:
    assert max(ANSWER_AWAITED, ANSWERS_AWAITED) < stalled.OLD_AFTER
    assert timedelta(hours=24) < stalled.NOT_ENDED_AFTER


def _hours(time: timedelta) -> int:
    return round(time.total_seconds() / 3600)
