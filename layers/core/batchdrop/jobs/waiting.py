"""What waits for admission: one queue for each running job, and one that version 0.1.0 left for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import islice
from typing import NamedTuple

from batchdrop.domain import purses
from batchdrop.domain.fair_order import WaitingTeam
from batchdrop.domain.keys import team_of
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Batch, Job
from batchdrop.ports import Ledger

# Batches of one job looked at in one tick. Behind so many that may not go yet, its others wait for the next tick.
_OF_A_JOB = 100
_OF_EARLIER_VERSION = 1000
_ALWAYS = datetime.min.replace(tzinfo=UTC)


class JobQueue(NamedTuple):
    """The waiting batches of a job, by tag."""

    job: Job
    earliest: datetime
    """No batch has an earlier tag."""
    batches: Iterator[Batch]


def waiting_jobs(ledger: Ledger, limit: int | None = None) -> Iterator[Job]:
    """Jobs that have batches to be admitted, by priority, then created_at. `limit`: running jobs that are looked at."""
    return (job for job in ledger.list_open_jobs(OpenWork.running, limit=limit) if job.batches_waiting > 0)


def job_queues(ledger: Ledger, jobs: int, *, without: str = "") -> list[JobQueue]:
    """Those of the first `jobs` running jobs, but for the job `without`. A queue is read when its turn has come."""
    queues = [
        # Before its warm-up or its pilot is back no other batch goes, and these are the first.
        JobQueue(job, job.created_at, _read_later(ledger, job.id, 1 if job.trying or job.warming else _OF_A_JOB))
        for job in waiting_jobs(ledger, jobs)
    ]
    return [queue for queue in (*_of_earlier_version(ledger), *queues) if queue.job.id != without]


def _read_later(ledger: Ledger, job_id: str, limit: int) -> Iterator[Batch]:
    yield from ledger.list_waiting_batches(job_id, limit=limit)


def _of_earlier_version(ledger: Ledger) -> Iterator[JobQueue]:
    of_jobs: dict[str, list[Batch]] = defaultdict(list)
    for batch in ledger.list_open_batches(OpenWork.waiting, limit=_OF_EARLIER_VERSION):
        of_jobs[batch.job_id].append(batch)
    for job_id, batches in of_jobs.items():
        if (job := ledger.get_job(job_id)) is not None:
            yield JobQueue(job, _ALWAYS, iter(batches))


def waiting_teams(ledger: Ledger, queues: list[JobQueue], limit: int) -> list[WaitingTeam]:
    """At most `limit` teams, those whose jobs come first."""
    teams: dict[str, list[JobQueue]] = defaultdict(list)
    for queue in queues:
        teams[team_of(queue.job.input.key)].append(queue)
    chosen = dict(islice(teams.items(), limit))
    turns = ledger.get_purses([purses.turn(team) for team in chosen])
    return [
        WaitingTeam(turn, min(queue.job.waits_from for queue in of_team), _by_priority(of_team))
        for turn, of_team in zip(turns, chosen.values(), strict=True)
    ]


def _by_priority(queues: list[JobQueue]) -> dict[int, Iterator[Batch]]:
    priorities = {queue.job.priority for queue in queues}
    return {priority: _by_tag([queue for queue in queues if queue.job.priority == priority]) for priority in priorities}


def _by_tag(queues: list[JobQueue]) -> Iterator[Batch]:
    """A job's queue is read when its turn may have come."""
    unread = iter(sorted(queues, key=lambda queue: queue.earliest))
    following = next(unread, None)
    heads: list[tuple[datetime, str, Batch, Iterator[Batch]]] = []
    while following is not None or heads:
        if following is not None and (not heads or following.earliest < heads[0][0]):
            _push(heads, following.batches)
            following = next(unread, None)
            continue
        _, _, batch, rest = heappop(heads)
        yield batch
        _push(heads, rest)


def _push(heads: list[tuple[datetime, str, Batch, Iterator[Batch]]], batches: Iterator[Batch]) -> None:
    for batch in batches:
        # The second entry decides between equals: no two batches have it in common.
        heappush(heads, (batch.start_tag, f"{batch.job_id} {batch.name}", batch, batches))
        return
