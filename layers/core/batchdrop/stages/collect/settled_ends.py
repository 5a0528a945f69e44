"""How the rows that the pilot has settled have ended, for rows of their batches with the same request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from batchdrop.domain.records import ObjectRef, Part, RowStatus
from batchdrop.formats.api_result import ApiResult, parse_result
from batchdrop.formats.failed_line import number_of_failed, read_end
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.formats.result_line import api_result_in, number_of_result, read_result_line
from batchdrop.ports import Objects
from batchdrop.stages.collect.earlier import Earlier
from batchdrop.stages.collect.row_lines import Unusable


class SettledEnd(NamedTuple):
    """`answer`: of a row that has succeeded; what follows is of any other."""

    attempts: int
    answer: ApiResult | None = None
    status: RowStatus = RowStatus.succeeded
    error_type: str = ""
    message: str = ""
    unusable: Unusable | None = None


def settled_ends(objects: Objects, bucket: str, earlier: Earlier, wanted: Collection[int]) -> dict[int, SettledEnd]:
    """By line, of the lines wanted: at most 20, and 64 MB of requests in all. Raises ObjectGone."""
    ends: dict[int, SettledEnd] = {}
    for data in _lines(objects, bucket, earlier.results):
        if (number := number_of_result(data)) in wanted:
            found = read_result_line(data)
            ends[number] = SettledEnd(found.attempts, parse_result(b'{"custom_id":"","result":%b}' % api_result_in(data)))
    for data in _lines(objects, bucket, earlier.failed):
        if (number := number_of_failed(data)) in wanted:
            end = read_end(data)
            unusable = None
            if end.result is not None:
                unusable = Unusable(end.error_type, end.message, end.answer, end.result)
            ends[number] = SettledEnd(end.attempts, None, end.status, end.error_type, end.message, unusable)
    return ends


def _lines(objects: Objects, bucket: str, pieces: Iterable[Part]) -> Iterator[bytes]:
    for piece in pieces:
        with objects.read(ObjectRef(bucket=bucket, key=piece.key)) as stream:
            yield from (line.data for line in read_lines(stream, max_line=MAX_OUTPUT_LINE_BYTES))
