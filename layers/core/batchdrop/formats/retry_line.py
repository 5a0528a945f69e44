r"""A line of a batch's `retry.jsonl` in `work/`: `<line number>\t<original line>`, a row that is sent again."""

from __future__ import annotations

from batchdrop.formats.lines import MAX_LINE_BYTES, Line

# At most 12 digits, as in a custom id (see `ids`), and the tab.
MAX_RETRY_LINE_BYTES = MAX_LINE_BYTES + 13


def retry_line(line: Line) -> bytes:
    return b"%d\t%b\n" % (line.number, line.data)


def original_line(line: Line) -> Line:
    """The row's line of the input, with its number there; byte offsets stay those in `retry.jsonl`. Raises ValueError."""
    digits, tab, data = line.data.partition(b"\t")
    if not tab or not digits.isdigit():
        raise ValueError(f"byte {line.start}: a line to retry begins with its number and a tab")
    return line._replace(number=int(digits), data=data)
