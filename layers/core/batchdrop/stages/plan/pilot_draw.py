"""Which rows of a file are tried before the others: drawn at random, and the same ones however often planning is begun again."""

from __future__ import annotations

from bisect import insort
from hashlib import blake2b, shake_256
from struct import Struct

from batchdrop.domain.records import PILOT_ROWS, Sample
from batchdrop.formats.lines import Line

# One hash gives the ranks of that many lines.
_LINES = 64
_numbers = Struct(f">{_LINES}Q").unpack


class PilotDraw:
    """Takes every row that can be sent, once or again, and keeps those with the smallest ranks.

    A rank depends on the job and the line alone: whoever writes a file cannot foresee it, as the job's id has its version in it.
    Where equal requests are sent once, it depends on the request instead of the line, and of equal ones the first is drawn.
    """

    def __init__(self, job_id: str, drawn: tuple[Sample, ...] = ()) -> None:
        self._prefix = f"{job_id}:"
        self._key = job_id.encode()
        self._drawn = list(drawn)
        self._bar = _bar(self._drawn)
        self._block = -1
        self._of_block: tuple[int, ...] = ()
        """Twice the ranks of its lines; none if all are too large."""

    @property
    def drawn(self) -> tuple[Sample, ...]:
        """At most `PILOT_ROWS`, the smallest rank first."""
        return tuple(self._drawn)

    def add(self, line: Line) -> None:
        block = line.number // _LINES
        if block != self._block:
            self._begin(block)
        if self._of_block and (number := self._of_block[line.number % _LINES]) < self._bar:
            self._keep(Sample(rank=number >> 1, line=line.number, start=line.start, end=line.end))

    def add_request(self, line: Line, digest: bytes) -> None:
        """Instead of `add`, where equal requests are sent once."""
        rank = int.from_bytes(blake2b(digest, key=self._key, digest_size=8).digest()) >> 1
        if 2 * rank < self._bar:
            self._keep(Sample(rank=rank, line=line.number, start=line.start, end=line.end, digest=digest.hex()))

    def _begin(self, block: int) -> None:
        numbers = _numbers(shake_256(f"{self._prefix}{block}".encode()).digest(8 * _LINES))
        self._block, self._of_block = block, numbers if min(numbers) < self._bar else ()

    def _keep(self, sample: Sample) -> None:
        if any(sample.line == kept.line or sample.digest == kept.digest != "" for kept in self._drawn):
            return
        insort(self._drawn, sample, key=lambda kept: kept.rank)
        del self._drawn[PILOT_ROWS:]
        self._bar = _bar(self._drawn)


def _bar(drawn: list[Sample]) -> int:
    """Twice the rank from which on none is kept. Half of a number of 64 bits is a rank: the table has signed ones."""
    return 2 * drawn[-1].rank if len(drawn) >= PILOT_ROWS else 1 << 64
