"""See what became of the batches at the API: one list call watches them all."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from batchdrop.domain import reconcile, transitions
from batchdrop.domain.errors import LostRace, NotFound, Unavailable
from batchdrop.domain.reconcile import CLOCK_SKEW, Candidate, Look
from batchdrop.domain.records import ApiCounts, Batch
from batchdrop.domain.retries import RESULTS_KEPT
from batchdrop.domain.transitions import Move
from batchdrop.jobs.commit import Commit
from batchdrop.ports import ApiBatch, ApiPage, Claude, Clock, Ledger
from batchdrop.stages.poll.apart import apart

log = logging.getLogger(__name__)

ENDED = "ended"
# Pages of 1,000 a tick reads at most: well under a second each, and under the rate limit of the batch endpoints.
_PAGES = 100
# Batches that no page showed are asked for by id, this many a tick.
_ASK = 20


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    claude: Claude
    clock: Clock
    commit: Commit

    def __call__(
        self, watched: dict[str, Batch], look_back_to: datetime | None, at: datetime, troubles: list[Exception]
    ) -> tuple[Look, set[str]]:
        """Records what has ended. `watched`: open batches by API id; `look_back_to`: list at least this far back.

        `at`: when the look began, before the open batches were read. `troubles`: gains the errors of single batches.

        Returns what is at the API since `look_back_to` and not known for sure (for reconciliation), and the jobs that changed.
        Raises Unavailable or Refused when the API does not answer.
        """
        key = ""
        open_ids = set(watched)
        others: list[Candidate] = []
        changed: set[str] = set()
        for page in self._pages(watched, open_ids, look_back_to):
            key = page.key
            for seen in page.batches:
                batch = watched.get(seen.id)
                if batch is not None:
                    open_ids.discard(seen.id)
                    with apart(batch, troubles):
                        if self._saw(batch, seen):
                            changed.add(batch.job_id)
                # An adopted batch may still prove to be the one that another submission left behind.
                if (batch is None or batch.adopted) and look_back_to is not None and seen.created_at >= look_back_to:
                    others.append(_candidate(seen))
        # Those adopted first: a 404 of one of them leads somewhere soon.
        for api_id in sorted(open_ids, key=lambda one: (not watched[one].adopted, one))[:_ASK]:
            with apart(watched[api_id], troubles):
                if self._ask(watched[api_id]):
                    changed.add(watched[api_id].job_id)
        return Look(at, key, tuple(others)), changed

    def _pages(self, watched: Mapping[str, Batch], open_ids: set[str], look_back_to: datetime | None) -> Iterator[ApiPage]:
        """Newest first; further pages only while a watched batch may be on them or the list does not reach back far enough.

        Raises Unavailable at a list too long for one tick, or read with two keys: a part of it must not pass for the whole.
        """
        if not open_ids and look_back_to is None:
            return
        cursor: str | None = None
        key: str | None = None
        reached = False
        for _ in range(_PAGES):
            page = self.claude.page(cursor)
            if key not in (None, page.key):
                raise Unavailable("the API key was replaced while the list was read", kind="key_replaced")
            key = page.key
            yield page
            cursor = page.next
            oldest = page.batches[-1].created_at if page.batches else None
            reached = look_back_to is None or oldest is None or oldest < look_back_to
            if cursor is None or (reached and not any(_may_follow(watched[api_id], oldest) for api_id in open_ids)):
                return
        if not reached:
            raise Unavailable(f"the API lists more than {_PAGES} pages of batches", kind="long_list")

    def _ask(self, batch: Batch) -> bool:
        """404 on a known id is observed for valid batches (anthropics/anthropic-sdk-python#1432): it is not an end.

        It is one when the results would be deleted by now: then nothing can come any more, and the job must not wait for ever.
        One that was adopted is given back before.
        """
        now = self.clock.now()
        try:
            return self._saw(batch, self.claude.retrieve(batch.api_id or ""))
        except NotFound:
            log.warning("the API does not show a known batch", extra={"batch": batch.name, "api_id": batch.api_id})
        if batch.created_at is None or now < batch.created_at + RESULTS_KEPT:
            if batch.adopted:
                self._record(reconcile.not_found(batch, now))
            return False
        lost = ApiBatch(id=batch.api_id or "", status=ENDED, counts=ApiCounts(), created_at=batch.created_at)
        return self._saw(batch, lost)

    def _saw(self, batch: Batch, seen: ApiBatch) -> bool:
        """Records the end of a batch. Whether this call did."""
        if seen.status != ENDED:
            if batch.not_found:
                self._record(transitions.found_again(batch))
            return False
        now = self.clock.now()
        ended = transitions.ended(batch, ended_at=seen.ended_at or now, created_at=seen.created_at, counts=seen.counts, now=now)
        return self._record(ended)

    def _record(self, move: Move[Batch]) -> bool:
        """Whether this call did."""
        try:
            self.commit(move)
        except LostRace:
            return False
        return True


def _may_follow(batch: Batch, oldest: datetime | None) -> bool:
    """Whether a watched batch can be on a page after one that reaches back to `oldest`. One adopted has the time of an intent."""
    return oldest is None or batch.created_at is None or batch.created_at - CLOCK_SKEW <= oldest


def _candidate(seen: ApiBatch) -> Candidate:
    return Candidate(id=seen.id, requests=seen.counts.all, created_at=seen.created_at, ended=seen.status == ENDED)
