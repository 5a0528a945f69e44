"""All batches and their states: in progress, canceling, ended, archived, deleted."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from local.claude.batch import Batch, Ending
from local.claude.clock import Clock
from local.claude.errors import invalid, not_found
from local.claude.identifiers import Identifiers
from local.claude.intake import Intake
from local.claude.offload import Offload
from local.claude.options import Settings
from local.claude.rendering import Order, Rendered

SAMPLE_ID = "message_batch_id"  # the id that the SDK's own tests ask for: it always exists
_SAMPLE_BODY = (
    b'{"requests":[{"custom_id":"my-custom-id-1","params":{"model":"claude-haiku-4-5","max_tokens":64,'
    b'"messages":[{"role":"user","content":"Hello, world"}]}}]}'
)
_BYTES_PER_ANSWER = 600  # a result line without its text; only used to guess whether rendering takes long


class Batches:
    """All batches of all workspaces."""

    def __init__(self, clock: Clock, settings: Settings, offload: Offload, identifiers: Identifiers, spool: Path) -> None:
        self._clock = clock
        self._settings = settings
        self._offload = offload
        self._identifiers = identifiers
        self._spool = spool
        self._by_id: dict[str, Batch] = {}
        self._by_workspace: dict[str, list[Batch]] = defaultdict(list)
        self._samples: dict[str, Batch] = {}
        self._queued: dict[str, int] = defaultdict(int)
        self._accepted: dict[str, int] = defaultdict(int)
        self._caches: dict[str, dict[str, float]] = defaultdict(dict)
        self._caches_of_messages: dict[str, dict[str, float]] = defaultdict(dict)
        self._hidden: list[Batch] = []
        self._agenda: list[tuple[float, int, Batch]] = []
        self._agenda_size = 0
        self._settling: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    # What callers do

    def accept(
        self, *, workspace: str, body: Path, size: int, intake: Intake, version: str, betas: frozenset[str], longer: float
    ) -> Batch:
        """Creates a batch from a body whose form is right; the batch takes over the file. It lasts ``longer`` than others."""
        batch_id = self._identifiers.draw("msgbatch")
        created = self._clock.now()
        batch = Batch(
            id=batch_id,
            workspace=workspace,
            number=len(self._by_workspace[workspace]),
            count=intake.count,
            body=body.rename(self._spool / f"{batch_id}.body"),
            body_bytes=size,
            version=version,
            betas=betas,
            attempts={place: self._count(fingerprint) for place, fingerprint in intake.marked},
            created=created,
            due=created + self._settings.seconds + self._settings.seconds_per_1000_rows * intake.count / 1000 + longer,
        )
        self._by_id[batch.id] = batch
        self._by_workspace[workspace].append(batch)
        self._queued[workspace] += batch.count
        self._plan(batch)
        if self._settings.eager:
            everything = Ending(min(batch.due, batch.expires), batch.count, "expired")
            batch.prepared = asyncio.create_task(self._render(batch, everything))
        return batch

    def _count(self, fingerprint: str) -> int:
        self._accepted[fingerprint] += 1
        return self._accepted[fingerprint]

    def hide(self, batch: Batch, seconds: float, calls: int) -> None:
        """Keeps a batch out of its workspace's list for so many emulated seconds and so many list calls."""
        batch.hidden_until, batch.hidden_calls = batch.created + seconds, calls
        self._hidden.append(batch)

    async def find(self, workspace: str, batch_id: str) -> Batch:
        """A batch of this workspace. Raises the 404 if there is none that this workspace may see."""
        batch = self._by_id.get(batch_id)
        if batch is not None and batch.workspace == workspace and not batch.deleted:
            return batch
        if batch_id == SAMPLE_ID:
            return await self._sample(workspace)
        raise not_found(f"Message batch {batch_id} not found.")

    def page(self, workspace: str, after_id: str | None, before_id: str | None, limit: int) -> tuple[list[Batch], bool]:
        """At most ``limit`` batches, newest first, older than one cursor or newer than the other; and if there are more.

        An unknown cursor gives an empty page: what the API does is not documented, and the SDK's tests expect a 200.
        A deleted batch still serves as a cursor.
        """
        everything = self._by_workspace.get(workspace, [])
        places: Iterable[int] = range(len(everything) - 1, -1, -1)
        if after_id is not None or before_id is not None:
            cursor = self._by_id.get(after_id or before_id or "")
            if cursor is None or cursor.workspace != workspace:
                return [], False
            backwards = after_id is not None
            places = range(cursor.number - 1, -1, -1) if backwards else range(cursor.number + 1, len(everything))
        hidden = self._hidden_now(workspace)
        found: list[Batch] = []
        for place in places:
            batch = everything[place]
            if not batch.deleted and batch not in hidden:
                found.append(batch)
                if len(found) > limit:
                    break
        page = found[:limit]
        return page if after_id is not None or before_id is None else page[::-1], len(found) > limit

    def _hidden_now(self, workspace: str) -> set[Batch]:
        now = self._clock.now()
        hidden = set()
        for batch in list(self._hidden):
            if batch.hidden_until <= now and not batch.hidden_calls:
                self._hidden.remove(batch)
            elif batch.workspace == workspace:
                hidden.add(batch)
                batch.hidden_calls = max(0, batch.hidden_calls - 1)
        return hidden

    async def cancel(self, batch: Batch) -> None:
        """Starts canceling. Raises a 400 for a batch that has ended; canceling again changes nothing.

        Neither answer is documented. The sample batch takes it in silence, as the SDK's tests need.
        """
        await self._catch_up(batch)
        if batch.id == SAMPLE_ID or (batch.canceled is not None and batch.ended is None):
            return
        if batch.ended is not None:
            raise invalid(f"Message batch {batch.id} has already ended and cannot be canceled.")
        now = self._clock.now()
        batch.canceled = now
        moment = min(now + self._settings.cancel_seconds, batch.expires)
        batch.cancel_ending = Ending(moment, self._finished(batch, now), "canceled")
        self._plan(batch)

    async def delete(self, batch: Batch) -> None:
        """Deletes an ended batch. Raises a 400 for one that is not (which status the API answers is not documented)."""
        await self._catch_up(batch)
        if batch.ended is None:
            raise invalid(f"Message batch {batch.id} is still being processed: cancel it or wait before deleting it.")
        batch.deleted = batch.id != SAMPLE_ID

    async def results(self, batch: Batch) -> Path:
        """The results file. Raises a 404 before the end (not documented) and after 29 days."""
        await self._catch_up(batch)
        if batch.ended is None:
            raise not_found(f"Message batch {batch.id} has no available results: it has not ended.")
        if batch.archived(self._clock.now()) is not None:
            raise not_found(f"Message batch {batch.id} was archived: its results are no longer available.")
        return batch.results_path

    def cache_of_messages(self, workspace: str) -> dict[str, float]:
        """The prompt cache of a workspace: prefix -> when its entry dies. Batches have one of their own, and do not find it."""
        return self._caches_of_messages[workspace]

    def queued(self, workspace: str) -> int:
        """Rows of this workspace in batches that have not ended."""
        return self._queued[workspace]

    def accepted(self, batch_id: str) -> Batch | None:
        """An accepted batch of any workspace, deleted or not; None if there is none."""
        return self._by_id.get(batch_id)

    def everything(self) -> list[Batch]:
        """Every accepted batch, deleted ones included, oldest first."""
        return list(self._by_id.values())

    # What happens with time

    async def run(self) -> None:
        """Ends batches as their time comes, for as long as the server runs."""
        while True:
            self._changed.clear()
            for batch in self._due():
                self._start_settling(batch)
            left = self._clock.real_seconds_until(self._agenda[0][0]) if self._agenda else None
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def clock_changed(self) -> None:
        """Wakes :meth:`run` after the clock was changed."""
        self._changed.set()

    async def settle_due(self) -> None:
        """Ends every batch whose time has come, and waits until their results are there."""
        for batch in self._due():
            self._start_settling(batch)
        await asyncio.gather(*self._settling)

    def _plan(self, batch: Batch) -> None:
        self._agenda_size += 1
        heapq.heappush(self._agenda, (self._ending(batch).moment, self._agenda_size, batch))
        self._changed.set()

    def _due(self) -> list[Batch]:
        due = []
        now = self._clock.now()
        while self._agenda and self._agenda[0][0] <= now:
            moment, _, batch = heapq.heappop(self._agenda)
            if self._ending(batch).moment == moment:  # otherwise it was canceled since and has another entry in the agenda
                due.append(batch)
        return due

    def _ending(self, batch: Batch) -> Ending:
        if batch.cancel_ending is not None:
            return batch.cancel_ending
        if batch.due <= batch.expires:
            return Ending(batch.due, batch.count, "expired")
        return Ending(batch.expires, self._finished(batch, batch.expires), "expired")

    def _finished(self, batch: Batch, moment: float) -> int:
        """How many rows are done at a moment before the end: the share of the time that has passed, or the one set."""
        share = self._settings.finished_share
        if share is None:
            share = min(1.0, (moment - batch.created) / (batch.due - batch.created)) if batch.due > batch.created else 1.0
        return round(batch.count * share)

    async def _catch_up(self, batch: Batch) -> None:
        """Lets a batch end whose time has come but whose results are still being written."""
        if batch.ended is None and self._ending(batch).moment <= self._clock.now():
            await asyncio.shield(self._start_settling(batch))

    def _start_settling(self, batch: Batch) -> asyncio.Task[None]:
        if batch.settling is None:
            batch.settling = asyncio.create_task(self._settle(batch, self._ending(batch)))
            self._settling.add(batch.settling)
            batch.settling.add_done_callback(self._settling.discard)
        return batch.settling

    async def _settle(self, batch: Batch, ending: Ending) -> None:
        if batch.prepared is not None and ending.finished == batch.count:
            rendered = await batch.prepared
        else:
            if batch.prepared is not None:
                await asyncio.wait([batch.prepared])  # it writes to the same file
            rendered = await self._render(batch, ending)
        self._queued[batch.workspace] -= batch.count
        self._end(batch, ending, rendered)

    def _end(self, batch: Batch, ending: Ending, rendered: Rendered) -> None:
        batch.counts, batch.results_bytes = rendered.counts, rendered.size
        batch.ended = ending.moment
        self._caches[batch.workspace].update(rendered.cache)

    async def _render(self, batch: Batch, ending: Ending) -> Rendered:
        settings = self._settings
        cache = self._caches[batch.workspace]
        order = Order(
            batch_id=batch.id,
            body=str(batch.body),
            results=str(batch.results_path),
            version=batch.version,
            betas=batch.betas,
            finished=ending.finished,
            unfinished=ending.unfinished,
            attempts=batch.attempts,
            created=batch.created,
            moment=ending.moment,
            cache={prefix: dies for prefix, dies in cache.items() if dies > batch.created},
            cache_minimum=settings.cache_minimum,
            cache_hits=settings.cache_hits,
            answer_bytes=settings.answer_bytes,
            results_bytes=settings.results_bytes,
        )
        answers = max(settings.results_bytes, batch.count * (settings.answer_bytes + _BYTES_PER_ANSWER))
        return await self._offload.render(order, batch.body_bytes + answers)

    # The rest

    async def _sample(self, workspace: str) -> Batch:
        if workspace not in self._samples:
            body = self._spool / f"sample-{len(self._samples)}.body"
            body.write_bytes(_SAMPLE_BODY)
            now = self._clock.now()
            batch = Batch(SAMPLE_ID, workspace, 0, 1, body, len(_SAMPLE_BODY), "2023-06-01", frozenset(), {}, now, now)
            ending = Ending(now, batch.count, "expired")
            self._end(batch, ending, await self._render(batch, ending))
            self._samples[workspace] = batch
        return self._samples[workspace]

    async def reset(self) -> None:
        """Forgets every batch and removes its files."""
        tasks = [task for batch in self._by_id.values() for task in (batch.settling, batch.prepared) if task]
        await asyncio.gather(*tasks, return_exceptions=True)
        for batch in [*self._by_id.values(), *self._samples.values()]:
            batch.body.unlink(missing_ok=True)
            batch.results_path.unlink(missing_ok=True)
        for kept in (
            self._by_id,
            self._by_workspace,
            self._samples,
            self._queued,
            self._accepted,
            self._caches,
            self._caches_of_messages,
            self._hidden,
            self._agenda,
        ):
            kept.clear()
