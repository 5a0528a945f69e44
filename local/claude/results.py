"""The answer of the results endpoint, whole or with what a fault makes of it."""

from __future__ import annotations

from pathlib import Path

from local.claude.faults import Plan
from local.claude.wire import FileBody, Reply, Span

MEDIA_TYPE = "application/x-jsonl"
_CHUNK = 1 << 20


def reply(path: Path, plan: Plan) -> Reply:
    """Streams a results file.

    Lines can be missing (the first ones), doubled (the first ones come again at the end) or cut: after so many bytes, or
    in the middle of the line after so many lines. The stream announces no length: nothing is documented that a caller could
    rely on to notice a cut other than the connection itself.
    """
    size = path.stat().st_size
    spans, broken_off = [Span(0, size)], None
    missing, doubled, cut = (plan.struck(kind) for kind in ("missing-lines", "duplicate-lines", "cut"))
    if missing:
        spans = [Span(_after_lines(path, missing.rows), size)]
    if doubled:
        spans = [Span(0, size), Span(0, _after_lines(path, doubled.rows))]
    if cut and cut.lines is not None:
        start, end = _after_lines(path, cut.lines), _after_lines(path, cut.lines + 1)
        broken_off = start + (end - start) // 2
    elif cut:
        broken_off = cut.bytes
    return Reply(media_type=MEDIA_TYPE, body=FileBody(path, spans), broken_off=broken_off, framed=False)


def _after_lines(path: Path, lines: int) -> int:
    """The place in a file right after so many lines, or its end if it has fewer."""
    with path.open("rb", buffering=_CHUNK) as file:
        for _ in range(lines):
            if not file.readline():
                break
        return file.tell()
