"""`work/<job>/retry`: how far `failed.jsonl` has been filtered when time ran out."""

from __future__ import annotations

import msgspec

from batchdrop.domain.record import Record
from batchdrop.domain.records import ObjectRef


class RetryCheckpoint(Record, frozen=True, kw_only=True):
    failed: ObjectRef
    """The version that is being read."""
    offset: int = 0
    """Bytes of it that were read: whole lines."""
    rows: int = 0
    """Of these, those that go again."""
    written: int = 0
    """Bytes of those rows, but for `rest`."""


_decode = msgspec.json.Decoder(RetryCheckpoint).decode


def encode_retry_checkpoint(checkpoint: RetryCheckpoint, rest: bytes) -> bytes:
    """`rest`: the end of those rows, too short for a part of an upload."""
    return msgspec.json.encode(checkpoint) + b"\n" + rest


def decode_retry_checkpoint(data: bytes) -> tuple[RetryCheckpoint, bytes]:
    head, _, rest = data.partition(b"\n")
    return _decode(head), rest
