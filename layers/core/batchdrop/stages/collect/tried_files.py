"""`tried.jsonl` and `tried.csv` in the outbox: the rows of a pilot with their answers, for whoever is asked about the others."""

from __future__ import annotations

from collections.abc import Callable
from heapq import merge

from batchdrop.domain import keys
from batchdrop.domain.records import Batch, Job, ObjectRef, Part
from batchdrop.domain.transitions import Collected
from batchdrop.formats.failed_line import number_of_failed
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.formats.result_line import number_of_result
from batchdrop.ports import Objects


def write_tried(objects: Objects, job: Job, rows: Collected, warm_up: Batch | None) -> None:
    """By line, those without an answer too, each as it will stand in `results` or `failed`. Raises ObjectGone.

    `warm_up`: its row is one of them, and the first of the table.
    """
    if not rows.settled:
        return
    of: list[Batch | Collected] = [rows] if warm_up is None else [warm_up, rows]
    results = (_numbered(objects, job, one.results, number_of_result) for one in of)
    failed = (_numbered(objects, job, one.failed, number_of_failed) for one in of)
    _write(objects, job, "tried.jsonl", [line for _, line in merge(*results, *failed)])
    if rows.table is not None:
        header = objects.get(keys.table_header(job.id, "results.csv"))
        tables = [objects.get(one.table.key) for one in of if one.table is not None]
        _write(objects, job, "tried.csv", [header, *tables])


def _numbered(objects: Objects, job: Job, piece: Part | None, number_of: Callable[[bytes], int]) -> list[tuple[int, bytes]]:
    if piece is None:
        return []
    with objects.read(ObjectRef(bucket=job.input.bucket, key=piece.key)) as stream:
        lines = [line.data for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES)]
    return [(number_of(line), line + b"\n") for line in lines]


def _write(objects: Objects, job: Job, name: str, lines: list[bytes]) -> None:
    kind = "text/csv; charset=utf-8" if name.endswith(".csv") else "application/jsonl"
    objects.put(keys.outbox_folder(job.input.key, job.id) + name, b"".join(lines), content_type=kind)
