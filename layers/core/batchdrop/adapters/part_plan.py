"""Which parts of a multipart upload make one object of many.

S3's limits: Amazon S3 user guide, "Amazon S3 multipart upload limits". A part has 5 MiB to 5 GiB, except that the last one may be
shorter; an object has at most 10,000 of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

MIB = 1024 * 1024
MIN_PART_BYTES = 5 * MIB
MAX_PART_BYTES = 5 * 1024 * MIB
MAX_PARTS = 10_000
# S3 answers a copy only once it is made: one of 5 GiB would outlast the client's read timeout, and several at a time are faster.
_MOST_OF_LEAST = 50


class Range(NamedTuple):
    """Bytes [start, end) of one of the sources."""

    source: int
    start: int
    end: int


type UploadPart = tuple[Range, ...]
"""Ranges one after the other. A single one can be copied by S3, unless it is too short."""


def size_of(part: UploadPart) -> int:
    return sum(piece.end - piece.start for piece in part)


def plan_parts(sizes: Sequence[int]) -> list[UploadPart]:
    """The parts that hold sources of these sizes one after the other.

    The same sizes give the same parts, so that an upload can be continued by part number. The least size of a part starts at S3's
    own and doubles until the limit of parts holds: as little as can be passes through memory.
    """
    least = MIN_PART_BYTES
    while len(parts := list(_parts(sizes, least))) > MAX_PARTS:
        least *= 2
    return parts


def _parts(sizes: Sequence[int], least: int) -> Iterator[UploadPart]:
    """Every part but the last has `least` bytes or more, and one of several ranges has exactly that."""
    held: list[Range] = []
    room = least
    for source, size in enumerate(sizes):
        start = 0
        while start < size:
            if not held and size - start >= least:
                yield from _copies(source, start, size, least)
                break
            end = min(size, start + room)
            held.append(Range(source, start, end))
            room -= end - start
            start = end
            if not room:
                yield tuple(held)
                held, room = [], least
    if held:
        yield tuple(held)


def _copies(source: int, start: int, end: int, least: int) -> Iterator[UploadPart]:
    """Cuts a long range into parts of about the same size."""
    most = min(MAX_PART_BYTES, _MOST_OF_LEAST * least)
    number = -(-(end - start) // most)
    cuts = [start + (end - start) * cut // number for cut in range(number + 1)]
    for first, last in pairwise(cuts):
        yield (Range(source, first, last),)
