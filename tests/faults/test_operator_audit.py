"""What an operator runs: the checker on a deployed stack."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import boto3
import httpx2
import pytest

from batchdrop.domain.reconcile import CLOCK_SKEW
from local import audit
from local.claude.client import start
from tests.claude.helpers import HEADERS, Api, requests
from tests.faults.aws import REGION, TABLE, Wire, play, world
from tests.stack import BUCKET, Stack

STACK = "mine"


class Deployed:
    """A CloudFormation client that knows one stack by its outputs."""

    def __init__(self, **outputs: str) -> None:
        self._outputs = [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        assert StackName == STACK
        return {"Stacks": [{"Outputs": self._outputs}]}


def deploy(monkeypatch: pytest.MonkeyPatch, **outputs: str) -> None:
    real = boto3.client
    monkeypatch.setattr(boto3, "client", lambda name: Deployed(**outputs) if name == "cloudformation" else real(name))


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def said(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], job_id: str | None = None
) -> tuple[int, str]:
    monkeypatch.setattr(audit, "_claude", lambda secret, clock: stack.claude)
    monkeypatch.setattr(sys, "argv", ["audit", job_id or stack.job().id, "--stack", STACK])
    code = audit.main()
    return code, capsys.readouterr().out


def test_a_deployed_stack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with world(Wire(-1, None)) as stack:
        deploy(monkeypatch, Bucket=BUCKET, Table=TABLE, ApiKeySecret="secret")
        play(stack)
        code, text = said(stack, monkeypatch, capsys)
        assert (code, text.splitlines()[-1]) == (0, "0 errors, 1 warnings")
        stack.claude.inject(stack.claude.bodies[0])
        stack.clock.advance(120)
        code, text = said(stack, monkeypatch, capsys)
        assert code == 1
        assert "error: accepted_twice: attempt 1 was accepted 2 times: paid twice (line 1)" in text
        code, text = said(stack, monkeypatch, capsys, "20261122T003115Z-aaaaaaaaaaaaaaaa")
        assert (code, "no such job" in text) == (1, True)


def test_another_stack_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with world(Wire(-1, None)):
        deploy(monkeypatch, Bucket=BUCKET)
        monkeypatch.setattr(sys, "argv", ["audit", "job", "--stack", STACK])
        assert audit.main() == 2
        assert "has no output Table" in capsys.readouterr().err


def test_what_the_emulator_accepted() -> None:
    with start("--clock", "manual") as control:
        with httpx2.Client(base_url=control.base_url, headers=HEADERS) as http:
            Api(control, http).create(rows=requests("one", "two"))
        evidence = audit.EmulatorEvidence(control.base_url)
        now = datetime.fromtimestamp(control.now(), UTC)
        (batch,) = evidence.accepted(now - CLOCK_SKEW)
        assert batch.requests == 2
        assert list(evidence.custom_ids(batch.id)) == ["row-0", "row-1"]
        assert list(evidence.accepted(now + CLOCK_SKEW)) == []
