"""Settle batches whose create had no definite answer: adopt what is there, release what is not. Never guess."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import msgspec

from batchdrop.domain import reconcile, transitions
from batchdrop.domain.errors import ApiError, Incomplete, LostRace
from batchdrop.domain.ids import parse_custom_id
from batchdrop.domain.reconcile import Look
from batchdrop.domain.records import Batch, BatchState
from batchdrop.formats.api_result import first_custom_id
from batchdrop.jobs.cancel import CancelBatch
from batchdrop.jobs.commit import Commit
from batchdrop.ports import Claude, Clock, Ledger

log = logging.getLogger(__name__)


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    """`grace`: how long the API may take to create and to list what a POST has brought it."""

    ledger: Ledger
    claude: Claude
    clock: Clock
    commit: Commit
    cancel_batch: CancelBatch
    grace: timedelta

    def look_back_to(self, submitting: list[Batch], at: datetime) -> datetime | None:
        """How far back the API has to be listed to settle these; None when nothing is due."""
        return min((reconcile.earliest_creation(batch) for batch in submitting if reconcile.is_due(batch, at)), default=None)

    def __call__(self, submitting: list[Batch], look: Look) -> set[str]:
        """`look`: back to `look_back_to`. Returns the jobs that changed."""
        changed: set[str] = set()
        for batch in submitting:
            rivals = [other for other in submitting if other is not batch]
            try:
                if reconcile.is_due(batch, look.at) and self._settle(batch, rivals, look):
                    changed.add(batch.job_id)
            except LostRace:
                log.info("another poller settled this batch", extra={"batch": batch.name})
        return changed

    def _settle(self, batch: Batch, rivals: list[Batch], look: Look) -> bool:
        owners = {one: self.ledger.owner_of(one.id) for one in reconcile.candidates_for(batch, look, self.grace)}
        free = [one for one, owner in owners.items() if owner is None]
        doubtful = any(self._may_be_mistaken(owner) for owner in owners.values() if owner is not None)
        if (free or doubtful) and (batch.first_look_at is None or batch.no_trace_at):
            batch = self.commit(transitions.looked(batch, at=look.at, trace=True))
        return self._act(batch, reconcile.decide(batch, free, rivals, look.at, self.grace, doubtful=doubtful), look.at)

    def _may_be_mistaken(self, owner: tuple[str, str]) -> bool:
        """Whether a batch has adopted what may be another's: its first result has not been seen yet."""
        batch = self.ledger.get_batch(*owner)
        return batch is not None and batch.adopted and batch.state is not BatchState.collected

    def _act(self, batch: Batch, decision: reconcile.Decision, at: datetime) -> bool:
        match decision:
            case reconcile.Wait():
                return False
            case reconcile.NoTrace():
                self.commit(transitions.looked(batch, at=at, trace=False))
                return False
            case reconcile.Release():
                log.warning("no trace at the API: the batch can be sent", extra={"job_id": batch.job_id, "batch": batch.name})
                self.commit(transitions.released(batch))
                return True
            case reconcile.Adopt(api_id):
                log.warning("found at the API and adopted", extra={"job_id": batch.job_id, "batch": batch.name, "api_id": api_id})
                self._adopt(batch, api_id, certain=False)
                return True
            case reconcile.Identify(ended):
                return self._identify(batch, ended)

    def _adopt(self, batch: Batch, api_id: str, *, certain: bool) -> None:
        adopted = self.commit(transitions.adopted(batch, api_id, certain=certain))
        job = self.ledger.get_job(batch.job_id)
        if job is not None and job.cancel_requested:
            self.cancel_batch(adopted)

    def _identify(self, batch: Batch, ended: tuple[str, ...]) -> bool:
        """Looks at the first result of each candidate that has ended: its custom id names job, attempt and line."""
        not_ours: list[str] = []
        for api_id in ended:
            try:
                with self.claude.results(api_id) as chunks:
                    first = parse_custom_id(first_custom_id(chunks))
            except (ApiError, Incomplete, ValueError):
                continue  # no answer, or one that is none (a proxy's page): looked at again in the next tick
            if first is not None and reconcile.names(batch, first):
                self._adopt(batch, api_id, certain=True)
                return True
            not_ours.append(api_id)
        if not not_ours:
            return False
        self.commit(transitions.ruled_out(batch, tuple(not_ours)))
        return True
