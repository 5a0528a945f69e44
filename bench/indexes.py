"""The indexes of 10,000 jobs, 2,000 of which run and end at once: `python -m bench.indexes` prints what a tick adds for them.

Objects and table are the tests' fakes, whose time is counted too: it is little beside reading and writing the index.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, cast

from msgspec.structs import replace

from batchdrop.domain import ids
from batchdrop.domain.marks import Mark
from batchdrop.domain.records import Job, JobState, ObjectRef
from batchdrop.ports import Metrics
from batchdrop.stages.poll.index_jobs import IndexJobs
from bench import measured
from bench.process import cpu_seconds, peak_bytes
from tests.fakes.clock import START, ManualClock
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects
from tests.fakes.small import FakeMetrics

_JOBS, _AT_ONCE, _ROWS = 10_000, 2_000, 20
_MINUTE = timedelta(minutes=1)


def measure() -> Any:  # noqa: ANN401 - JSON
    """What this module prints, in a process of its own."""
    return measured.run("bench.indexes", environment={})


class _Table:
    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.objects = FakeObjects(self.clock)
        self.ledger = FakeLedger()
        self._index_jobs = IndexJobs(
            objects=self.objects,
            ledger=self.ledger,
            clock=self.clock,
            metrics=cast(Metrics, FakeMetrics()),
            region="us-east-1",
            month_limit=None,
        )

    def change(self, jobs: list[Job]) -> None:
        self.ledger.jobs |= {job.id: job for job in jobs}
        self.ledger.marks |= {Mark(job_id=job.id, revision=job.revision) for job in jobs}

    def ticks(self) -> list[dict[str, float]]:
        """CPU and writes of each tick until no mark is left."""
        found = []
        while self.ledger.marks:
            self.clock.advance(_MINUTE.total_seconds())
            before, called = cpu_seconds(), len(self.objects.hooks.calls)
            self._index_jobs()
            writes = sum(call in ("objects.put", "objects.overwrite") for call in self.objects.hooks.calls[called:])
            found.append({"cpu": cpu_seconds() - before, "writes": writes})
        return found


def _job(number: int, moment: datetime) -> Job:
    ref = ObjectRef(bucket="bucket", key=f"inbox/marketing/{number}.csv", version_id="1", etag="1", size=1)
    job_id = ids.job_id(ref, moment)
    state = JobState.running if number < _AT_ONCE else JobState.done
    ended = None if state is JobState.running else moment + _MINUTE
    return Job(
        id=job_id, token=job_id[-16:], input=ref, state=state, created_at=moment, updated_at=moment, finished_at=ended, revision=2
    )


def main() -> None:
    table = _Table()
    table.change([_job(number, START - timedelta(seconds=number)) for number in range(_JOBS)])
    filled = table.ticks()
    running = [job for job in table.ledger.jobs.values() if job.state is JobState.running]
    now = table.clock.now()
    table.change([replace(job, state=JobState.done, finished_at=now, revision=3) for job in running])
    ended = table.ticks()
    sizes = {name: len(table.objects.body(f"outbox/{name}")) for name in ("index.json", "index.html")}
    print(
        json.dumps(
            {"jobs": _JOBS, "at_once": len(running), "filled": filled, "ended": ended, "bytes": sizes, "peak": peak_bytes()}
        )
    )


if __name__ == "__main__":
    main()
