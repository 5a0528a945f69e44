"""Settle batches whose create had no definite answer: adopt what is there, release what is not. Never guess."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import msgspec

from batchdrop.domain import reconcile, transitions
from batchdrop.domain.errors import ApiError, Incomplete, LostRace
from batchdrop.domain.ids import parse_custom_id
from batchdrop.domain.reconcile import Look
from batchdrop.domain.records import Batch, BatchState, RowStatus, Unsent
from batchdrop.formats.api_result import first_custom_id
from batchdrop.jobs.cancel import CancelBatch
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.doubt import tell_doubt
from batchdrop.ports import Claude, Clock, Ledger, Metrics
from batchdrop.reports import sentences

log = logging.getLogger(__name__)


# Its rows may have been answered and paid for: whether they are sent again is for their owner to decide.
_UNKNOWN = Unsent(status=RowStatus.missing, error_type="unknown_outcome", message=sentences.UNKNOWN_OUTCOME)


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    """`grace`: how long the API may take to create and to list what a POST has brought it."""

    ledger: Ledger
    claude: Claude
    clock: Clock
    metrics: Metrics
    commit: Commit
    cancel_batch: CancelBatch
    grace: timedelta

    def look_back_to(self, submitting: list[Batch], at: datetime) -> datetime | None:
        """How far back the API has to be listed to settle these; None when nothing is due."""
        return min((reconcile.earliest_creation(batch) for batch in submitting if reconcile.is_due(batch, at)), default=None)

    def __call__(self, submitting: list[Batch], look: Look) -> set[str]:
        """`look`: back to `look_back_to`. Returns the jobs that changed."""
        changed: set[str] = set()
        workspaces = {"": True, look.key: True}
        for batch in submitting:
            rivals = [other for other in submitting if other is not batch]
            try:
                if reconcile.is_due(batch, look.at) and self._settle(batch, rivals, look, workspaces):
                    changed.add(batch.job_id)
            except LostRace:
                log.info("another poller settled this batch", extra={"batch": batch.name})
        return changed

    def _settle(self, batch: Batch, rivals: list[Batch], look: Look, workspaces: dict[str, bool]) -> bool:
        """`workspaces`: of each key, whether the look shows what was sent with it.

        That is true of the key that the look was taken with, and is taken to be true where 0.1.0 sent the batch and stored no
        key: its functions read the key anew when they are replaced by this version, and it was sent by one of them just before.
        """
        owners = {one: self.ledger.owner_of(one.id) for one in reconcile.candidates_for(batch, look, self.grace)}
        free = [one for one, owner in owners.items() if owner is None]
        doubtful = any(self._may_be_mistaken(owner) for owner in owners.values() if owner is not None)
        if (free or doubtful) and (batch.first_look_at is None or batch.no_trace_at):
            batch = self.commit(transitions.looked(batch, at=look.at, trace=True))
        if batch.key not in workspaces:
            workspaces[batch.key] = self._sees_what_was_sent_with(batch.key, look)
        decision = reconcile.decide(
            batch, free, rivals, look.at, self.grace, doubtful=doubtful, same_workspace=workspaces[batch.key]
        )
        told = not workspaces[batch.key] and self._tell(batch, sentences.SENT_WITH_ANOTHER_KEY)
        return self._act(batch, decision, look.at) or told

    def _sees_what_was_sent_with(self, key: str, look: Look) -> bool:
        """Whether the key of the look can see a batch that was accepted under the other one: then both are of one workspace."""
        proof = next((one for one in self.ledger.get_admission().proofs if one.key == key), None)
        if proof is None:
            return False
        try:
            self.claude.retrieve(proof.api_id)
            return self.claude.key() == look.key
        except ApiError:
            return False

    def _tell(self, batch: Batch, doubt: str) -> bool:
        return tell_doubt(self.commit, self.ledger.get_job(batch.job_id), doubt)

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
                self._release(batch)
                return True
            case reconcile.Adopt(api_id):
                log.warning("found at the API and adopted", extra={"job_id": batch.job_id, "batch": batch.name, "api_id": api_id})
                self._adopt(batch, api_id, certain=False)
                return True
            case reconcile.Identify(ended):
                return self._identify(batch, ended)
            case reconcile.GiveUp():
                log.error("still in doubt when any results are deleted", extra={"job_id": batch.job_id, "batch": batch.name})
                self.commit(transitions.unsent(batch, _UNKNOWN, now=self.clock.now()))
                self._tell(batch, "")
                return True

    def _release(self, batch: Batch) -> None:
        now = self.clock.now()
        pause = reconcile.pause_before_sending_again(batch.releases)
        released = self.commit(transitions.released(batch, not_before=now + pause))
        log.warning(
            "no trace at the API: the batch can be sent again",
            extra={"job_id": batch.job_id, "batch": batch.name, "releases": released.releases, "not_before": now + pause},
        )
        # The highest of any batch: an alarm tells a create that never gets an answer from one that lost it once.
        self.metrics.count("UnansweredCreates", released.releases)
        job = self.ledger.get_job(batch.job_id)
        if job is not None:
            tell_doubt(self.commit, job, sentences.sent_without_answer(job.releases, released.not_before))

    def _adopt(self, batch: Batch, api_id: str, *, certain: bool) -> None:
        adopted = self.commit(transitions.adopted(batch, api_id, certain=certain))
        job = self.ledger.get_job(batch.job_id)
        tell_doubt(self.commit, job, "")
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
