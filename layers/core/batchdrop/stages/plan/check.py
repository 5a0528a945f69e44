"""Check the lines of a file: each becomes a row that can be sent, or the reason why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from batchdrop.formats.input_line import REQUESTS, Row, custom_id_digest
from batchdrop.formats.invalid_line import InvalidLine, shown
from batchdrop.formats.lines import Line
from batchdrop.stages.plan.seen_ids import IdSet

# Rows are looked up in the id set this many at a time: enough to pay for the call, little to hold.
_CHUNK_BYTES = 4_000_000
_CHUNK_ROWS = 4_000


def in_chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    chunk: list[Line] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line.data)
        if size >= _CHUNK_BYTES or len(chunk) >= _CHUNK_ROWS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def checked(
    chunk: list[Line],
    seen: IdSet,
    broken: InvalidLine | None = None,
    check: Callable[[Line], Row | InvalidLine] = REQUESTS.check,
) -> Iterator[tuple[Line, Row | InvalidLine]]:
    """The rows of a chunk without its blank lines; a row that repeats a custom id is invalid.

    `broken`: what is wrong with the chunk's last line, if a damaged gzip stream breaks off there. Raises OutOfDisk.
    """
    rows = [(line, check(line)) for line in chunk if line.data]
    if broken is not None and rows:
        rows[-1] = (rows[-1][0], broken)
    named = [row for _, row in rows if isinstance(row, Row) and row.custom_id is not None]
    repeated = {
        row.line
        for row, again in zip(
            named, seen.add_all([custom_id_digest(row.custom_id) for row in named if row.custom_id]), strict=True
        )
        if again
    }
    for line, row in rows:
        if isinstance(row, Row) and row.line in repeated:
            yield line, _repeated(row)
        else:
            yield line, row


def _repeated(row: Row) -> InvalidLine:
    name = (row.custom_id or b"").decode()
    return InvalidLine(
        line=row.line,
        type="duplicate_custom_id",
        message=f"custom_id {shown(name)} appears more than once in this file; only the first row with it is sent. "
        "Give every row its own, or leave the field out.",
    )
