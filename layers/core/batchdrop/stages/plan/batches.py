"""Read a job's file once, check every row, and store the batches it is cut into.

A file too long for one invocation is left at the end of a batch, with the custom ids seen so far kept in `work/`.
"""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

import msgspec

from batchdrop.domain import keys, transitions
from batchdrop.domain.admission import start_tag
from batchdrop.domain.errors import AlreadyExists, ObjectGone
from batchdrop.domain.records import Batch, BatchState, Job, ObjectRef, Span
from batchdrop.formats.input_line import Row
from batchdrop.formats.invalid_line import InvalidLine, invalid_line
from batchdrop.formats.lines import Line, read_lines
from batchdrop.formats.plan_checkpoint import PlanCheckpoint, decode_checkpoint, encode_checkpoint
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.scratch import scratch
from batchdrop.ports import Deadline, Ledger, Objects, ObjectWriter
from batchdrop.stages.plan.check import checked, in_chunks
from batchdrop.stages.plan.cutter import Cut, Cutter, Limits
from batchdrop.stages.plan.seen_ids import IdSet

# Seconds kept back to store the id set (tens of megabytes) and hand the rest of a long file over.
_RESERVE = 45.0


class CutFile(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    commit: Commit
    limits: Limits

    def __call__(self, job: Job, source: ObjectRef, deadline: Deadline) -> int | None:
        """Stores the job's batches. Returns the number of lines, or None when time ran out before the end.

        Raises ObjectGone, OutOfDisk.
        """
        offset, line, requests = self._resume_point(job)
        with scratch() as folder:
            path = folder / "ids"
            known = self._fetch_ids(job, offset, path)
            with closing(IdSet(path)) as seen:
                if not known:
                    self._read_ids(source, offset, seen)
                batches = _Batches(self.objects, self.commit, job, source, Cutter(self.limits), requests)
                try:
                    last, end = self._read(job, source, (offset, line), seen, batches, deadline)
                finally:
                    batches.abandon()
            if end < source.size:
                self._keep_ids(job, path, end)
                return None
            return last

    def _read(
        self, job: Job, source: ObjectRef, start: tuple[int, int], seen: IdSet, batches: _Batches, deadline: Deadline
    ) -> tuple[int, int]:
        """Reads on until the end, or until time runs out. Returns the last line's number and the offset after it."""
        reserve = min(_RESERVE, deadline.remaining() / 4)
        end, line = start
        last = line - 1
        with self.objects.read(source, end) as stream:
            for chunk in in_chunks(read_lines(stream, start=end, first_line=line)):
                last, end = chunk[-1].number, chunk[-1].end
                broken = _broken_line(job, chunk[-1]) if end >= source.size else None
                for one, row in checked(chunk, seen, broken):
                    batches.take(one, row)
                if deadline.remaining() < reserve:
                    break
        batches.finish()
        return last, end

    def _resume_point(self, job: Job) -> tuple[int, int, int]:
        """Byte offset and number of the first line that no stored batch covers, and the requests stored so far."""
        offset, line, requests = 0, 1, 0
        for batch in self.ledger.list_batches(job.id):
            offset, line = batch.span.end, batch.last_line + 1
            requests += batch.requests
        return offset, line, requests

    def _fetch_ids(self, job: Job, offset: int, path: Path) -> bool:
        """Whether the last invocation has left the custom ids of all lines before `offset`; they are then at `path`."""
        if offset:
            with suppress(ObjectGone):
                checkpoint = decode_checkpoint(self.objects.get(keys.work_folder(job.id) + "plan.json"))
                if checkpoint.offset == offset:
                    self.objects.get_file(keys.work_folder(job.id) + "plan.ids", path)
                    return True
        return False

    def _read_ids(self, source: ObjectRef, offset: int, seen: IdSet) -> None:
        if not offset:
            return
        with self.objects.read(source, 0, offset) as stream:
            for chunk in in_chunks(read_lines(stream)):
                for _ in checked(chunk, seen):
                    pass

    def _keep_ids(self, job: Job, path: Path, offset: int) -> None:
        self.objects.put_file(keys.work_folder(job.id) + "plan.ids", path)
        self.objects.put(keys.work_folder(job.id) + "plan.json", encode_checkpoint(PlanCheckpoint(offset=offset)))


class _Batches:
    """Rows go in, stored batches come out. Memory: one writer of faults."""

    def __init__(
        self, objects: Objects, commit: Commit, job: Job, source: ObjectRef, cutter: Cutter, requests_before: int
    ) -> None:
        self._objects = objects
        self._commit = commit
        self._job = job
        self._source = source
        self._cutter = cutter
        self._requests = requests_before
        self._first_line: int | None = None
        self._faults_key = ""
        self._faults: ObjectWriter | None = None

    def take(self, line: Line, row: Row | InvalidLine) -> None:
        cut = self._cutter.take(line, row)
        if cut is not None:
            self._store(cut)
        if self._first_line is None:
            self._first_line = line.number
        if isinstance(row, InvalidLine):
            self._note(row, self._first_line)

    def finish(self) -> None:
        cut = self._cutter.finish()
        if cut is not None:
            self._store(cut)

    def abandon(self) -> None:
        """After an error: an unfinished list of faults must not stay behind as an open upload."""
        if self._faults is not None:
            self._faults.abort()
            self._faults = None

    def _note(self, row: InvalidLine, first_line: int) -> None:
        if self._faults is None:
            self._faults_key = f"{keys.work_folder(self._job.id)}invalid-{first_line:012d}.jsonl"
            self._faults = self._objects.writer(self._faults_key)
        self._faults.write(invalid_line(row))

    def _store(self, cut: Cut) -> None:
        """Faults first: a stored batch can rely on them."""
        if self._faults is not None:
            self._faults.close()
            self._faults = None
        ended = not cut.requests
        batch = Batch(
            job_id=self._job.id,
            first_line=cut.first_line,
            last_line=cut.last_line,
            state=BatchState.ended if ended else BatchState.ready,
            span=Span(object=self._source, start=cut.start, end=cut.end, first_line=cut.first_line),
            requests=cut.requests,
            invalid=cut.invalid,
            invalid_key=self._faults_key if cut.invalid else None,
            body_bytes=cut.body_bytes,
            priority=self._job.priority,
            start_tag=start_tag(self._job.created_at, self._requests),
            ended_at=self._job.created_at if ended else None,
        )
        with suppress(AlreadyExists):  # an invocation that died here has stored it
            self._commit(transitions.added(batch))
        self._requests += cut.requests
        self._first_line = None


def _broken_line(job: Job, last: Line) -> InvalidLine | None:
    """The last line of the source, if that is where a damaged gzip stream breaks off."""
    if job.broken is None:
        return None
    return InvalidLine(line=last.number, type=job.broken.error_type, message=job.broken.message)
