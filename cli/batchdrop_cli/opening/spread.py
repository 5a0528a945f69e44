"""Which rows of a file stand for it."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise


def spread(total: int, rows: int, taken: Collection[int] = ()) -> list[int]:
    """At most so many places from 0 to `total`, ascending, none of them `taken`.

    First the first, the last, and those evenly between them; when some are taken, the middles of the widest gaps that they leave.
    """
    if not taken and rows > 1:
        return sorted({place * (total - 1) // (rows - 1) for place in range(rows)}) if total else []
    found: set[int] = set()
    while len(found) < rows and len(found) + len(taken) < total:
        edges = sorted({-1, total, *taken, *found})
        below, above = max(pairwise(edges), key=lambda gap: gap[1] - gap[0])
        found.add((below + above) // 2 if taken or found else 0)
    return sorted(found)
