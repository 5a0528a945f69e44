"""The files in the outbox of a job that has ended, against its input, the table and what the API accepted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import NamedTuple

from msgspec.structs import asdict

from batchdrop.domain import keys
from batchdrop.domain.errors import Forbidden, ObjectGone
from batchdrop.domain.records import Job, JobState, RowStatus
from batchdrop.formats.checksums import Crc64
from batchdrop.formats.failed_line import read_failure
from batchdrop.formats.input_line import REQUESTS, own_custom_id
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, Line, read_lines
from batchdrop.formats.result_line import read_result_line
from batchdrop.ports import Ledger, Objects
from batchdrop.reports.manifest import Manifest, OutputFile, read_manifest
from batchdrop_cli.audit.findings import Finding, Severity
from batchdrop_cli.audit.input_lines import input_lines
from batchdrop_cli.audit.sent_rows import SentRows
from batchdrop_cli.audit.table_rows import TableRows

_CHUNK = 1 << 20


class _End(NamedTuple):
    """One line of an output file."""

    line: int
    status: str
    attempts: int
    custom_id: bytes | None
    copied_from: int | None
    """The line of the row whose request it has, and whose end it got."""


class OutputFiles:
    """The files in the outbox of a job that has ended."""

    def __init__(
        self, objects: Objects, ledger: Ledger, job: Job, sent: SentRows, count_versions: Callable[[str], int] | None
    ) -> None:
        self._objects = objects
        self._ledger = ledger
        self._job = job
        self._sent = sent
        self._count_versions = count_versions
        self._folder = keys.outbox_folder(job.input.key, job.id)
        self._counted: Counter[str] = Counter()
        self._copied = 0

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
            yield from TableRows(self._objects, self._job, manifest).check()

    def _manifest(self, manifest: Manifest) -> Iterator[Finding]:
        if (manifest.job_id, manifest.state) != (self._job.id, self._job.state):
            yield self._finding("manifest", f"the manifest says {manifest.state}, the table {self._job.state}")
        for name, number in asdict(self._job.counts).items():
            if manifest.counts.get(name) != number:
                yield self._finding("counter", f"{name} is {manifest.counts.get(name)} in the manifest, {number} in the table")

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
            if self._count_versions is not None and self._count_versions(self._folder + name) != 1:
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
        if name.endswith(".csv"):
            # Its rows may have newlines of their own.
            lines = file.lines
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
                lines = stack.enter_context(input_lines(self._objects, self._ledger, self._job))
                # A job may end before its file was read whole. What was not read belongs to no output.
                read = lines if self._job.state is JobState.done else islice(lines, self._job.lines)
                for line in read:
                    yield from self._row(line, results, failed)
            except (Forbidden, ObjectGone):
                yield self._finding("unseen", "the input cannot be read (any more): its rows are not compared", Severity.warning)
                for _ in self._rest(results, failed):
                    pass
            else:
                for source, end in self._rest(results, failed):
                    sentence = f"{source.name} has a row after the end of the input"
                    yield self._finding("row_invented", sentence, line=end.line)
        for status in RowStatus:
            number = getattr(self._job.counts, status)
            if status is RowStatus.missing:
                number -= self._job.rows_lost  # in no file: each is a finding of its own
            if self._counted[status] != number:
                sentence = f"{self._counted[status]} rows are {status} in the files; the table says {number}"
                yield self._finding("counter", sentence)
        if self._copied != self._job.rows_copied and not self._job.rows_lost:
            sentence = f"{self._copied} rows have the end of another one in the files; the table says {self._job.rows_copied}"
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
            self._copied += end.copied_from is not None
        here = sum(end.line == line.number for _, end in ends)
        if line.data and not here:
            yield self._finding("row_lost", "the row is in neither output file", line=line.number)
        if here > 1:
            yield self._finding("row_twice", f"the row appears {here} times in the output files", line=line.number)

    def _end(self, line: Line, source: _Ends, end: _End) -> Iterator[Finding]:
        # Whether the last attempt of a missing row was accepted may be what nobody could find out.
        asked = line.number
        if end.copied_from is not None:
            asked = end.copied_from
            if self._sent.attempts(line.number):
                yield self._finding("copy_sent", f"{source.name} has it as a copy, and it was sent", line=line.number)
        # Copies whose answers would be too long together stay with an answer of which the recipe asks for another.
        left = end.copied_from is not None and end.status == RowStatus.errored
        if not self._sent.agrees(asked, end.attempts, exactly=end.status != RowStatus.missing, may_go_on=left):
            sent = self._sent.attempts(asked)
            kind = "sent_after_success" if end.status == "succeeded" and len(sent) > end.attempts else "attempts"
            yield self._finding(kind, f"{source.name} says {end.attempts} attempts; the API accepted {sent}", line=line.number)
        if end.custom_id is not None and end.custom_id != (REQUESTS.custom_id(line.data) or own_custom_id(line.number)):
            yield self._finding("custom_id", f"{source.name} has another custom_id than the input", line=line.number)

    def _rest(self, results: _Ends, failed: _Ends) -> Iterator[tuple[_Ends, _End]]:
        for source in (results, failed):
            for end in source.up_to(None):
                self._counted[end.status] += 1
                self._copied += end.copied_from is not None
                yield source, end

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
    return _End(result.line, result.result.type, result.attempts, bytes(result.custom_id), result.copied_from)


def _failed_end(data: bytes) -> _End:
    failure = read_failure(data)
    return _End(failure.line, failure.status, failure.attempts, None, failure.copied_from)
