"""Table and bucket in memory that stay quick with thousands of jobs. The table counts what DynamoDB would.

Each commit is turned into the entries of a transaction by the adapter itself, so that what is counted is what is sent.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import batched
from typing import Any, NamedTuple

from batchdrop.adapters.dynamodb import MOST_WRITTEN, REMOVAL_SECONDS
from batchdrop.adapters.items import (
    admission_item,
    arrivals_item,
    batch_item,
    from_value,
    group_item,
    job_item,
    mark_item,
    mark_key,
)
from batchdrop.adapters.transaction import Transaction
from batchdrop.domain.marks import MARKED, Mark
from batchdrop.domain.open_work import OpenWork, Place, place_of_batch, place_of_job, waiting_in
from batchdrop.domain.records import Admission, Arrivals, Batch, Group, Job
from batchdrop.domain.transitions import Move
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks, hooked
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects

# Amazon DynamoDB developer guide, "Read and write operations": a unit writes 1 KB, and a transaction prepares and commits.
_UNIT_BYTES, _UNITS_OF_A_TRANSACTION = 1024, 2
# The same page: a unit reads 4 KB, or 8 KB eventually consistent, and a page of a query ends at 1 MB.
_EVENTUAL_BYTES, _PAGE_BYTES = 8192, 1 << 20
_SMALL = 200
"""Bytes of an item of counters: a purse, or which batch an API batch belongs to."""


class Written(NamedTuple):
    """What one commit did to one item, or to one partition of the index."""

    at: float
    """Seconds of virtual time."""
    item: str
    units: int
    writer: int
    """The number of the invocation."""


class ManyLedger(FakeLedger):
    """Keeps the sparse index as an index. `read` are the units that were read, `bytes_read` what came in queries."""

    def __init__(self, clock: ManualClock, hooks: Hooks) -> None:
        super().__init__(hooks)
        self._clock = clock
        self._places: dict[object, Place] = {}
        self._shelves: defaultdict[str, list[tuple[str, object]]] = defaultdict(list)
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        self._sizes: dict[object, int] = {}
        self._copies: dict[object, tuple[Place | None, Place | None]] = {}
        """Where records were in the index before the commit that is under way, and where they are."""
        self.writer = 0
        self.written: list[Written] = []
        self.units: Counter[str] = Counter()
        """Of the table, of the index, and read."""
        self.items_listed = 0

    # ---------------------------------------------------------------- reads

    @hooked
    def list_batches(self, job_id: str) -> Iterator[Batch]:
        found = [self.stored[job_id, name] for name in self._names[job_id]]
        self._listed(sum(self._sizes[job_id, name] for name in self._names[job_id]), 2)
        return iter(found)

    @hooked
    def list_open_batches(self, work: OpenWork, *, limit: int | None = None) -> Iterator[Batch]:
        return (self.stored[key] for key in self._on(work, limit))

    @hooked
    def list_waiting_batches(self, job_id: str, *, limit: int) -> Iterator[Batch]:
        return (self.stored[key] for key in self._on(waiting_in(job_id), limit))

    @hooked
    def list_open_jobs(self, work: OpenWork, *, behind: str = "", limit: int | None = None) -> Iterator[Job]:
        return (self.jobs[key] for key in self._on(work, limit, behind))

    @hooked
    def list_marks(self, *, behind: str = "", limit: int) -> list[Mark]:
        found = sorted((mark for mark in self.marks if mark.due > behind), key=lambda mark: mark.due)[:limit]
        self.items_listed += len(found)
        self._listed(sum(_size(mark_item(mark)) for mark in found), 1)
        return found

    def _on(self, shelf: str, limit: int | None, behind: str = "") -> Iterator[Any]:
        """A copy: what is read may be moved meanwhile. It is paid for as far as it is read."""
        entries = self._shelves.get(shelf, [])
        start = bisect_right(entries, behind, key=lambda entry: entry[0])
        size = 0
        self._listed(0, 1)
        for _, key in entries[start : None if limit is None else start + limit]:
            size += self._sizes[key]
            if size > _PAGE_BYTES:
                self._listed(size, 1)
                self.hooks.before("ledger.next_page")
                size = 0
            self.items_listed += 1
            yield key
        self._listed(size, 1)

    def _listed(self, size: int, factor: int) -> None:
        """An empty query reads half a unit."""
        self.units["read"] += factor * max(1, math.ceil(size / _EVENTUAL_BYTES))

    # ---------------------------------------------------------------- writes

    @hooked
    def remove_marks(self, marks: Sequence[Mark]) -> None:
        for number, some in enumerate(batched(marks, MOST_WRITTEN, strict=False)):
            if number:
                self.hooks.before("ledger.next_marks")
                self._clock.advance(REMOVAL_SECONDS)
            self.marks.difference_update(some)
            for mark in some:
                self._copies[mark] = (Place(MARKED, mark.due), None)
                self._pay({name: from_value(value) for name, value in mark_key(mark).items()})

    def _commit[R: (Job, Batch, Admission, Arrivals, Group)](self, move: Move[R]) -> R:
        current = super()._commit(move)
        parts: tuple[Move[Any], ...] = (move, *move.also)
        for part in parts:
            self._look_again(part.after)
        for action in Transaction("table").entries(move):
            ((_, entry),) = action.item.items()
            self._pay({name: from_value(entry.get("Key", entry.get("Item"))[name]) for name in ("pk", "sk")})  # type: ignore[attr-defined]
        return current

    def _look_again(self, after: Any) -> None:
        match after:
            case Job(id=job_id):
                self._place(job_id, place_of_job(self.jobs[job_id]))
            case Batch():
                key = (after.job_id, after.name)
                if key not in self._places and key not in self._sizes:
                    insort(self._names[after.job_id], after.name)
                self._place(key, place_of_batch(self.stored[key]))

    def _place(self, key: object, place: Place | None) -> None:
        before = self._places.pop(key, None)
        if before is not None:
            shelf = self._shelves[before.shelf]
            del shelf[bisect_left(shelf, (before.due, key))]
        if place is not None:
            self._places[key] = place
            insort(self._shelves[place.shelf], (place.due, key))
        self._copies[key] = (before, place)

    def _pay(self, key: dict[str, Any]) -> None:
        name, item, record = self._item(key["pk"], key["sk"])
        size = math.ceil((_size(item) if item is not None else _SMALL) / _UNIT_BYTES)
        self._note(name, _UNITS_OF_A_TRANSACTION * size)
        self.units["table"] += _UNITS_OF_A_TRANSACTION * size
        # Without the transaction: a copy that gets another key is deleted where it was and put where it belongs.
        before, after = self._copies.pop(record, (None, self._places.get(record)))
        for place in filter(None, {before, after}):
            self._note(f"index {place.shelf}", size)
            self.units["index"] += size

    def _item(self, partition: str, sort: str) -> tuple[str, Any, object]:
        """Its name for people, itself, and the key of its record if that can be in the index."""
        kind, _, rest = partition.partition("#")
        match kind, sort.partition("#")[0]:
            case "JOB", "JOB":
                self._sizes[rest] = _size(item := job_item(self.jobs[rest]))
                return f"job {rest}", item, rest
            case "JOB", _:
                key = (rest, sort.partition("#")[2])
                self._sizes[key] = _size(item := batch_item(self.stored[key]))
                return f"batch {key}", item, key
            case "ADMISSION", _:
                return "admission", admission_item(self._admission), None
            case "RECIPES", _:
                return f"recipes {rest}", arrivals_item(self.arrivals.get(rest, Arrivals(team=rest))), None
            case "MARK", _:
                mark = Mark(job_id=rest, revision=int(sort))
                self._copies.setdefault(mark, (None, Place(MARKED, mark.due)))
                return f"mark {rest}", mark_item(mark), mark
            case "GROUP", _:
                return f"group {rest}", group_item(self.groups.get(rest, Group(key=rest))), None
            case "MONEY", _:
                return f"purse {rest}", None, None
            case _:
                return kind, None, None

    def _note(self, name: str, units: int) -> None:
        self.written.append(Written(self._clock.now().timestamp(), name, units, self.writer))


def _size(item: Any) -> int:
    """About that of DynamoDB: the names, and the values as text."""
    return sum(len(name) + _value_size(value) for name, value in item.items())


def _value_size(value: Any) -> int:
    ((kind, held),) = value.items()
    match kind:
        case "L":
            return 3 + sum(1 + _value_size(entry) for entry in held)
        case "M":
            return 3 + sum(1 + len(name) + _value_size(entry) for name, entry in held.items())
        case "N":
            return len(held) // 2 + 2
        case "BOOL":
            return 1
        case _:
            return len(held.encode())


class ManyObjects(FakeObjects):
    """Finds its keys in order."""

    def __init__(self, clock: ManualClock, hooks: Hooks, *, bucket: str) -> None:
        super().__init__(clock, hooks, bucket=bucket)
        self._sorted: list[str] = []

    def keys(self, prefix: str = "") -> list[str]:
        start = bisect_left(self._sorted, prefix)
        end = bisect_left(self._sorted, prefix + "\U0010ffff", start)
        return [key for key in self._sorted[start:end] if (of := self._versions.get(key)) and of[-1].body is not None]

    def exists(self, key: str) -> bool:
        versions = self._versions.get(key, [])
        return bool(versions) and versions[-1].body is not None

    def _add(self, key: str, body: bytes | None, content_type: str, metadata: dict[str, str]) -> None:
        if key not in self._versions:
            insort(self._sorted, key)
        super()._add(key, body, content_type, metadata)

    @hooked
    def remove_all(self, prefix: str, *, limit: int) -> int:
        removed = 0
        start = bisect_left(self._sorted, prefix)
        end = bisect_left(self._sorted, prefix + "\U0010ffff", start)
        for key in self._sorted[start:end]:
            mine = self._versions[key][: limit - removed]
            removed += len(mine)
            self._versions[key] = self._versions[key][len(mine) :]
            if not self._versions[key]:
                del self._versions[key]
                self._sorted.remove(key)
        return removed
