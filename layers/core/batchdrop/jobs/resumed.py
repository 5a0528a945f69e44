"""Going on with an upload from a checkpoint: an invocation that died may have stored more than the checkpoint says."""

from __future__ import annotations

from batchdrop.ports import ResumedWriter


class Behind:
    """Writes what is not stored yet. `written`: the bytes before what comes first here."""

    def __init__(self, out: ResumedWriter, written: int) -> None:
        self._out = out
        self._come = written

    def write(self, data: bytes) -> None:
        known = min(max(self._out.stored - self._come, 0), len(data))
        self._come += len(data)
        if known < len(data):
            self._out.write(data[known:])

    @property
    def stored(self) -> int:
        """Of the bytes that have come here. S3 has more of them while an invocation that was killed has come further."""
        return min(self._out.stored, self._come)
