"""Delete the batches of a job at the API, once the job has ended and its answers are in the bucket for good.

Nothing is recorded: the folder below `work/` that the job leaves is what says that this is still to do, whoever is killed when.
A batch that is deleted is `collected` in the table, so it is neither watched nor sent any more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from batchdrop.domain.errors import ApiError, NotFound
from batchdrop.domain.records import Batch, BatchState, Job
from batchdrop.ports import Claude, Clock, Ledger

log = logging.getLogger(__name__)

# A call takes a fraction of a second; a tick has other things to do.
_AT_ONCE = 50
# So long a batch may prove which workspace a key belongs to (`Admission.proofs`).
_PROVES = timedelta(days=1)


class DeleteBatches:
    """Goes through the batches of a job in order, some in each tick. A new process begins anew: those before answer 404."""

    def __init__(self, ledger: Ledger, claude: Claude, clock: Clock) -> None:
        self._ledger = ledger
        self._claude = claude
        self._clock = clock
        self._deleted: dict[str, int] = {}

    def __call__(self, job: Job) -> bool:
        """Whether there is nothing more to delete of a job that has ended. Raises Unavailable, Refused.

        What the API has of a job that lacks answers stays there for its 29 days: somebody may want to look.
        """
        if job.counts.missing or job.rows_lost:
            log.warning("answers are missing: the batches stay at the API", extra={"job_id": job.id})
            return True
        if job.finished_at is None or self._clock.now() < job.finished_at + _PROVES:
            return False
        done = self._deleted.get(job.id, 0)
        for api_id in islice(self._of(job), done, done + _AT_ONCE):
            try:
                self._claude.delete(api_id)
            except NotFound:
                log.info("deleted before", extra={"job_id": job.id, "api_id": api_id})
            except ApiError:
                self._deleted.pop(job.id, None)
                raise
            done += 1
            self._deleted[job.id] = done
        if next(islice(self._of(job), done, None), None) is not None:
            return False
        self._deleted.pop(job.id, None)
        log.info("batches deleted at the API", extra={"job_id": job.id, "batches": done})
        return True

    @property
    def busy(self) -> bool:
        """Whether a job has more batches than one tick deletes."""
        return bool(self._deleted)

    def _of(self, job: Job) -> Iterator[str]:
        """Those whose results are confirmed to be ours, and written."""
        return (batch.api_id for batch in self._ledger.list_batches(job.id) if batch.api_id and _is_delivered(batch))


def _is_delivered(batch: Batch) -> bool:
    return batch.state is BatchState.collected
