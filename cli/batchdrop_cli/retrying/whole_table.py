"""`complete.jsonl` and `complete.csv` of a run: the whole table that its rows are from, with the old answers and the new ones.

The lines are those that `finish` writes of a retry by the stack, and so is the choice between an old line and a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from batchdrop.domain import keys
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import Job
from batchdrop.formats.failed_line import number_of_failed
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.formats.named_row import named_by_note
from batchdrop.formats.result_line import number_of_result
from batchdrop.formats.whole_line import (
    PlacedRow,
    first_failure,
    has_answer,
    newest,
    number_of_whole,
    placed_failure,
    placed_result,
)
from batchdrop.ports import Objects
from batchdrop.recipes.form import Form
from batchdrop.reports import sentences
from batchdrop.reports.manifest import Whole, read_manifest
from batchdrop.stages.finish.write_table import WriteTable
from batchdrop_cli.opening.local_files import LOCAL_FILES, ref_of
from batchdrop_cli.retrying.kept_answers import Run
from batchdrop_cli.retrying.rest_of_job import copied
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.ended_job import EndedJob

WHOLE, TABLE = "complete.jsonl", "complete.csv"
_RESULTS, _FAILED, _ANSWERS = "results.jsonl", "failed.jsonl", "results.csv"
# Its header and how it is written stand at the beginning of a table.
_HEAD_BYTES = 1 << 20


class TableAsItWas(NamedTuple):
    """On this machine: the table before the run."""

    files: tuple[Path, ...]
    head: Path
    """Of its CSV file; not there if it has none."""
    jobs: tuple[str, ...]
    """Whose answers are in it, the first job first."""


def table_as_it_was(bucket: Bucket, job: EndedJob, state: Path) -> TableAsItWas | None:
    """Brings it here, once. None: nobody can put it together any more. Raises StackError, OSError."""
    whole = WHOLE in job.names
    if not whole and (_RESULTS not in job.names or _first(state / _FAILED) != job.id):
        return None
    names = (WHOLE,) if whole else (_RESULTS, _FAILED)
    folder = state / "before"
    folder.mkdir(exist_ok=True)
    with aws_said(bucket.name):
        try:
            for name in names:
                if not (folder / name).exists():
                    copied(bucket, bucket.objects.head(job.folder + name).ref, folder / name)
            head = TABLE if whole else _ANSWERS
            if head in job.names and not (folder / head).exists():
                ref = bucket.objects.head(job.folder + head).ref
                copied(bucket, ref, folder / head, min(ref.size, _HEAD_BYTES))
            before = read_manifest(bucket.objects.get(f"{job.folder}manifest.json")).complete if whole else None
        except ObjectGone:
            return None
    return TableAsItWas(tuple(folder / name for name in names), folder / head, before.jobs if before else (job.id,))


def _first(failed: Path) -> str:
    """The job whose rows they are; empty if they do not say it."""
    with failed.open("rb") as stream:
        named = next(named_by_note(line.data) for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES) if line.data)
    return named.job if named is not None else ""


def write_whole_table(was: TableAsItWas, run: Run, job: Job, form: Form | None, folder: Path, left: Path) -> Whole:
    """Writes it into the folder of the run, beside its own files. `left`: lines of rows that were not asked again.

    Memory: some 200 bytes for each row of the run. Raises OSError.
    """
    rows = answered = 0
    with ExitStack() as stack:
        own = stack.enter_context(_own_rows(folder, run.id, left, rendered=form is not None))
        out = stack.enter_context((folder / WHOLE).open("wb"))
        old = merge(*(_numbered(path, rendered=form is not None) for path in was.files))
        for _, texts in groupby(merge(old, own, key=lambda one: one[0]), key=lambda one: one[0]):
            text = b""
            for _, line in texts:
                text = newest(text, line)
            rows += 1
            answered += has_answer(text)
            out.write(text)
    if form is not None:
        files = cast("Objects", _Table(folder))
        WriteTable(objects=files)(job, ref_of(folder / WHOLE), was.head.absolute().as_posix(), form, lambda: True)
    note = sentences.completed(rows, answered, was.jobs[0], table=form is not None)
    return Whole(jobs=(*was.jobs, run.id), rows=rows, answered=answered, note=note)


def _numbered(path: Path, *, rendered: bool) -> Iterator[tuple[int, bytes]]:
    """The lines of a file of the table as it was, as those of `complete.jsonl`, by their rows."""
    ways: dict[str, tuple[Callable[[bytes], int], Callable[[bytes], bytes]]] = {
        WHOLE: (number_of_whole, _as_it_is),
        _RESULTS: (number_of_result, _as_it_is),
        _FAILED: (number_of_failed, partial(first_failure, rendered=rendered)),
    }
    number, text = ways[path.name]
    with path.open("rb") as stream:
        for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES):
            if line.data:
                yield number(line.data), text(line.data)


def _as_it_is(line: bytes) -> bytes:
    return line + b"\n"


@contextmanager
def _own_rows(folder: Path, run_id: str, left: Path, *, rendered: bool) -> Iterator[Iterable[tuple[int, bytes]]]:
    """The rows of the run by their places in the whole table, which are in any order in a file that people have sorted.

    A row that is in that file twice comes twice, in its order.
    """
    others = {number for number, _ in _numbered_failures(left)}
    places: list[tuple[int, int, int, int]] = []
    spool = folder / "state" / "own-rows"
    with spool.open("w+b") as file:
        for placed in _placed_rows(folder, run_id, others, rendered=rendered):
            places.append((placed.row, placed.line, file.tell(), len(placed.text)))
            file.write(placed.text)
        yield ((row, _piece(file, start, size)) for row, _, start, size in sorted(places))
    spool.unlink()


def _placed_rows(folder: Path, run_id: str, others: set[int], *, rendered: bool) -> Iterator[PlacedRow]:
    ways: tuple[tuple[str, Callable[[bytes], PlacedRow | None]], ...] = (
        (_RESULTS, lambda data: placed_result(data, run_id)),
        (_FAILED, lambda data: placed_failure(data, run_id, rendered=rendered)),
    )
    for name, place in ways:
        if not (folder / name).exists():
            continue
        with (folder / name).open("rb") as stream:
            for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES):
                if line.data and not (name == _FAILED and number_of_failed(line.data) in others):
                    placed = place(line.data)
                    if placed is not None:
                        yield placed


def _numbered_failures(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES):
            if line.data:
                yield number_of_failed(line.data), line.data


def _piece(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


class _Table:
    """The part of the bucket that writing `complete.csv` needs, in a folder: it is written at one go, so nothing is noted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.read = LOCAL_FILES.read

    def get(self, key: str) -> bytes:
        raise ObjectGone(key)

    def put(self, key: str, body: bytes) -> bool:  # noqa: ARG002 - what was reached is of no use here
        return True

    def resume(self, key: str, *, content_type: str) -> object:  # noqa: ARG002 - a file has none
        return LOCAL_FILES.resume((self._folder / keys.name_of(key)).as_posix())
