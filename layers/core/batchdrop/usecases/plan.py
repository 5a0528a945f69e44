"""Turn a dropped object into a job: read it once, check every row, cut it into batches, admit what fits.

Safe to run twice, late and at the same time: the job id comes from the object version, one invocation holds the lease, and a file
that was read in part is carried on after its last stored batch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from batchdrop.domain import documents, fairness, ids, keys
from batchdrop.domain.cutting import Cut, Cutter, Limits
from batchdrop.domain.errors import LostRace, ObjectGone
from batchdrop.domain.idset import IdSet
from batchdrop.domain.inflate import InflateError
from batchdrop.domain.lines import Line, read_lines
from batchdrop.domain.records import Batch, BatchState, Job, JobState, ObjectRef, Record, Span
from batchdrop.domain.rows import Invalid, Row, custom_id_digest, parse
from batchdrop.ports import Clock, Deadline, Ledger, ObjectInfo, Objects, ObjectWriter, Queue, Queues, Tally
from batchdrop.usecases.admit import Admit
from batchdrop.usecases.cancel import Cancel
from batchdrop.usecases.publish import Publish
from batchdrop.usecases.source import Fault
from batchdrop.usecases.unpack import is_compressed, unpack

log = logging.getLogger(__name__)

# Time kept back to store the id set (tens of megabytes) and hand the rest of a long file over.
_RESERVE = 45.0
# A lease outlives its invocation by this much, so that clocks that differ a little do not let two planners in.
_LEASE_MARGIN = timedelta(seconds=15)
# Rows are looked up in the id set this many bytes at a time: enough to pay for the call, little to hold.
_CHUNK_BYTES = 4_000_000
_CHUNK_ROWS = 4_000

_PRIORITIES = {"high": 1, "normal": 5, "low": 9}


class Upload(Record, frozen=True):
    """What an S3 event says. The key is as S3 stores it: EventBridge does not encode keys."""

    key: str
    version_id: str | None
    etag: str
    size: int
    at: datetime


class _Mark(Record, frozen=True):
    """How far the stored id set has read."""

    offset: int


class Plan:
    def __init__(
        self,
        objects: Objects,
        ledger: Ledger,
        queues: Queues,
        clock: Clock,
        admit: Admit,
        cancel: Cancel,
        publish: Publish,
        *,
        bucket: str,
        limits: Limits,
        max_input_bytes: int,
    ) -> None:
        self._objects = objects
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._admit = admit
        self._cancel = cancel
        self._publish = publish
        self._bucket = bucket
        self._limits = limits
        self._max_input_bytes = max_input_bytes

    def dropped(self, upload: Upload, deadline: Deadline) -> None:
        """An object was created in the inbox."""
        if not keys.is_input(upload.key):
            return
        try:
            info = self._objects.head(upload.key, upload.version_id)
        except ObjectGone:
            self._report_gone(upload)
            return
        job, created = self._ledger.open_job(self._new_job(info, deadline))
        if created or self._take_over(job, deadline):
            self._work(job.id, deadline)

    def resumed(self, job_id: str, deadline: Deadline) -> None:
        """A long file is carried on, or a planner that died is replaced."""
        job = self._ledger.job(job_id)
        if job is not None and self._take_over(job, deadline):
            self._work(job_id, deadline)

    # ------------------------------------------------------------ opening

    def _new_job(self, info: ObjectInfo, deadline: Deadline) -> Job:
        now = self._clock.now()
        return Job(
            id=ids.job_id(info.ref, info.written_at),
            token=ids.job_token(info.ref),
            input=info.ref,
            state=JobState.planning,
            priority=_PRIORITIES.get(info.metadata.get("batchdrop-priority", "").lower(), _PRIORITIES["normal"]),
            created_at=now,
            updated_at=now,
            lease_until=self._lease(deadline),
        )

    def _lease(self, deadline: Deadline) -> datetime:
        return self._clock.now() + timedelta(seconds=deadline.remaining()) + _LEASE_MARGIN

    def _take_over(self, job: Job, deadline: Deadline) -> bool:
        """Whether this invocation now holds the lease. A repeated event of a planned job ends here."""
        if job.state is not JobState.planning:
            return False
        if job.lease_until is not None and self._clock.now() < job.lease_until:
            log.info("another invocation is planning this job", extra={"job_id": job.id})
            return False
        try:
            self._ledger.move_job(job, msgspec.structs.replace(job, lease_until=self._lease(deadline)))
        except LostRace:
            return False
        return True

    def _report_gone(self, upload: Upload) -> None:
        """No job: the object's own time, and so its id, is gone too. The event's time stands in."""
        now = self._clock.now()
        ref = ObjectRef(bucket=self._bucket, key=upload.key, version_id=upload.version_id, etag=upload.etag, size=upload.size)
        job = Job(
            id=ids.job_id(ref, upload.at),
            token=ids.job_token(ref),
            input=ref,
            state=JobState.rejected,
            reason="The file was deleted before it could be read. Nothing was sent; drop it again to run it.",
            created_at=upload.at,
            updated_at=now,
            finished_at=now,
        )
        self._write_rejection(job)

    # ------------------------------------------------------------ reading

    def _work(self, job_id: str, deadline: Deadline) -> None:
        job = self._publish.job(job_id)
        if job is None:
            return
        try:
            job, source = self._with_source(job)
            lines = self._cut(job, source, deadline)
        except InflateError as error:
            self._reject(job, f"{error.message} Nothing was sent.")
        except ObjectGone:
            self._reject(job, "The file was deleted while it was being read. Nothing was sent; drop it again to run it.")
        else:
            if lines is None:
                self._hand_over(job)
            else:
                self._conclude(job.id, lines)

    def _with_source(self, job: Job) -> tuple[Job, ObjectRef]:
        """The job, and the object to read rows from: the input, or its decompressed copy."""
        if job.source is not None:
            return job, job.source
        source, broken = job.input, None
        if job.input.size and is_compressed(self._objects, job.input):
            key = keys.work_folder(job.id) + "input.jsonl"
            source, broken = unpack(self._objects, job.input, key, self._max_input_bytes)
        elif job.input.size > self._max_input_bytes:
            raise InflateError("too_large", f"The file is larger than {self._max_input_bytes:,} bytes, this stack's limit.")
        return self._ledger.move_job(job, msgspec.structs.replace(job, source=source, broken=broken)), source

    def _cut(self, job: Job, source: ObjectRef, deadline: Deadline) -> int | None:
        """Stores the job's batches. Returns the number of lines, or None when time ran out before the end."""
        start, line, requests = self._resume_point(job)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "ids"
            seen = self._ids_until(job, source, start, path)
            cutting = _Cutting(self._objects, self._ledger, job, source, Cutter(self._limits), requests)
            try:
                with self._objects.read(source, start) as stream:
                    return self._read(
                        job, source, read_lines(stream, start=start, first_line=line), seen, path, cutting, deadline
                    )
            finally:
                cutting.abandon()
                seen.close()

    def _read(
        self,
        job: Job,
        source: ObjectRef,
        lines: Iterator[Line],
        seen: IdSet,
        path: Path,
        cutting: _Cutting,
        deadline: Deadline,
    ) -> int | None:
        reserve = min(_RESERVE, deadline.remaining() / 4)
        last = 0
        for chunk in _chunks(lines):
            last, end = chunk[-1].number, chunk[-1].end
            broken = _broken_line(job, chunk[-1]) if end >= source.size else None
            for line, row in _checked(chunk, seen, broken):
                cutting.take(line, row)
            if deadline.remaining() < reserve and end < source.size:
                cutting.finish()
                seen.close()
                self._keep_ids(job, path, end)
                return None
        cutting.finish()
        return last

    def _resume_point(self, job: Job) -> tuple[int, int, int]:
        """Byte offset and number of the first line that no stored batch covers, and the requests stored so far."""
        offset, line, requests = 0, 1, 0
        for batch in self._ledger.batches(job.id):
            offset, line = batch.span.end, batch.last_line + 1
            requests += batch.requests
        return offset, line, requests

    def _ids_until(self, job: Job, source: ObjectRef, offset: int, path: Path) -> IdSet:
        """The custom ids of all lines before `offset`: as the last invocation left them, else read again."""
        if offset:
            with suppress(ObjectGone):
                mark = msgspec.json.decode(self._objects.get(keys.work_folder(job.id) + "plan.json"), type=_Mark)
                if mark.offset == offset:
                    self._objects.get_file(keys.work_folder(job.id) + "plan.ids", path)
                    return IdSet(path)
        seen = IdSet(path)
        if offset:
            with self._objects.read(source, 0, offset) as stream:
                for chunk in _chunks(read_lines(stream)):
                    for _ in _checked(chunk, seen, None):
                        pass
        return seen

    def _keep_ids(self, job: Job, path: Path, offset: int) -> None:
        self._objects.put_file(keys.work_folder(job.id) + "plan.ids", path)
        self._objects.put(keys.work_folder(job.id) + "plan.json", msgspec.json.encode(_Mark(offset=offset)))

    # ------------------------------------------------------------ ending

    def _hand_over(self, job: Job) -> None:
        """Gives up the lease and sends the rest of the file to the next invocation."""
        current = self._ledger.job(job.id)
        if current is None or current.state is not JobState.planning:
            return
        now = self._clock.now()
        self._ledger.move_job(current, msgspec.structs.replace(current, lease_until=now, handed_at=now))
        self._queues.send(Queue.plan, {"job_id": job.id})

    def _conclude(self, job_id: str, lines: int) -> None:
        while True:
            job = self._ledger.job(job_id)
            if job is None or job.state is not JobState.planning:
                return
            if not job.batches_total:
                self._reject(job, _nothing_in_it(lines))
                return
            now = self._clock.now()
            planned = msgspec.structs.replace(
                job, state=JobState.running, lines=lines, planned_at=now, updated_at=now, lease_until=None
            )
            if not any(batch.requests for batch in self._ledger.batches(job_id)):
                planned = msgspec.structs.replace(
                    planned,
                    outcome=JobState.rejected,
                    reason=f"None of the {job.total:,} rows can be sent; failed.jsonl gives the reason for each.",
                )
            # A cancel may have come in between: then read again.
            with suppress(LostRace):
                job = self._ledger.move_job(job, planned)
                break
        if job.cancel_requested:
            self._cancel.job(job)
        self._collect_what_has_nothing_to_send(job)
        self._admit.job(job)
        self._publish.job(job_id)

    def _collect_what_has_nothing_to_send(self, job: Job) -> None:
        for batch in self._ledger.batches(job.id):
            if batch.state is BatchState.ended and not batch.requests:
                self._queues.send(Queue.collect, {"job_id": job.id, "batch": batch.name})

    def _reject(self, job: Job, reason: str) -> None:
        """The documents come first: whoever dies here leaves a job that is still planned, and so rejected again."""
        now = self._clock.now()
        current = self._ledger.job(job.id) or job
        rejected = msgspec.structs.replace(
            current,
            state=JobState.rejected,
            outcome=JobState.rejected,
            reason=reason,
            updated_at=now,
            finished_at=now,
            lease_until=None,
        )
        self._write_rejection(rejected)
        with suppress(LostRace):
            self._ledger.move_job(current, rejected)

    def _write_rejection(self, job: Job) -> None:
        now = self._clock.now()
        folder = keys.outbox_folder(job.input.key, job.id)
        self._objects.put(folder + "status.json", documents.status(job, now))
        self._objects.put(folder + "manifest.json", documents.manifest(job, (), {}, now), once=True)


