"""`work/<job>/complete` and `work/<job>/complete-csv`: how far the whole table of a retry is written."""

from __future__ import annotations

import msgspec

from batchdrop.domain.record import Record
from batchdrop.domain.records import ObjectRef


class Grown(Record, frozen=True, kw_only=True):
    """How far one file is written."""

    size: int = 0
    """bytes"""
    crc64nvme: str = "0" * 16
    """Of these bytes."""
    stored: int = 0
    """Those of them that S3 has; the rest stands behind the checkpoint."""


class WholeCheckpoint(Record, frozen=True, kw_only=True):
    """Of `complete.jsonl`."""

    base: tuple[ObjectRef, ...]
    """The table as it was: `complete.jsonl` of an earlier job, or `results.jsonl` and `failed.jsonl` of the first."""
    own: tuple[ObjectRef, ...]
    """This job's `results.jsonl` and `failed.jsonl`, if it has them."""
    jobs: tuple[str, ...]
    """Whose answers are in the table in the end."""
    sorted: int = 0
    """Bytes of `own`, one file after the other, whose rows are in `runs`."""
    runs: tuple[ObjectRef, ...] = ()
    """Some rows each, in the order of the table."""
    at: tuple[int, ...] = ()
    """Where merging goes on in each file of `base`, then in each run."""
    rows: int = 0
    """Written so far."""
    answered: int = 0
    repeated: int = 0
    """Rows that were named more than once."""
    placeless: int = 0
    """Numbers that no row of the table has."""
    file: Grown = Grown()
    complete: bool = False


class TableCheckpoint(Record, frozen=True, kw_only=True):
    """Of `complete.csv`."""

    columns: tuple[str, ...]
    separator: str
    newline: str
    offset: int = 0
    """Where reading goes on in `complete.jsonl`."""
    file: Grown = Grown()
    complete: bool = False


_whole = msgspec.json.Decoder(WholeCheckpoint).decode
_table = msgspec.json.Decoder(TableCheckpoint).decode


def encode_checkpoint(checkpoint: WholeCheckpoint | TableCheckpoint, rest: bytes) -> bytes:
    return msgspec.json.encode(checkpoint) + b"\n" + rest


def decode_whole_checkpoint(data: bytes) -> tuple[WholeCheckpoint, bytes]:
    head, _, rest = data.partition(b"\n")
    return _whole(head), rest


def decode_table_checkpoint(data: bytes) -> tuple[TableCheckpoint, bytes]:
    head, _, rest = data.partition(b"\n")
    return _table(head), rest
