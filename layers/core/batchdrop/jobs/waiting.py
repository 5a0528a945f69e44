"""What waits for admission: one queue for each running job, and one that version 0.1.0 left for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import NamedTuple

from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Batch, Job
from batchdrop.ports import Ledger

# Batches of one job looked at in one tick. Behind so many that may not go yet, its others wait for the next tick.
_OF_A_JOB = 100
_OF_EARLIER_VERSION = 1000
_ALWAYS = datetime.min.replace(tzinfo=UTC)

type _Order = tuple[int, datetime]
"""Priority, then tag: the smaller goes first."""


class _Queue(NamedTuple):
    earliest: _Order
    """Nothing in it goes before this."""
    batches: Iterator[Batch]


def waiting_jobs(ledger: Ledger) -> Iterator[Job]:
    """Jobs that have batches to be admitted, by priority, then created_at."""
    return (job for job in ledger.list_open_jobs(OpenWork.running) if job.batches_waiting > 0)


def waiting_batches(ledger: Ledger) -> Iterator[Batch]:
    """The waiting batches of all running jobs, by priority, then tag. A job's queue is read when its turn may have come."""
    queues = _queues(ledger)
    unread = next(queues, None)
    heads: list[tuple[_Order, str, Batch, Iterator[Batch]]] = []
    while unread is not None or heads:
        if unread is not None and (not heads or unread.earliest <= heads[0][0]):
            _push(heads, unread.batches)
            unread = next(queues, None)
            continue
        _, _, batch, rest = heappop(heads)
        yield batch
        _push(heads, rest)


def _push(heads: list[tuple[_Order, str, Batch, Iterator[Batch]]], batches: Iterator[Batch]) -> None:
    for batch in batches:
        # The second entry decides between equals: no two batches have it in common.
        heappush(heads, ((batch.priority, batch.start_tag), f"{batch.job_id} {batch.name}", batch, batches))
        return


def _queues(ledger: Ledger) -> Iterator[_Queue]:
    """By what may go first in each."""
    yield _Queue((0, _ALWAYS), ledger.list_open_batches(OpenWork.waiting, limit=_OF_EARLIER_VERSION))
    for job in waiting_jobs(ledger):
        # Before its pilot is back no other batch goes, and the pilot is the first.
        limit = 1 if job.trying else _OF_A_JOB
        yield _Queue((job.priority, job.created_at), ledger.list_waiting_batches(job.id, limit=limit))
