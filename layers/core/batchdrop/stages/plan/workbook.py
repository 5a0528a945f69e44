"""A workbook is read from disk: its parts lie anywhere in the file."""

from __future__ import annotations

from pathlib import Path

from batchdrop.domain.errors import Rejected
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import Objects
from batchdrop.reports import sentences

# As it lies in the bucket; what it unpacks to has bounds of its own.
_MAX_BYTES = 200_000_000
_CHUNK = 1 << 20


def copied(objects: Objects, ref: ObjectRef, path: Path) -> Path:
    """Raises Rejected, ObjectGone, Forbidden."""
    if ref.size > _MAX_BYTES:
        raise Rejected(sentences.workbook_too_large(_MAX_BYTES))
    with objects.read(ref) as stream, path.open("wb") as copy:
        while chunk := stream.read(_CHUNK):
            copy.write(chunk)
    return path
