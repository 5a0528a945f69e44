"""`python -m local.audit JOB`: was anything of a job paid twice, lost, invented or counted wrong? Reads only.

Works on a deployed stack with the operator's own AWS credentials, as on the laptop system after `make up`. The API is asked with
`ANTHROPIC_API_KEY`, else with the key in the stack's secret; `ANTHROPIC_BASE_URL` names another API. The Claude emulator is asked
for what it accepted (`--emulator`); the real API shows results only, so a row without a result is no proof of anything there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from batchdrop.adapters.claude import AnthropicClaude
from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.s3 import S3Objects
from batchdrop.adapters.secrets import SecretKey
from batchdrop.domain.errors import BatchdropError
from batchdrop_cli.audit.findings import Finding, Severity
from batchdrop_cli.audit.job_audit import Accepted, Audit, Evidence, ListedEvidence
from local.claude.client import Control
from local.claude_api import REAL_URL
from local.errors import CannotRun

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OUTPUTS = ("Bucket", "Table", "ApiKeySecret")


class _Request(msgspec.Struct):
    custom_id: str


class _Body(msgspec.Struct):
    requests: list[_Request]


class EmulatorEvidence:
    """What the Claude emulator has accepted, bodies included."""

    complete = True

    def __init__(self, url: str) -> None:
        self._emulator = Control(url)

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        for batch in self._emulator.batches():
            if datetime.fromisoformat(batch["created_at"]) >= since:
                yield Accepted(id=batch["id"], requests=batch["requests"])

    def custom_ids(self, api_id: str) -> Iterator[str]:
        body = msgspec.json.decode(self._emulator.body(api_id), type=_Body)
        return (request.custom_id for request in body.requests)


class _GivenKey:
    """A key from the environment; there is no newer one to read."""

    def __init__(self, key: str) -> None:
        self._key = key

    def get(self) -> str:
        return self._key

    def refresh(self) -> str:
        return self._key


def audit(job_id: str, stack: str, emulator: str | None) -> list[Finding]:
    """Everything that is wrong with a job of a deployed stack, and with what the stack believes to have at the API."""
    outputs = _outputs(stack)
    clock = SystemClock()
    s3 = boto3.client("s3")
    evidence: Evidence = EmulatorEvidence(emulator) if emulator else ListedEvidence(_claude(outputs["ApiKeySecret"], clock))
    judge = Audit(
        S3Objects(s3, outputs["Bucket"]),
        DynamoLedger(boto3.client("dynamodb"), outputs["Table"], clock),
        evidence,
        lambda key: _versions(s3, outputs["Bucket"], key),
    )
    return [*judge.job(job_id), *judge.stack()]


def _outputs(stack: str) -> dict[str, str]:
    """Raises CannotRun when this is no Batchdrop stack."""
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described if "OutputKey" in one and "OutputValue" in one}
    missing = [name for name in _OUTPUTS if name not in outputs]
    if missing:
        raise CannotRun(f"The stack {stack} has no output {missing[0]}: is it a Batchdrop stack?")
    return outputs


def _claude(secret: str, clock: SystemClock) -> AnthropicClaude:
    given = os.environ.get("ANTHROPIC_API_KEY", "").strip()
    key = _GivenKey(given) if given else SecretKey(boto3.client("secretsmanager"), secret)
    return AnthropicClaude(key, os.environ.get("ANTHROPIC_BASE_URL", "").rstrip("/") or REAL_URL, clock)


def _versions(s3: S3Client, bucket: str, key: str) -> int:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    return sum(version.get("Key") == key for page in pages for version in page.get("Versions", []))


def _said(finding: Finding) -> str:
    where = ", ".join(
        part for part in (finding.batch and f"batch {finding.batch}", finding.line and f"line {finding.line}") if part
    )
    return f"{finding.severity}: {finding.kind}: {finding.sentence}{f' ({where})' if where else ''}"


def main() -> int:
    """0: all promises kept; 1: one was broken; 2: the audit could not be made."""
    parser = argparse.ArgumentParser(prog="python -m local.audit", description="Audit one job of a Batchdrop stack.")
    parser.add_argument("job", help="the job id: the last folder name under outbox/")
    parser.add_argument("--stack", default="batchdrop", help="name of the CloudFormation stack (batchdrop)")
    parser.add_argument("--emulator", metavar="URL", help="the Claude emulator that the stack speaks to")
    asked = parser.parse_args()
    try:
        findings = audit(asked.job, asked.stack, asked.emulator)
    except (BatchdropError, CannotRun, ClientError, BotoCoreError, OSError) as problem:
        print(f"The audit could not be made: {problem}", file=sys.stderr)
        return 2
    for finding in findings:
        print(_said(finding))
    errors = sum(finding.severity is Severity.error for finding in findings)
    print(f"{errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
