"""The checks that need nothing but the table: what its records say against each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from msgspec.structs import asdict, replace

from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Batch, BatchState, Counts, Job, JobState
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.ports import Ledger
from batchdrop_cli.audit.findings import Finding, Severity


def check_records(job: Job, batches: Sequence[Batch]) -> Iterator[Finding]:
    """What a job and its batches, in order of name, say against each other."""
    for kind, sentence in _counters(job, batches):
        yield Finding(kind=kind, sentence=sentence, job_id=job.id)
    for kind, sentence, batch in (*_spans(batches), *_attempts(batches), *_states(job, batches)):
        yield Finding(kind=kind, sentence=sentence, job_id=job.id, batch=batch.name)


def check_queued(ledger: Ledger) -> list[Finding]:
    """What concerns no single job: the requests that count against the workspace's queue limit."""
    under_way = (OpenWork.admitted, OpenWork.submitting, OpenWork.watched)
    queued = queued_by(batch for work in under_way for batch in ledger.list_open_batches(work))
    counted = ledger.get_admission().queued
    if queued == counted:
        return []
    # The index lags behind the table while work is going on.
    sentence = (
        f"{counted} requests count as queued; the batches under way have {queued}. "
        "Run the audit again when no work is in progress."
    )
    return [Finding(severity=Severity.warning if queued else Severity.error, kind="queued", sentence=sentence)]


def queued_by(batches: Iterable[Batch]) -> int:
    """Requests that count against the workspace's queue limit."""
    at_api = (BatchState.submitting, BatchState.in_progress, BatchState.canceling)
    return sum(
        batch.requests
        for batch in batches
        if batch.state in at_api or (batch.state is BatchState.ready and batch.admitted_at is not None)
    )


def _counters(job: Job, batches: Sequence[Batch]) -> Iterator[tuple[str, str]]:
    # Rows that were tried first count in the batches that they lie in.
    of_rows = [batch for batch in batches if not batch.tries]
    collected = [batch.counts for batch in of_rows if batch.state is BatchState.collected and batch.counts is not None]
    rows = sum(collected, Counts())
    expected = {
        **asdict(replace(rows, total=sum(batch.rows for batch in of_rows if batch.attempt == 1))),
        "batches_total": len(batches),
        "batches_waiting": sum(batch.waiting for batch in batches),
        "batches_ended": sum(batch.state in (BatchState.ended, BatchState.collected) for batch in batches),
        "batches_collected": sum(batch.state is BatchState.collected for batch in batches),
        "batches_incomplete": sum(batch.state is BatchState.ended and batch.incomplete_since is not None for batch in batches),
    }
    stored = asdict(job) | asdict(job.counts)
    for name, number in expected.items():
        if stored[name] != number:
            yield "counter", f"the job's counter {name} is {stored[name]}; its batches say {number}"
    if job.state in TERMINAL_JOB_STATES and job.counts.finished != job.counts.total:
        yield "counter", f"the job has ended with {job.counts.total} rows, and {job.counts.finished} are accounted for"


def _spans(batches: Sequence[Batch]) -> Iterator[tuple[str, str, Batch]]:
    """First attempts come in input order and share nothing; between them there can be blank lines."""
    for before, after in pairwise(batch for batch in batches if batch.attempt == 1 and not batch.tries):
        if after.first_line <= before.last_line or after.span.start < before.span.end:
            yield "span", f"its lines overlap with those of batch {before.name}", after


def _attempts(batches: Sequence[Batch]) -> Iterator[tuple[str, str, Batch]]:
    """Rows to try again, and the batch that tries them, are one for one."""
    known = {(batch.first_line, batch.attempt): batch for batch in batches if not batch.tries}
    for batch in batches:
        follow_up = known.get((batch.first_line, batch.attempt + 1))
        again = batch.retry.lines if batch.retry is not None else 0
        if again != (follow_up.rows if follow_up is not None else 0):
            yield "follow_up", f"{again} rows are to be tried again; the follow-up batch does not hold them", batch
        if batch.attempt > 1 and (batch.first_line, batch.attempt - 1) not in known:
            yield "follow_up", "a later attempt without an earlier one", batch


def _states(job: Job, batches: Sequence[Batch]) -> Iterator[tuple[str, str, Batch]]:
    past_running = job.state in (JobState.finishing, JobState.done, JobState.canceled)
    at_api = (BatchState.in_progress, BatchState.canceling)
    api_ids: set[str] = set()
    for batch in batches:
        if past_running and batch.state is not BatchState.collected:
            yield "state", f"the job is {job.state} and this batch is still {batch.state}", batch
        if batch.state in at_api and batch.api_id is None:
            yield "state", f"the batch is {batch.state} and has no id at the API", batch
        if batch.state is BatchState.submitting and batch.lease_until is None:
            yield "state", "the batch is being submitted without a lease, so nothing would ever settle it", batch
        if batch.counts is not None and not batch.tries and _ended_or_again(batch) != batch.rows:
            yield "counter", "the rows that ended and those tried again are not the rows of the batch", batch
        if batch.api_id is not None and batch.api_id in api_ids:
            yield "claim", f"another batch of this job has the same id at the API, {batch.api_id}", batch
        api_ids.add(batch.api_id or "")


def _ended_or_again(batch: Batch) -> int:
    ended = batch.counts.total if batch.counts is not None else 0
    return ended + (batch.retry.lines if batch.retry else 0)
