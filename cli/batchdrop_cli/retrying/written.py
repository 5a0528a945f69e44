"""The answers of a real-time run as files: by the code that writes those of a job."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from batchdrop.domain.records import Batch, BatchState, Counts, Job, JobState, ObjectRef, Part, RowStatus, Span, Unsent
from batchdrop.formats.cells import header_line
from batchdrop.formats.failed_line import number_of_failed, read_failed_row
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.jobs.scratch import scratch
from batchdrop.money.billing import Biller
from batchdrop.money.price_list import PriceList
from batchdrop.money.sizing import Sizer
from batchdrop.recipes.form import Form, results_columns
from batchdrop.reports import sentences
from batchdrop.reports.manifest import OutputFile, Whole, manifest
from batchdrop.reports.status import status
from batchdrop.stages.collect.pieces import part_writer
from batchdrop.stages.collect.route import Router
from batchdrop.stages.collect.row_lines import RecipeLines, RequestLines
from batchdrop.stages.collect.tables import write_tables
from batchdrop.stages.finish.write_table import written_as
from batchdrop_cli.calling.keeping import SUCCEEDED
from batchdrop_cli.ending import CannotUse
from batchdrop_cli.opening.local_files import LOCAL_FILES, ref_of
from batchdrop_cli.opening.opened_file import OpenedFile
from batchdrop_cli.retrying.kept_answers import End, Kept, KeptAnswers, Run
from batchdrop_cli.retrying.rest_of_job import Rest
from batchdrop_cli.retrying.whole_table import TABLE, WHOLE, TableAsItWas, write_whole_table

_ERRORED = b'{"custom_id":"-","result":{"type":"errored","error":{"type":"error","error":%b}}}'
_MAYBE_PAID = Unsent(
    status=RowStatus.missing,
    error_type="answer_unknown",
    message="The row was sent in real time, and no answer came or could be kept. It may have been answered and paid for, so it "
    "was not sent again.",
)
_NAMES = ("results.jsonl", "failed.jsonl", "results.csv", WHOLE, TABLE, "manifest.json")
_BUFFER = 1 << 20


class Written(NamedTuple):
    counts: Counts
    manifest: bytes
    status: bytes
    files: tuple[str, ...]
    """Names in the folder, the manifest and the status aside."""


def write(
    rest: Rest, run: Run, kept: KeptAnswers, rows: OpenedFile, prices: PriceList, was: TableAsItWas | None, folder: Path
) -> Written:
    """Writes them into the folder. `prices`: of real time. `was`: the table that they complete.

    Raises CannotUse, OSError, and what reading the rows raises.
    """
    now = run.finished_at or run.started_at
    for name in _NAMES:
        # Of an earlier writing, when fewer rows had an answer.
        (folder / name).unlink(missing_ok=True)
    with scratch() as pieces:
        batch, form = _collected(rest, run, kept, rows, prices, pieces, was)
        files = {name: _placed(folder / name, parts) for name, parts in _files(form, batch).items()}
    counts = batch.counts or Counts()
    job = _job(run, counts, form, now)
    whole = Whole(note=sentences.TABLE_GONE)
    if was is not None:
        whole = write_whole_table(was, run, job, form, folder, rest.left)
        made = (WHOLE, TABLE) if form is not None else (WHOLE,)
        files |= {name: _described(folder / name, whole.rows or 0) for name in made}
    more = {
        "message": f"{sentences.done(job)} Asked in real time, at its prices. {whole.note}",
        "real_time": {"of": run.of, "job": run.job, "file": run.file, "asked": rest.chosen},
    }
    found = manifest(job, [batch], files, now, more, whole=whole)
    (folder / "manifest.json").write_bytes(found)
    return Written(counts, found, status(job, now), tuple(files))


def _collected(
    rest: Rest, run: Run, kept: KeptAnswers, found: OpenedFile, prices: PriceList, folder: Path, was: TableAsItWas | None
) -> tuple[Batch, Form | None]:
    """What `collect` would record of a batch of these rows."""
    form = found.rows.form()
    biller = Biller(prices, run.started_at)
    batch = _batch(run)
    lines = RequestLines(run.job, completes=True) if form is None else RecipeLines(form, run.job, completes=True)
    left = Part(key=rest.left.as_posix(), lines=rest.left_by_status.total(), size=0, crc64nvme="")
    with ExitStack() as stack:
        results, again = (stack.enter_context(part_writer(LOCAL_FILES, _ref(folder / name))) for name in ("results", "retry"))
        failed = stack.enter_context(part_writer(LOCAL_FILES, _ref(folder / "failed"), (left,), number_of_failed))
        router = Router(
            *(batch, lines, biller, results, failed, again),
            may_retry=False,
            lost=False,
            sizer=Sizer(prices, run.started_at),
            rendered=form is not None,
        )
        for line, row in rest.planned(found):
            if isinstance(row, InvalidLine):
                router.invalid(line, row)
            else:
                router.row(line, _result(kept.find(line.number)))
        collected = router.close()
    if collected.counts.total != rest.chosen:
        raise CannotUse(f"{collected.counts.total:,} of {rest.chosen:,} rows could be read again in {rest.rows}.")
    others = Counts(total=rest.left_by_status.total(), **rest.left_by_status)
    batch = replace(
        batch,
        counts=collected.counts + others,
        usage=collected.usage,
        bill=collected.bill,
        results=collected.results,
        failed=collected.failed,
        answer_counts=collected.answer_counts,
    )
    form = found.rows.form()
    if form is None:
        return batch, None
    form = _written_as(was, _with_columns_of(rest.left, form))
    tables = write_tables(
        LOCAL_FILES, form, run.job, (batch.results, batch.failed), (_ref(folder / "table"), _ref(folder / "failed-table"))
    )
    return replace(batch, table=tables.table), form


def _result(kept: Kept | None) -> bytes | None:
    """The result line of a batch; None of a row of which nobody knows what became."""
    match kept:
        case Kept(end=End.answered, message=message):
            return SUCCEEDED % message.replace(b"\n", b" ")
        case Kept(end=End.refused, error_type=kind, error=said):
            return _ERRORED % msgspec.json.encode({"type": kind, "message": said})
    return None


def _with_columns_of(left: Path, form: Form) -> Form:
    """Those of rows that were not asked again, too."""
    columns = dict.fromkeys(form.table.columns)
    with left.open("rb") as stream:
        for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES):
            columns |= dict.fromkeys(read_failed_row(line.data).row)
    return replace(form, table=replace(form.table, columns=tuple(columns)))


def _written_as(was: TableAsItWas | None, form: Form) -> Form:
    """With the separator and the line ends of the table that the rows are from."""
    found = written_as(LOCAL_FILES, ref_of(was.head), form.table.separator) if was is not None and was.head.exists() else None
    if found is None:
        return form
    return replace(form, table=replace(form.table, separator=found.written_separator, newline=found.newline))


# ---------------------------------------------------------------- files


def _files(form: Form | None, batch: Batch) -> dict[str, list[bytes | Part]]:
    found: dict[str, list[bytes | Part]] = {"results.jsonl": [batch.results] if batch.results else []}
    if batch.failed:
        found["failed.jsonl"] = [batch.failed]
    if form is not None and batch.table is not None:
        table = form.table
        found["results.csv"] = [header_line(results_columns(form), table.separator, table.newline, raw=table.raw), batch.table]
    return found


def _placed(path: Path, parts: list[bytes | Part]) -> OutputFile:
    digest = hashlib.sha256()
    lines = size = 0
    with path.open("wb") as out:
        for part in parts:
            if isinstance(part, bytes):
                size += len(part)
                digest.update(part)
                out.write(part)
                continue
            lines, size = lines + part.lines, size + part.size
            with Path(part.key).open("rb") as piece:
                while block := piece.read(_BUFFER):
                    digest.update(block)
                    out.write(block)
    return OutputFile(lines=lines, size=size, checksum=f"sha256:{digest.hexdigest()}")


def _described(path: Path, lines: int) -> OutputFile:
    with path.open("rb") as file:
        return OutputFile(
            lines=lines, size=path.stat().st_size, checksum=f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        )


def _ref(path: Path) -> ObjectRef:
    return ObjectRef(bucket="", key=path.as_posix())


# ---------------------------------------------------------------- the records of a job that has never been one


def _batch(run: Run) -> Batch:
    return Batch(
        job_id=run.job,
        first_line=1,
        last_line=1,
        span=Span(object=run.failed, start=0, end=run.failed.size, first_line=1),
        requests=0,
        state=BatchState.collected,
        start_tag=run.started_at,
        unsent=_MAYBE_PAID,
    )


def _job(run: Run, counts: Counts, form: Form | None, now: datetime) -> Job:
    return Job(
        id=run.id,
        token="",
        input=run.failed,
        recipe=run.recipe,
        kind="" if form is None else form.table.kind,
        state=JobState.done,
        api_version=run.headers.api_version,
        betas=run.headers.betas,
        lines=run.lines,
        created_at=run.started_at,
        planned_at=run.started_at,
        updated_at=now,
        finished_at=now,
        counts=counts,
    )
