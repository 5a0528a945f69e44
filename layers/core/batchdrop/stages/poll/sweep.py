"""Remove what jobs that have ended left in `work/`: where `finish` was killed, was not needed, or a late invocation wrote on.

No rule by age can do this: a job may wait for weeks, and needs its folder until its end.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from batchdrop.domain import keys
from batchdrop.domain.errors import ApiError
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.ports import Clock, Ledger, Objects
from batchdrop.stages.poll.delete_batches import DeleteBatches

log = logging.getLogger(__name__)

# Folders that one tick looks at, with one read of the table each, and versions of objects that it removes.
_FOLDERS = 50
_REMOVED = 5_000
# One pass over all folders begins this long after the one before has ended.
_PAUSE = timedelta(hours=6)


class Sweep:
    """Goes through the folders in order, some in each tick.

    Where it is, it keeps in memory only: a new process begins a pass of its own, with the oldest job, and does no harm.
    """

    def __init__(self, objects: Objects, ledger: Ledger, clock: Clock, delete_batches: DeleteBatches | None) -> None:
        """`delete_batches`: None if batches stay at the API."""
        self._delete_batches = delete_batches
        self._objects = objects
        self._ledger = ledger
        self._clock = clock
        self._after = ""
        self._next_pass = datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> None:
        now = self._clock.now()
        if now < self._next_pass:
            return
        folders = self._objects.folders(keys.WORK, after=self._after, limit=_FOLDERS)
        left = _REMOVED
        for name in folders:
            left -= self._remove_if_ended(name, left)
            if left <= 0:  # the rest of this folder, and those behind it, in the next tick
                return
            self._after = name
        if len(folders) < _FOLDERS:
            busy = self._delete_batches is not None and self._delete_batches.busy
            self._after, self._next_pass = "", now if busy else now + _PAUSE

    def _remove_if_ended(self, job_id: str, limit: int) -> int:
        job = self._ledger.get_job(job_id)
        if job is None or job.state not in TERMINAL_JOB_STATES:
            return 0
        try:
            if self._delete_batches is not None and not self._delete_batches(job):
                return 0
        except ApiError:
            log.exception("batches of a job that has ended could not be deleted at the API", extra={"job_id": job_id})
            return 0
        removed = self._objects.remove_all(keys.work_folder(job_id), limit=limit)
        log.info("removed what an ended job had left", extra={"job_id": job_id, "versions": removed})
        return removed
