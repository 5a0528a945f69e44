"""Rows as a person looks at them: those that were tried before somebody is asked, and why others have no answer."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from batchdrop.reports.samples import Sample
from batchdrop_client.job import Failure
from batchdrop_client.plain_text import plain

_SHOWN_ROWS = 5
_MOST_VALUES = 6
_ROW_CHARS = 46
_ANSWER_CHARS = 60
_REASON_CHARS = 120


def tried_lines(samples: Sequence[Sample], report: str, width: int) -> Iterator[str]:
    """`report`: the command that shows all of them. `width`: of the terminal; an answer that is too long comes below its row."""
    if not samples:
        return
    if counted := _counted(samples):
        yield f"{len(samples)} rows tried   {counted}"
    digits = max(len(str(one.line)) for one in samples)
    for one in samples[:_SHOWN_ROWS]:
        start = f"row {one.line:>{digits}}  {_cut(_gist(one), _ROW_CHARS):<{_ROW_CHARS}}  "
        answer = "  ".join(map(plain, one.output.values())) or f"no answer: {plain(one.error)}"
        if len(start) + len(answer) <= width:
            yield f"{start}{answer}"
        else:
            yield start.rstrip()
            yield from textwrap.wrap(answer, max(width, 20), initial_indent="    ", subsequent_indent="    ")
    if len(samples) > _SHOWN_ROWS:
        yield f"... and {len(samples) - _SHOWN_ROWS} more: {report}"


def _gist(sample: Sample) -> str:
    """All of its columns if they are short, else the longest: what is asked about is rarely the number of a row."""
    cells = [plain(cell) for cell in sample.row.values()]
    whole = "  ".join(cells)
    return whole if len(whole) <= _ROW_CHARS else max(cells, key=len)


def why_lines(failures: Sequence[Failure]) -> Iterator[str]:
    """The most frequent reasons, each with its rows."""
    for one in sorted(failures, key=lambda one: -one.rows)[:_MOST_VALUES]:
        first = ", ".join(f"{line:,}" for line in one.lines[:3])
        why, *more = (_cut(plain(reason), _REASON_CHARS) for reason in one.reasons())
        yield f"{one.rows:>6,}  {why} (row {first}{' ...' if one.rows > 3 else ''})"
        yield from (f"        {reason}" for reason in more)
    if len(failures) > _MOST_VALUES:
        yield f"        and {len(failures) - _MOST_VALUES} reasons more, in report.html"


def _counted(samples: Sequence[Sample]) -> str:
    """`11 positive, 6 negative, 1 without answer`; empty where nearly every answer is another."""
    found = Counter(next(map(plain, one.output.values()), "without answer") for one in samples)
    if len(found) > _MOST_VALUES or any(len(value) > _ANSWER_CHARS for value in found):
        return ""
    return ", ".join(f"{many} {value}" for value, many in found.most_common())


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 4]} ..."
