"""Tell in a job's status why answers that Anthropic has cannot be fetched, and that they can again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace, Refused, Unavailable
from batchdrop.domain.records import Job, JobState
from batchdrop.domain.refusals import cause_of
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Ledger
from batchdrop.reports import sentences

log = logging.getLogger(__name__)


@contextmanager
def telling(commit: Commit, ledger: Ledger, publish: Publish, job: Job) -> Iterator[None]:
    """While results are read. What a person has to mend is told, then raised; an API that does not answer passes by itself."""
    try:
        yield
    except (Refused, Unavailable) as trouble:
        cause = cause_of(trouble) if isinstance(trouble, Refused) else None
        if cause is not None or trouble.kind == "no_api_key":
            _tell(commit, ledger.get_job(job.id), sentences.out_of_reach(trouble, cause))
            publish(job.id)
        raise
    if job.out_of_reach:
        _tell(commit, ledger.get_job(job.id), "")


def _tell(commit: Commit, job: Job | None, why: str) -> None:
    """It only informs: whoever else changes the job at this moment goes first."""
    if job is None or job.state not in (JobState.running, JobState.held) or job.out_of_reach == why:
        return
    try:
        commit(transitions.out_of_reach(job, why))
    except LostRace:
        log.info("the job was changed meanwhile", extra={"job_id": job.id})
