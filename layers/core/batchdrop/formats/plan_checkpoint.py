"""`plan.json` in a job's `work/` folder: how far the custom ids stored beside it reach."""

from __future__ import annotations

import msgspec

from batchdrop.domain.records import Record


class PlanCheckpoint(Record, frozen=True, kw_only=True):
    offset: int
    """Bytes of the source whose custom ids are stored."""


_decode = msgspec.json.Decoder(PlanCheckpoint).decode


def encode_checkpoint(checkpoint: PlanCheckpoint) -> bytes:
    return msgspec.json.encode(checkpoint)


def decode_checkpoint(data: bytes) -> PlanCheckpoint:
    return _decode(data)
