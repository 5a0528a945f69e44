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
    """`urls` holds the queues that this function may send to, and its own."""

    def __init__(self, client: SQSClient, urls: Mapping[Queue, str]) -> None:
        self._client = client
        self._urls = urls

    def send(self, message: Message, *, delay: int = 0) -> None:
        """A longer delay is cut to 900 s. Raises ConfigurationError for a queue without a URL."""
        url = self._url(message.queue)
        with throttling():
            self._client.send_message(
                QueueUrl=url, MessageBody=msgspec.json.encode(message).decode(), DelaySeconds=max(0, min(delay, MAX_DELAY))
            )

    def put_off(self, queue: Queue, receipt: str, seconds: int) -> None:
        """Lambda leaves a message that it is told has failed as it is, so that this visibility timeout counts (AWS Lambda

        developer guide, "Handling errors for an SQS event source in Lambda"). Raises ConfigurationError as `send` does.
        """
        url = self._url(queue)
        with throttling():
            self._client.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=seconds)

    def _url(self, queue: Queue) -> str:
        if queue not in self._urls:
            raise ConfigurationError(f"there is no URL for the {queue} queue")
        return self._urls[queue]
