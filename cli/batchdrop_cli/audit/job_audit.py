"""Was anything paid twice, lost, invented or counted wrong? One job against the table, the bucket and the API.

Reads only. For tests, and for operators with a doubt; of a job that is still under way less can be asked.
Memory: a byte for each input line and attempt, the custom ids of one batch, and the batches of the job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from batchdrop.domain.errors import ApiError, Incomplete
from batchdrop.domain.ids import parse_custom_id, prefixes_of
from batchdrop.domain.reconcile import CLOCK_SKEW
from batchdrop.domain.records import Batch, BatchState, Job
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.ports import Ledger, Objects
from batchdrop_cli.audit.evidence import Accepted, Evidence, Sent
from batchdrop_cli.audit.findings import Finding, Severity
from batchdrop_cli.audit.input_lines import pays_again
from batchdrop_cli.audit.output_files import OutputFiles
from batchdrop_cli.audit.sent_rows import PILOT, SentRows
from batchdrop_cli.audit.table import check_records

# A broken file can have a finding for each of its lines; after so many of one kind the rest is only counted.
_SHOWN = 20
# An adopted batch may prove to be somebody else's until it is collected.
_UNCONFIRMED = frozenset({BatchState.in_progress, BatchState.canceling, BatchState.ended})


@dataclass(frozen=True, kw_only=True)
class AuditJob:
    """Everything that is wrong with a job; nothing when all promises are kept."""

    objects: Objects
    ledger: Ledger
    evidence: Evidence
    count_versions: Callable[[str], int] | None = None
    """Of an object: an output must have been written once. None: not checked."""

    def __call__(self, job_id: str) -> list[Finding]:
        job = self.ledger.get_job(job_id)
        if job is None:
            sentence = f"the table has no job {job_id}; a job id is the last folder name under outbox/"
            return [Finding(kind="unknown_job", sentence=sentence, job_id=job_id)]
        batches = list(self.ledger.list_batches(job_id))
        sent = SentRows(job, max((batch.last_line for batch in batches), default=0), complete=self.evidence.complete)
        sent.pays_again = pays_again(self.objects, job)
        found = chain(check_records(job, batches), self._claims(job, batches), self._at_api(job, batches, sent))
        if job.state in TERMINAL_JOB_STATES:
            outputs = OutputFiles(self.objects, self.ledger, job, sent, self.count_versions)
            found = chain(found, outputs.check(has_batches=bool(batches)))
        return _shortened(found)

    def _claims(self, job: Job, batches: list[Batch]) -> Iterator[Finding]:
        for batch in batches:
            if batch.api_id is not None and self.ledger.owner_of(batch.api_id) != (job.id, batch.name):
                sentence = f"the table does not know this batch as the owner of {batch.api_id}"
                yield Finding(kind="claim", sentence=sentence, job_id=job.id, batch=batch.name)

    def _at_api(self, job: Job, batches: list[Batch], sent: SentRows) -> Iterator[Finding]:
        """Reads the requests of every batch of this job, and of every batch that nobody has claimed."""
        ours = {batch.api_id: batch for batch in batches if batch.api_id is not None}
        attempts = {prefix: PILOT if batch.tries else batch.attempt for batch in batches for prefix in prefixes_of(batch)}
        seen: set[str] = set()
        for accepted in self.evidence.accepted(job.created_at - CLOCK_SKEW):
            batch = ours.get(accepted.id)
            owner = self.ledger.owner_of(accepted.id)
            if batch is None and owner is not None:
                continue
            seen.add(accepted.id)
            yield from self._read(job, accepted, batch, attempts, sent)
        for api_id, batch in ours.items():
            if api_id not in seen:
                sent.complete = False
                yield _doubt(job, batch, f"the API does not show {api_id} (any more)")
        yield from sent.findings()

    def _read(
        self, job: Job, accepted: Accepted, batch: Batch | None, attempts: Mapping[str, int], sent: SentRows
    ) -> Iterator[Finding]:
        """`attempts`: which attempt a custom id is of, by its prefix."""
        requests = self.evidence.requests(accepted.id)
        if requests is None:
            sent.complete = False
            yield _doubt(job, batch, f"the requests of {accepted.id} are not known until it has ended")
            return
        number = strangers = 0
        try:
            for request in _once(requests):
                number += 1
                custom_id = parse_custom_id(request.custom_id)
                if custom_id is not None and custom_id.prefix in attempts:
                    sent.note(attempts[custom_id.prefix], custom_id.line, answered=request.answered)
                    continue
                strangers += 1
                if batch is None:
                    return
        except (ApiError, Incomplete):
            sent.complete = False
            yield _doubt(job, batch, f"the results of {accepted.id} could not be read to their end")
            return
        if batch is None and job.state in TERMINAL_JOB_STATES:
            sentence = f"the API accepted {accepted.id} for this job, and no batch of the job owns it"
            yield Finding(kind="orphan", sentence=sentence, job_id=job.id)
        elif batch is not None and strangers and batch.state not in _UNCONFIRMED:
            sentence = f"{strangers} requests of {accepted.id} are not of this job"
            yield Finding(kind="not_ours", sentence=sentence, job_id=job.id, batch=batch.name)
        elif batch is not None and not strangers and number != batch.requests:
            shown = "requests" if self.evidence.complete else "results"
            sentence = f"{batch.requests} requests were meant to be sent; {accepted.id} has {number} {shown}"
            severity = Severity.error if sent.complete else Severity.warning
            yield Finding(severity=severity, kind="requests", sentence=sentence, job_id=job.id, batch=batch.name)


def _once(requests: Iterable[Sent]) -> Iterator[Sent]:
    """Each custom id once: it names one request of a batch, which is billed once, however often the results repeat its line."""
    known: set[str] = set()
    for request in requests:
        if request.custom_id not in known:
            known.add(request.custom_id)
            yield request


def _doubt(job: Job, batch: Batch | None, sentence: str) -> Finding:
    return Finding(
        severity=Severity.warning, kind="unseen", sentence=sentence, job_id=job.id, batch=batch.name if batch else None
    )


def _shortened(found: Iterable[Finding]) -> list[Finding]:
    shown: list[Finding] = []
    of_kind: Counter[str] = Counter()
    for finding in found:
        of_kind[finding.kind] += 1
        if of_kind[finding.kind] <= _SHOWN:
            shown.append(finding)
    for kind, number in of_kind.items():
        if number > _SHOWN:
            shown.append(Finding(kind=kind, sentence=f"{number - _SHOWN} more findings of the kind {kind} are not shown"))
    return shown
