"""From a file of requests that name files to lines in `work/` that say which version of them each request gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.formats.file_source import filled_line, may_name_files
from batchdrop.formats.input_line import REQUESTS, Row
from batchdrop.formats.lines import MAX_LINE_BYTES, Line, read_lines
from batchdrop.ports import Objects
from batchdrop.recipes.form import Kind, Table
from batchdrop.stages.plan.name_files import JobFiles, NameFiles
from batchdrop.stages.plan.prepare import Source, Unpacking
from batchdrop.stages.plan.render import Render
from batchdrop.stages.plan.row_sources import SourceRow


class FillRequests(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    name_files: NameFiles
    max_bytes: int

    def __call__(self, job: Job, lines: ObjectRef, go_on: Callable[[], bool]) -> Source | Unpacking:
        """Line for line. Raises Rejected, ObjectGone."""
        fill = Render(
            objects=self.objects,
            bucket=job.input.bucket,
            key=keys.with_files(job.id),
            checkpoint_key=keys.render_checkpoint(job.id, "files"),
            max_bytes=self.max_bytes,
            repeatable=False,
        )
        with self.name_files(job, go_on) as files:
            return fill(_Requests(self.objects, lines), _Filled(files), lambda: None, go_on)


class _Filled:
    """The line of a request, with what is known of its files. A line that names none, or that is no request, stays as it is."""

    def __init__(self, files: JobFiles) -> None:
        self._files = files

    def __call__(self, row: SourceRow) -> bytes:
        line = row.own
        if may_name_files(line):
            found = REQUESTS.check(Line(row.number, 0, len(line), line, cut=False))
            if isinstance(found, Row):
                line = filled_line(line, lambda params: self._files(params, found.model))
        return line + b"\n"


class _Requests:
    """The lines of a file as rows of which only the bytes are known."""

    again = False
    without_value = 0
    start = 0, 1

    def __init__(self, objects: Objects, lines: ObjectRef) -> None:
        self._objects = objects
        self._lines = lines

    def table(self, *, raw: bool) -> Table:
        return Table(kind=Kind.jsonl, columns=(), raw=raw)

    def remember(self, columns: tuple[str, ...]) -> None:
        """There are none."""

    @contextmanager
    def rows(self, offset: int, number: int) -> Iterator[Iterator[SourceRow]]:
        with self._objects.read(self._lines, offset) as stream:
            yield (
                SourceRow(line.number, line.end, None, _whole(line))
                for line in read_lines(stream, start=offset, first_line=number)
            )


def _whole(line: Line) -> bytes:
    """One that is too long stays too long: its reader then says so."""
    return line.data + b" " * (MAX_LINE_BYTES + 1 - len(line.data)) if line.cut else line.data
