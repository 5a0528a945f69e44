"""Write a move, then send the messages that follow from it."""

from __future__ import annotations

import msgspec

from batchdrop.domain.records import Admission, Arrivals, Batch, Group, Job
from batchdrop.domain.transitions import Move
from batchdrop.ports import Ledger, Queues


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    queues: Queues

    def __call__[R: (Job, Batch, Admission, Arrivals, Group)](self, move: Move[R]) -> R:
        """Returns the record as it is stored. Raises LostRace; nothing is sent then.

        An invocation that dies between the two leaves a message unsent, which `poll` sends again when it is overdue.
        """
        stored = self.ledger.commit(move)
        for part in (move, *move.also):
            for message in part.messages:
                self.queues.send(message)
        return stored
