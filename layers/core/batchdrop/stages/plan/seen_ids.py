"""Has this custom id been seen? For files of any length, in a few MiB of memory."""

from __future__ import annotations

import sqlite3
from operator import itemgetter
from pathlib import Path

from batchdrop.domain.errors import OutOfDisk

# The rest of the tree stays on disk (and in the page cache, where the system has room).
_CACHE_KIB = 4 * 1024

_digest = itemgetter(0)


class IdSet:
    """A set of digests (`input_line.custom_id_digest`) in one SQLite file; about 28 bytes of disk for each.

    The file of a closed set can be handed to a later invocation, which goes on with it. After a crash it is worthless: there is
    no journal, since whoever crashed starts again from the last file handed over.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, or creates it. Raises sqlite3.DatabaseError if it is not one of ours."""
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._next = self._prepare()
        except sqlite3.DatabaseError:
            self._db.close()
            raise

    def add_all(self, digests: list[bytes]) -> list[bool]:
        """Adds digests; says of each whether it was there before, from an earlier call or from earlier in the list.

        Larger calls are faster: the additions go through the tree in its order, and one number tells that all were new.
        Raises OutOfDisk.
        """
        try:
            return self._add_all(digests)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise OutOfDisk(f"no room for {len(digests)} more custom ids after {self._next}") from error

    def _add_all(self, digests: list[bytes]) -> list[bool]:
        # The sort is stable: of two equal digests in the list the first one finds its place.
        places = sorted(zip(digests, range(self._next, self._next + len(digests)), strict=False), key=_digest)
        self._db.execute("BEGIN")
        added = self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", places).rowcount
        self._db.execute("COMMIT")
        first, self._next = self._next, self._next + len(digests)
        if added == len(digests):
            return [False] * len(digests)
        return [self._place(digest) != first + index for index, digest in enumerate(digests)]

    def close(self) -> None:
        """Completes the file. The set cannot be used afterwards."""
        self._db.close()

    def _prepare(self) -> int:
        for setting in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", f"cache_size = -{_CACHE_KIB}"):
            self._db.execute(f"PRAGMA {setting}")
        self._db.execute("CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY, place INTEGER) WITHOUT ROWID")
        (following,) = self._db.execute("SELECT coalesce(max(place) + 1, 0) FROM seen").fetchone()
        return int(following)

    def _place(self, digest: bytes) -> int:
        (place,) = self._db.execute("SELECT place FROM seen WHERE digest = ?", (digest,)).fetchone()
        return int(place)
