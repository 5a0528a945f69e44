"""Notices of what waits and what has ended, to whoever subscribed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from batchdrop.adapters.aws import throttling

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

MAX_SUBJECT = 99
"""Characters: SNS wants fewer than 100, in ASCII, on one line (Amazon SNS API reference, Publish)."""


class SnsNotices:
    def __init__(self, client: SNSClient, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def publish(self, subject: str, text: str, document: Mapping[str, object], attributes: Mapping[str, str]) -> None:
        """The subject is made to fit an e-mail header. Mails have the text, all other subscriptions the document as JSON.

        Raises Throttled.
        """
        messages = {"default": msgspec.json.encode(document).decode(), "email": text}
        with throttling():
            self._client.publish(
                TopicArn=self._topic_arn,
                Subject=subject_line(subject),
                MessageStructure="json",
                Message=msgspec.json.encode(messages).decode(),
                MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
            )


def subject_line(text: str) -> str:
    """One line of printable ASCII; what has no place in it becomes `?`."""
    line = " ".join(text.split()).encode("ascii", "replace").decode()
    return "".join(char if char.isprintable() else "?" for char in line)[:MAX_SUBJECT]
