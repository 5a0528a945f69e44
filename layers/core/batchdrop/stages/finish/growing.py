"""A file of the outbox that is written over several invocations, and its checksum with it."""

from __future__ import annotations

from batchdrop.formats.checksums import Crc64
from batchdrop.formats.whole_checkpoint import Grown
from batchdrop.jobs.resumed import Behind
from batchdrop.ports import ResumedWriter


class Growing:
    """`grown` and `rest`: as an earlier invocation has left them. Whoever writes it again writes the same bytes."""

    def __init__(self, out: ResumedWriter, grown: Grown, rest: bytes) -> None:
        self._out = out
        self._behind = Behind(out, grown.stored)
        self._size = grown.size
        self._crc = Crc64(grown.crc64nvme)
        self._marked = out.stored
        self._last = rest
        self._behind.write(rest)

    def write(self, data: bytes) -> bool:
        """Whether S3 has more parts now than at the last `mark`: it is time for a checkpoint."""
        self._behind.write(data)
        self._crc.update(data)
        self._size += len(data)
        self._last = data
        return self._out.stored > self._marked

    def mark(self) -> tuple[Grown, bytes]:
        """Right after a `write` that has said so."""
        self._marked = self._out.stored
        grown = self.grown
        return grown, self._last[len(self._last) - (grown.size - grown.stored) :]

    def suspend(self) -> tuple[Grown, bytes]:
        """Nothing can be written any more."""
        grown = self.grown
        return grown, self._out.suspend()

    @property
    def grown(self) -> Grown:
        return Grown(size=self._size, crc64nvme=self._crc.hex(), stored=self._behind.stored)
