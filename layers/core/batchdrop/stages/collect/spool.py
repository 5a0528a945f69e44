"""Hold results on disk, to be read back in input order: the API sends them in any order."""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Iterable
from pathlib import Path

_WRITE_BYTES = 1 << 20
_NOWHERE = (0, 0)


class Spool:
    """Result lines of the input lines [first, last], found by line number.

    Memory: 16 bytes for each input line of the window, and an entry for each line before it that is kept too. Disk: at most
    `budget` bytes.
    """

    def __init__(self, path: Path, budget: int) -> None:
        self._file = path.open("w+b", buffering=_WRITE_BYTES)
        self._budget = budget
        self.open_window(0, -1)

    def close(self) -> None:
        self._file.close()

    def open_window(self, first: int, last: int, before: Iterable[int] = ()) -> None:
        """Forgets everything and makes room for the lines [first, last], and for these lines before them."""
        self.first, self.last = first, last
        self._before = dict.fromkeys(before, _NOWHERE)
        self._offsets = array("Q", bytes(8 * (last - first + 1)))
        self._lengths = array("Q", bytes(8 * (last - first + 1)))
        self._size = 0
        self._file.seek(0)
        self._file.truncate()

    def add(self, number: int, data: bytes) -> bool:
        """Keeps the first line of each number of the window. False: the disk, or what this spool may use of it, is full."""
        if self.first <= number <= self.last:
            if self._lengths[number - self.first]:
                return True
        elif self._before.get(number) is not _NOWHERE:
            return True
        if self._size + len(data) > self._budget:
            return False
        try:
            self._file.write(data)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
        if number < self.first:
            self._before[number] = (self._size, len(data))
        else:
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
        if number < self.first:
            offset, length = self._before.get(number, _NOWHERE)
        else:
            offset, length = self._offsets[number - self.first], self._lengths[number - self.first]
        return os.pread(self._file.fileno(), length, offset) if length else None
