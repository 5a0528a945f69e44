"""What all handlers share: one process-wide logger, SQS messages in, a partial batch response out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop.domain.errors import ForeignEvent, PutOff
from batchdrop.domain.messages import Dropped, Message, ResumePlanning, RetryJob, Upload
from batchdrop.domain.redelivery import Delivery
from batchdrop.jobs.deliver import Deliver

LOGGER = "batchdrop"


@cache
def logger() -> Logger:
    """JSON lines; the modules' `logging.getLogger(__name__)` speak through it."""
    log = Logger(LOGGER, use_rfc3339=True, utc=True)
    # Lambda's own level lets everything pass, since by it lines without one, which metrics are, could be dropped; Powertools and
    # the root logger would take it for theirs. No library may say more than warnings: some write whole requests.
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger(LOGGER).setLevel(os.environ.get("LOG_LEVEL", "INFO"))
    return log


class Home(NamedTuple):
    """Where the events of this stack come from."""

    bucket: str
    account: str


class _Bucket(msgspec.Struct, frozen=True):
    name: str


class _S3Object(msgspec.Struct, frozen=True):
    key: str
    """As stored: EventBridge does not URL-encode keys."""
    size: int = 0
    etag: str = ""
    version_id: str | None = msgspec.field(default=None, name="version-id")


class _Detail(msgspec.Struct, frozen=True):
    bucket: _Bucket
    object: _S3Object
    source_ip: str = msgspec.field(default="", name="source-ip-address")


class _Body(msgspec.Struct, frozen=True):
    """What is used of an EventBridge "Object Created" event, or what `plan` and `control` send themselves.

    The two are told apart by what is in them: version 0.1.0 sent no word for the kind.
    """

    job_id: str | None = None
    account: str = ""
    time: str = ""
    detail: _Detail | None = None


_decode = msgspec.json.Decoder(_Body).decode


def plan_message(body: bytes, home: Home) -> Upload | ResumePlanning:
    """Raises ForeignEvent; msgspec.ValidationError, or ValueError for a time that is none, if the body is neither."""
    message = _decode(body)
    if message.job_id is not None:
        return ResumePlanning(job_id=message.job_id)
    created, at = _created(message, home), datetime.fromisoformat(message.time)
    return Upload(key=created.key, version_id=created.version_id, etag=created.etag, size=created.size, at=at)


def control_message(body: bytes, home: Home) -> Dropped | RetryJob:
    """An object under `control/`, or the rest of a retry. Raises ForeignEvent; msgspec.ValidationError if the body is neither."""
    message = _decode(body)
    if message.job_id is not None:
        return RetryJob(job_id=message.job_id)
    created = _created(message, home)
    at = None
    with suppress(ValueError):
        at = datetime.fromisoformat(message.time)
    source_ip = message.detail.source_ip if message.detail else ""
    return Dropped(key=created.key, version_id=created.version_id, at=at, source_ip=source_ip)


def _created(message: _Body, home: Home) -> _S3Object:
    if message.detail is None:
        raise msgspec.ValidationError("not an event of S3")
    if (message.detail.bucket.name, message.account) != home:
        raise ForeignEvent("an event that no rule of this stack has sent")
    return message.detail.object


def process[M: Message | Upload | Dropped](
    event: dict[str, Any],
    context: LambdaContext,
    parts: Callable[[], tuple[Deliver, Callable[[bytes], M], Callable[..., None]]],
    *more: object,
) -> PartialItemFailureResponse:
    """Brings each message to its stage: `stage(read(body), *more)`. A message that fails is reported as failed and comes back.

    `parts` are made with the first message: what cannot be made fails it, and the next invocation tries again.
    """
    log = logger()

    def handle(record: SQSRecord) -> None:  # Powertools passes it by this name
        delivery = Delivery(record.receipt_handle, int(record.attributes.approximate_receive_count))
        try:
            deliver, read, stage = parts()
            deliver(delivery, lambda: read(record.raw_event["body"].encode()), lambda message: stage(message, *more))
        except PutOff as later:
            log.info("put off", extra={"message_id": record.message_id, "why": str(later), "until": later.until})
            raise
        except ForeignEvent:
            # Another try would change nothing: it is taken, and that is all.
            log.warning("a foreign event", extra={"message_id": record.message_id, "sender": record.attributes.sender_id})
        except Exception:
            log.exception("message failed", extra={"message_id": record.message_id, "receives": delivery.receives})
            raise

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)
