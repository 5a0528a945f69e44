"""The queues between the functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from batchdrop.adapters.aws import throttling
from batchdrop.domain.errors import ConfigurationError
from batchdrop.domain.messages import Message, Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_DELAY = 900
"""Seconds (Amazon SQS developer guide, "Amazon SQS delay queues")."""


class SqsQueues:
    """`urls` holds the queues that this function may send to, and no others."""

    def __init__(self, client: SQSClient, urls: Mapping[Queue, str]) -> None:
        self._client = client
        self._urls = urls

    def send(self, message: Message, *, delay: int = 0) -> None:
        """A longer delay is cut to 900 s. Raises ConfigurationError for a queue without a URL."""
        url = self._urls.get(message.queue)
        if url is None:
            raise ConfigurationError(f"there is no URL for the {message.queue} queue")
        with throttling():
            self._client.send_message(
                QueueUrl=url, MessageBody=msgspec.json.encode(message).decode(), DelaySeconds=max(0, min(delay, MAX_DELAY))
            )
