"""Find the recipe of a file: the nearest one in its folder or above, as it is now.

Rows of a job that are dropped again bring that job's recipe along, if their folder has none.
"""

from __future__ import annotations

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.errors import Forbidden, ObjectGone, Waits
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.ids import is_job_id
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.ports import Ledger, Objects
from batchdrop.recipes.form import Kind
from batchdrop.reports import sentences
from batchdrop.stages.plan.kinds import LookAt

_STARTER = "recipe.yaml"


class FindRecipe(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    look_at: LookAt

    def __call__(self, job: Job, kind: Kind) -> ObjectRef:
        """Its newest version. At most 32 HEAD requests. Raises Waits if there is none, or S3 does not hand it out.

        A job that finds none gets a starter beside its answers, with the columns of its file. Raises Rejected for a file that no
        recipe can help.
        """
        if (nearest := self.nearest(job.input.key)) is not None:
            return nearest
        # Reading tables takes time that a file of requests must not cost.
        from batchdrop.recipes.editor_schema import editor_schema  # noqa: PLC0415
        from batchdrop.recipes.starter import SCHEMA, starter, starter_of_documents  # noqa: PLC0415
        from batchdrop.stages.plan.first_look import first_look  # noqa: PLC0415

        found = first_look(self.objects, self.look_at(job), kind, job)
        if (earlier := self._of_earlier_job(job, found.job_id)) is not None:
            return earlier
        folder = keys.outbox_folder(job.input.key, job.id)
        self.objects.put(folder + SCHEMA, editor_schema().encode())
        text = starter_of_documents() if is_start(job.input) else starter(found.columns, [found.row])
        self.objects.put(folder + _STARTER, text, content_type="application/yaml")
        raise Waits(" ".join(filter(None, (sentences.waits_for_recipe(job.input.key, found.columns), found.fault))))

    def nearest(self, input_key: str) -> ObjectRef | None:
        """None: there is none in its folder or above. Raises Waits."""
        for key in keys.recipe_keys(input_key):
            try:
                return self.objects.head(key).ref
            except ObjectGone:
                continue
            except Forbidden as refusal:
                raise Waits(sentences.recipe_unreadable(key, refusal.code)) from refusal
        return None

    def _of_earlier_job(self, job: Job, job_id: str) -> ObjectRef | None:
        """What a row says about where it comes from is believed within the team only."""
        if not is_job_id(job_id):
            return None
        earlier = self.ledger.get_job(job_id)
        if earlier is not None and earlier.completed_by:
            # The table names the first job for ever, and its rows ran last in another one.
            earlier = self.ledger.get_job(earlier.completed_by) or earlier
        if earlier is None or earlier.recipe is None or keys.team_of(earlier.input.key) != keys.team_of(job.input.key):
            return None
        return earlier.recipe
