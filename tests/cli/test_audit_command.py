"""What an operator runs: the audit of a deployed stack."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple

import boto3
import httpx2
import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

from batchdrop.domain.errors import ConfigurationError
from batchdrop.domain.reconcile import CLOCK_SKEW
from batchdrop_cli.audit import deployed
from batchdrop_cli.audit.evidence import EmulatorEvidence, Sent
from batchdrop_cli.main import batchdrop
from local.claude.client import start
from tests.claude.helpers import HEADERS, Api, requests
from tests.faults.aws import REGION, TABLE, Wire, play, world
from tests.stack import BUCKET

STACK = "mine"
UNKNOWN = "20261122T003115Z-aaaaaaaaaaaaaaaa"


class Deployed:
    """A CloudFormation client that knows one stack by its outputs, or fails."""

    class meta:
        region_name = REGION

    def __init__(self, answer: dict[str, str] | Exception) -> None:
        self._answer = answer

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        assert StackName == STACK
        if isinstance(self._answer, Exception):
            raise self._answer
        return {"Stacks": [{"Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in self._answer.items()]}]}


class Said(NamedTuple):
    code: int
    out: str
    err: str


class Command:
    """`batchdrop audit` for a stack that CloudFormation describes as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def deploy(self, answer: dict[str, str] | Exception) -> None:
        real = boto3.client
        self._monkeypatch.setattr(boto3, "client", lambda name: Deployed(answer) if name == "cloudformation" else real(name))

    def __call__(self, *arguments: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            batchdrop.main(["audit", *arguments, "--stack", STACK], prog_name="batchdrop")
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, *self._capsys.readouterr())


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return Command(monkeypatch, capsys)


def test_a_deployed_stack(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(Wire(-1, None)) as stack:
        command.deploy({"Bucket": BUCKET, "Table": TABLE, "ApiKeySecret": "secret"})
        monkeypatch.setattr(deployed, "_claude", lambda outputs, clock: stack.claude)
        play(stack)
        job_id = stack.job().id
        said = command(job_id)
        assert (said.code, said.out.splitlines()[-1]) == (0, "0 errors, 1 warning")
        assert job_id in said.err
        assert command(job_id[-6:])[:2] == said[:2]
        assert "There is no job aaaaaa below outbox/" in command("aaaaaa").err
        stack.claude.inject(stack.claude.bodies[0])
        stack.clock.advance(120)
        said = command(job_id)
        assert said.code == 1
        assert "error: answered_twice: the API has answered this row 2 times: paid for each time (line 1)" in said.out
        said = command(UNKNOWN)
        assert (said.code, said.out) == (2, "")
        assert f"The stack mine has no job {UNKNOWN}. A job id is the name of the last folder under outbox/." in said.err


def test_the_secret_is_of_the_functions_and_the_error_says_which_key_to_give(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Walled:
        def get_secret_value(self, *, SecretId: str) -> dict[str, str]:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "an explicit deny"}}, "GetSecretValue")

    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with world(Wire(-1, None)) as stack:
        play(stack)
        command.deploy({"Bucket": BUCKET, "Table": TABLE, "ApiKeySecret": "secret"})
        deployed_clients = boto3.client
        monkeypatch.setattr(boto3, "client", lambda name: Walled() if name == "secretsmanager" else deployed_clients(name))
        said = command(stack.job().id)
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[-1].endswith("functions alone (AccessDeniedException). Set ANTHROPIC_API_KEY to such a key.")


def _refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"Bucket": BUCKET}, "The stack mine has no output Table, so it is not a Batchdrop stack. Check --stack."),
        (
            _refused("ValidationError", "Stack with id mine does not exist"),
            f"There is no stack mine in {REGION}. Check --stack, AWS_DEFAULT_REGION and AWS_PROFILE.",
        ),
        (
            _refused("AccessDenied", "User: me is not authorized"),
            "AWS did not carry out DescribeStacks for the stack mine: User: me is not authorized",
        ),
        (NoCredentialsError(), "There are no AWS credentials. Sign in (aws sso login), or set AWS_PROFILE."),
        (NoRegionError(), "There is no AWS region. Set AWS_DEFAULT_REGION, or a region in your AWS profile."),
        (ConfigurationError("the secret is empty"), f"The audit of {UNKNOWN} stopped: the secret is empty"),
    ],
)
def test_what_cannot_be_audited_is_said_without_a_result(
    command: Command, answer: dict[str, str] | Exception, sentence: str
) -> None:
    command.deploy(answer)
    said = command(UNKNOWN)
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[-1] == sentence


def test_no_job_is_a_usage_error(command: Command) -> None:
    said = command()
    assert (said.code, said.out) == (2, "")
    assert "Missing argument 'JOB'" in said.err


def test_what_the_emulator_accepted() -> None:
    with start("--clock", "manual") as control:
        with httpx2.Client(base_url=control.base_url, headers=HEADERS) as http:
            Api(control, http).create(rows=requests("one", "two"))
        evidence = EmulatorEvidence(control.base_url)
        now = datetime.fromtimestamp(control.now(), UTC)
        (batch,) = evidence.accepted(now - CLOCK_SKEW)
        assert batch.requests == 2
        assert list(evidence.requests(batch.id)) == [Sent("row-0", answered=False), Sent("row-1", answered=False)]
        control.advance(86_400)
        assert list(evidence.requests(batch.id)) == [Sent("row-0", answered=True), Sent("row-1", answered=True)]
        assert list(evidence.accepted(now + CLOCK_SKEW)) == []


@pytest.fixture
def another_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_another_server_than_the_emulator_is_named(another_server: str) -> None:
    with pytest.raises(OSError, match="answered GET /batches with 501"):
        list(EmulatorEvidence(another_server).accepted(datetime.now(UTC)))


def test_an_emulator_that_is_not_there_is_named() -> None:
    with pytest.raises(OSError, match=r"at 127\.0\.0\.1:1 cannot be reached"):
        list(EmulatorEvidence("http://127.0.0.1:1").accepted(datetime.now(UTC)))
