"""`results.csv` and `failed.csv` against `results.jsonl` and `failed.jsonl`: the same rows, in the same order, with their status.

Memory: a row of each.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from heapq import merge
from itertools import zip_longest
from typing import NamedTuple

from batchdrop.domain import keys
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import Job, RowStatus
from batchdrop.formats.failed_line import read_failure
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.formats.result_line import number_of_result
from batchdrop.ports import Objects
from batchdrop.reports.manifest import Manifest, lacks_tables
from batchdrop_cli.audit.findings import Finding, Severity

_CHUNK = 1 << 20
_ENDINGS = ("batchdrop_row", "batchdrop_status")
# Between two columns of ours stands whatever the table separates its columns with.
_LINE_ENDS = re.compile(r"(?<=\n)|(?<=\r)(?!\n|\Z)")
"""Behind each; a CR at the end of a chunk may have its LF in the next."""
_separator = re.compile(rb"batchdrop_row(.)batchdrop_status").search

type _Row = tuple[str, str]
"""Number and status, as they stand in a table."""


class _Fault(NamedTuple):
    sentence: str
    line: int | None = None


class TableRows:
    """The tables of one job with a recipe that has ended."""

    def __init__(self, objects: Objects, job: Job, manifest: Manifest) -> None:
        self._objects = objects
        self._job = job
        self._manifest = manifest
        self._folder = keys.outbox_folder(job.input.key, job.id)

    def check(self) -> Iterator[Finding]:
        if self._job.recipe is None:
            return
        if lacks_tables(self._job, self._manifest.files):
            yield self._finding(_Fault("the job has a recipe and no results.csv"), Severity.warning)
            return
        if "failed.jsonl" in self._manifest.files and "failed.csv" not in self._manifest.files and self._job.kind != "jsonl":
            yield self._finding(_Fault("the job has rows without an answer and no failed.csv"))
        for name, sources in (("results.csv", ("results.jsonl", "failed.jsonl")), ("failed.csv", ("failed.jsonl",))):
            if name not in self._manifest.files:
                continue
            try:
                if fault := self._compared(name, sources):
                    yield self._finding(fault)
            except (csv.Error, UnicodeDecodeError) as error:
                yield self._finding(_Fault(f"{name} is no table: {error}"))
            except ObjectGone:
                return  # that is a finding already

    def _compared(self, name: str, sources: Sequence[str]) -> _Fault | None:
        """The first thing that is wrong."""
        with ExitStack() as stack:
            whole = name == "failed.csv"
            expected = merge(*(self._ends(stack, source, whole=whole) for source in sources if source in self._manifest.files))
            rows = self._rows(stack, name)
            header = next(rows, [])
            if not set(_ENDINGS) <= set(header):
                return _Fault(f"{name} has no header of ours")
            row, status = (header.index(column) for column in _ENDINGS)
            for end, cells in zip_longest(expected, rows):
                if cells is None:
                    return _Fault(f"{name} lacks the row", end[0])
                if len(cells) != len(header):
                    return _Fault(f"{name} has a row of {len(cells)} cells under {len(header)} columns", end and end[0])
                if end is None or (cells[row], cells[status]) != (str(end[2]), end[1]):
                    wanted = f"row {end[2]}, which is {end[1]}, should be" if end else "there should be none"
                    return _Fault(f"{name} has row {cells[row]!r} as {cells[status]!r} where {wanted}")
        return None

    def _ends(self, stack: ExitStack, name: str, *, whole: bool) -> Iterator[tuple[int, str, int]]:
        """Number and status of each row, and the number that the table gives it: `whole`, that of an earlier job's row."""
        stream = stack.enter_context(self._objects.read(self._objects.head(self._folder + name).ref))
        for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES):
            if name == "results.jsonl":
                number = number_of_result(line.data)
                yield number, RowStatus.succeeded, number
            else:
                failure = read_failure(line.data)
                yield failure.line, failure.status, failure.of.line if whole and failure.of is not None else failure.line

    def _rows(self, stack: ExitStack, name: str) -> Iterator[list[str]]:
        ref = self._objects.head(self._folder + name).ref
        with self._objects.read(ref, 0, min(ref.size, _CHUNK)) as stream:
            found = _separator(stream.read(_CHUNK))
        stream = stack.enter_context(self._objects.read(ref))
        chunks = iter(lambda: stream.read(_CHUNK), b"")
        lines = _lines(codecs.iterdecode(chunks, "utf-8-sig"))
        return csv.reader(lines, delimiter=found[1].decode() if found else ",", strict=True)

    def _finding(self, fault: _Fault, severity: Severity = Severity.error) -> Finding:
        return Finding(severity=severity, kind="table", sentence=fault.sentence, job_id=self._job.id, line=fault.line)


def _lines(texts: Iterator[str]) -> Iterator[str]:
    """They end at CR, LF or CR LF only, which they keep."""
    rest = ""
    for text in texts:
        *whole, rest = _LINE_ENDS.split(rest + text)
        yield from whole
    if rest:
        yield rest
