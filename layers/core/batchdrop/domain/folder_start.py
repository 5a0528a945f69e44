"""The start of a folder: an empty object that makes one job of the documents in it."""

from __future__ import annotations

from batchdrop.domain import keys
from batchdrop.domain.records import ObjectRef


def is_start(file: ObjectRef) -> bool:
    """A file that happens to be called so has content."""
    return not file.size and keys.starts(file.key) != ""


def takes_all(file: ObjectRef) -> bool:
    """Whether the start takes documents that an earlier one has taken too."""
    return keys.starts(file.key) == keys.START_ALL
