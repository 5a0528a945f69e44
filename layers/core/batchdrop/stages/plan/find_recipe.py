"""Find the recipe of a file: the nearest one in its folder or above, as it is now.

Rows of a job that are dropped again bring that job's recipe along, if their folder has none.
"""

from __future__ import annotations

import io
from contextlib import suppress

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.errors import Forbidden, ObjectGone, Waits
from batchdrop.domain.ids import is_job_id
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.ports import Ledger, Objects
from batchdrop.recipes.form import Kind
from batchdrop.reports import sentences
from batchdrop.stages.plan.kinds import LookAt, Start, first_line

_STARTER = "recipe.yaml"


class FindRecipe(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    look_at: LookAt

    def __call__(self, job: Job, kind: Kind) -> ObjectRef:
        """Its newest version. At most 32 HEAD requests. Raises Waits if there is none, or S3 does not hand it out.

        A job that finds none gets a starter beside its answers, with the columns of its file.
        """
        for key in keys.recipe_keys(job.input.key):
            try:
                return self.objects.head(key).ref
            except ObjectGone:
                continue
            except Forbidden as refusal:
                raise Waits(sentences.recipe_unreadable(key, refusal.code)) from refusal
        told = _told(self.look_at(job), kind, job)
        if (earlier := self._of_earlier_job(job, told.job_id)) is not None:
            return earlier
        self._leave_starter(job, told.columns)
        raise Waits(sentences.waits_for_recipe(job.input.key, told.columns))

    def _of_earlier_job(self, job: Job, job_id: str) -> ObjectRef | None:
        """What a row says about where it comes from is believed within the team only."""
        if not is_job_id(job_id):
            return None
        earlier = self.ledger.get_job(job_id)
        if earlier is None or earlier.recipe is None or keys.team_of(earlier.input.key) != keys.team_of(job.input.key):
            return None
        return earlier.recipe

    def _leave_starter(self, job: Job, columns: tuple[str, ...]) -> None:
        # Reading YAML and templates takes a tenth of a second that a file of requests must not cost.
        from batchdrop.recipes.starter import starter  # noqa: PLC0415

        self.objects.put(keys.outbox_folder(job.input.key, job.id) + _STARTER, starter(columns), content_type="application/yaml")


class _Told(msgspec.Struct, frozen=True):
    """What the first bytes of a file of rows tell."""

    columns: tuple[str, ...] = ()
    job_id: str = ""
    """The job that its first row comes from."""


class _Note(msgspec.Struct):
    job: str = ""


class _Noted(msgspec.Struct, rename={"note": "_batchdrop"}):
    note: _Note = msgspec.field(default_factory=_Note)


def _told(start: Start, kind: Kind, job: Job) -> _Told:
    """Nothing is known of a file that cannot be read yet: what is wrong with it is said once there is a recipe."""
    if kind is Kind.jsonl:
        line = first_line(start.data)
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            columns = tuple(name for name in msgspec.json.decode(line, type=dict[str, msgspec.Raw]) if name != "_batchdrop")
            with suppress(msgspec.ValidationError):
                return _Told(columns, msgspec.json.decode(line, type=_Noted).note.job)
            return _Told(columns)
        return _Told()
    return _told_by_csv(start, job) if kind is Kind.csv else _Told()


def _told_by_csv(start: Start, job: Job) -> _Told:
    from batchdrop.formats.csv_table import records, sniff  # noqa: PLC0415 - as above
    from batchdrop.formats.table_fault import TableFault  # noqa: PLC0415

    try:
        dialect = sniff(
            start.data,
            complete=start.whole,
            encoding=None,
            separator=None,
            name=keys.name_of(job.input.key).removesuffix(".gz"),
        )
        told = _Told(dialect.own)
        if "batchdrop_job" not in dialect.columns:
            return told
        rest = io.BytesIO(start.data[dialect.first_offset :])
        first = next(records(rest, dialect, start=dialect.first_offset, row=dialect.next_row), None)
        cells = first.cells if first else []
    except TableFault:
        return _Told()
    return _Told(dialect.own, cells[dialect.columns.index("batchdrop_job")]) if cells else told
