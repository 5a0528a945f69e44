"""From a file of rows and its recipe to lines that can be cut into batches."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from batchdrop.domain import ids, keys
from batchdrop.domain.errors import Rejected
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.formats.cells import header_line
from batchdrop.formats.table_fault import OUR_COLUMNS
from batchdrop.ports import Objects
from batchdrop.recipes.form import Kind, encode_form, failed_columns, results_columns
from batchdrop.reports import sentences
from batchdrop.stages.plan.name_files import NameFiles
from batchdrop.stages.plan.open_rows import OpenedRows, OpenRows
from batchdrop.stages.plan.prepare import Made, Source, Text, Unpacking, prepare
from batchdrop.stages.plan.render import LineOf, Render

_CHUNK = 1 << 20


class RenderFile(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    open_rows: OpenRows
    name_files: NameFiles
    max_bytes: int

    def __call__(self, job: Job, recipe_ref: ObjectRef, packed: bool, go_on: Callable[[], bool]) -> Made:
        """What has been made of a file of rows. Raises Waits, Rejected, ObjectGone, Forbidden."""
        text = job.text or self._text(job, packed, go_on)
        if isinstance(text, Text | Unpacking):
            return text
        recipe = ids.job_token(recipe_ref)
        with self.open_rows(job, recipe_ref, text, Kind(job.kind)) as rows, self.name_files(job, go_on) as files:
            names_files = rows.renderer.names_files
            render = Render(
                objects=self.objects,
                bucket=job.input.bucket,
                key=keys.rendered(job.id, recipe),
                checkpoint_key=keys.render_checkpoint(job.id, recipe),
                max_bytes=self.max_bytes,
                repeatable=not names_files,
            )
            line_of = LineOf(rows.renderer, rows.recipe.id, files if names_files else None, rows.recipe.model)
            made = render(rows.source, line_of, lambda: self._leave(job, rows), go_on)
            return made._replace(wishes=rows.wishes) if isinstance(made, Source) else made

    def _text(self, job: Job, packed: bool, go_on: Callable[[], bool]) -> ObjectRef | Text | Unpacking:
        made = prepare(self.objects, job.input, keys.unpacked(job.id), self.max_bytes, go_on, packed=packed)
        if isinstance(made, Unpacking):
            return made
        if made.broken is not None:
            raise Rejected(sentences.broken_table(made.broken.message))
        return made.object if made.object.key == job.input.key else Text(made.object)

    def _leave(self, job: Job, rows: OpenedRows) -> None:
        """What others need to know once the lines are there; and the recipe, beside the answers."""
        columns = rows.source.table(raw=rows.form.table.raw).columns
        # Later rows of JSONL may have fields that are called like one of ours: a table has no two columns of one name.
        ours = OUR_COLUMNS.union(rows.form.answer.columns)
        table = msgspec.structs.replace(rows.form.table, columns=tuple(name for name in columns if name not in ours))
        form = msgspec.structs.replace(rows.form, table=table)
        for name, columns in (("results.csv", results_columns(form)), ("failed.csv", failed_columns(form))):
            line = header_line(columns, table.separator, table.newline, raw=table.raw)
            self.objects.put(keys.table_header(job.id, name), line, content_type="text/csv; charset=utf-8")
        self.objects.put(keys.form(job.id), encode_form(form))
        self.objects.put(keys.outbox_folder(job.input.key, job.id) + "recipe.yaml", rows.text, content_type="application/yaml")
        if is_start(job.input) and job.text is not None:
            self._keep_list(job, job.text)

    def _keep_list(self, job: Job, documents: ObjectRef) -> None:
        key = keys.listed_documents(job.input.key, job.id)
        with self.objects.read(documents) as stream, self.objects.writer(key) as out:
            while chunk := stream.read(_CHUNK):
                out.write(chunk)
