"""Notices of ended jobs to whoever subscribed."""

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

    def publish(self, subject: str, document: Mapping[str, object]) -> None:
        """The subject is made to fit an e-mail header; the document goes out as JSON. Raises Throttled."""
        with throttling():
            self._client.publish(
                TopicArn=self._topic_arn, Subject=subject_line(subject), Message=msgspec.json.encode(document).decode()
            )


def subject_line(text: str) -> str:
    """One line of printable ASCII; what has no place in it becomes `?`."""
    line = " ".join(text.split()).encode("ascii", "replace").decode()
    return "".join(char if char.isprintable() else "?" for char in line)[:MAX_SUBJECT]
