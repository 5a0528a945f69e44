"""Tell in a job's status what is not known of a batch that was sent, and that it is known again."""

from __future__ import annotations

import logging

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.records import Job, JobState
from batchdrop.jobs.commit import Commit

log = logging.getLogger(__name__)


def tell_doubt(commit: Commit, job: Job | None, doubt: str) -> bool:
    """Whether the sentence is new. It only informs: whoever else changes the job at this moment goes first."""
    if job is None or job.state is not JobState.running or job.doubt == doubt:
        return False
    try:
        commit(transitions.doubted(job, doubt))
    except LostRace:
        log.info("the job was changed meanwhile", extra={"job_id": job.id})
        return False
    return True
