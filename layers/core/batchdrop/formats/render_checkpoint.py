"""`work/<job>/rendered-<recipe>`: how far a file's rows have been rendered when time ran out."""

from __future__ import annotations

import msgspec

from batchdrop.domain.record import Record


class RenderCheckpoint(Record, frozen=True, kw_only=True):
    offset: int
    """Where the next row is read from: for `RowSource.rows`."""
    line: int = 1
    """The number of the next line to be written."""
    written: int = 0
    """Bytes of the lines before it, but for `rest`."""
    columns: tuple[str, ...] = ()
    """Of JSONL: the fields seen so far."""


_decode = msgspec.json.Decoder(RenderCheckpoint).decode


def encode_render_checkpoint(checkpoint: RenderCheckpoint, rest: bytes) -> bytes:
    """`rest`: the end of the lines, too short for a part of an upload."""
    return msgspec.json.encode(checkpoint) + b"\n" + rest


def decode_render_checkpoint(data: bytes) -> tuple[RenderCheckpoint, bytes]:
    head, _, rest = data.partition(b"\n")
    return _decode(head), rest
