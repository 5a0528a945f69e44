"""`complete.jsonl` and `complete.csv` of a job whose rows are rows of an earlier job: the whole table, old answers and new.

Each row is there once, by the number that it has in the file of the first job. A job builds on the one that completed the table
before it: `transitions.based` makes them a chain, so that of two retries of one job neither loses the answers of the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import BatchdropError, LostRace, ObjectGone
from batchdrop.domain.records import Job, JobState, ObjectRef
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.formats.failed_line import number_of_failed
from batchdrop.formats.result_line import number_of_result
from batchdrop.formats.whole_checkpoint import Grown, WholeCheckpoint, decode_whole_checkpoint, encode_checkpoint
from batchdrop.formats.whole_line import first_failure, number_of_whole, placed_failure, placed_result
from batchdrop.jobs.commit import Commit
from batchdrop.ports import Ledger, Objects
from batchdrop.recipes.form import decode_form
from batchdrop.reports import sentences
from batchdrop.reports.manifest import OutputFile, Whole, read_manifest
from batchdrop.stages.finish.merge_rows import Kept, MergeRows
from batchdrop.stages.finish.sort_rows import NoPlace, Read, SortRows

log = logging.getLogger(__name__)

MAX_BYTES = 20_000_000_000
"""Of the table as it was and the job's rows together: a few hours of invocations. Above it, the files are named."""
_TRIES = 10
_WHOLE, _RESULTS, _FAILED = "complete.jsonl", "results.jsonl", "failed.jsonl"


class NotYet(BatchdropError):
    """The job that completes the table before this one is still being finished."""


class Completed(NamedTuple):
    whole: Whole
    files: dict[str, OutputFile]


class Completing(NamedTuple):
    """How far it is. bytes"""

    done: int
    total: int


