"""What earlier attempts at the rows of a batch have left in `work/`, which the last one takes over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from batchdrop.domain import transitions
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import PILOT, WARM_UP, Batch, Part, batch_name
from batchdrop.domain.transitions import Move
from batchdrop.ports import Ledger, Objects


class Earlier(NamedTuple):
    """Pieces that are there, and what is to be recorded with the batch because others are gone."""

    results: tuple[Part, ...]
    failed: tuple[Part, ...]
    losses: tuple[Move[Batch], ...]
    lines: frozenset[int] | None = None
    """Of the pieces these lines alone are taken over; None: all of them."""
    gone: bool = False
    """Pieces of the pilot or of the warm-up are gone, and with them the ends of rows that it has settled."""


def of_pilot(objects: Objects, ledger: Ledger, batch: Batch) -> Earlier:
    """The ends of the rows of a batch that the pilot has settled, or the warm-up before it."""
    tried = [one for name in (WARM_UP, PILOT) if (one := ledger.get_batch(batch.job_id, name)) is not None]
    if not tried or any(_is_gone(objects, piece) for one in tried for piece in (one.results, one.failed)):
        return Earlier((), (), (), gone=True)
    lines = frozenset(row.line for row in batch.settled)
    return Earlier(_there(one.results for one in tried), _there(one.failed for one in tried), (), lines)


def earlier_attempts(objects: Objects, ledger: Ledger, batch: Batch) -> Earlier:
    """Somebody may have deleted pieces. What they held cannot be delivered, and waiting brings nothing back: it is told.

    It is recorded together with the batch: a run that comes late finds the pieces of a job that has ended gone, and may not
    count them.
    """
    names = [] if batch.tries else [batch_name(batch.first_line, attempt) for attempt in range(1, batch.attempt)]
    attempts = [one for one in (ledger.get_batch(batch.job_id, name) for name in names) if one is not None]
    if not attempts:
        return Earlier((), (), ())
    last = attempts[-1]
    results, failed = _is_gone(objects, last.results), _is_gone(objects, last.failed)
    if not (results or failed):
        return Earlier(_there([last.results]), _there([last.failed]), ())
    # The pieces of the last attempt hold the rows of all attempts.
    losses = tuple(transitions.pieces_lost(one, results=results, failed=failed) for one in attempts)
    return Earlier(() if results else _there([last.results]), () if failed else _there([last.failed]), losses)


def _there(pieces: Iterable[Part | None]) -> tuple[Part, ...]:
    return tuple(piece for piece in pieces if piece is not None)


def _is_gone(objects: Objects, piece: Part | None) -> bool:
    try:
        if piece is not None:
            objects.head(piece.key)
    except ObjectGone:
        return True
    return False
