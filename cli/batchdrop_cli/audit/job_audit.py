"""Was anything paid twice, lost, invented or counted wrong? One job against the table, the bucket and the API.

Reads only. For tests, and for operators with a doubt; a job that is still under way gets fewer questions.
Memory: a byte for each input line and attempt, and the batches of the job.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import chain
from typing import NamedTuple, Protocol

from batchdrop.domain import keys
from batchdrop.domain.errors import ApiError, Incomplete, ObjectGone
from batchdrop.domain.ids import parse_custom_id
from batchdrop.domain.reconcile import CLOCK_SKEW
from batchdrop.domain.records import Batch, Job, Record
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.formats.api_result import peek_custom_id, result_lines
from batchdrop.formats.checksums import Crc64
from batchdrop.formats.failed_line import read_failure
from batchdrop.formats.input_line import REQUESTS, own_custom_id
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, Line, read_lines
from batchdrop.formats.result_line import read_result_line
from batchdrop.ports import Claude, Ledger, Objects, OpenWork
from batchdrop.reports.manifest import Manifest, OutputFile, read_manifest
from batchdrop_cli.audit.findings import ROW_ENDS, Finding, Severity, in_records, queued_by

# A broken file can have a finding for each of its lines; after so many of one kind the rest is only counted.
_SHOWN = 20
_CHUNK = 1 << 20


class Accepted(Record, frozen=True, kw_only=True):
    """A batch that the API has accepted, whoever sent it."""

    id: str
    requests: int


class Evidence(Protocol):
    """What the API holds."""

    complete: bool
    """Whether `custom_ids` names every request. Results do not: a row may be missing from them."""

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        """Every batch created at that time or later; older ones do no harm."""

    def custom_ids(self, api_id: str) -> Iterator[str] | None:
        """Of every request of a batch; None while they cannot be known."""


class ListedEvidence:
    """What the real API can tell: its list, and the results of batches that have ended."""

    complete = False

    def __init__(self, claude: Claude) -> None:
        self._claude = claude
        self._ended: dict[str, bool] = {}

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        cursor: str | None = None
        while True:
            page = self._claude.page(cursor)
            for batch in page.batches:
                if batch.created_at < since:
                    return
                self._ended[batch.id] = batch.has_results
                yield Accepted(id=batch.id, requests=batch.counts.all)
            cursor = page.next
            if cursor is None:
                return

    def custom_ids(self, api_id: str) -> Iterator[str] | None:
        return self._of_results(api_id) if self._ended.get(api_id) else None

    def _of_results(self, api_id: str) -> Iterator[str]:
        with self._claude.results(api_id) as chunks:
            for line in result_lines(chunks):
                yield peek_custom_id(line)


class Audit:
    """`versions` counts the versions of an object that exist: an output must have been written once. None: not looked at."""

    def __init__(
        self, objects: Objects, ledger: Ledger, evidence: Evidence, versions: Callable[[str], int] | None = None
    ) -> None:
        self._objects = objects
        self._ledger = ledger
        self._evidence = evidence
        self._versions = versions

    def job(self, job_id: str) -> list[Finding]:
        """Everything that is wrong with a job; empty when all promises are kept."""
        job = self._ledger.get_job(job_id)
        if job is None:
            return [Finding(kind="unknown_job", sentence="there is no such job in the table", job_id=job_id)]
        batches = list(self._ledger.list_batches(job_id))
        sent = _Sent(job, max((batch.last_line for batch in batches), default=0), complete=self._evidence.complete)
        found = chain(in_records(job, batches), self._claims(job, batches), self._at_api(job, batches, sent))
        if job.state in TERMINAL_JOB_STATES:
            outputs = _Outputs(self._objects, job, sent, self._versions)
            found = chain(found, outputs.check(has_batches=bool(batches)))
        return _shortened(found)

    def stack(self) -> list[Finding]:
        """What concerns no single job: what the stack believes to have at the API."""
        at_api = (OpenWork.admitted, OpenWork.submitting, OpenWork.watched)
        queued = queued_by(batch for work in at_api for batch in self._ledger.list_open_batches(work))
        counted = self._ledger.get_admission().queued
        if queued == counted:
            return []
        # The index lags behind the table while work is going on.
        sentence = f"{counted} requests count as queued; the batches under way have {queued}. Ask again when nothing moves."
        return [Finding(severity=Severity.warning if queued else Severity.error, kind="queued", sentence=sentence)]

    # ------------------------------------------------------------ the API

    def _claims(self, job: Job, batches: list[Batch]) -> Iterator[Finding]:
        for batch in batches:
            if batch.api_id is not None and self._ledger.owner_of(batch.api_id) != (job.id, batch.name):
                sentence = f"the table does not know this batch as the owner of {batch.api_id}"
                yield Finding(kind="claim", sentence=sentence, job_id=job.id, batch=batch.name)

    def _at_api(self, job: Job, batches: list[Batch], sent: _Sent) -> Iterator[Finding]:
        """Reads the custom ids of every batch of this job, and of every batch that nobody has claimed."""
        ours = {batch.api_id: batch for batch in batches if batch.api_id is not None}
        seen: set[str] = set()
        for accepted in self._evidence.accepted(job.created_at - CLOCK_SKEW):
            batch = ours.get(accepted.id)
            owner = self._ledger.owner_of(accepted.id)
            if batch is None and owner is not None:
                continue
            seen.add(accepted.id)
            yield from self._read(job, accepted, batch, sent)
        for api_id, batch in ours.items():
            if api_id not in seen:
                sent.complete = False
                yield _doubt(job, batch, f"the API does not show {api_id} (any more)")
        yield from sent.findings()

    def _read(self, job: Job, accepted: Accepted, batch: Batch | None, sent: _Sent) -> Iterator[Finding]:
        ids = self._evidence.custom_ids(accepted.id)
        if ids is None:
            sent.complete = False
            yield _doubt(job, batch, f"the requests of {accepted.id} cannot be told before it has ended")
            return
        number = strangers = 0
        try:
            for text in ids:
                number += 1
                custom_id = parse_custom_id(text)
                if custom_id is not None and custom_id.token == job.token:
                    sent.note(custom_id.attempt, custom_id.line)
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
            yield Finding(kind="foreign", sentence=sentence, job_id=job.id, batch=batch.name)
        elif batch is not None and not strangers and number != batch.requests:
            sentence = f"{batch.requests} requests were meant to be sent; {accepted.id} shows {number}"
            severity = Severity.error if sent.complete else Severity.warning
            yield Finding(severity=severity, kind="requests", sentence=sentence, job_id=job.id, batch=batch.name)


# An adopted batch may prove to be somebody else's until it is collected.
_UNCONFIRMED = frozenset({"in_progress", "canceling", "ended"})


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


class _Sent:
    """Which attempts of which line the API has accepted, and how often. `complete`: no request is left out."""

    def __init__(self, job: Job, lines: int, *, complete: bool) -> None:
        self.complete = complete
        self._job = job
        self._lines = lines
        self._times: dict[int, bytearray] = {}
        self._invented: list[tuple[int, int]] = []

    def note(self, attempt: int, line: int) -> None:
        if not 1 <= line <= self._lines:
            self._invented.append((attempt, line))
            return
        times = self._times.setdefault(attempt, bytearray(self._lines + 1))
        times[line] = min(times[line] + 1, 255)

    def attempts(self, line: int) -> list[int]:
        """Those accepted, in order."""
        return [attempt for attempt, times in sorted(self._times.items()) if times[line]]

    def agrees(self, line: int, attempts: int) -> bool:
        """Whether a row that ended in its attempt of that number was sent once in each up to it, and never after."""
        found, expected = self.attempts(line), list(range(1, attempts + 1))
        return found == expected if self.complete else set(found) <= set(expected)

    def findings(self) -> Iterator[Finding]:
        for attempt, line in self._invented:
            yield self._finding("row_invented", line, f"attempt {attempt} was sent of a line that is in no batch")
        for attempt, times in sorted(self._times.items()):
            for line, number in enumerate(times):
                if number > 1:
                    yield self._finding("accepted_twice", line, f"attempt {attempt} was accepted {number} times: paid twice")

    def _finding(self, kind: str, line: int, sentence: str) -> Finding:
        return Finding(kind=kind, sentence=sentence, job_id=self._job.id, line=line)


# ---------------------------------------------------------------- the bucket


class _End(NamedTuple):
    """One line of an output file."""

    line: int
    status: str
    attempts: int
    custom_id: bytes | None


class _Outputs:
    """The files in the outbox of a job that has ended."""

    def __init__(self, objects: Objects, job: Job, sent: _Sent, versions: Callable[[str], int] | None) -> None:
        self._objects = objects
        self._job = job
        self._sent = sent
        self._versions = versions
        self._folder = keys.outbox_folder(job.input.key, job.id)
        self._counted: Counter[str] = Counter()

    def check(self, *, has_batches: bool) -> Iterator[Finding]:
        try:
            manifest = read_manifest(self._objects.get(self._folder + "manifest.json"))
        except ObjectGone:
            yield self._finding("no_manifest", "the job has ended and has no manifest.json")
            return
        yield from self._manifest(manifest)
        yield from self._written_once(manifest)
        for name, file in manifest.files.items():
            yield from self._file(name, file)
        if has_batches:
            yield from self._rows(manifest)

    def _manifest(self, manifest: Manifest) -> Iterator[Finding]:
        if (manifest.job_id, manifest.state) != (self._job.id, self._job.state):
            yield self._finding("manifest", f"the manifest says {manifest.state}, the table {self._job.state}")
        for name in ("total", *ROW_ENDS):
            if manifest.counts.get(name) != getattr(self._job, name):
                yield self._finding(
                    "counter", f"{name} is {manifest.counts.get(name)} in the manifest, {getattr(self._job, name)} in the table"
                )

    def _written_once(self, manifest: Manifest) -> Iterator[Finding]:
        last = self._objects.head(self._folder + "manifest.json").written_at
        for name in ("manifest.json", *manifest.files):
            try:
                written_at = self._objects.head(self._folder + name).written_at
            except ObjectGone:
                yield self._finding("file", f"{name} is in the manifest and not in the folder")
                continue
            if written_at > last:
                yield self._finding("rewritten", f"{name} was written after the manifest")
            if self._versions is not None and self._versions(self._folder + name) != 1:
                yield self._finding("rewritten", f"{name} was written more than once")
        if "failed.jsonl" not in manifest.files and self._exists("failed.jsonl"):
            yield self._finding("file", "failed.jsonl exists and is not in the manifest")

    def _exists(self, name: str) -> bool:
        try:
            self._objects.head(self._folder + name)
        except ObjectGone:
            return False
        return True

    def _file(self, name: str, file: OutputFile) -> Iterator[Finding]:
        crc, sha, size, lines = Crc64(), hashlib.sha256(), 0, 0
        try:
            ref = self._objects.head(self._folder + name).ref
            with self._objects.read(ref) as stream:
                while chunk := stream.read(_CHUNK):
                    crc.update(chunk)
                    sha.update(chunk)
                    size += len(chunk)
                    lines += chunk.count(b"\n")
        except ObjectGone:
            return
        if (size, lines) != (file.size, file.lines):
            sentence = f"{name} has {lines} lines and {size} bytes; the manifest says {file.lines} and {file.size}"
            yield self._finding("file", sentence)
        if file.checksum not in (f"sha256:{sha.hexdigest()}", f"crc64nvme:{crc.hex()}"):
            yield self._finding("file", f"the checksum of {name} is not the one in the manifest")

    # ------------------------------------------------------------ row by row

    def _rows(self, manifest: Manifest) -> Iterator[Finding]:
        """Input, results and failures side by side: every row is in exactly one of the two."""
        with ExitStack() as stack:
            results = _Ends("results.jsonl", stack.enter_context(self._ends("results.jsonl", manifest, _result_end)))
            failed = _Ends("failed.jsonl", stack.enter_context(self._ends("failed.jsonl", manifest, _failed_end)))
            try:
                lines = stack.enter_context(self._input())
                for line in lines:
                    yield from self._row(line, results, failed)
            except ObjectGone:
                yield self._finding("unseen", "the input is gone: its rows cannot be compared", Severity.warning)
                for _ in self._rest(results, failed):
                    pass
            else:
                for source, end in self._rest(results, failed):
                    sentence = f"{source.name} has a row behind the end of the input"
                    yield self._finding("row_invented", sentence, line=end.line)
        for status in ROW_ENDS:
            if self._counted[status] != getattr(self._job, status):
                sentence = f"{self._counted[status]} rows are {status} in the files; the table says {getattr(self._job, status)}"
                yield self._finding("counter", sentence)

    def _row(self, line: Line, results: _Ends, failed: _Ends) -> Iterator[Finding]:
        ends = [(source, end) for source in (results, failed) for end in source.up_to(line.number)]
        for source, end in ends:
            self._counted[end.status] += 1
            if source.disordered:
                yield self._finding("order", f"{source.name} is not in input order", line=end.line)
                source.disordered = False
            if end.line != line.number or not line.data:
                yield self._finding("row_invented", f"{source.name} has a row that the input does not have", line=end.line)
            else:
                yield from self._end(line, source, end)
        here = sum(end.line == line.number for _, end in ends)
        if line.data and not here:
            yield self._finding("row_lost", "the row is in neither output file", line=line.number)
        if here > 1:
            yield self._finding("row_twice", f"the row appears {here} times in the output files", line=line.number)

    def _end(self, line: Line, source: _Ends, end: _End) -> Iterator[Finding]:
        if not self._sent.agrees(line.number, end.attempts):
            sent = self._sent.attempts(line.number)
            kind = "sent_after_success" if end.status == "succeeded" and len(sent) > end.attempts else "attempts"
            yield self._finding(kind, f"{source.name} says {end.attempts} attempts; the API accepted {sent}", line=line.number)
        if end.custom_id is not None and end.custom_id != (REQUESTS.custom_id(line.data) or own_custom_id(line.number)):
            yield self._finding("custom_id", f"{source.name} has another custom_id than the input", line=line.number)

    def _rest(self, results: _Ends, failed: _Ends) -> Iterator[tuple[_Ends, _End]]:
        for source in (results, failed):
            for end in source.up_to(None):
                self._counted[end.status] += 1
                yield source, end

    @contextmanager
    def _input(self) -> Iterator[Iterator[Line]]:
        with self._objects.read(self._job.source or self._job.input) as stream:
            yield read_lines(stream)

    @contextmanager
    def _ends(self, name: str, manifest: Manifest, read: Callable[[bytes], _End]) -> Iterator[Iterator[_End]]:
        if name not in manifest.files:
            yield iter(())
            return
        with self._objects.read(self._objects.head(self._folder + name).ref) as stream:
            yield (read(line.data) for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES))

    def _finding(self, kind: str, sentence: str, severity: Severity = Severity.error, line: int | None = None) -> Finding:
        return Finding(severity=severity, kind=kind, sentence=sentence, job_id=self._job.id, line=line)


class _Ends:
    """The lines of one output file, taken as the input goes by."""

    def __init__(self, name: str, ends: Iterator[_End]) -> None:
        self.name = name
        self.disordered = False
        self._ends = ends
        self._next = next(ends, None)
        self._last = 0

    def up_to(self, line: int | None) -> Iterator[_End]:
        """Those of a line and of lines before it; all that are left for None."""
        while self._next is not None and (line is None or self._next.line <= line):
            end, self._next = self._next, next(self._ends, None)
            self.disordered |= end.line < self._last
            self._last = max(self._last, end.line)
            yield end


def _result_end(data: bytes) -> _End:
    result = read_result_line(data)
    return _End(result.line, result.result.type, result.attempts, bytes(result.custom_id))


def _failed_end(data: bytes) -> _End:
    failure = read_failure(data)
    return _End(failure.line, failure.status, failure.attempts, None)
