"""What all handlers share: one process-wide logger, SQS messages in, a partial batch response out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

LOGGER = "batchdrop"


@cache
def logger() -> Logger:
    """JSON lines; the modules' `logging.getLogger(__name__)` speak through it."""
    log = Logger(LOGGER, use_rfc3339=True, utc=True)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return log


class S3Object(msgspec.Struct, frozen=True):
    key: str
    """As stored: EventBridge does not URL-encode keys."""
    size: int = 0
    etag: str = ""
    version_id: str | None = msgspec.field(default=None, name="version-id")


class _Detail(msgspec.Struct, frozen=True):
    object: S3Object


class ObjectCreated(msgspec.Struct, frozen=True):
    """The part of an EventBridge "Object Created" event that is used."""

    time: str
    detail: _Detail


def process(event: dict[str, Any], context: LambdaContext, take: Callable[[bytes], None]) -> PartialItemFailureResponse:
    """Gives each message's body to `take`; a message whose `take` raises is reported as failed and comes back."""
    log = logger()

    def handle(record: SQSRecord) -> None:  # Powertools passes it by this name
        try:
            take(record.raw_event["body"].encode())
        except Exception:
            log.exception(
                "message failed",
                extra={"message_id": record.message_id, "receives": record.attributes.approximate_receive_count},
            )
            raise

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)
