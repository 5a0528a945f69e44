"""What earlier attempts at the rows of a batch have left in `work/`, which the last one takes over."""

from __future__ import annotations

from typing import NamedTuple

from batchdrop.domain import transitions
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import PILOT, Batch, Part, batch_name
from batchdrop.domain.transitions import Move
from batchdrop.ports import Ledger, Objects


class Earlier(NamedTuple):
    """Pieces that are there, and what is to be recorded with the batch because others are gone."""

    results: Part | None
    failed: Part | None
    losses: tuple[Move[Batch], ...]
    lines: frozenset[int] | None = None
    """Of the pieces these lines alone are taken over; None: all of them."""
    gone: bool = False
    """Pieces of the pilot are gone, and with them the ends of rows that it has settled."""


def of_pilot(objects: Objects, ledger: Ledger, batch: Batch) -> Earlier:
    """The ends of the rows of a batch that the pilot has settled."""
    pilot = ledger.get_batch(batch.job_id, PILOT)
    if pilot is None or _is_gone(objects, pilot.results) or _is_gone(objects, pilot.failed):
        return Earlier(None, None, (), gone=True)
    return Earlier(pilot.results, pilot.failed, (), frozenset(row.line for row in batch.settled))


def earlier_attempts(objects: Objects, ledger: Ledger, batch: Batch) -> Earlier:
    """Somebody may have deleted pieces. What they held cannot be delivered, and waiting brings nothing back: it is told.

    It is recorded together with the batch: a run that comes late finds the pieces of a job that has ended gone, and may not
    count them.
    """
    names = [batch_name(batch.first_line, attempt) for attempt in range(1, batch.attempt)]
    attempts = [one for one in (ledger.get_batch(batch.job_id, name) for name in names) if one is not None]
    if not attempts:
        return Earlier(None, None, ())
    last = attempts[-1]
    results, failed = _is_gone(objects, last.results), _is_gone(objects, last.failed)
    if not (results or failed):
        return Earlier(last.results, last.failed, ())
    # The pieces of the last attempt hold the rows of all attempts.
    losses = tuple(transitions.pieces_lost(one, results=results, failed=failed) for one in attempts)
    return Earlier(None if results else last.results, None if failed else last.failed, losses)


def _is_gone(objects: Objects, piece: Part | None) -> bool:
    try:
        if piece is not None:
            objects.head(piece.key)
    except ObjectGone:
        return True
    return False
