r"""A line of a batch's `retry.jsonl` in `work/`: a row that is sent again.

`<line number>\t<original line>`, or `<line number> <paid>\t<original line>` if earlier attempts at it were paid for: in whole
femto-dollars, `?` if nobody knows how many.
"""

from __future__ import annotations

from typing import NamedTuple

from batchdrop.formats.lines import MAX_LINE_BYTES, Line

# At most 12 digits, as in a custom id (see `ids`), a blank, an amount below a trillion dollars, and the tab.
MAX_RETRY_LINE_BYTES = MAX_LINE_BYTES + 12 + 1 + 27 + 1
_UNKNOWN = b"?"


class RetriedRow(NamedTuple):
    line: Line
    """The row's line of the input, with its number there; byte offsets stay those in `retry.jsonl`."""
    paid: int | None
    """For earlier attempts, in femto-dollars; None if nobody knows."""


def retry_line(line: Line, paid: int | None = 0) -> bytes:
    if paid == 0:
        return b"%d\t%b\n" % (line.number, line.data)
    return b"%d %b\t%b\n" % (line.number, _UNKNOWN if paid is None else b"%d" % paid, line.data)


def retried_row(line: Line) -> RetriedRow:
    """Raises ValueError."""
    head, tab, data = line.data.partition(b"\t")
    number, blank, paid = head.partition(b" ")
    if not tab or not number.isdigit() or not (paid.isdigit() or paid == (_UNKNOWN if blank else b"")):
        raise ValueError(f"byte {line.start}: a line to retry begins with its number and a tab")
    return RetriedRow(line._replace(number=int(number), data=data), None if paid == _UNKNOWN else int(paid or 0))
