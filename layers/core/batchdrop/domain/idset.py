"""Has this custom id been seen? For files of any length, in a few MiB of memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path

# The rest of the tree stays on disk (and in the page cache, where the system has room).
_CACHE_KIB = 16 * 1024


class IdSet:
    """A set of digests (`rows.custom_id_digest`) in one SQLite file; about 35 bytes of disk for each.

    The file of a closed set can be handed to a later invocation, which goes on with it. After a crash it is worthless: there is
    no journal, since whoever crashed starts again from the last file handed over.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, or creates it. Raises sqlite3.DatabaseError if it is not one of ours."""
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute("CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")

    def add_all(self, digests: list[bytes]) -> list[bool]:
        """Adds digests; says of each whether it was there before, from an earlier call or from earlier in the list.

        Larger calls are faster: the additions go through the tree in its order.
        """
        seen = [True] * len(digests)
        execute = self._db.execute
        execute("BEGIN")
        # The sort is stable, so the first of two equal digests in the list is the one that is new.
        for index in sorted(range(len(digests)), key=digests.__getitem__):
            seen[index] = not execute("INSERT OR IGNORE INTO seen VALUES (?)", (digests[index],)).rowcount
        execute("COMMIT")
        return seen

    def close(self) -> None:
        """Completes the file. The set cannot be used afterwards."""
        self._db.close()
