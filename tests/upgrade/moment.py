"""A stack of an earlier version at one moment: its items, objects and messages, and the batches at the API.

Version 0.1.0 wrote these files itself: its code ran in memory through a thousand random days of faults, kills, cancels and lost
messages, and of ten thousand moments those were kept that show what no other does (`shows`). `items` are those of the table and
`messages` those of the queues, as that version wrote them; `outputs` is what it made of them from there on.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from batchdrop.adapters.items import record_of
from batchdrop.domain.messages import CollectBatch, Dropped, FinishJob, Message, Queue, SubmitBatch, Upload
from batchdrop.domain.records import Admission, Batch, Job
from batchdrop.handling import Home, plan_message
from tests.fakes.claude import WORKSPACE, _Held
from tests.fakes.objects import _Version
from tests.fakes.small import Sent
from tests.faults.scenarios import fated
from tests.stack import BUCKET, Command, Stack

MOMENTS = sorted((Path(__file__).parent / "0.1.0").glob("*.json"))
_time = datetime.fromisoformat
# What the handlers do with a message.
_DECODE: dict[Queue, Callable[[bytes], Message | Upload]] = {
    Queue.plan: partial(plan_message, home=Home(BUCKET, "")),
    Queue.submit: msgspec.json.Decoder(SubmitBatch).decode,
    Queue.collect: msgspec.json.Decoder(CollectBatch).decode,
    Queue.finish: msgspec.json.Decoder(FinishJob).decode,
}


def read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text()))


def kind_of(item: dict[str, Any]) -> str:
    """JOB, BATCH, API or ADMISSION."""
    return str(item["sk"]["S"]).partition("#")[0]


def load(moment: dict[str, Any]) -> Stack:
    """Today's code over the stack as it was."""
    stack = Stack(**moment["settings"])
    stack.claude.answer = fated(stack.attempt_of)
    stack.clock.advance((_time(moment["now"]) - stack.clock.now()).total_seconds())
    for item in moment["items"]:
        _load_item(stack, item)
    for stored in moment["objects"]:
        _load_object(stack, stored)
    stack.queues.waiting = [
        Sent(queue, _DECODE[queue](sent["body"].encode()), 0, _time(sent["due"]))
        for sent in moment["messages"]
        for queue in (Queue(sent["queue"]),)
    ]
    for command in moment["commands"]:
        version_id = stack.objects.drop(command["key"], b"").version_id
        said = Dropped(key=command["key"], version_id=version_id)
        stack.commands.append(Command(said, _time(command["due"]), 0))
    for batch in moment["api"]:
        body, created_at, ends_at = batch["body"].encode(), _time(batch["created_at"]), _time(batch["ends_at"])
        held = _Held(batch["id"], body, json.loads(body)["requests"], WORKSPACE, created_at, ends_at)
        held.canceled_at = _time(batch["canceled_at"]) if batch["canceled_at"] else None
        stack.claude._held[held.id] = held
    return stack


def _load_item(stack: Stack, item: dict[str, Any]) -> None:
    match kind_of(item):
        case "JOB":
            job = record_of(item, Job)
            stack.ledger.jobs[job.id] = job
        case "BATCH":
            batch = record_of(item, Batch)
            stack.ledger.stored[batch.job_id, batch.name] = batch
        case "API":
            stack.ledger.claims[item["pk"]["S"].removeprefix("API#")] = (item["job_id"]["S"], item["batch_name"]["S"])
        case _:
            stack.ledger._admission = record_of(item, Admission)


def _load_object(stack: Stack, stored: dict[str, Any]) -> None:
    body = b64decode(stored["base64"]) if "base64" in stored else stored["text"].encode()
    version = _Version(stored["version_id"], body, _time(stored["written_at"]), stored["content_type"], stored["metadata"])
    stack.objects._versions.setdefault(stored["key"], []).append(version)
    stack.objects._written = max(stack.objects._written, int(stored["version_id"].removeprefix("version-")))
