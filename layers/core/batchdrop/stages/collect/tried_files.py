"""`tried.jsonl` and `tried.csv` in the outbox: the rows of a pilot with their answers, for whoever is asked about the others."""

from __future__ import annotations

from collections.abc import Callable
from heapq import merge

from batchdrop.domain import keys
from batchdrop.domain.records import Job, ObjectRef, Part
from batchdrop.domain.transitions import Collected
from batchdrop.formats.failed_line import number_of_failed
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.formats.result_line import number_of_result
from batchdrop.ports import Objects


def write_tried(objects: Objects, job: Job, rows: Collected) -> None:
    """By line, those without an answer too, each as it will stand in `results` or `failed`. Raises ObjectGone."""
    if not rows.settled:
        return
    lines = merge(_numbered(objects, job, rows.results, number_of_result), _numbered(objects, job, rows.failed, number_of_failed))
    _write(objects, job, "tried.jsonl", [line for _, line in lines])
    if rows.table is not None:
        header = objects.get(keys.table_header(job.id, "results.csv"))
        _write(objects, job, "tried.csv", [header, objects.get(rows.table.key)])


def _numbered(objects: Objects, job: Job, piece: Part | None, number_of: Callable[[bytes], int]) -> list[tuple[int, bytes]]:
    if piece is None:
        return []
    with objects.read(ObjectRef(bucket=job.input.bucket, key=piece.key)) as stream:
        lines = [line.data for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES)]
    return [(number_of(line), line + b"\n") for line in lines]


def _write(objects: Objects, job: Job, name: str, lines: list[bytes]) -> None:
    kind = "text/csv; charset=utf-8" if name.endswith(".csv") else "application/jsonl"
    objects.put(keys.outbox_folder(job.input.key, job.id) + name, b"".join(lines), content_type=kind)
