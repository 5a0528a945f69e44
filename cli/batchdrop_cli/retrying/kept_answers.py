"""What became of each row, in one SQLite file: on disk before anything else happens, and safe from a kill at any moment."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.record import Record
from batchdrop.domain.records import ObjectRef
from batchdrop_cli.calling.keeping import CannotKeep
from batchdrop_client.plain_text import plain

_APPLICATION = 0x42_44_52_54
ROOM_BYTES = 64_000_000
"""Disk that has to be free before a row is sent: much more than the answers of all that are under way."""
_SCHEMA = """
CREATE TABLE run (only INTEGER PRIMARY KEY CHECK (only = 1), document BLOB NOT NULL);
CREATE TABLE rows (
  line INTEGER PRIMARY KEY, end TEXT NOT NULL, message BLOB, error_type TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT ''
);
"""


class InUse(Exception):
    """Another process works with the file."""


class NotOurs(Exception):
    """The file is something else."""


class End(StrEnum):
    """What is known of a row that was sent at least once."""

    asked = "asked"
    """Nothing: it may have been answered, and is paid then."""
    answered = "answered"
    refused = "refused"
    """For good; nothing was paid."""


class Kept(NamedTuple):
    end: End
    message: bytes
    """As the API wrote it."""
    error_type: str
    error: str


class Run(Record, frozen=True, kw_only=True):
    """One answer to "finish the rest of this job", over all runs of the command."""

    id: str
    """Of the shape of a job id."""
    of: str
    """The job or earlier run whose rows are asked again."""
    job: str
    """The job that they come from first: it counts their lines."""
    file: str
    """The key of that job's file."""
    started_at: datetime
    failed: ObjectRef
    """The file with the rows, as it was read."""
    recipe: ObjectRef | None
    headers: CallHeaders
    rows: int
    """Of all that had no answer, those that can be asked again."""
    lines: int
    """All that had no answer."""
    maybe_paid: int
    """Of those that can be asked again, those that may have been answered and paid in the job."""
    finished_at: datetime | None = None
    """When the last row that can be asked was."""
    placed: bool = False
    """Its answers are in the outbox: it is over."""


class KeptAnswers:
    """As a context manager; one process at a time. Raises InUse, NotOurs; each method may raise CannotKeep."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sent_before: set[int] = set()
        """Rows that are sent once more: what became of them the first time stays unknown, whatever becomes of this."""

    def __enter__(self) -> Self:
        with self._writing():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            with self._opening():
                # Held until the end: the lock goes with the process, whatever becomes of it.
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("BEGIN IMMEDIATE")
                self._prepare()
                self._db.execute("COMMIT")
        except BaseException:
            self._db.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _prepare(self) -> None:
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        if application == _APPLICATION:
            return
        if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
            raise NotOurs(str(self._path))
        for statement in filter(str.strip, _SCHEMA.split(";\n")):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id={_APPLICATION}")

    # ------------------------------------------------------------ the run

    def run(self) -> Run | None:
        found = self._db.execute("SELECT document FROM run").fetchone()
        return msgspec.json.decode(found[0], type=Run) if found else None

    def keep_run(self, run: Run) -> None:
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO run VALUES (1, ?)", (msgspec.json.encode(run),))

    # ------------------------------------------------------------ rows

    def asked(self, line: int) -> None:
        """Raises CannotKeep, too, where there may be no room for its answer: nothing is sent then."""
        with self._writing():
            free = shutil.disk_usage(self._path.parent).free
        if free < ROOM_BYTES:
            folder = plain(str(self._path.parent))
            raise CannotKeep(f"The disk of {folder} has {free // 1_000_000} MB left, too little for more answers. Make room.")
        if self.end_of(line) is End.asked:
            self._sent_before.add(line)
        self._put(line, End.asked)

    def not_asked(self, line: int) -> None:
        """This time."""
        if line in self._sent_before:
            self._put(line, End.asked)
            return
        with self._writing():
            self._db.execute("DELETE FROM rows WHERE line = ?", (line,))

    def answered(self, line: int, message: bytes) -> None:
        self._put(line, End.answered, message=message)

    def refused(self, line: int, error_type: str, error: str) -> None:
        # Half a surrogate pair cannot be stored.
        self._put(line, End.refused, error_type=_storable(error_type), error=_storable(error))

    def find(self, line: int) -> Kept | None:
        """None: it was not sent, or nothing of it was begun."""
        found = self._db.execute("SELECT end, message, error_type, error FROM rows WHERE line = ?", (line,)).fetchone()
        return Kept(End(found[0]), found[1] or b"", found[2], found[3]) if found else None

    def end_of(self, line: int) -> End | None:
        found = self._db.execute("SELECT end FROM rows WHERE line = ?", (line,)).fetchone()
        return End(found[0]) if found else None

    def lines(self, end: End, *, at_most: int) -> list[int]:
        found = self._db.execute("SELECT line FROM rows WHERE end = ? ORDER BY line LIMIT ?", (end, at_most))
        return [line for (line,) in found]

    def counts(self) -> dict[End, int]:
        found = dict(self._db.execute("SELECT end, count(*) FROM rows GROUP BY end").fetchall())
        return {end: found.get(end, 0) for end in End}

    def _put(self, line: int, end: End, *, message: bytes | None = None, error_type: str = "", error: str = "") -> None:
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", (line, end, message, error_type, error))

    # ------------------------------------------------------------ trouble

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            with self._writing():
                yield
        except CannotKeep as problem:
            cause = problem.__cause__
            if isinstance(cause, sqlite3.OperationalError) and "locked" in str(cause):
                raise InUse(str(self._path)) from cause
            raise
        except sqlite3.DatabaseError as error:
            raise NotOurs(str(self._path)) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise CannotKeep(f"{plain(str(self._path))} cannot be written: {error}.") from error
        except OSError as error:
            raise CannotKeep(
                f"{plain(str(error.filename or self._path))} cannot be written: {error.strerror or error}."
            ) from error


def _storable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
