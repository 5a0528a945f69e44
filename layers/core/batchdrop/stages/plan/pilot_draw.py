"""Which rows of a file are tried before the others: drawn at random, and the same ones however often planning is begun again."""

from __future__ import annotations

from bisect import insort
from hashlib import shake_256
from struct import Struct

from batchdrop.domain.records import PILOT_ROWS, Sample
from batchdrop.formats.lines import Line

# One hash gives the ranks of that many lines.
_LINES = 64
_ranks = Struct(f">{_LINES}Q").unpack
_LOWEST_63_BITS = (1 << 63) - 1


class PilotDraw:
    """Takes every row that can be sent, once or again, and keeps those with the smallest ranks.

    A rank depends on the job and the line alone: whoever writes a file cannot foresee it, as the job's id has its version in it.
    """

    def __init__(self, job_id: str, drawn: tuple[Sample, ...] = ()) -> None:
        self._prefix = f"{job_id}:"
        self._drawn = list(drawn)
        self._bar = drawn[-1].rank if len(drawn) >= PILOT_ROWS else 1 << 63
        self._block = -1
        self._ranks: tuple[int, ...] = ()

    @property
    def drawn(self) -> tuple[Sample, ...]:
        """At most `PILOT_ROWS`, the smallest rank first."""
        return tuple(self._drawn)

    def add(self, line: Line) -> None:
        block, place = divmod(line.number, _LINES)
        if block != self._block:
            self._block, self._ranks = block, _ranks(shake_256(f"{self._prefix}{block}".encode()).digest(8 * _LINES))
        rank = self._ranks[place] & _LOWEST_63_BITS
        if rank < self._bar:
            self._keep(Sample(rank=rank, line=line.number, start=line.start, end=line.end))

    def _keep(self, sample: Sample) -> None:
        if any(sample.line == kept.line for kept in self._drawn):
            return
        insort(self._drawn, sample, key=lambda kept: kept.rank)
        if len(self._drawn) >= PILOT_ROWS:
            del self._drawn[PILOT_ROWS:]
            self._bar = self._drawn[-1].rank
