"""Going on with an upload from a checkpoint: an invocation that died may have stored more than the checkpoint says."""

from __future__ import annotations

from batchdrop.ports import ResumedWriter


class Behind:
    """Writes what is not stored yet. `written`: the bytes before what comes first here."""

    def __init__(self, out: ResumedWriter, written: int) -> None:
        self._out = out
        self._known = out.stored - written

    def write(self, data: bytes) -> None:
        known = min(self._known, len(data))
        self._known -= known
        if known < len(data):
            self._out.write(data[known:])
