"""Hold results on disk, to be read back in input order: the API sends them in any order."""

from __future__ import annotations

import errno
import os
from array import array
from pathlib import Path

_WRITE_BYTES = 1 << 20


class Spool:
    """Result lines of the input lines [first, last], found by line number.

    Memory: 16 bytes for each input line of the window. Disk: at most `budget` bytes.
    """

    def __init__(self, path: Path, budget: int) -> None:
        self._file = path.open("w+b", buffering=_WRITE_BYTES)
        self._budget = budget
        self.open_window(0, -1)

    def close(self) -> None:
        self._file.close()

    def open_window(self, first: int, last: int) -> None:
        """Forgets everything and makes room for the lines [first, last]."""
        self.first, self.last = first, last
        self._offsets = array("Q", bytes(8 * (last - first + 1)))
        self._lengths = array("Q", bytes(8 * (last - first + 1)))
        self._size = 0
        self._file.seek(0)
        self._file.truncate()

    def add(self, number: int, data: bytes) -> bool:
        """Keeps the first line of each number of the window. False: the disk, or what this spool may use of it, is full."""
        if not self.first <= number <= self.last or self._lengths[number - self.first]:
            return True
        if self._size + len(data) > self._budget:
            return False
        try:
            self._file.write(data)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
        self._offsets[number - self.first] = self._size
        self._lengths[number - self.first] = len(data)
        self._size += len(data)
        return True

    def seal(self) -> bool:
        """Makes what was added readable. False: the disk is full."""
        try:
            self._file.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
        return True

    def get(self, number: int) -> bytes | None:
        length = self._lengths[number - self.first]
        return os.pread(self._file.fileno(), length, self._offsets[number - self.first]) if length else None
