"""Whether a stack sends anything now, and by which files of its operators. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import boto3
from botocore.exceptions import ClientError

from batchdrop.adapters.aws import code_of
from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.domain.keys import LIMITS, PRICES, SOURCES
from batchdrop.domain.open_work import OpenWork
from batchdrop.formats.config_file import ConfigFault
from batchdrop.formats.source_file import read_sources
from batchdrop.money.limit_file import read_limits
from batchdrop.money.price_file import read_prices
from batchdrop_cli.amounts_said import number
from batchdrop_cli.operating.deployed_stack import DeployedStack
from batchdrop_cli.operating.finding import Finding, Look, ok, problem
from batchdrop_client.plain_text import plain

# No invocation lasts longer (Lambda, function timeout): whoever sent it knows no more what became of it.
_KNOWN_BY = timedelta(minutes=15)
_MOST_SENDING = 100


def spending_looks(stack: DeployedStack) -> Iterator[tuple[str, Look]]:
    yield "submission", partial(_submission, stack)
    yield "config", partial(_config, stack)


def _submission(stack: DeployedStack) -> Finding:
    ledger = DynamoLedger(boto3.client("dynamodb"), stack.output("Table"), SystemClock())
    admission = ledger.get_admission()
    if admission.blocked:
        since = f" since {_said(admission.blocked_at)}" if admission.blocked_at else ""
        return problem(f"Nothing is sent{since}: {plain(admission.blocked)}")
    now = datetime.now(UTC)
    sending = ledger.list_open_batches(OpenWork.submitting, limit=_MOST_SENDING)
    if doubtful := [batch for batch in sending if batch.intent_at is not None and batch.intent_at < now - _KNOWN_BY]:
        job = doubtful[0].job_id
        return problem(
            f"Of {number(len(doubtful), 'batch')} nobody knows whether Claude has taken them, the first of {job}. They are "
            "looked for, and not sent again before that is known: docs/operations.md, in doubt."
        )
    if admission.throttled_until is not None and admission.throttled_until > now:
        return ok(f"Claude asks for fewer calls: it goes on at {_said(admission.throttled_until)}.")
    return ok("Nothing blocks it.")


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%d %B %H:%M} UTC"


def _config(stack: DeployedStack) -> Finding:
    """A file that has a fault is not used at all: spending waits until it is corrected (`batchdrop.jobs.config_files`)."""
    now = datetime.now(UTC)
    readers: dict[str, Callable[[bytes], object]] = {
        PRICES: lambda data: read_prices(data, name=PRICES, version="", at=now),
        LIMITS: lambda data: read_limits(data, name=LIMITS, version=""),
        SOURCES: lambda data: read_sources(data, name=SOURCES),
    }
    faults, there = [], []
    for key, read in readers.items():
        data = _object(stack.outputs["Bucket"], key)
        if data is None:
            continue
        there.append(key)
        try:
            read(data)
        except ConfigFault as fault:
            faults.append(plain(str(fault)))
    if faults:
        return problem(" ".join(faults))
    return ok(f"{' and '.join(there)} can be used." if there else "There is no file in config/, and none is needed.")


def _object(bucket: str, key: str) -> bytes | None:
    try:
        return boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if code_of(error) == "NoSuchKey":
            return None
        raise
