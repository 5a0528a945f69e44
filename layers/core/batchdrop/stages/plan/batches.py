"""Read a job's file once, check every row, and store the batches it is cut into.

A file too long for one invocation is read in several. Between two of them the custom ids seen so far are kept in `work/`, and a
checkpoint in the job says how far they reach. An invocation begins at the checkpoint, whatever was killed since: lines of batches
that are stored already only give their custom ids, and cutting begins behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from batchdrop.domain import keys, transitions
from batchdrop.domain.admission import start_tag
from batchdrop.domain.call_headers import headers_of
from batchdrop.domain.errors import AlreadyExists, LostRace, ObjectGone, Rejected
from batchdrop.domain.records import Batch, BatchState, Checkpoint, Job, ObjectRef, Span
from batchdrop.formats.input_line import Row
from batchdrop.formats.invalid_line import InvalidLine, invalid_line
from batchdrop.formats.lines import Line, read_lines
from batchdrop.formats.named_row import named_by_note, named_by_rendered, noticed
from batchdrop.formats.rendered_line import check_rendered
from batchdrop.formats.same_request import request_digest
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.config_files import ConfigObject
from batchdrop.jobs.scratch import scratch
from batchdrop.money.price_list import PriceList
from batchdrop.money.sizing import Sizer
from batchdrop.ports import Clock, Ledger, Objects, ObjectWriter
from batchdrop.reports import sentences
from batchdrop.stages.plan.check import NAMED_LATE, Checked, RowCheck, checked, in_chunks
from batchdrop.stages.plan.cutter import Cut, Cutter, Limits
from batchdrop.stages.plan.pilot_draw import PilotDraw
from batchdrop.stages.plan.seen_ids import IdSet

MAX_BATCHES = 10_000
"""Of a job, as it is planned: some steps hold all of its batches in memory, about 2 KB each."""
_START = Checkpoint(offset=0, line=1)


class CutFile(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    clock: Clock
    commit: Commit
    limits: Limits
    prices: ConfigObject[PriceList]
    """Those that hold now. They tell models apart; nothing is counted at them here."""

    def __call__(self, job: Job, source: ObjectRef, go_on: Callable[[], bool]) -> Checkpoint:
        """Stores the job's batches. Returns how far it came before time ran out; at the end that is the source's size.

        With it, the rows so far that would be tried first. Raises ObjectGone, OutOfDisk, LostRace, Rejected, and NamesFiles
        before a batch is stored.
        """
        stored = self._stored(job)
        now = self.clock.now()
        cutter = Cutter(self.limits, Sizer(self.prices.current(now).value, now), dedupe=job.dedupe)
        with scratch() as folder:
            path = folder / "ids"
            start = self._fetch_ids(job, path)
            with closing(IdSet(path)) as seen:
                batches = _Batches(self.objects, self.ledger, self.commit, job, source, cutter, stored)
                try:
                    reached = self._read(job, source, start, stored.end, seen, batches, go_on)
                finally:
                    batches.abandon()
            if reached.offset < source.size:
                self.objects.put_file(keys.ids_of_plan(job.id, reached.offset), path)
            return reached

    def _read(
        self,
        job: Job,
        source: ObjectRef,
        start: Checkpoint,
        stored_end: int,
        seen: IdSet,
        batches: _Batches,
        go_on: Callable[[], bool],
    ) -> Checkpoint:
        """Reads on until the end, or until time runs out. Lines before `stored_end` are in batches already."""
        reached = start
        draw = PilotDraw(job.id, start.pilot)
        strange = dict(start.strange)
        check = self._check_of(job, source, batches, strange)
        named_by = named_by_rendered if job.recipe else named_by_note
        with self.objects.read(source, start.offset) as stream:
            for chunk in in_chunks(read_lines(stream, start=start.offset, first_line=start.line)):
                end = chunk[-1].end
                broken = _broken_line(job, chunk[-1]) if end >= source.size else None
                found = checked(chunk, seen, broken, check)
                _take_all(found, batches, draw, stored_end, unique=job.recipe is None, dedupe=job.dedupe)
                repeated = reached.repeated + len(found.repeated)
                names = reduce(noticed, (named_by(line.data) for line, _ in found.rows), reached.names)
                reached = Checkpoint(offset=end, line=chunk[-1].number + 1, repeated=repeated, pilot=draw.drawn, names=names)
                reached = replace(reached, strange=dict(strange))
                # While the next chunk is read, this one is held no more.
                chunk.clear()
                if not go_on():
                    break
        # A short batch before a checkpoint: should the checkpoint not be written, the next invocation finds it stored.
        batches.finish()
        return reached

    def _check_of(
        self, job: Job, source: ObjectRef, batches: _Batches, strange: dict[str, int]
    ) -> Callable[[Line], Row | InvalidLine]:
        """Lines that a recipe made were looked at with the recipe."""
        if job.recipe:
            return check_rendered
        filled = source.key == keys.with_files(job.id)
        listed, now = self.ledger.get_models(), self.clock.now()
        late = lambda: NAMED_LATE if batches.number else ""  # noqa: E731
        return RowCheck(headers_of(job), listed, now, filled=filled, unfillable=late, strange=strange)

    def _stored(self, job: Job) -> _Stored:
        end = requests = rows = number = 0
        for batch in self.ledger.list_batches(job.id):
            end = batch.span.end
            requests += batch.requests
            rows += batch.rows
            number += 1
        return _Stored(end, requests, rows, number)

    def _fetch_ids(self, job: Job, path: Path) -> Checkpoint:
        """Where reading begins. The custom ids of all lines before it are then at `path`."""
        if job.checkpoint is not None:
            with suppress(ObjectGone):
                self.objects.get_file(keys.ids_of_plan(job.id, job.checkpoint.offset), path)
                return job.checkpoint
        return _START


class _Stored(NamedTuple):
    """What earlier invocations have stored: batches from the first line on, without a gap."""

    end: int
    """Offset behind the last line of the last batch."""
    requests: int
    rows: int
    number: int


class _Batches:
    """Rows go in, stored batches come out. Memory: one writer of faults."""

    def __init__(
        self,
        objects: Objects,
        ledger: Ledger,
        commit: Commit,
        job: Job,
        source: ObjectRef,
        cutter: Cutter,
        stored: _Stored,
    ) -> None:
        self._objects = objects
        self._ledger = ledger
        self._commit = commit
        self._job = job
        self._source = source
        self._cutter = cutter
        self._requests = stored.requests
        self._rows = stored.rows
        self.number = stored.number
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
        """Faults first: a stored batch can rely on them. Raises Rejected."""
        if self.number >= MAX_BATCHES:
            raise Rejected(sentences.too_many_batches(MAX_BATCHES, self._rows))
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
            copies=cut.copies,
            invalid=cut.invalid,
            invalid_key=self._faults_key if cut.invalid else None,
            prefixes=(),
            body_bytes=cut.body_bytes,
            priority=self._job.priority,
            start_tag=start_tag(self._job.created_at, self._requests),
            ended_at=self._job.created_at if ended else None,
            sizes=cut.sizes,
        )
        self._add(batch)
        self._requests += cut.requests
        self._rows += batch.rows
        self.number += 1
        self._first_line = None

    def _add(self, batch: Batch) -> None:
        """Raises LostRace if another invocation has just cut the file otherwise: rows between the two ends would be lost."""
        try:
            self._commit(transitions.added(batch))
        except AlreadyExists:
            stored = self._ledger.get_batch(batch.job_id, batch.name)
            if stored is None or stored.span != batch.span:
                raise LostRace(f"{batch.name} was cut by another invocation") from None


def _take_all(found: Checked, batches: _Batches, draw: PilotDraw, stored_end: int, *, unique: bool, dedupe: bool) -> None:
    """Hands on the rows of a chunk that no batch has yet. The draw is of all rows, those of stored batches too.

    Not `unique`: an id column of a table need not be. Its rows have their numbers, and how many repeat one is told.
    """
    for line, row in found.unique() if unique else found.rows:
        if isinstance(row, Row) and dedupe:
            draw.add_request(line, request_digest(row.params))
        elif isinstance(row, Row):
            draw.add(line)
        if line.start >= stored_end:
            batches.take(line, row)


def _broken_line(job: Job, last: Line) -> InvalidLine | None:
    """The last line of the source, if that is where a damaged gzip stream breaks off."""
    if job.broken is None:
        return None
    return InvalidLine(line=last.number, type=job.broken.error_type, message=job.broken.message)
