"""`plan.json`."""

from __future__ import annotations

from batchdrop.formats.plan_checkpoint import PlanCheckpoint, decode_checkpoint, encode_checkpoint


def test_a_checkpoint_as_it_is_stored() -> None:
    assert encode_checkpoint(PlanCheckpoint(offset=7)) == b'{"offset":7}'
    assert decode_checkpoint(b'{"offset":7}') == PlanCheckpoint(offset=7)
