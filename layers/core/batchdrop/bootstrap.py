"""The one place where clients are made and parts are put together: one function for each verb.

Imports that only some verbs need are inside their functions, so that one that never calls Claude never loads the SDK.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.s3 import S3Objects
from batchdrop.adapters.sqs import SqsQueues
from batchdrop.jobs.admit import Admit
from batchdrop.jobs.cancel import Cancel
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Metrics, Queue

if TYPE_CHECKING:
    from batchdrop.adapters.claude import AnthropicClaude
    from batchdrop.adapters.ssm import SsmSwitch
    from batchdrop.settings import (
        CollectSettings,
        ControlSettings,
        FinishSettings,
        PlanSettings,
        PollSettings,
        SubmitSettings,
    )
    from batchdrop.stages.collect.ended_batch import Collect
    from batchdrop.stages.control.commands import Control
    from batchdrop.stages.finish.outputs import Finish
    from batchdrop.stages.plan.upload import Plan
    from batchdrop.stages.poll.tick import Poll
    from batchdrop.stages.submit.post import Submit

# Adaptive enough for a throttled table, short enough for a function: botocore's standard mode backs off up to 20 s.
_AWS = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60)


class _Parts:
    """What every verb is made of."""

    def __init__(self, bucket: str, table: str, queues: dict[Queue, str]) -> None:
        self.clock = SystemClock()
        self.objects = S3Objects(boto3.client("s3", config=_AWS), bucket)
        self.ledger = DynamoLedger(boto3.client("dynamodb", config=_AWS), table, self.clock)
        self.queues = SqsQueues(boto3.client("sqs", config=_AWS), queues)
        self.publish = Publish(self.objects, self.ledger, self.clock)

    def switch(self, name: str) -> SsmSwitch:
        from batchdrop.adapters.ssm import SsmSwitch

        return SsmSwitch(boto3.client("ssm", config=_AWS), name, self.clock)

    def claude(self, secret: str, base_url: str) -> AnthropicClaude:
        from batchdrop.adapters.claude import AnthropicClaude
        from batchdrop.adapters.secrets import SecretKey

        return AnthropicClaude(SecretKey(boto3.client("secretsmanager", config=_AWS), secret), base_url, self.clock)


def plan(settings: PlanSettings) -> Plan:
    from batchdrop.stages.plan.batches import CutFile
    from batchdrop.stages.plan.cutter import Limits
    from batchdrop.stages.plan.upload import Plan

    queues = {Queue.plan: settings.plan_queue, Queue.submit: settings.submit_queue, Queue.collect: settings.collect_queue}
    parts = _Parts(settings.bucket, settings.table, queues)
    admit = Admit(
        parts.ledger,
        parts.queues,
        parts.switch(settings.switch),
        parts.clock,
        limit=settings.queued_requests_limit,
        per_tick=settings.creates_per_tick,
    )
    limits = Limits(
        max_requests=min(settings.max_batch_requests, settings.queued_requests_limit),
        max_body_bytes=settings.max_batch_bytes,
        # Results are rarely a quarter of `max_tokens`; where they are, the collector downloads them in windows that fit its disk.
        max_answer_bytes=4 * settings.spool_bytes,
    )
    return Plan(
        parts.objects,
        parts.ledger,
        parts.queues,
        parts.clock,
        admit,
        Cancel(parts.ledger, parts.queues, parts.clock),
        parts.publish,
        CutFile(parts.objects, parts.ledger, limits),
        bucket=settings.bucket,
        max_input_bytes=settings.max_input_bytes,
    )


def submit(settings: SubmitSettings) -> Submit:
    from batchdrop.stages.submit.post import Submit

    parts = _Parts(settings.bucket, settings.table, {Queue.collect: settings.collect_queue})
    claude = parts.claude(settings.api_key_secret, settings.anthropic_base_url)
    return Submit(
        parts.objects,
        parts.ledger,
        parts.queues,
        claude,
        parts.switch(settings.switch),
        parts.clock,
        Cancel(parts.ledger, parts.queues, parts.clock, claude),
        parts.publish,
    )


def poll(settings: PollSettings, metrics: Metrics) -> Poll:
    from batchdrop.stages.poll.repair import Repair
    from batchdrop.stages.poll.settle import Settle
    from batchdrop.stages.poll.tick import Poll
    from batchdrop.stages.poll.watch import Watch

    queues = {
        Queue.plan: settings.plan_queue,
        Queue.submit: settings.submit_queue,
        Queue.collect: settings.collect_queue,
        Queue.finish: settings.finish_queue,
    }
    parts = _Parts(settings.bucket, settings.table, queues)
    claude = parts.claude(settings.api_key_secret, settings.anthropic_base_url)
    switch = parts.switch(settings.switch)
    cancel = Cancel(parts.ledger, parts.queues, parts.clock, claude)
    admit = Admit(
        parts.ledger,
        parts.queues,
        switch,
        parts.clock,
        limit=settings.queued_requests_limit,
        per_tick=settings.creates_per_tick,
    )
    return Poll(
        parts.ledger,
        switch,
        parts.clock,
        metrics,
        Watch(parts.ledger, parts.queues, claude, parts.clock),
        Settle(parts.ledger, claude, parts.clock, cancel, grace=timedelta(seconds=settings.grace_seconds)),
        Repair(parts.ledger, parts.queues, parts.clock, metrics, patience=timedelta(seconds=settings.visibility_seconds)),
        admit,
        cancel,
        parts.publish,
    )


def collect(settings: CollectSettings) -> Collect:
    from batchdrop.stages.collect.ended_batch import Collect

    parts = _Parts(settings.bucket, settings.table, {Queue.finish: settings.finish_queue})
    return Collect(
        parts.objects,
        parts.ledger,
        parts.queues,
        parts.claude(settings.api_key_secret, settings.anthropic_base_url),
        parts.clock,
        parts.publish,
        spool_bytes=settings.spool_bytes,
        max_attempts=settings.max_attempts,
    )


def finish(settings: FinishSettings) -> Finish:
    from batchdrop.adapters.sns import SnsNotices
    from batchdrop.stages.finish.outputs import Finish

    parts = _Parts(settings.bucket, settings.table, {})
    notices = SnsNotices(boto3.client("sns", config=_AWS), settings.topic)
    return Finish(parts.objects, parts.ledger, parts.clock, notices, parts.publish)


def control(settings: ControlSettings) -> Control:
    from batchdrop.stages.control.commands import Control

    parts = _Parts(settings.bucket, settings.table, {Queue.collect: settings.collect_queue})
    claude = parts.claude(settings.api_key_secret, settings.anthropic_base_url)
    cancel = Cancel(parts.ledger, parts.queues, parts.clock, claude)
    return Control(parts.objects, parts.ledger, parts.clock, cancel, parts.publish)
