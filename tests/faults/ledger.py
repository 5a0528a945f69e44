"""The table as AWS promises it and no better: its index is late, and a transaction may meet another one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from batchdrop.domain.errors import Throttled
from batchdrop.domain.marks import MARKED, Mark, mark_of
from batchdrop.domain.open_work import OpenWork, Place, place_of_batch, place_of_job, waiting_in
from batchdrop.domain.records import Admission, Arrivals, Batch, Group, Job
from batchdrop.domain.transitions import Move
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks, hooked
from tests.fakes.ledger import FakeLedger

type _Record = Job | Batch | Mark
type _Entry = tuple[datetime, Place | None, _Record]


class LateLedger(FakeLedger):
    """`late`: each write is in the index at most so many seconds afterwards, every item by a time of its own.

    `conflicts`: the share of commits that are answered like a transaction that met others until the adapter gave up.
    """

    def __init__(self, clock: ManualClock, hooks: Hooks, seed: int = 0) -> None:
        super().__init__(hooks)
        self.late = 0.0
        self.conflicts = 0.0
        self.fired = {"late": 0, "conflicts": 0}
        self._clock = clock
        self._draw = random.Random(f"ledger {seed}")
        self._index: dict[object, list[_Entry]] = {}
        self._shelves: dict[str, dict[object, None]] = {}
        """Keys of what may lie on a shelf, in the order in which it came there: listing one does not look at all the others."""

    @property
    def admission(self) -> Admission:
        """Not a call of anybody's."""
        return self._admission

    @hooked
    def has_open_work(self) -> bool:
        return bool(self._open(None))

    @hooked
    def list_open_batches(self, work: OpenWork, *, limit: int | None = None) -> Iterator[Batch]:
        return iter([record for record in self._open(work) if isinstance(record, Batch)][:limit])

    @hooked
    def list_waiting_batches(self, job_id: str, *, limit: int) -> Iterator[Batch]:
        return iter([record for record in self._open(waiting_in(job_id)) if isinstance(record, Batch)][:limit])

    @hooked
    def list_open_jobs(self, work: OpenWork, *, behind: str = "", limit: int | None = None) -> Iterator[Job]:
        return iter([record for record in self._open(work, behind) if isinstance(record, Job)][:limit])

    @hooked
    def list_marks(self, *, behind: str = "", limit: int) -> list[Mark]:
        return [record for record in self._open(MARKED, behind) if isinstance(record, Mark)][:limit]

    @hooked
    def remove_marks(self, marks: Sequence[Mark]) -> None:
        self.marks.difference_update(marks)
        for mark in marks:
            self._copy(mark, None, mark)

    def _commit[R: (Job, Batch, Admission, Arrivals, Group)](self, move: Move[R]) -> R:
        if self.conflicts and self._draw.random() < self.conflicts:
            self.fired["conflicts"] += 1
            raise Throttled("the table was busy")
        return super()._commit(move)

    def _write(self, move: Move[Any]) -> Any:
        written = super()._write(move)
        match written:
            case Job():
                if (mark := mark_of(move.before, written)) is not None:
                    self._copy(mark, Place(MARKED, mark.due), mark)
                self._copy(written.id, place_of_job(written), written)
            case Batch():
                self._copy((written.job_id, written.name), place_of_batch(written), written)
        return written

    def _count(self, move: Move[Any]) -> None:
        super()._count(move)
        match move.after:
            case Job(id=job_id) | Batch(job_id=job_id) if job_id in self.jobs:
                self._copy(job_id, place_of_job(self.jobs[job_id]), self.jobs[job_id])

    def _copy(self, key: object, place: Place | None, record: _Record) -> None:
        """Of one item the index shows every write in its order."""
        entries = self._index.setdefault(key, [])
        arrives = self._clock.now() + timedelta(seconds=self._draw.random() * self.late)
        entries.append((max(arrives, entries[-1][0]) if entries else arrives, place, record))
        if place is not None:
            self._shelves.setdefault(place.shelf, {})[key] = None

    def _open(self, shelf: str | None, behind: str = "") -> list[_Record]:
        now = self._clock.now()
        found: list[tuple[str, str, _Record]] = []
        for here in [shelf] if shelf is not None else [*self._shelves]:
            for key in [*self._shelves.get(here, ())]:
                entries = self._index[key]
                if entries[-1][0] > now:
                    self.fired["late"] += 1
                while len(entries) > 1 and entries[1][0] <= now:
                    del entries[0]
                if all(place is None or place.shelf != here for _, place, _ in entries):
                    del self._shelves[here][key]
                    continue
                arrives, place, record = entries[0]
                if arrives <= now and place is not None and place.shelf == here and place.due > behind:
                    found.append((place.due, str(key), record))
        return [record for _, _, record in sorted(found, key=lambda one: one[:2])]