class CompleteTable(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    commit: Commit
    sort_rows: SortRows
    merge_rows: MergeRows
    max_bytes: int = MAX_BYTES

    def __call__(self, job: Job, go_on: Callable[[], bool]) -> Completed | Completing:
        """`job`: finishing, its own files are in its outbox. Raises LostRace, NotYet, ObjectGone."""
        try:
            found = self._stored(job)
            if found is None:
                begun = self._begin(self._based(job))
                if isinstance(begun, Completed):
                    return begun
                found = begun, b""
            return self._go_on(job, *found, go_on)
        except NoPlace:
            log.warning("a row has no place in the table that it completes", extra={"job_id": job.id})
            return _without(sentences.ROWS_WITHOUT_PLACE)
        except ObjectGone:
            if self._stored(job) is not None and self._is_there(job):
                # Sorted rows were deleted: they are sorted again.
                self.objects.delete(keys.whole_checkpoint(job.id))
                raise
            log.exception("the table that a job completes is gone", extra={"job_id": job.id})
            return _without(sentences.TABLE_GONE)

    # ------------------------------------------------------------ what it builds on

    def _based(self, job: Job) -> Job:
        for _ in range(_TRIES):
            if job.base:
                return job
            root = self._job(job.completes)
            try:
                return self.commit(transitions.based(job, root))
            except LostRace:
                current = self._job(job.id)
                if current.state is not JobState.finishing:
                    break
                job = current
        raise LostRace(f"job {job.id} or the one whose table it completes changes too fast")

    def _job(self, job_id: str) -> Job:
        job = self.ledger.get_job(job_id)
        if job is None:
            raise ObjectGone(f"job {job_id}")
        return job

    def _begin(self, job: Job) -> WholeCheckpoint | Completed:
        """Raises ObjectGone, NotYet."""
        own = tuple(self._files(job, _RESULTS, _FAILED))
        between: list[ObjectRef] = []
        jobs = [job.id]
        one = self._job(job.base)
        while one.id != job.completes:
            if one.state not in TERMINAL_JOB_STATES:
                raise NotYet(f"job {one.id}, on whose table job {job.id} builds, is not finished yet")
            if base := tuple(self._files(one, _WHOLE)):
                break
            # It has none, whatever has happened: its own answers stand in its own files.
            if files := self._files(one, _RESULTS, _FAILED):
                between += files
                jobs.insert(0, one.id)
            one = self._job(one.base)
        else:
            base = tuple(self._files(one, _RESULTS, _FAILED))
        if not base:
            raise ObjectGone(f"the output of job {one.id}")
        in_it = (*self._jobs_in(one, job), *jobs)
        parts = (*own, *between, *base)
        too_large = sum(ref.size for ref in parts) > self.max_bytes
        if too_large or between:
            note = sentences.table_in_parts(self.max_bytes) if too_large else sentences.table_behind(jobs[-2])
            return Completed(Whole(jobs=in_it, parts=tuple(ref.key for ref in parts), note=note), {})
        return WholeCheckpoint(base=base, own=own, jobs=in_it, at=(0,) * len(base))

    def _jobs_in(self, one: Job, job: Job) -> tuple[str, ...]:
        if one.id == job.completes:
            return (one.id,)
        whole = read_manifest(self.objects.get(keys.outbox_folder(one.input.key, one.id) + "manifest.json")).complete
        return whole.jobs if whole is not None else (job.completes, one.id)

    def _files(self, job: Job, *names: str) -> list[ObjectRef]:
        """Those that there are. They are written once, so the ETag tells them; a version would need a permission of its own."""
        found = []
        for name in names:
            try:
                found.append(replace(self.objects.head(keys.outbox_folder(job.input.key, job.id) + name).ref, version_id=None))
            except ObjectGone:
                continue
        return found

    def _is_there(self, job: Job) -> bool:
        """Whether everything is there that a new start would need."""
        try:
            return isinstance(self._begin(self._job(job.id)), WholeCheckpoint)
        except ObjectGone:
            return False

    # ------------------------------------------------------------ the work

    def _stored(self, job: Job) -> tuple[WholeCheckpoint, bytes] | None:
        try:
            return decode_whole_checkpoint(self.objects.get(keys.whole_checkpoint(job.id)))
        except ObjectGone:
            return None

    def _go_on(self, job: Job, reached: WholeCheckpoint, rest: bytes, go_on: Callable[[], bool]) -> Completed | Completing:
        rendered = job.recipe is not None
        reached = self._sorted(job, reached, rendered, go_on)
        total = sum(ref.size for ref in reached.own)
        if reached.sorted < total:
            return Completing(reached.sorted, 2 * total + sum(ref.size for ref in reached.base))
        if not reached.complete:
            reached = self.merge_rows(job, self._key(job, _WHOLE), reached, rest, _kept(reached, rendered=rendered), go_on)
            if not reached.complete:
                return Completing(total + reached.file.size, 2 * total + sum(ref.size for ref in reached.base))
        files = {_WHOLE: _file(reached.rows, reached.file)}
        if rendered:
            table = self._table(job, reached, go_on)
            if isinstance(table, Completing):
                return table
            files |= table
        notes = [sentences.completed(reached.rows, reached.answered, job.completes, table="complete.csv" in files)]
        notes += [sentences.rows_named_twice(reached.repeated)] if reached.repeated else []
        notes += [sentences.rows_of_no_number(reached.placeless)] if reached.placeless else []
        whole = Whole(jobs=reached.jobs, rows=reached.rows, answered=reached.answered, note=" ".join(notes))
        return Completed(whole, files)

    def _sorted(self, job: Job, reached: WholeCheckpoint, rendered: bool, go_on: Callable[[], bool]) -> WholeCheckpoint:
        readers: dict[str, Read] = {
            _RESULTS: lambda data: placed_result(data, job.id),
            _FAILED: lambda data: placed_failure(data, job.id, rendered=rendered),
        }
        sources = [(ref, readers[keys.name_of(ref.key)]) for ref in reached.own]
        total = sum(ref.size for ref in reached.own)
        while reached.sorted < total:
            run = self.sort_rows(sources, reached.sorted, keys.run_of_rows(job.id, reached.sorted))
            reached = replace(reached, sorted=run.end, runs=(*reached.runs, run.object), at=(*reached.at, 0))
            self.objects.put(keys.whole_checkpoint(job.id), encode_checkpoint(reached, b""))
            if not go_on():
                break
        return reached

    def _table(self, job: Job, reached: WholeCheckpoint, go_on: Callable[[], bool]) -> dict[str, OutputFile] | Completing:
        """No file where nobody knows the columns: somebody has deleted what `plan` wrote of them."""
        # A job without a recipe loads none of it.
        from batchdrop.stages.finish.write_table import WriteTable  # noqa: PLC0415

        try:
            form = decode_form(self.objects.get(keys.form(job.id)))
        except (ObjectGone, msgspec.DecodeError):
            log.exception("the form of a job with a recipe cannot be read", extra={"job_id": job.id})
            return {}
        (rows,) = self._files(job, _WHOLE)
        was = reached.base[0].key.rpartition("/")[0]
        was += "/complete.csv" if keys.name_of(reached.base[0].key) == _WHOLE else "/results.csv"
        table = WriteTable(objects=self.objects)(job, rows, was, form, go_on)
        if not table.complete:
            return Completing(table.offset, rows.size)
        return {"complete.csv": _file(reached.rows, table.file)}

    @staticmethod
    def _key(job: Job, name: str) -> str:
        return keys.outbox_folder(job.input.key, job.id) + name


def _kept(reached: WholeCheckpoint, *, rendered: bool) -> tuple[Kept, ...]:
    ways = {
        _WHOLE: Kept(number_of_whole, _as_it_is),
        _RESULTS: Kept(number_of_result, _as_it_is),
        _FAILED: Kept(number_of_failed, partial(first_failure, rendered=rendered)),
    }
    return tuple(ways[keys.name_of(ref.key)] for ref in reached.base)


def _as_it_is(line: bytes) -> bytes:
    return line + b"\n"


def _file(rows: int, grown: Grown) -> OutputFile:
    return OutputFile(lines=rows, size=grown.size, checksum=f"crc64nvme:{grown.crc64nvme}")


def _without(note: str) -> Completed:
    return Completed(Whole(note=note), {})
