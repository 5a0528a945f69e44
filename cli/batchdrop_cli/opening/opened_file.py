"""A file and its recipe, opened by the code that plans a job: what is wrong with either is said in the same words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import msgspec

from batchdrop.adapters.clock import SystemClock
from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import Rejected, Waits
from batchdrop.domain.records import Job, JobState, ObjectRef
from batchdrop.formats.cells import text_of
from batchdrop.formats.file_source import fault_in
from batchdrop.formats.input_line import Row
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import CUT_BYTES, MAX_LINE_BYTES, Line, read_lines
from batchdrop.formats.rendered_line import BLANK, check_rendered
from batchdrop.formats.table_fault import TableFault
from batchdrop.jobs.file_bytes import with_files
from batchdrop.jobs.scratch import scratch
from batchdrop.recipes.caching import AUTO
from batchdrop.recipes.faults import RecipeFault, RowFault
from batchdrop.recipes.form import AnswerForm, Form
from batchdrop.reports import sentences
from batchdrop.stages.plan.check import RowCheck, checked, in_chunks
from batchdrop.stages.plan.first_look import FirstLook, first_look
from batchdrop.stages.plan.kinds import LookAt, Start, kind_of
from batchdrop.stages.plan.name_files import JobFiles
from batchdrop.stages.plan.open_rows import OpenedRows, OpenRows
from batchdrop.stages.plan.prepare import Source, prepare
from batchdrop.stages.plan.render import LineOf
from batchdrop.stages.plan.row_sources import SourceRow
from batchdrop.stages.plan.seen_ids import IdSet
from batchdrop_cli.opening.local_files import LOCAL_FILES, NO_TABLE, ref_of

_TOLD_CHARS = 42
IN_A_BUCKET = "The request names a file in a bucket, and only files of this machine can be read here. Drop it to have it planned."
"""Why such a row of a file of requests cannot be sent from here."""
_MAX_UNPACKED_BYTES = 100_000_000_000
"""What a stack takes (`MaxInputBytes`), and much more than a person tries a prompt with."""
_USUAL = CallHeaders()


class Asked(NamedTuple):
    """A row that was picked, and the request it makes."""

    line: int
    """As the spreadsheet or the editor counts it."""
    gist: str
    """What the prompt uses of it, in one text."""
    own: bytes
    """Its own fields, or its custom id, as members of a JSON object: `"row":{...}`."""
    params: bytes
    """Of the request; empty if there is none, and `invalid` says why."""
    model: str = ""
    invalid: InvalidLine | None = None


type Planned = tuple[Line, Row | InvalidLine]
"""A line as a batch has it, and what it is: a row that can be sent, or why it cannot."""


class OpenedFile(NamedTuple):
    rows: _RecipeRows | _RequestRows
    headers: CallHeaders = CallHeaders()
    answer: AnswerForm | None = None
    """None: of a file of requests, where every answer is as good as another."""
    warnings: str = ""


class NeedsRecipe(Exception):
    """The file holds rows, and no recipe was named. What is known of it is in `look`."""

    def __init__(self, look: FirstLook) -> None:
        super().__init__("there is no recipe")
        self.look = look


@contextmanager
def opened(file: Path, recipe: Path | None, headers: CallHeaders = _USUAL) -> Iterator[OpenedFile]:
    """`headers`: that the file asks for. Raises NeedsRecipe; Waits, Rejected, ObjectGone, OSError, also while rows are read
    within."""
    ref = ref_of(file)
    now = SystemClock().now()
    job = Job(
        id="try",
        token="",
        input=ref,
        state=JobState.planning,
        api_version=headers.api_version,
        betas=headers.betas,
        created_at=now,
        updated_at=now,
    )
    start = LookAt(objects=LOCAL_FILES)(job)
    kind = kind_of(start, ref.key)
    with _unpacked(ref, start) as source:
        if kind is None:
            check = RowCheck(headers, None, now, unfillable=lambda: IN_A_BUCKET)
            yield OpenedFile(_RequestRows(source, check), headers)
            return
        if source.broken is not None:
            raise Rejected(sentences.broken_table(source.broken.message))
        if recipe is None:
            raise NeedsRecipe(first_look(LOCAL_FILES, start, kind, msgspec.structs.replace(job, text=source.object)))
        open_rows = OpenRows(objects=LOCAL_FILES, ledger=NO_TABLE, clock=SystemClock(), headers=None)
        with open_rows(job, ref_of(recipe), source.object, kind) as rows, _files_of(rows, file) as files:
            yield OpenedFile(
                _RecipeRows(rows, files),
                CallHeaders(api_version=rows.wishes.api_version or job.api_version, betas=rows.wishes.betas),
                rows.form.answer,
                " ".join(part for part in (rows.wishes.warnings, _about_cache(rows)) if part),
            )


@contextmanager
def _files_of(rows: OpenedRows, file: Path) -> Iterator[JobFiles | None]:
    if not rows.renderer.names_files:
        yield None
        return
    from batchdrop_cli.opening.named_files import named_files  # noqa: PLC0415 - for recipes that name files

    with named_files(file.parent) as files:
        yield files


def _about_cache(rows: OpenedRows) -> str:
    return rows.wishes.about_cache or (sentences.DECIDED_BY_TRIED if rows.wishes.cache == AUTO else "")


def check_recipe(file: Path, text: bytes) -> None:
    """Whether this would be a recipe for the file. Raises Waits, Rejected."""
    with scratch() as folder:
        path = folder / "recipe.yaml"
        path.write_bytes(text)
        with opened(file, path):
            pass


def said_here(reason: Waits | Rejected) -> str:
    """What is wrong, without what a job adds for somebody who uploaded the file: here nothing was."""
    match reason.__cause__:
        case RecipeFault(message=fault):
            return f"{fault} Correct it and run this again."
        case TableFault(message=fault, by_recipe=True):
            return f"The file cannot be read as a table. {fault} Then run this again."
    return str(reason)


@contextmanager
def _unpacked(ref: ObjectRef, start: Start) -> Iterator[Source]:
    with scratch() if start.packed else nullcontext(Path()) as folder:
        copy = (folder / "unpacked").as_posix()
        made = prepare(LOCAL_FILES, ref, copy, _MAX_UNPACKED_BYTES, lambda: True, packed=start.packed)
        assert isinstance(made, Source), "time does not run out"  # noqa: S101
        yield made


# ---------------------------------------------------------------- rows


class _RecipeRows:
    def __init__(self, rows: OpenedRows, files: JobFiles | None = None) -> None:
        from batchdrop.recipes.rendering import columns_used  # noqa: PLC0415 - templates are for files with a recipe

        self._rows = rows
        self._files = files
        self._used = columns_used(rows.recipe)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of JSONL: of the rows that were read so far."""
        return self._rows.source.table(raw=False).columns

    @property
    def names_files(self) -> bool:
        """Documents or images, that a request is sent with."""
        return self._rows.renderer.names_files

    def form(self) -> Form:
        """By which answers are checked and tables written. Its columns: as above."""
        raw = self._rows.recipe.csv == "raw"
        return msgspec.structs.replace(self._rows.form, table=self._rows.source.table(raw=raw))

    def count(self) -> int:
        return sum(1 for _ in self._all())

    def picked(self, places: Collection[int]) -> Iterator[Asked]:
        last = max(places, default=-1)
        for place, row in enumerate(self._all()):
            if place in places:
                yield self._asked(row)
            if place == last:
                return

    def planned(self) -> Iterator[Planned]:
        """Every row, as `plan` would cut it into batches."""
        line_of = LineOf(self._rows.renderer, self._rows.recipe.id, self._files, self._rows.recipe.model)
        offset, number = 0, 1
        for row in self._all():
            data = line_of(row)
            # Where the file has no row, a blank line stands.
            start = offset + len(BLANK) * (row.number - number)
            offset, number = start + len(data), row.number + 1
            data = data.removesuffix(b"\n")
            cut = len(data) > MAX_LINE_BYTES
            line = Line(row.number, start, offset, data[:CUT_BYTES] if cut else data, cut)
            yield line, check_rendered(line)

    def _all(self) -> Iterator[SourceRow]:
        source = self._rows.source
        with source.rows(*source.start) as rows:
            yield from (row for row in rows if row.fields or row.fields is None)

    def _asked(self, row: SourceRow) -> Asked:
        fields = row.fields or {}
        gist = self._gist(fields)
        own = b'"row":%b' % row.own
        fault = row.fault
        if fault is None:
            try:
                return Asked(row.number, gist, own, self._params(fields), self._rows.recipe.model)
            except RowFault as found:
                fault = InvalidLine(line=row.number, type=found.type, message=found.message)
        return Asked(row.number, gist or row.raw or "", own, b"", invalid=fault)

    def _params(self, fields: Mapping[str, object]) -> bytes:
        """With the files that it names in it. Raises RowFault."""
        params = self._rows.renderer.render(fields)
        if self._files is None:
            return params
        filled = self._files(params, self._rows.recipe.model)
        if (faulty := fault_in(filled)) is not None:
            raise RowFault(faulty.fault, faulty.message)
        return b"".join(with_files(LOCAL_FILES, filled))

    def _gist(self, fields: Mapping[str, object]) -> str:
        names = [name for name in self._used if name in fields] or list(fields)
        return " ".join(filter(None, (text_of(fields[name]) for name in names)))


