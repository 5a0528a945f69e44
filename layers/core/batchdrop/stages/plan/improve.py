"""A job that waits for money may have an improved recipe by now: then a new job takes its place, with rows tried by that recipe.

The two moves are one transaction, on the revision of the job as it was read. So of an approval and a newer recipe one is first,
and there is never a job that ended for a successor that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from batchdrop.domain import ids, transitions
from batchdrop.domain.errors import Forbidden, LostRace, ObjectGone, Rejected, Waits
from batchdrop.domain.keys import team_of
from batchdrop.domain.open_work import RECIPE
from batchdrop.domain.records import Batch, Job, JobState, ObjectRef
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Ledger, ObjectInfo, Objects
from batchdrop.reports import sentences
from batchdrop.stages.plan.find_recipe import FindRecipe

_TRIES = 10


class _Kept(Exception):
    """Its recipe stays. The message says why, if that is news for anybody."""


class Improve(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    commit: Commit
    publish: Publish
    find_recipe: FindRecipe
    check: Callable[[Job, ObjectRef], None]
    """Makes sure that a job can be planned with a recipe, as far as its first row tells.

    Raises Waits, Rejected, ObjectGone, Forbidden.
    """

    def __call__(self, job_id: str, new_job: Callable[[ObjectInfo], Job]) -> Job | None:
        """The job that takes the place of one that waits for money, if its recipe was improved. It looks at what is there now,
        whatever event it was that made it look. Raises LostRace.

        `new_job`: as a file is dropped, before a recipe is looked for.
        """
        for _ in range(_TRIES):
            job = self.ledger.get_job(job_id)
            if job is None or job.state is not JobState.held or job.needs == RECIPE or job.recipe is None or job.cancel_requested:
                return None
            # Counted before it is looked for: what arrives after this is not missed.
            arrivals = self.ledger.get_arrivals(team_of(job.input.key)).count
            if job.arrivals == arrivals:
                return None
            with suppress(LostRace):
                return self._look(job, job.recipe, arrivals, new_job)
        raise LostRace(f"job {job_id} changes faster than its recipe can be looked for")

    def _look(self, job: Job, recipe: ObjectRef, arrivals: int, new_job: Callable[[ObjectInfo], Job]) -> Job | None:
        newer: Job | None = None
        note = "" if sentences.is_recipe_kept(job.note) else job.note
        try:
            newer = self._newer(job, recipe, arrivals, new_job)
        except _Kept as kept:
            self.commit(transitions.recipe_kept(job, str(kept) or note, arrivals=arrivals))
        else:
            self.commit(transitions.superseded(job, newer, sentences.superseded(newer), note))
        self.publish(job.id)
        return newer

    def _newer(self, job: Job, recipe: ObjectRef, arrivals: int, new_job: Callable[[ObjectInfo], Job]) -> Job:
        """Raises _Kept."""
        # Of the record as it was read: as long as that is held, nothing of it is admitted.
        if any(_was_sent(batch) for batch in self.ledger.list_batches(job.id)):
            raise _Kept
        try:
            found = self.find_recipe.nearest(job.input.key)
        except Waits as why:
            raise _Kept(sentences.recipe_kept(str(why))) from why
        if found is None or found.etag == recipe.etag:
            raise _Kept
        try:
            newer = new_job(self.objects.head(job.input.key, job.input.version_id))
            newer = replace(
                newer,
                id=ids.job_id(job.input, ids.uploaded_at(job.id), found),
                token=ids.job_token(job.input, found),
                recipe=found,
                kind=job.kind,
                arrivals=arrivals,
                note=" ".join(filter(None, (newer.note, sentences.takes_the_place_of(job)))),
            )
            self.check(replace(newer, text=job.text), found)
        except (Waits, Rejected) as why:
            raise _Kept(sentences.recipe_kept(str(why))) from why
        except (ObjectGone, Forbidden) as why:
            raise _Kept(sentences.recipe_kept(sentences.ITS_FILE_IS_GONE)) from why
        if self.ledger.get_job(newer.id) is not None:
            raise _Kept(sentences.recipe_kept(sentences.was_superseded_before(newer)))
        return newer


def _was_sent(batch: Batch) -> bool:
    """Or may have been, beyond the rows that are tried first."""
    return not batch.tries and (batch.prefixes != () or batch.admitted_at is not None)
