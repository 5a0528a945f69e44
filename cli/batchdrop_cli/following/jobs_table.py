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
_CUT = "..."
SHORT_ID = 6
_LEAST_FILE_CHARS = 16
_GOOD_FILE_CHARS = 32


class _Line(NamedTuple):
    dropped: str
    job: str
    state: str
    rows: str
    without: str
    cost: str
    file: str


_HEADS = (_Line("", "", "", "", "without", "", ""), _Line("dropped", "job", "state", "rows", "answer", "cost", "file"))
_COLUMNS = tuple(name for name in _Line._fields if name != "file")
_WITHOUT_COST = tuple(name for name in _COLUMNS if name != "cost")
_NUMBERS = {"rows", "without", "cost"}


def jobs_table(jobs: Sequence[JobStatus], now: datetime, width: int | None) -> Iterator[str]:
    """Lines. `width`: that they are cut to, the hour and the cost first; None: nothing is cut."""
    for with_time, columns in ((True, _COLUMNS), (False, _COLUMNS), (False, _WITHOUT_COST)):
        lines = [*_HEADS, *(_line(job, now, with_time=with_time) for job in jobs)]
        widths = {name: max(len(getattr(line, name)) for line in lines) for name in columns}
        left = None if width is None else width - sum(widths.values()) - len(_GAP) * len(widths)
        if left is None or left >= min(_GOOD_FILE_CHARS, max(len(line.file) for line in lines)):
            break
    for line in lines:
        cells = [
            getattr(line, name).rjust(size) if name in _NUMBERS else getattr(line, name).ljust(size)
            for name, size in widths.items()
        ]
        yield _GAP.join([*cells, _shortened(line.file, left)]).rstrip()


def _line(status: JobStatus, now: datetime, *, with_time: bool) -> _Line:
    counts = status.counts
    without = (counts.total if status.has_ended else counts.finished) - counts.succeeded
    dropped = ids.uploaded_at(status.job_id)
    return _Line(
        f"{dropped:%d %b %Y}" if dropped.year != now.year else f"{dropped:%d %b %H:%M}" if with_time else f"{dropped:%d %b}",
        status.job_id[-SHORT_ID:],
        status.word,
        f"{counts.total:,}" if counts.total else "",
        f"{without:,}" if without else "",
        money(status.cost.usd) if status.cost.usd else "",
        plain(status.input.key.removeprefix(keys.INBOX)),
    )


def _shortened(path: str, most: int | None) -> str:
    """Its folders go first, then the middle of its name: files of one folder differ in how their names begin."""
    if most is None or len(path) <= most:
        return path
    most = max(_LEAST_FILE_CHARS, most)
    folder, slash, name = path.rpartition("/")
    room = most - len(name) - len(slash)
    if room >= len(_CUT):
        return f"{folder[: room - len(_CUT)]}{_CUT}{slash}{name}"
    start = f"{_CUT}{slash}" if slash else ""
    room = most - len(start) - len(_CUT)
    return f"{start}{name[: room - room // 2]}{_CUT}{name[-(room // 2) :]}"