class _Turn(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b"null")


class _Messages(msgspec.Struct):
    messages: list[_Turn] = []


class _Text(msgspec.Struct):
    text: str = ""


_messages = msgspec.json.Decoder(_Messages).decode
_content = msgspec.json.Decoder(str | list[_Text] | None).decode


class _RequestRows:
    """Lines that are requests. What is wrong with a gzip file is wrong with its last line, as in a job."""

    columns = ()

    def __init__(self, source: Source, check: RowCheck) -> None:
        self._source = source
        self._check = check

    names_files = False
    """Not all of them: one that does is invalid, for the reason above."""

    def form(self) -> None:
        return None

    def count(self) -> int:
        return sum(1 for _ in self._all())

    def picked(self, places: Collection[int]) -> Iterator[Asked]:
        last = max(places, default=-1)
        for place, line in enumerate(self._all()):
            if place in places:
                yield self._asked(line)
            if place == last:
                return

    def planned(self) -> Iterator[Planned]:
        """Every row, as `plan` would cut it into batches."""
        with scratch() as folder, closing(IdSet(folder / "ids")) as seen, LOCAL_FILES.read(self._source.object) as stream:
            for chunk in in_chunks(read_lines(stream)):
                yield from checked(chunk, seen, self._broken(chunk[-1]), self._check).unique()

    def _all(self) -> Iterator[Line]:
        with LOCAL_FILES.read(self._source.object) as stream:
            yield from (line for line in read_lines(stream) if line.data)

    def _asked(self, line: Line) -> Asked:
        found = self._broken(line) or self._check(line)
        if isinstance(found, Row):
            own = b'"custom_id":%b' % (found.custom_id or b'"line-%d"' % found.line)
            return Asked(found.line, _last_text(found.params), own, found.params, found.model)
        return Asked(line.number, line.data[:200].decode(errors="replace"), b'"custom_id":null', b"", invalid=found)

    def _broken(self, line: Line) -> InvalidLine | None:
        """The last line, if a damaged gzip stream breaks off there."""
        broken = self._source.broken
        if broken is None or line.end < self._source.object.size:
            return None
        return InvalidLine(line=line.number, type=broken.error_type, message=broken.message)


def _last_text(params: bytes) -> str:
    """The end of the last turn: what differs from row to row mostly stands there."""
    try:
        content = _content(_messages(params).messages[-1].content)
    except (msgspec.MsgspecError, IndexError):
        return ""
    text = " ".join((content if isinstance(content, str) else " ".join(block.text for block in content or ())).split())
    return text if len(text) <= _TOLD_CHARS else f"... {text[-_TOLD_CHARS:]}"
