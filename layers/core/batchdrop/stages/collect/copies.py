"""Which rows of a batch get the end of another one, because both have the same request."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from batchdrop.domain.records import Batch, RowStatus
from batchdrop.formats.input_line import REQUESTS
from batchdrop.formats.same_request import SameRequests
from batchdrop.jobs.batch_rows import batch_rows_of
from batchdrop.ports import Objects


def is_listed(batch: Batch) -> bool:
    """Whether it is known which rows of the batch are invalid."""
    return not unlisted(batch)


def unlisted(batch: Batch) -> int:
    """Rows that are invalid, and nobody knows any more which."""
    return batch.invalid - len(batch.left_out) if batch.invalid_key is None else 0


def is_sent(batch: Batch) -> bool:
    """Whether its rows have, or may have, reached the API, at this attempt or before."""
    return batch.attempt > 1 or batch.unsent is None or batch.unsent.status is RowStatus.missing


class Copies:
    """Memory: 4 bytes for each line of the batch's span, if it has copies."""

    def __init__(self, batch: Batch) -> None:
        self._first = batch.first_line
        self._sources = array("I", bytes(4 * (batch.last_line - batch.first_line + 1) if batch.copies else 0))
        """By line: how far behind the first line of the span its source is, plus one; 0 of a row that is no copy."""

    def note(self, line: int, source: int) -> None:
        self._sources[line - self._first] = source - self._first + 1

    def source_of(self, line: int) -> int | None:
        """The line of the row whose end it gets. None: that of its own request."""
        source = self._sources[line - self._first] if self._sources else 0
        return source + self._first - 1 if source else None

    def sources_before(self, first: int, last: int) -> Iterator[int]:
        """Of the copies in the lines [first, last]: sources that are not among these lines."""
        if first > self._first:
            sources = set(self._sources[first - self._first : last - self._first + 1]) - {0}
            yield from (line for source in sources if (line := source + self._first - 1) < first)


def copies_of(objects: Objects, batch: Batch) -> Copies:
    """Reads the rows of a batch with copies. Raises ObjectGone, Forbidden, UnreadableList.

    None are found if nobody knows any more which of its rows are invalid. Nor, those aside that the pilot has answered, if
    nothing was sent: all other rows have one end then.
    """
    copies = Copies(batch)
    if not batch.copies or not is_listed(batch) or not (batch.settled or is_sent(batch)):
        return copies
    same = SameRequests(batch.settled)
    settled = {row.line for row in batch.settled}
    with batch_rows_of(objects, batch) as rows:
        for line, invalid, _ in rows:
            source = same.answered_by(line.number, REQUESTS.params(line.data)) if invalid is None else None
            if source is not None and (source in settled or is_sent(batch)):
                copies.note(line.number, source)
    return copies
