"""Settle batches whose create had no definite answer: adopt what is there, release what is not. Never guess."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from itertools import chain, islice, zip_longest
from typing import NamedTuple

import msgspec

from batchdrop.domain import reconcile, transitions
from batchdrop.domain.errors import ApiError, Incomplete, LostRace
from batchdrop.domain.reconcile import Look
from batchdrop.domain.records import Batch, BatchState, RowStatus, Unsent
from batchdrop.formats.api_result import first_custom_id
from batchdrop.jobs.cancel import CancelBatch
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.doubt import tell_doubt
from batchdrop.ports import Claude, Clock, Ledger
from batchdrop.reports import sentences
from batchdrop.stages.poll.apart import apart

log = logging.getLogger(__name__)

# First results that one tick reads at most, and how long it goes on starting to read: a read takes a fraction of a second, or
# as long as three tries of an API that does not answer.
_READS = 20
_READING = timedelta(seconds=60)
# Its rows may have been answered and paid for: whether they are sent again is for their owner to decide.
_UNKNOWN = Unsent(status=RowStatus.missing, error_type="unknown_outcome", message=sentences.UNKNOWN_OUTCOME)


class _Unsure(NamedTuple):
    """A batch, and those of its candidates that have ended, oldest first."""

    batch: Batch
    ended: tuple[str, ...]


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

    def __call__(self, submitting: list[Batch], look: Look, troubles: list[Exception]) -> set[str]:
        """`look`: back to `look_back_to`. `troubles`: gains the errors of single batches. Returns the jobs that changed."""
        changed: set[str] = set()
        unsure: dict[str, _Unsure] = {}
        workspaces = {"": True, look.key: True}
        # Asked once for each candidate, however many batches it could be.
        owner_of = cache(self.ledger.owner_of)
        for batch in submitting:
            if not reconcile.is_due(batch, look.at):
                continue
            rivals = [other for other in submitting if other is not batch]
            with apart(batch, troubles), _first_come(batch):
                seen, decision = self._decide(batch, rivals, look, workspaces, owner_of)
                if not workspaces[batch.key] and self._tell(batch, sentences.SENT_WITH_ANOTHER_KEY):
                    changed.add(batch.job_id)
                if isinstance(decision, reconcile.Identify):
                    unsure[f"{batch.job_id} {batch.name}"] = _Unsure(seen, decision.ended)
                elif self._act(seen, decision, look):
                    changed.add(batch.job_id)
                    owner_of.cache_clear()
        return changed | self._identify(unsure, look.key, troubles)

    def _decide(
        self,
        batch: Batch,
        rivals: list[Batch],
        look: Look,
        workspaces: dict[str, bool],
        owner_of: Callable[[str], tuple[str, str] | None],
    ) -> tuple[Batch, reconcile.Decision]:
        """`workspaces`: of each key, whether the look shows what was sent with it.

        That is true of the key that the look was taken with, and is taken to be true where 0.1.0 sent the batch and stored no
        key: its functions read the key anew when they are replaced by this version, and it was sent by one of them just before.
        """
        owners = {one: owner_of(one.id) for one in reconcile.candidates_for(batch, look, self.grace)}
        free = [one for one, owner in owners.items() if owner is None]
        doubtful = any(self._may_be_mistaken(one.id, owner) for one, owner in owners.items() if owner is not None)
        if (free or doubtful) and (batch.first_look_at is None or batch.no_trace_at):
            batch = self.commit(transitions.looked(batch, at=look.at, trace=True))
        if batch.key not in workspaces:
            workspaces[batch.key] = self._sees_what_was_sent_with(batch.key, look)
        decision = reconcile.decide(
            batch, free, rivals, look.at, self.grace, doubtful=doubtful, same_workspace=workspaces[batch.key]
        )
        return batch, decision

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

    def _may_be_mistaken(self, api_id: str, owner: tuple[str, str]) -> bool:
        """Whether a batch has adopted what may be another's: its first result has not been seen yet, or showed just that."""
        batch = self.ledger.get_batch(*owner)
        return batch is not None and (batch.api_id != api_id or (batch.adopted and batch.state is not BatchState.collected))

    def _act(self, batch: Batch, decision: reconcile.Definite, look: Look) -> bool:
        match decision:
            case reconcile.Wait():
                return False
            case reconcile.NoTrace():
                self.commit(transitions.looked(batch, at=look.at, trace=False))
                return False
            case reconcile.Release():
                self._release(batch)
                return True
            case reconcile.Adopt(api_id):
                log.warning("found at the API and adopted", extra={"job_id": batch.job_id, "batch": batch.name, "api_id": api_id})
                self._adopt(batch, api_id, certain=False, key=look.key)
                return True
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
        job = self.ledger.get_job(batch.job_id)
        if job is not None:
            tell_doubt(self.commit, job, sentences.sent_without_answer(job.releases, released.not_before))

    def _adopt(self, batch: Batch, api_id: str, *, certain: bool, key: str) -> None:
        adopted = self.commit(transitions.adopted(batch, api_id, certain=certain, key=key))
        job = self.ledger.get_job(batch.job_id)
        tell_doubt(self.commit, job, "")
        if job is not None and job.cancel_requested:
            self.cancel_batch(adopted)

    def _identify(self, unsure: dict[str, _Unsure], key: str, troubles: list[Exception]) -> set[str]:
        """Reads first results, so many a tick: their custom ids name the batch. Returns the jobs that changed.

        What one shows is recorded at once, for every batch that it could have been: a tick that dies keeps what it has found.
        """
        changed: set[str] = set()
        started = self.clock.now()
        for api_id in islice(_in_turn(unsure, started), _READS):
            if self.clock.now() >= started + _READING:
                break
            first = self._first_custom_id(api_id)
            if first is None:
                continue
            for name in [name for name, one in unsure.items() if api_id in one.ended]:
                batch, ended = unsure.pop(name)
                with apart(batch, troubles), _first_come(batch):
                    if reconcile.names(batch, first):
                        self._adopt(batch, api_id, certain=True, key=key)
                        changed.add(batch.job_id)
                    else:
                        unsure[name] = _Unsure(self.commit(transitions.ruled_out(batch, api_id)), ended)
        return changed

    def _first_custom_id(self, api_id: str) -> str | None:
        """None for no answer, and for one that is none (a proxy's page): it is asked for again in a later tick."""
        try:
            with self.claude.results(api_id) as chunks:
                return first_custom_id(chunks)
        except (ApiError, Incomplete, ValueError):
            return None


@contextmanager
def _first_come(batch: Batch) -> Iterator[None]:
    try:
        yield
    except LostRace:
        log.info("another poller settled this batch", extra={"batch": batch.name})


def _in_turn(unsure: Mapping[str, _Unsure], at: datetime) -> Iterator[str]:
    """The candidates, one of each batch in turn. Every minute other batches come first, so that none waits for ever."""
    batches = list(unsure.values())
    first = int(at.timestamp()) // 60 * _READS % max(len(batches), 1)
    turns = zip_longest(*(one.ended for one in (*batches[first:], *batches[:first])))
    for api_id in dict.fromkeys(chain.from_iterable(turns)):
        # By then every batch that it could be may have found its own.
        if api_id is not None and any(api_id in one.ended for one in unsure.values()):
            yield api_id
