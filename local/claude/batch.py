"""One batch and what the API shows of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from local.claude.clock import rfc3339
from local.claude.limits import ARCHIVED_AFTER, EXPIRES_AFTER
from local.claude.rendering import Counts, Rendered, Unfinished


class RequestCounts(Counts):
    """The counts of a batch as the API shows them: everything is processing until all of it has ended."""

    processing: int = 0


class BatchView(Struct, kw_only=True):
    """A batch as the API shows it (source: the API's OpenAPI description, MessageBatch)."""

    id: str
    type: str = "message_batch"
    processing_status: str
    request_counts: RequestCounts
    ended_at: str | None
    created_at: str
    expires_at: str
    archived_at: str | None
    cancel_initiated_at: str | None
    results_url: str | None


class Ending(Struct, frozen=True):
    """How a batch ends if nothing more happens to it: when, with how many rows done, and what the others are."""

    moment: float
    finished: int
    unfinished: Unfinished


@dataclass(slots=True, eq=False)
class Batch:
    """One accepted batch. Moments are emulated seconds since 1970; ``number`` is its place in its workspace."""

    id: str
    workspace: str
    number: int
    count: int
    body: Path
    body_bytes: int
    version: str
    betas: frozenset[str]
    attempts: dict[int, int]
    created: float
    due: float
    canceled: float | None = None
    cancel_ending: Ending | None = None
    ended: float | None = None
    counts: Counts = field(default_factory=Counts)
    results_bytes: int = 0
    deleted: bool = False
    hidden_until: float = 0.0
    hidden_calls: int = 0
    settling: asyncio.Task[None] | None = None
    prepared: asyncio.Task[Rendered] | None = None

    @property
    def results_path(self) -> Path:
        """Where its results are written."""
        return self.body.with_suffix(".results")

    @property
    def expires(self) -> float:
        """When it ends whether it is done or not."""
        return self.created + EXPIRES_AFTER

    @property
    def status(self) -> str:
        """Its ``processing_status``."""
        if self.ended is not None:
            return "ended"
        return "in_progress" if self.canceled is None else "canceling"

    def archived(self, now: float) -> float | None:
        """When it was archived; None while its results can be had."""
        moment = self.created + ARCHIVED_AFTER
        return moment if moment <= now else None

    def view(self, now: float, origin: str) -> BatchView:
        """What the API shows of it; ``origin`` is scheme and host for the address of its results."""
        archived = self.archived(now)
        counts = self.counts
        return BatchView(
            id=self.id,
            processing_status=self.status,
            request_counts=RequestCounts(
                processing=0 if self.ended is not None else self.count,
                succeeded=counts.succeeded,
                errored=counts.errored,
                canceled=counts.canceled,
                expired=counts.expired,
            ),
            ended_at=None if self.ended is None else rfc3339(self.ended),
            created_at=rfc3339(self.created),
            expires_at=rfc3339(self.expires),
            archived_at=None if archived is None else rfc3339(archived),
            cancel_initiated_at=None if self.canceled is None else rfc3339(self.canceled),
            results_url=(f"{origin}/v1/messages/batches/{self.id}/results" if self.ended is not None and not archived else None),
        )
