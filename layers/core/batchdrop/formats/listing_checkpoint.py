"""`work/<job>/documents-<recipe>`: how far a folder has been listed when time ran out."""

from __future__ import annotations

import msgspec

from batchdrop.domain.record import Record


class ListingCheckpoint(Record, frozen=True, kw_only=True):
    after: str = ""
    """The key that was looked at last."""
    rows: int = 0
    """As many documents were taken so far."""
    taken: int = 0
    """As many are in jobs of earlier starts."""
    newest: str = ""
    """The id of the newest of these jobs."""
    several: bool = False
    """There is more than one of them."""
    written: int = 0
    """Bytes of their lines, but for `rest`."""


_decode = msgspec.json.Decoder(ListingCheckpoint).decode


def encode_listing_checkpoint(checkpoint: ListingCheckpoint, rest: bytes) -> bytes:
    """`rest`: the end of the lines, too short for a part of an upload."""
    return msgspec.json.encode(checkpoint) + b"\n" + rest


def decode_listing_checkpoint(data: bytes) -> tuple[ListingCheckpoint, bytes]:
    head, _, rest = data.partition(b"\n")
    return _decode(head), rest
