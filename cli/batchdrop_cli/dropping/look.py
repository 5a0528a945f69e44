"""A file before it is dropped: what is wrong with it is said while nothing is sent, and about what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from batchdrop.adapters.clock import SystemClock
from batchdrop.formats import gzip_stream
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.stages.plan.kinds import LOOKED_AT
from batchdrop_cli.amounts_said import number, said
from batchdrop_cli.estimating.estimated import estimated
from batchdrop_cli.estimating.known import known_by
from batchdrop_cli.estimating.planned_file import planned_file
from batchdrop_cli.opening.local_prices import local_prices
from batchdrop_cli.opening.named_files import ELSEWHERE
from batchdrop_cli.opening.opened_file import NeedsRecipe, OpenedFile, Planned, opened
from batchdrop_client.dropping import takes_recipe
from batchdrop_client.plain_text import plain

MOST_READ_BYTES = 64_000_000
MOST_PACKED_BYTES = 4_000_000
"""A longer file takes a while to read, and the stack reads it anyway."""


class Look(NamedTuple):
    lines: list[str]
    """For the person at the terminal."""
    is_table: bool
    """Its answers come as a table."""


def look_at(file: Path, recipe: Path | None) -> Look:
    """Raises Waits, Rejected, ObjectGone, OSError."""
    name = plain(file.name)
    if file.stat().st_size > (MOST_PACKED_BYTES if _is_packed(file) else MOST_READ_BYTES):
        return _told([name], recipe, is_table=takes_recipe(file))
    try:
        with opened(file, recipe) as found:
            return _told(_lines(name, found), recipe, is_table=found.answer is not None)
    except NeedsRecipe as needs:
        columns = f"  columns {plain(', '.join(needs.look.columns))}" if needs.look.columns else ""
        return _told([f"{name}{columns}"], None, is_table=True)


def _told(lines: list[str], recipe: Path | None, *, is_table: bool) -> Look:
    return Look([*lines, recipe_line(recipe)] if is_table else lines, is_table)


def _is_packed(file: Path) -> bool:
    with file.open("rb") as stream:
        return gzip_stream.sniff(stream.read(LOOKED_AT))


def recipe_line(recipe: Path | None) -> str:
    return f"recipe          {plain(str(recipe)) if recipe else 'none here: the job takes that of the inbox, or waits for one'}"


def _lines(name: str, found: OpenedFile) -> list[str]:
    now = SystemClock().now()
    prices = local_prices(None, now)
    counted = _Elsewhere(found.rows.planned())
    planned = planned_file(counted, prices, now)
    whole = estimated(name, planned, prices, now, known_by(None))
    invalid = planned.invalid - counted.rows
    without = f", {invalid:,} of which cannot be sent" if invalid else ""
    lines = [f"{name}  {number(planned.rows, 'row')}{without}"]
    if counted.rows:
        rows = f"{number(counted.rows, 'row')} {'names' if counted.rows == 1 else 'name'}"
        lines.append(f"documents       {rows} documents in the bucket: the stack looks at them, and says what they cost")
    if whole.priced and planned.requests:
        batch, single = whole.ways.as_it_stands, whole.ways.one_by_one
        lines.append(f"estimate        {said(batch.low, batch.high)} (in real time {said(single.low, single.high)})")
    return lines


class _Elsewhere:
    """Rows as they come, and how many name files that only the stack can look at."""

    def __init__(self, lines: Iterable[Planned]) -> None:
        self._lines = lines
        self.rows = 0

    def __iter__(self) -> Iterator[Planned]:
        for line, row in self._lines:
            self.rows += isinstance(row, InvalidLine) and ELSEWHERE in row.message
            yield line, row
