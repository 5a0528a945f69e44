"""Which rows of a batch ask for the same: of equal requests the first is sent, and its answer is that of the others.

Whoever cuts, sends or collects a batch finds the same ones: the rows are taken in the order of their lines, and those that the
pilot has settled come first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from batchdrop.domain.records import Settled

_HASH_BYTES = 16


def request_digest(params: bytes | memoryview) -> bytes:
    """16 bytes that stand for a request: its `params`, byte for byte."""
    return hashlib.blake2b(params, digest_size=_HASH_BYTES).digest()


class SameRequests:
    """The requests of one batch. Memory: 16 bytes for each that differs, and its line: with Python's own, 13 MB for 100,000."""

    def __init__(self, settled: Iterable[Settled] = ()) -> None:
        self._first = {bytes.fromhex(row.digest): row.line for row in settled if row.digest}

    def answered_by(self, line: int, params: bytes | memoryview) -> int | None:
        """The line of the row whose answer this one gets. None: it is sent itself."""
        first = self._first.setdefault(request_digest(params), line)
        return None if first == line else first
