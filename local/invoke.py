"""`make invoke`: one function in Lambda's image, on an event of the laptop system that really happens, and what it changes.

A file is dropped, and the deployed functions work on it until the function's turn comes. Its event is then taken from its queue,
everything else stands still, and the function runs in a container instead of on the emulated AWS.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
from botocore.credentials import Credentials
from token_generator_for_aws_external_anthropic import get_token

from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.domain import keys
from batchdrop.domain.records import JobState
from local import containers, demo, deployed, drops
from local.aws import REGION
from local.changes import Seen, changed, look
from local.claude.minted import WORKSPACE_HEADER
from local.deployed import Deployed
from local.errors import CannotRun
from local.paths import INVOKE, shown
from local.system import Say, System

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

# One stage is told what to do by people, and needs a job that was planned.
_COMMANDED = "control"
_PLANNED = "plan"
_PATIENCE_SECONDS = 300.0
_ASK_SECONDS = 0.5
_STANDS_STILL_SECONDS = 1.0


def run(system: System, stage: str, path: Path, say: Say) -> str:
    """The function's answer, and what it changed. Raises CannotRun."""
    at = containers.address()
    functions = deployed.functions(system.aws, system.stack)
    (function,) = (one for one in functions if one.stage == stage)
    containers.prepare(system.aws, functions, at)
    # What is commanded must not have been overtaken: there, nothing but the planning goes on.
    first = [one for one in functions if one is function or (stage == _COMMANDED and one.stage != _PLANNED)]
    with ExitStack() as held:
        held.enter_context(deployed.still(system.aws, first))
        work = _Work(system, function, demo.put(system, drops.of_file(path), say))
        say(f"Waiting until there is something to do for {function.logical_id} ...")
        event = held.enter_context(work.event())
        held.enter_context(deployed.still(system.aws, [one for one in functions if one not in first]))
        file = INVOKE / f"{stage}.json"
        file.write_text(json.dumps(event.document, indent=2) + "\n")
        say(f"Its event is in {shown(file)}. Running\n  {shlex.join(containers.command(function.logical_id, shown(file)))}")
        before = _standing_still(lambda: look(system, functions))
        answer = containers.run(function.logical_id, shown(file))
        after = look(system, functions)
        event.taken = not (answer or {}).get("batchItemFailures")
    return "\n".join([json.dumps(answer), "", *changed(before, after)])


class _Event:
    """What the function is called with."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.taken = False
        """The function has done all of it."""


class _Work:
    """Leads to the event of one function about one dropped file."""

    def __init__(self, system: System, function: Deployed, dropped: demo.Dropped) -> None:
        self._system = system
        self._function = function
        self._dropped = dropped
        self._job_id = dropped.folder.rstrip("/").rpartition("/")[2]

    @contextmanager
    def event(self) -> Iterator[_Event]:
        """Of a message, as long as nobody else gets it. It leaves its queue if it was taken, else it is there again."""
        if not self._function.queue_arn:
            self._wait(self._has_ended_batch)
            yield _Event(_tick(self._system))
            return
        if self._function.stage == _COMMANDED:
            self._wait(self._is_planned)
            self._system.aws.s3().put_object(Bucket=self._system.outputs["Bucket"], Key=f"{keys.CONTROL}cancel/{self._job_id}")
        queues = self._system.aws.queues()
        url = queues.get_queue_url(QueueName=self._function.queue_arn.split(":")[-1])["QueueUrl"]
        ours: list[MessageTypeDef] = []
        received: list[MessageTypeDef] = []
        event = _Event({})

        def receive() -> bool:
            found = queues.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"]).get("Messages", [])
            received.extend(found)
            ours.extend(one for one in found if self._is_about_it(json.loads(one["Body"])))
            return bool(ours)

        try:
            self._wait(receive)
            event.document = {"Records": [_record(ours[0], self._function.queue_arn)]}
            yield event
        finally:
            for message in received:
                if event.taken and message is ours[0]:
                    queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                else:
                    queues.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)

    def _is_about_it(self, body: dict[str, Any]) -> bool:
        about = body.get("job_id") or body["detail"]["object"]["key"]
        return about == self._dropped.drop.key or self._job_id in about

    def _has_ended_batch(self) -> bool:
        ledger = DynamoLedger(self._system.aws.tables(), self._system.outputs["Table"], SystemClock())
        key, headers = self._access()
        url = self._function.variables["ANTHROPIC_BASE_URL"]
        with anthropic.Anthropic(base_url=url, api_key=key, default_headers=headers) as claude:
            sent = [batch.api_id for batch in ledger.list_batches(self._job_id) if batch.api_id]
            return any(claude.messages.batches.retrieve(one).processing_status == "ended" for one in sent)

    def _access(self) -> tuple[str, dict[str, str]]:
        """A key, and what is sent along with it."""
        variables = self._function.variables
        if "BATCHDROP_WORKSPACE" in variables:
            minted = get_token(credentials=Credentials("test", "test"), region=REGION)
            return minted, {WORKSPACE_HEADER: variables["BATCHDROP_WORKSPACE"]}
        secret = variables["BATCHDROP_API_KEY_SECRET"]
        return self._system.aws.secrets().get_secret_value(SecretId=secret)["SecretString"], {}

    def _is_planned(self) -> bool:
        status = demo.status_of(self._system, self._dropped)
        return status is not None and status["state"] != JobState.planning

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > end:
                status = demo.status_of(self._system, self._dropped)
                raise CannotRun(
                    f"Nothing came for {self._function.logical_id} in {_PATIENCE_SECONDS:.0f} s. "
                    f"The job: {status['message'] if status else 'there is none yet.'}"
                )
            time.sleep(_ASK_SECONDS)


def _standing_still(see: Callable[[], Seen]) -> Seen:
    """What is seen once it has not changed for a moment: what was running when it was told to stand still runs on to its end."""
    last = see()
    while True:
        time.sleep(_STANDS_STILL_SECONDS)
        if (now := see()) == last:
            return now
        last = now


def _record(message: MessageTypeDef, queue_arn: str) -> dict[str, Any]:
    """A message as Lambda hands it to a function (AWS Lambda Developer Guide, "Using Lambda with Amazon SQS")."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }


def _tick(system: System) -> dict[str, Any]:
    """As EventBridge Scheduler sends it if it is given nothing to send."""
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "000000000000",
        "time": f"{SystemClock().now():%Y-%m-%dT%H:%M:%SZ}",
        "region": REGION,
        "resources": [f"arn:aws:scheduler:{REGION}:000000000000:schedule/default/{system.outputs['Schedule']}"],
        "detail": "{}",
    }
