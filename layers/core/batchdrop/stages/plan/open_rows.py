"""Read a job's recipe, open its file with it, and make sure of both before anything is rendered.

This is the only place where all parts of a recipe meet. What the person who wrote it can correct makes the job wait (`Waits`);
what only another file can correct rejects it (`Rejected`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.call_headers import LONG_OUTPUT, VERSION, AllowedHeaders, CallHeaders, NotAllowed
from batchdrop.domain.errors import Rejected, Waits
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.ids import is_job_id
from batchdrop.domain.model_list import ModelList
from batchdrop.domain.money import micro_up
from batchdrop.domain.records import PRIORITIES, Job, JobLimits, ObjectRef, Wishes
from batchdrop.formats.csv_table import separator_of, sniff
from batchdrop.formats.table_fault import TableFault
from batchdrop.jobs.scratch import scratch
from batchdrop.money.cache_rules import Prefix
from batchdrop.ports import Clock, Ledger, Objects
from batchdrop.recipes.caching import AUTO
from batchdrop.recipes.faults import RecipeFault
from batchdrop.recipes.form import Form, Kind, Table
from batchdrop.recipes.models import check_model, thinking_params
from batchdrop.recipes.output import check_columns, compile_output
from batchdrop.recipes.reading import read_recipe
from batchdrop.recipes.recipe import Limits, Recipe, changed, changes_of, powers
from batchdrop.recipes.rendering import BY_MODEL, Renderer
from batchdrop.reports import sentences
from batchdrop.stages.plan.recipe_text import recipe_text
from batchdrop.stages.plan.row_sources import CsvRows, DocumentRows, JsonRows, RowSource, SheetRows
from batchdrop.stages.plan.workbook import copied

# Of a CSV file, to find out how it is written: some 200 records.
_HEAD_BYTES = 1 << 20
# Rows are looked through for the first that is one.
_LOOKED_AT = 1_000


class OpenedRows(NamedTuple):
    recipe: Recipe
    source: RowSource
    renderer: Renderer
    form: Form
    """Of JSONL: but for the columns."""
    wishes: Wishes
    text: bytes = b""
    """Of the recipe."""


class OpenRows(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    clock: Clock
    headers: AllowedHeaders | None
    """None: whatever the recipe asks for."""
    tools: frozenset[str] = frozenset()
    """Powers beyond the model that recipes may use: see `recipes.recipe.powers`."""
    has_price: Callable[[str, datetime], bool] = lambda _, __: True

    @contextmanager
    def __call__(self, job: Job, recipe_ref: ObjectRef, text: ObjectRef, kind: Kind) -> Iterator[OpenedRows]:
        """Raises Waits, Rejected, ObjectGone, also while rows are read within."""
        name = recipe_ref.key.rsplit("/", 1)[-1]
        try:
            data = recipe_text(self.objects, recipe_ref)
            recipe = read_recipe(data, name)
            with scratch() as folder:
                try:
                    yield self._open(job, recipe_ref, recipe.recipe, text, kind, folder)._replace(text=data)
                except RecipeFault as fault:
                    raise RecipeFault(recipe.worded(fault)) from fault
        except RecipeFault as fault:
            raise Waits(sentences.faulty_recipe(fault.message)) from fault
        except TableFault as fault:
            name = keys.name_of(job.input.key)
            if fault.by_recipe:
                raise Waits(sentences.table_for_another_recipe(name, fault.message)) from fault
            raise Rejected(sentences.unfit_table(name, fault.message)) from fault

    def _open(self, job: Job, ref: ObjectRef, recipe: Recipe, text: ObjectRef, kind: Kind, folder: Path) -> OpenedRows:
        long_output = (LONG_OUTPUT,) if recipe.long_output else ()
        headers = CallHeaders(
            api_version=recipe.anthropic_version or job.api_version,
            betas=tuple(dict.fromkeys((*job.betas, *recipe.betas, *long_output))),
        )
        self._check_allowed(recipe, headers)
        output = compile_output(recipe.output)
        listed = self.ledger.get_models()
        about_model = self._check_model(recipe, headers, listed, structured=output.api_schema is not None)
        source = self._source(recipe, text, kind, folder, job)
        columns, first, named = self._first(source)
        check_columns(output, columns, again=source.again)
        thinking = thinking_params(recipe.model, recipe.thinking, max_tokens=recipe.max_tokens, listed=listed)
        renderer = Renderer(recipe, columns, api_schema=output.api_schema, extra=thinking)
        not_cached = _why_not_cached(recipe, renderer)
        if not_cached:
            recipe = replace(recipe, cache="off")
            renderer = Renderer(recipe, columns, api_schema=output.api_schema, extra=thinking)
        renderer.check(first)
        about_cache = _about_cache(recipe, renderer)
        again = {
            reason: self._differs(recipe, changed(recipe, changes), renderer, headers, listed, reason, output.api_schema)
            for reason, changes in changes_of(recipe).items()
        }
        table = self._as_written(recipe, source.table(raw=recipe.csv == "raw"), named, job)
        form = Form(
            recipe_key=ref.key,
            recipe_version=ref.version_id,
            table=table,
            answer=replace(output.answer, retry_reasons=tuple(again)),
            retry_changes={reason: differs for reason, differs in again.items() if differs},
            expected=recipe.expected,
            expected_field=output.answer.columns[0] if recipe.expected else None,
            attempts=recipe.attempts,
        )
        about_cells = (sentences.formulas_without_value(source.without_value),) if source.without_value else ()
        wishes = Wishes(
            priority=PRIORITIES[recipe.priority] if recipe.priority else None,
            api_version=headers.api_version,
            betas=headers.betas,
            limits=_limits(recipe),
            deadline=recipe.deadline or "",
            dedupe=recipe.dedupe or job.dedupe,
            cache="" if recipe.cache in (None, "off") else recipe.cache,
            about_cache=not_cached,
            separator=table.separator,
            newline=table.newline,
            warnings=" ".join((*output.warnings, *about_model, *about_cache, *about_cells, *_about_powers(recipe))),
        )
        return OpenedRows(recipe, source, renderer, form, wishes)

    def _as_written(self, recipe: Recipe, table: Table, named: str, job: Job) -> Table:
        """How its CSV files are written: rows that are asked again as the table that they are from. `named`: the job of that."""
        if table.kind is Kind.csv:
            return table
        if recipe.separator:
            table = replace(table, separator=separator_of(recipe.separator))
        earlier = self.ledger.get_job(named) if is_job_id(named) else None
        if earlier is None or not earlier.separator or keys.team_of(earlier.input.key) != keys.team_of(job.input.key):
            return table
        return replace(table, separator=earlier.separator, newline=earlier.newline)

    def _check_allowed(self, recipe: Recipe, headers: CallHeaders) -> None:
        if self.headers is None:
            return
        if (refused := self.headers.refused(headers)) is not None:
            raise RecipeFault(sentences.recipe_header_not_allowed(refused), field=(_field_of(recipe, refused),))
        if tools := sorted(powers(recipe) - self.tools):
            raise RecipeFault(sentences.power_not_allowed(tools[0]), field=("tools",) if recipe.tools else ("params",))

    def _differs(
        self,
        recipe: Recipe,
        other: Recipe,
        renderer: Renderer,
        headers: CallHeaders,
        listed: ModelList | None,
        reason: str,
        api_schema: bytes | None,
    ) -> dict[str, str | None]:
        """The params that are others when a row is asked again so. Whatever does not fit is said at that place."""
        if other == recipe:
            return {}
        try:
            self._check_model(other, headers, listed, structured=api_schema is not None)
            thinking = thinking_params(other.model, other.thinking, max_tokens=other.max_tokens, listed=listed)
        except RecipeFault as fault:
            raise RecipeFault(f"Rows asked again as `{reason}`: {fault.message}", field=("retry", reason, *fault.field)) from None
        by_model = Renderer(other, renderer.columns, api_schema=api_schema, extra=thinking).by_model
        return {
            name: None if (value := by_model.get(name)) is None else value.decode()
            for name in BY_MODEL
            if by_model.get(name) != renderer.by_model.get(name)
        }

    def _check_model(
        self, recipe: Recipe, headers: CallHeaders, listed: ModelList | None, *, structured: bool
    ) -> tuple[str, ...]:
        last = recipe.messages[-1] if recipe.messages else None
        now = self.clock.now()
        return check_model(
            recipe.model,
            max_tokens=recipe.max_tokens,
            thinking=recipe.thinking,
            tool_choice=recipe.tool_choice,
            params=recipe.params,
            prefill=last is not None and last.role == "assistant",
            structured=structured,
            long_output=recipe.long_output,
            priced=self.has_price(recipe.model, now),
            listed=listed,
            now=now,
            api_version=headers.api_version,
            betas=headers.betas,
        )

    def _source(self, recipe: Recipe, text: ObjectRef, kind: Kind, folder: Path, job: Job) -> RowSource:
        raw = recipe.csv == "raw"
        match kind:
            case Kind.jsonl:
                return DocumentRows(self.objects, text, job.input.key) if is_start(job.input) else JsonRows(self.objects, text)
            case Kind.csv:
                with self.objects.read(text, 0, min(text.size, _HEAD_BYTES)) as stream:
                    head = stream.read(_HEAD_BYTES)
                dialect = sniff(
                    head,
                    complete=text.size <= _HEAD_BYTES,
                    encoding=recipe.encoding,
                    separator=recipe.separator,
                    name=keys.name_of(job.input.key).removesuffix(".gz"),
                )
                return CsvRows(self.objects, text, dialect, raw=raw)
            case Kind.xlsx:
                from batchdrop.formats.xlsx_sheet import read_sheet  # noqa: PLC0415 - native code that other files do without

                return SheetRows(read_sheet(copied(self.objects, text, folder / "workbook.xlsx"), sheet=recipe.sheet), raw=raw)

    @staticmethod
    def _first(source: RowSource) -> tuple[tuple[str, ...], dict[str, object] | None, str]:
        """The columns, as far as they are known, and the first row; None if all that were looked at are faulty.

        With it, the job whose row it says it is.
        """
        faulty = False
        with source.rows(*source.start) as rows:
            for row in islice(rows, _LOOKED_AT):
                if row.fields and row.fault is None:
                    # A row of JSONL may have more fields than its table has columns.
                    known = tuple(dict.fromkeys((*source.table(raw=False).columns, *row.fields)))
                    return known, dict(row.fields), row.named.job if row.named is not None else ""
                faulty |= row.fault is not None
        columns = source.table(raw=False).columns
        if not (faulty and columns):
            raise Rejected(sentences.NO_ROWS)
        return columns, None, ""


def _field_of(recipe: Recipe, refused: NotAllowed) -> str:
    if refused.name == VERSION:
        return "anthropic_version"
    return "betas" if refused.value in recipe.betas else "long_output"


def _limits(recipe: Recipe) -> JobLimits | None:
    """A recipe that reaches beyond the model always asks."""
    said = recipe.limits or Limits()
    ask_above = 0 if powers(recipe) else _micro(said.ask_above_usd)
    if recipe.limits is None and ask_above is None:
        return None
    return JobLimits(ask_above=ask_above, most=_micro(said.cost_usd), strict=said.strict)


def _micro(usd: float | None) -> int | None:
    # As it was written: the shortest decimal that is this number.
    return None if usd is None else micro_up(Decimal(repr(usd)))


def _why_not_cached(recipe: Recipe, renderer: Renderer) -> str:
    """Of `auto`, where that shows without asking. Empty: it may pay."""
    if recipe.cache != AUTO:
        return ""
    if not renderer.shared:
        return sentences.NOTHING_SHARED
    prefix = Prefix(renderer.shared, recipe.model)
    return sentences.too_short_to_cache(recipe.model, prefix.tokens, prefix.shortest) if prefix.fits == "no" else ""


def _about_cache(recipe: Recipe, renderer: Renderer) -> tuple[str, ...]:
    """Raises RecipeFault: the API would silently cache nothing."""
    if not renderer.shared:
        return ()
    prefix = Prefix(renderer.shared, recipe.model)
    if prefix.fits == "no":
        raise RecipeFault(sentences.prefix_too_short(recipe.model, prefix.tokens, prefix.shortest or 0), field=("cache",))
    return () if prefix.fits == "yes" else (sentences.prefix_perhaps_too_short(recipe.model, prefix.tokens, prefix.shortest),)


def _about_powers(recipe: Recipe) -> tuple[str, ...]:
    used = sorted(powers(recipe))
    return (sentences.uses_powers(used),) if used else ()
