"""How the functions are made: each with its own role, its own log group, no secret in sight."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop import settings
from local.stages import STAGES
from tests.template.conftest import Template
from tests.template.facts import Resources, of_type, references, statements


@pytest.fixture
def functions(resources: Resources) -> dict[str, Mapping[str, Any]]:
    return {name.removesuffix("Function").lower(): found for name, found in of_type(resources, "AWS::Lambda::Function").items()}


def test_there_is_one_function_for_each_folder(functions: dict[str, Mapping[str, Any]]) -> None:
    assert sorted(functions) == list(STAGES)


def test_every_function_has_a_role_of_its_own(functions: dict[str, Mapping[str, Any]]) -> None:
    roles = {stage: next(references(found["Role"])) for stage, found in functions.items()}
    assert roles == {stage: f"{stage.capitalize()}Role" for stage in functions}


def test_every_function_logs_to_a_group_with_an_end(functions: dict[str, Mapping[str, Any]], resources: Resources) -> None:
    groups = of_type(resources, "AWS::Logs::LogGroup")
    for stage, found in functions.items():
        group = groups[next(references(found["LoggingConfig"]["LogGroup"]))]
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        assert group["LogGroupName"]["Fn::Sub"] == f"/aws/lambda/{found['FunctionName']['Fn::Sub']}", stage


def test_who_sends_to_its_own_queue_is_not_taken_for_a_loop(
    functions: dict[str, Mapping[str, Any]], resources: Resources
) -> None:
    """Lambda ends a chain of messages after a function's 16th turn in it (AWS, "Recursive loop detection")."""
    own = {
        next(references(one["FunctionName"])): next(references(one["EventSourceArn"]))
        for one in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    }
    sends = {
        (one.role.removesuffix("Role"), queue)
        for one in statements(resources)
        if "sqs:SendMessage" in one.actions
        for queue in references(list(one.resources))
    }
    loops = {name for name, queue in own.items() if (name.removesuffix("Function"), queue) in sends}
    allowed = {f"{stage.capitalize()}Function" for stage, found in functions.items() if found.get("RecursiveLoop") == "Allow"}
    assert loops == allowed == {"PlanFunction", "CollectFunction", "FinishFunction", "ControlFunction"}


def test_lambda_drops_no_line_itself(functions: dict[str, Mapping[str, Any]]) -> None:
    """Its filter takes a line without a level for INFO, and a metric's has none (AWS, "Log-level filtering")."""
    for found in functions.values():
        logging = found["LoggingConfig"]
        assert (logging["LogFormat"], logging["ApplicationLogLevel"]) == ("JSON", "DEBUG")
        assert found["Environment"]["Variables"]["LOG_LEVEL"] == {"Ref": "LogLevel"}


def test_every_function_runs_on_the_chosen_processor(functions: dict[str, Mapping[str, Any]]) -> None:
    assert all(found["Architectures"] == [{"Ref": "Architecture"}] for found in functions.values())
    assert all(found["Runtime"] == "python3.13" for found in functions.values())


def test_no_key_is_in_an_environment_or_in_the_template(functions: dict[str, Mapping[str, Any]], translated: Template) -> None:
    for stage, found in functions.items():
        names = found["Environment"]["Variables"]
        assert not {name for name in names if name.endswith(("_KEY", "_TOKEN", "PASSWORD"))}, stage
        assert "resolve:" not in json.dumps(names), f"{stage}: a dynamic reference would be written into the environment"
    assert "sk-ant" not in json.dumps(translated)


@pytest.mark.parametrize("stage", STAGES)
def test_a_function_is_told_what_its_settings_ask_for_and_nothing_more(
    stage: str, functions: dict[str, Mapping[str, Any]]
) -> None:
    wanted = set(getattr(settings, f"{stage.capitalize()}Settings").__struct_encode_fields__)
    given = {name for name in functions[stage]["Environment"]["Variables"] if name.startswith(("BATCHDROP_", "ANTHROPIC_"))}
    assert given == wanted


def test_answers_of_a_batch_fit_on_the_collectors_disk(source: Template) -> None:
    sizes = source["Parameters"]["CollectDiskMiB"]["AllowedValues"]
    assert {str(size) for size in sizes} == set(source["Mappings"]["Disk"])
    for size, values in source["Mappings"]["Disk"].items():
        assert int(values["SpoolBytes"]) == int(size) * 1024 * 1024 * 80 // 100


def test_who_receives_a_message_is_updated_before_those_who_send_it(resources: Resources) -> None:
    """While a stack is updated both versions are at work for some seconds, and the earlier one drops what it does not see."""
    order = ("Finish", "Collect", "Submit", "Plan", "Control", "Poll")
    assert sorted(order) == sorted(stage.capitalize() for stage in STAGES)
    functions = [f"{stage}Function" for stage in order]
    assert {name: resources[name].get("DependsOn") for name in functions} == dict(
        zip(functions, [None, *functions], strict=False)
    )


def test_a_failed_tick_is_not_repeated(resources: Resources) -> None:
    (invoke,) = of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
    assert next(references(invoke["FunctionName"])) == "PollFunction"
    assert invoke["MaximumRetryAttempts"] == 0
    (schedule,) = of_type(resources, "AWS::Scheduler::Schedule").values()
    assert schedule["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 60, "by then the next one is due"
