"""The audit of a deployed stack, with the operator's own AWS credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from http.client import HTTPException
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from batchdrop.adapters.claude import AnthropicClaude
from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.s3 import S3Objects
from batchdrop.adapters.secrets import SecretKey
from batchdrop.domain.errors import BatchdropError
from batchdrop.domain.ids import is_job_id
from batchdrop_cli.audit.evidence import EmulatorEvidence, Evidence, ListedEvidence
from batchdrop_cli.audit.findings import Finding
from batchdrop_cli.audit.job_audit import AuditJob
from batchdrop_cli.audit.table import check_queued
from batchdrop_cli.calling.account import OneKey, minted_access, platform_url
from batchdrop_cli.operating.deployed_stack import KEY_OUTPUT, WORKSPACE_OUTPUT, aws_said, deployed_stack
from batchdrop_client.bucket import open_bucket
from batchdrop_client.errors import StackError
from batchdrop_client.job_folder import job_folder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ANTHROPIC_URL = "https://api.anthropic.com"


class CannotAudit(Exception):
    """What kept the audit from being made, where, and what to do about it."""


def audit_deployed(job_id: str, stack: str, emulator: str | None = None) -> list[Finding]:
    """Everything that is wrong with a job of a deployed stack, and with what the stack counts as queued. Raises CannotAudit.

    `job_id`: or the end of one, or the address of its folder.
    """
    try:
        outputs = deployed_stack(stack).outputs
        with aws_said(stack):
            return _audit(job_id, stack, outputs, emulator)
    except StackError as problem:
        raise CannotAudit(str(problem)) from problem
    except (BatchdropError, HTTPException, OSError) as error:
        raise CannotAudit(f"The audit of {job_id} stopped: {error}") from error


def _audit(job_id: str, stack: str, outputs: Mapping[str, str], emulator: str | None) -> list[Finding]:
    clock = SystemClock()
    s3 = boto3.client("s3")
    ledger = DynamoLedger(boto3.client("dynamodb"), outputs["Table"], clock)
    if not is_job_id(job_id):
        job_id = job_folder(open_bucket(outputs["Bucket"]), job_id).rstrip("/").rsplit("/", 1)[-1]
    if ledger.get_job(job_id) is None:
        raise CannotAudit(f"The stack {stack} has no job {job_id}. A job id is the name of the last folder under outbox/.")
    evidence: Evidence = EmulatorEvidence(emulator) if emulator else ListedEvidence(_claude(outputs, clock))
    audit_job = AuditJob(
        objects=S3Objects(s3, outputs["Bucket"]),
        ledger=ledger,
        evidence=evidence,
        count_versions=lambda key: _count_versions(s3, outputs["Bucket"], key),
    )
    return [*audit_job(job_id), *check_queued(ledger)]


def _claude(outputs: Mapping[str, str], clock: SystemClock) -> AnthropicClaude:
    elsewhere = os.environ.get("ANTHROPIC_BASE_URL", "").rstrip("/")
    if workspace := outputs.get(WORKSPACE_OUTPUT):
        # No key of anybody sees its batches; the operator's own role may be allowed to.
        minted = minted_access(workspace, elsewhere or platform_url())
        return AnthropicClaude(minted.key, minted.url, clock, workspace=minted.workspace)
    given = os.environ.get("ANTHROPIC_API_KEY", "").strip()
    return AnthropicClaude(OneKey(given or _stored_key(outputs[KEY_OUTPUT], clock)), elsewhere or _ANTHROPIC_URL, clock)


def _stored_key(secret: str, clock: SystemClock) -> str:
    """The policy of the secret denies it to whoever is no function of the stack, unless somebody has opened it."""
    try:
        return SecretKey(boto3.client("secretsmanager"), secret, clock).get()
    except ClientError as error:
        raise CannotAudit(
            "The audit asks Claude with a key of the stack's workspace, and the secret of the stack can be read by its functions "
            f"alone ({error.response['Error']['Code']}). Set ANTHROPIC_API_KEY to such a key."
        ) from error


def _count_versions(s3: S3Client, bucket: str, key: str) -> int:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    return sum(version.get("Key") == key for page in pages for version in page.get("Versions", []))
