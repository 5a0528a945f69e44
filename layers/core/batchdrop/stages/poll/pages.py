"""When the report of a job that runs is written again: a minute after some of its rows came back, and every five minutes at most.

What is remembered is this process's own. A new one knows nothing: it writes when the next rows come back, and the end of a job is
told by others.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from batchdrop.domain.records import JobState
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Ledger

# Until then `collect` has mostly counted the rows of a batch that has ended.
_COUNTED_AFTER = timedelta(minutes=1)
_EVERY = timedelta(minutes=5)
# Of one tick: each is some ten milliseconds.
_MOST = 200


class RunningPages(msgspec.Struct, kw_only=True):
    ledger: Ledger
    clock: Clock
    publish: Publish
    due: dict[str, datetime] = msgspec.field(default_factory=dict)
    written: dict[str, datetime] = msgspec.field(default_factory=dict)

    def changed(self, job_ids: Iterable[str]) -> None:
        now = self.clock.now()
        for job_id in job_ids:
            earliest = self.written.get(job_id, now) + (_EVERY if job_id in self.written else _COUNTED_AFTER)
            self.due.setdefault(job_id, max(now + _COUNTED_AFTER, earliest))

    def __call__(self) -> None:
        now = self.clock.now()
        self.written = {job_id: at for job_id, at in self.written.items() if at > now - _EVERY}
        for job_id in [job_id for job_id, at in self.due.items() if at <= now][:_MOST]:
            self.due.pop(job_id, None)
            job = self.ledger.get_job(job_id)
            if job is not None and job.state is JobState.running:
                self.written[job_id] = now
                self.publish(job_id)