class _Cutting:
    """One reading of a file: rows go in, stored batches come out. Memory: one writer of faults."""

    def __init__(
        self, objects: Objects, ledger: Ledger, job: Job, source: ObjectRef, cutter: Cutter, requests_before: int
    ) -> None:
        self._objects = objects
        self._ledger = ledger
        self._job = job
        self._source = source
        self._cutter = cutter
        self._requests = requests_before
        self._first_line: int | None = None
        self._faults_key = ""
        self._faults: ObjectWriter | None = None

    def take(self, line: Line, row: Row | Invalid) -> None:
        cut = self._cutter.take(line, row)
        if cut is not None:
            self._store(cut)
        if self._first_line is None:
            self._first_line = line.number
        if isinstance(row, Invalid):
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

    def _note(self, row: Invalid, first_line: int) -> None:
        if self._faults is None:
            self._faults_key = f"{keys.work_folder(self._job.id)}invalid-{first_line:012d}.jsonl"
            self._faults = self._objects.writer(self._faults_key)
        self._faults.write(msgspec.json.encode(Fault(line=row.line, type=row.type, message=row.message)) + b"\n")

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
            tag=fairness.start_tag(self._job.created_at, self._requests),
            ended_at=self._job.created_at if ended else None,
        )
        self._ledger.add_batch(batch, Tally(total=cut.requests + cut.invalid, batches_total=1, batches_ended=int(ended)))
        self._requests += cut.requests
        self._first_line = None


