"""The results of one batch, by line number, whatever order and however often they have to be downloaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from batchdrop.domain.errors import BatchdropError, Incomplete, OutOfDisk
from batchdrop.domain.ids import prefixes_of
from batchdrop.domain.records import Batch
from batchdrop.formats.api_result import line_number_reader, peek_custom_id, result_lines
from batchdrop.ports import Claude, Clock
from batchdrop.stages.collect.copies import Copies
from batchdrop.stages.collect.spool import Spool

log = logging.getLogger(__name__)

# A stream may be cut, or end short without an error. Downloads are free; so it is read again before a row is called missing.
_DOWNLOADS = 4
_PAUSE = 1.0


class NotOurs(BatchdropError):
    """The first result shows that an adopted batch belongs to someone else."""


class Results:
    """Access is in ascending order of line numbers.

    Results that do not fit `budget` bytes of disk are downloaded once for each half (quarter, ...) of the lines instead.
    """

    def __init__(self, claude: Claude, clock: Clock, batch: Batch, path: Path, budget: int, copies: Copies) -> None:
        self._claude = claude
        self._clock = clock
        self._batch = batch
        self._copies = copies
        self._spool = Spool(path, budget)
        self._number_of = line_number_reader(prefixes_of(batch))
        self._width = batch.last_line - batch.first_line + 1
        self._received = 0

    def __enter__(self) -> Results:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._spool.close()

    def get(self, number: int) -> bytes | None:
        """The result line as the API sent it, or None if it sent none. Raises NotOurs, Incomplete, OutOfDisk, ApiError."""
        if self._batch.api_id is None:
            return None
        if number > self._spool.last:
            self._load(number)
        return self._spool.get(number)

    def get_for_copy(self, number: int) -> bytes | None:
        """The same of the row whose request this one has. Raises as `get` does."""
        source = self._copies.source_of(number)
        if source is None or self._batch.api_id is None:
            return None
        if number > self._spool.last:
            self._load(number)
        return self._spool.get(source)

    def count(self) -> int:
        """How many of the batch's lines have a result. Raises as `get` does."""
        self.get(self._batch.first_line)
        return self._received

    def _load(self, first: int) -> None:
        last = min(first + self._width - 1, self._batch.last_line)
        while not self._fill(first, last):
            if last == first:
                raise OutOfDisk(f"the result of line {first} alone does not fit the function's ephemeral storage")
            last = first + (last - first) // 2
            self._width = last - first + 1
            log.info("results do not fit the disk at once", extra={"batch": self._batch.name, "window": self._width})

    def _fill(self, first: int, last: int) -> bool:
        """Downloads the lines of one window. False: they do not fit."""
        self._spool.open_window(first, last, self._copies.sources_before(first, last))
        cut: Incomplete | None = None
        for attempt in range(_DOWNLOADS):
            if attempt:
                self._clock.sleep(_PAUSE * attempt)
            try:
                with self._claude.results(self._batch.api_id or "") as chunks:
                    received = self._take(chunks)
            except Incomplete as error:
                cut = error
                continue
            if received is None:
                return False
            self._received = received
            if received >= self._batch.result_lines:
                return self._spool.seal()
            cut = None
            log.warning("fewer results than announced", extra={"batch": self._batch.name, "received": received})
        if cut is not None:
            raise cut
        return self._spool.seal()

    def _take(self, chunks: Iterable[bytes]) -> int | None:
        """Spools one download. The number of different lines of ours in it, or None when the disk is full."""
        first, last = self._batch.first_line, self._batch.last_line
        received = bytearray(last - first + 1)
        for line in result_lines(chunks):
            try:
                number = self._number_of(line)
            except ValueError:
                # No row can be told from it. If one was meant, its line is missing.
                log.warning("a result line names no row", extra={"batch": self._batch.name})
                continue
            if not first <= number <= last:
                if self._batch.adopted:
                    raise NotOurs(peek_custom_id(line))
                log.warning("a result with an unknown custom id", extra={"batch": self._batch.name})
                continue
            # Once for each line, however often the API repeats it: a repeated one must not hide a missing one.
            received[number - first] = 1
            if not self._spool.add(number, line):
                return None
        return received.count(1)
