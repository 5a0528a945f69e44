"""The rows of a job that have no answer, on this machine: which of them are asked again, and their lines in the job's file.

`state/failed.jsonl` is the job's own. Each run makes two files of it: `rows.jsonl`, as a retry would be dropped, is opened with
the job's recipe; `left.jsonl` has the lines of all others.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from batchdrop.domain import ids, keys
from batchdrop.domain.call_headers import BETA, VERSION, CallHeaders
from batchdrop.domain.records import DEFAULT_API_VERSION, ObjectRef
from batchdrop.domain.retries import goes_again
from batchdrop.formats.failed_line import Failure, read_failure
from batchdrop.formats.input_line import Row
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, Line, read_lines
from batchdrop_cli.ending import CannotUse
from batchdrop_cli.exit_codes import USAGE
from batchdrop_cli.opening.opened_file import OpenedFile, opened
from batchdrop_cli.retrying.kept_answers import KeptAnswers, Run
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.ended_job import EndedJob, names_in

RECIPE = keys.RECIPES[0]
_BUFFER = 1 << 20


class Rest(NamedTuple):
    """What one run of the command takes."""

    rows: Path
    left: Path
    chosen: int
    left_by_status: Counter[str]
    recipe: Path | None
    headers: CallHeaders
    """Of the job."""

    @contextmanager
    def opened(self) -> Iterator[OpenedFile]:
        """Raises what `opened` raises."""
        with opened(self.rows, self.recipe, self.headers) as found:
            yield found

    def planned(self, found: OpenedFile) -> Iterator[tuple[Line, Row | InvalidLine]]:
        """As the file's `planned`, with the numbers that the lines have in the job's own file."""
        with self.rows.open("rb") as stream:
            noted = read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES)
            for line, row in found.rows.planned():
                note = next(one for one in noted if one.number == line.number)
                number = read_failure(note.data).line
                yield (
                    line._replace(number=number),
                    row._replace(line=number) if isinstance(row, Row) else msgspec.structs.replace(row, line=number),
                )


def fetched(bucket: Bucket, job: EndedJob, state: Path, kept: KeptAnswers, now: datetime) -> Run:
    """Brings here what is needed, once: a later run goes on with the same rows. Raises CannotUse, CannotKeep, OSError."""
    if (run := kept.run()) is not None:
        if run.of != job.id:
            raise CannotUse(f"{state.parent} belongs to another job, {run.of}. Name another folder with --out.", USAGE)
        return run
    key = f"{job.folder}failed.jsonl"
    with aws_said(bucket.name):
        failed = bucket.objects.head(key).ref
        copied(bucket, failed, state / "failed.jsonl")
        if job.recipe is not None:
            # Of the job, in its folder; of what was asked in real time, where the job had it from.
            source = ObjectRef(bucket=bucket.name, key=job.folder + RECIPE) if RECIPE in job.names else job.recipe
            copied(bucket, source, state / RECIPE)
    again: Counter[bool] = Counter()
    lines = 0
    for _, failure in _failures(state / "failed.jsonl"):
        lines += 1
        if goes_again(failure.status, failure.error.type):
            again[failure.may_be_paid] += 1
    ref = ObjectRef(bucket=bucket.name, key=job.folder, version_id=secrets.token_hex(16))
    run = Run(
        id=ids.job_id(ref, now),
        of=job.id,
        job=job.real_time.job if job.real_time else job.id,
        file=job.file,
        started_at=now,
        failed=failed,
        recipe=job.recipe,
        headers=_headers(job),
        rows=again.total(),
        lines=lines,
        maybe_paid=again[True],
    )
    kept.keep_run(run)
    return run


def asked_before(bucket: Bucket, job: EndedJob, but: str = "") -> str:
    """What the same rows have already become, if they were asked again before; else empty. `but`: a run that does not count."""
    dropped = keys.retried_input(job.file, job.id)
    if "" in names_in(bucket, dropped):
        return f"as the file {dropped}"
    folder = keys.outbox_folder(dropped, "").rstrip("/") + "/"
    runs = sorted({name.partition("/")[0] for name in names_in(bucket, folder)} - {but})
    return f"as {runs[-1]}" if runs else ""


def folder_of(run: Run) -> str:
    """Where its answers go: as those of a job made of the same rows would."""
    return keys.outbox_folder(keys.retried_input(run.file, run.of), run.id)


def taken(state: Path, run: Run, kept: KeptAnswers, *, may_pay_twice: bool) -> Rest:
    """Raises OSError."""
    rows, left = state / "rows.jsonl", state / "left.jsonl"
    by_status: Counter[str] = Counter()
    chosen = 0
    is_chosen = _choice(kept, may_pay_twice=may_pay_twice)
    with rows.open("wb") as out, left.open("wb") as others:
        for line, failure in _failures(state / "failed.jsonl"):
            if is_chosen(failure):
                chosen += 1
                out.write(line.data + b"\n")
            else:
                by_status[failure.status] += 1
                others.write(line.data + b"\n")
    return Rest(rows, left, chosen, by_status, None if run.recipe is None else state / RECIPE, run.headers)


def _choice(kept: KeptAnswers, *, may_pay_twice: bool) -> Callable[[Failure], bool]:
    def is_chosen(failure: Failure) -> bool:
        if not goes_again(failure.status, failure.error.type):
            return False
        return not failure.may_be_paid or may_pay_twice or kept.end_of(failure.line) is not None

    return is_chosen


def _failures(path: Path) -> Iterator[tuple[Line, Failure]]:
    with path.open("rb") as stream:
        for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES):
            if line.data:
                try:
                    yield line, read_failure(line.data)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    raise CannotUse(f"Line {line.number} of the job's failed.jsonl is not one that Batchdrop wrote.") from None


def _headers(job: EndedJob) -> CallHeaders:
    betas = tuple(filter(None, job.headers.get(BETA, "").split(",")))
    return CallHeaders(api_version=job.headers.get(VERSION, DEFAULT_API_VERSION), betas=betas)


def copied(bucket: Bucket, ref: ObjectRef, path: Path, size: int | None = None) -> None:
    """Whole or not at all. `size`: of its beginning, if that is enough."""
    part = path.with_name(f"{path.name}.part")
    with bucket.objects.read(ref, 0, size) as stream, part.open("wb") as file:
        shutil.copyfileobj(stream, file, _BUFFER)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
