"""Commands that call the API without a key: with keys minted for a workspace of Claude Platform on AWS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batchdrop.adapters.clock import SystemClock
from batchdrop.domain.errors import Refused
from batchdrop_cli.audit import deployed
from batchdrop_cli.calling.account import base_url
from batchdrop_cli.main import batchdrop
from local.claude.client import Control, start
from local.claude.minted import PREFIX

WORKSPACE = "wrkspc_cli"
RECIPE = "model: claude-haiku-4-5\nprompt: 'Label: {{ text }}'\noutput: {label: [good, bad]}\n"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Control]:
    with start("--seed", "keyless", "--seconds", "0.1", "--aws-workspace", WORKSPACE) as control:
        yield control


@pytest.fixture
def claude(emulator: Control, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Control]:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("ANTHROPIC_AWS_WORKSPACE_ID", WORKSPACE)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", emulator.base_url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "reviews.csv").write_text("text\nA lamp\nA chair\n")
    yield emulator
    emulator.reset()


def told(*arguments: str) -> Result:
    return CliRunner(mix_stderr=False).invoke(batchdrop, list(arguments))


COMMANDS = (("try", "reviews.csv"), ("estimate", "reviews.csv", "--count"), ("compare", "reviews.csv", "--approve-up-to", "1"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_calls_the_workspace_with_the_callers_aws_credentials(claude: Control, command: tuple[str, ...]) -> None:
    result = told(*command)
    assert result.exit_code == 0, result.stderr
    calls = [call for call in claude.log() if not call["path"].startswith("/_emulator")]
    assert calls
    assert {(call["status"], call["workspace"]) for call in calls} == {(200, WORKSPACE)}
    assert PREFIX not in result.stdout + result.stderr


@pytest.mark.parametrize("command", COMMANDS[:2], ids=lambda command: command[0])
def test_another_workspace_is_refused_with_what_to_do(
    claude: Control, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ANTHROPIC_AWS_WORKSPACE_ID", "wrkspc_other")
    result = told(*command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "AWS does not let you call the workspace (403). Look at ANTHROPIC_AWS_WORKSPACE_ID" in result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_aws_credentials_it_says_so_and_sends_nothing(
    claude: Control, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    result = told(*command)
    assert result.exit_code == 1
    assert "no key can be minted without AWS credentials and a region" in result.stderr
    assert "aws sso login" in result.stderr
    assert [call for call in claude.log() if call["route"] in ("messages", "count_tokens", "create")] == []


def test_a_key_in_the_environment_comes_first(claude: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    result = told("try", "reviews.csv")
    assert result.exit_code == 1
    assert "The API does not accept the key (401)" in result.stderr


def test_the_address_is_that_of_the_region(claude: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_BASE_URL")
    assert base_url() == "https://aws-external-anthropic.eu-west-1.api.aws"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    assert base_url() == "https://api.anthropic.com"


def test_an_audit_of_a_stack_without_a_key_looks_into_its_workspace(claude: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever key is in the environment: it would show other batches."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    told_by_the_stack = {"Bucket": "b", "Table": "t", "Workspace": WORKSPACE}
    assert deployed._claude(told_by_the_stack, SystemClock()).page().batches == ()
    assert claude.log()[-1]["workspace"] == WORKSPACE
    with pytest.raises(Refused):
        deployed._claude(told_by_the_stack | {"Workspace": "wrkspc_other"}, SystemClock()).page()
