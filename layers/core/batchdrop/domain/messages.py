"""What the queues between the stages carry. A message only says where to look; what is true is in the table."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from batchdrop.domain.record import Record


class Queue(StrEnum):
    plan = "plan"
    submit = "submit"
    collect = "collect"
    finish = "finish"
    control = "control"


class Upload(Record, frozen=True, kw_only=True):
    """An object was created in the inbox. S3 sends this one, through EventBridge; the key is as S3 stores it."""

    key: str
    version_id: str | None
    etag: str
    size: int
    """bytes"""
    at: datetime


class Dropped(Record, frozen=True, kw_only=True):
    """An object was created under `control/`. S3 sends this one, through EventBridge."""

    key: str
    version_id: str | None = None
    at: datetime | None = None
    source_ip: str = ""
    """Of the request that created it, as S3 names it."""


class ResumePlanning(Record, frozen=True, kw_only=True):
    """The rest of a long file, or the file of a planner that died."""

    queue: ClassVar[Queue] = Queue.plan
    job_id: str


class SubmitBatch(Record, frozen=True, kw_only=True):
    queue: ClassVar[Queue] = Queue.submit
    job_id: str
    batch: str


class CollectBatch(Record, frozen=True, kw_only=True):
    queue: ClassVar[Queue] = Queue.collect
    job_id: str
    batch: str


class FinishJob(Record, frozen=True, kw_only=True):
    queue: ClassVar[Queue] = Queue.finish
    job_id: str


class RetryJob(Record, frozen=True, kw_only=True):
    """The rest of a long retry."""

    queue: ClassVar[Queue] = Queue.control
    job_id: str


type Message = ResumePlanning | SubmitBatch | CollectBatch | FinishJob | RetryJob
"""What Batchdrop sends itself."""
