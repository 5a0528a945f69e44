"""`batchdrop switch`: an operator's hand on the switch, and what the functions read of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result
from moto import mock_aws

from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.switch import StackSwitch
from batchdrop.ports import SwitchState
from batchdrop_cli.main import batchdrop
from batchdrop_cli.operating import switch_session
from tests.resources import make_table

STACK, TABLE, PARAMETER, REGION = "mine", "the-table", "/mine/switch", "eu-central-1"
OUTPUTS = {"Bucket": "b", "Table": TABLE, "ApiKeySecret": "s", "Switch": PARAMETER}


class Described:
    class meta:
        region_name = REGION

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        assert StackName == STACK
        return {"Stacks": [{"Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in OUTPUTS.items()]}]}


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """A stack; in it, the operations that the caller has no right to."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        refused: set[str] = set()
        tables, parameters = boto3.client("dynamodb"), boto3.client("ssm")

        def denied(model: Any, **_: Any) -> None:
            if model.name in refused:
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no right"}}, model.name)

        clients: dict[str, Any] = {"cloudformation": Described(), "dynamodb": tables, "ssm": parameters}
        for client in (tables, parameters):
            client.meta.events.register("before-call", denied)
        monkeypatch.setattr(boto3, "client", clients.__getitem__)
        make_table(tables, TABLE)
        parameters.put_parameter(Name=PARAMETER, Value="run", Type="String")
        yield refused
        tables.close()
        parameters.close()


def said(*arguments: object, typed: str | None = None) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, ["switch", *map(str, arguments), "--stack", STACK], input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def seen() -> SwitchState:
    """By the functions."""
    return StackSwitch(boto3.client("dynamodb"), TABLE, boto3.client("ssm"), PARAMETER, SystemClock()).state()


def test_where_it_stands(refused: set[str]) -> None:
    assert (said().exit_code, said().stdout) == (0, "run\n")
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value="stop", Overwrite=True)
    result = said()
    assert result.stdout == "stop\n"
    assert f"The parameter {PARAMETER} says so" in result.stderr


def test_set_twice(refused: set[str]) -> None:
    for _ in range(2):
        assert (said("pause").stdout, seen()) == ("pause\n", SwitchState.pause)
    assert (said("run").stdout, seen()) == ("run\n", SwitchState.run)


def test_back_from_a_parameter_that_stops(refused: set[str]) -> None:
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value="stop", Overwrite=True)
    assert seen() is SwitchState.stop
    assert (said("pause").stdout, seen()) == ("pause\n", SwitchState.pause)
    assert (said("run").stdout, seen()) == ("run\n", SwitchState.run)


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "position"),
    [
        (["stop", "--yes"], None, 0, SwitchState.stop),
        (["stop"], "y\n", 0, SwitchState.stop),
        (["stop"], "\n", 4, SwitchState.run),
    ],
)
def test_stop_is_asked_for(
    refused: set[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    typed: str | None,
    code: int,
    position: SwitchState,
) -> None:
    monkeypatch.setattr(switch_session, "on_terminal", lambda *_: True)
    assert (said(*arguments, typed=typed).exit_code, seen()) == (code, position)


def test_without_a_terminal_stop_needs_yes(refused: set[str]) -> None:
    result = said("stop")
    assert (result.exit_code, result.stdout, seen()) == (5, "", SwitchState.run)
    assert "stop cancels everything of the stack mine that is at Claude now" in result.stderr


def test_who_may_not_read_the_parameter_can_pause_all_the_same(refused: set[str]) -> None:
    refused.add("GetParameter")
    result = said("pause")
    assert (result.exit_code, result.stdout) == (0, "pause\n")
    assert f"The parameter {PARAMETER} cannot be read with your rights" in result.stderr
    refused.clear()
    assert seen() is SwitchState.pause


def test_a_parameter_that_cannot_be_set_back_leaves_the_item(refused: set[str]) -> None:
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value="stop", Overwrite=True)
    assert seen() is SwitchState.stop
    refused.add("PutParameter")
    result = said("run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "AWS did not carry out PutParameter for the stack mine: no right" in result.stderr
    assert seen() is SwitchState.stop


def test_no_other_position(refused: set[str]) -> None:
    assert said("halt").exit_code == 2