def _chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    chunk: list[Line] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line.data)
        if size >= _CHUNK_BYTES or len(chunk) >= _CHUNK_ROWS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _broken_line(job: Job, last: Line) -> Invalid | None:
    """The last line of the source, if that is where a damaged gzip stream breaks off."""
    if job.broken is None:
        return None
    return Invalid(last.number, job.broken.error_type, job.broken.message, last.data, is_object=False)


def _checked(chunk: list[Line], seen: IdSet, broken: Invalid | None) -> Iterator[tuple[Line, Row | Invalid]]:
    """The rows of a chunk, blank lines left out, repeated custom ids made invalid."""
    rows = [(line, parse(line)) for line in chunk if line.data]
    if broken is not None and rows:
        rows[-1] = (rows[-1][0], broken)
    named = [row for _, row in rows if isinstance(row, Row) and row.custom_id is not None]
    repeated = {
        row.line
        for row, again in zip(
            named, seen.add_all([custom_id_digest(row.custom_id) for row in named if row.custom_id]), strict=True
        )
        if again
    }
    for line, row in rows:
        if isinstance(row, Row) and row.line in repeated:
            yield line, _repeated(line, row)
        else:
            yield line, row


def _repeated(line: Line, row: Row) -> Invalid:
    name = (row.custom_id or b"").decode()
    return Invalid(
        line.number,
        "duplicate_custom_id",
        f"custom_id {name} stands in an earlier line of this file; give every row its own, or leave it out.",
        line.data,
        is_object=True,
    )


def _nothing_in_it(lines: int) -> str:
    if not lines:
        return "The file is empty; nothing was sent."
    which = "its only line is" if lines == 1 else f"all of its {lines:,} lines are"
    return f"The file has no rows: {which} blank; nothing was sent."
