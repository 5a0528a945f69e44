"""Jobs as a table of text: the file last, which alone may be of any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from batchdrop.domain import ids, keys
from batchdrop_cli.amounts_said import money
from batchdrop_client.job_status import JobStatus
from batchdrop_client.plain_text import plain

_GAP = "  "
SHORT_ID = 6
_LEAST_FILE_CHARS = 12


class _Line(NamedTuple):
    dropped: str
    job: str
    state: str
    rows: str
    without: str
    cost: str
    file: str


_HEADS = (_Line("", "", "", "", "without", "", ""), _Line("dropped", "job", "state", "rows", "answer", "cost", "file"))
_NUMBERS = {"rows", "without", "cost"}


def jobs_table(jobs: Sequence[JobStatus], now: datetime, width: int | None) -> Iterator[str]:
    """Lines. `width`: that they are cut to; None: nothing is cut."""
    lines = [*_HEADS, *(_line(job, now) for job in jobs)]
    widths = {name: max(len(getattr(line, name)) for line in lines) for name in _Line._fields if name != "file"}
    left = None if width is None else max(_LEAST_FILE_CHARS, width - sum(widths.values()) - len(_GAP) * len(widths))
    for line in lines:
        cells = [
            getattr(line, name).rjust(size) if name in _NUMBERS else getattr(line, name).ljust(size)
            for name, size in widths.items()
        ]
        yield _GAP.join([*cells, _end_of(line.file, left)]).rstrip()


def _line(status: JobStatus, now: datetime) -> _Line:
    counts = status.counts
    without = (counts.total if status.has_ended else counts.finished) - counts.succeeded
    dropped = ids.uploaded_at(status.job_id)
    return _Line(
        f"{dropped:%d %b %H:%M}" if dropped.year == now.year else f"{dropped:%d %b %Y}",
        status.job_id[-SHORT_ID:],
        status.word,
        f"{counts.total:,}" if counts.total else "",
        f"{without:,}" if without else "",
        money(status.cost.usd) if status.cost.usd else "",
        plain(status.input.key.removeprefix(keys.INBOX)),
    )


def _end_of(name: str, most: int | None) -> str:
    """The end of a path tells more than its beginning."""
    return name if most is None or len(name) <= most else f"...{name[3 - most :]}"
