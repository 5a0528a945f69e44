"""Make lines of a file's rows, each with the request that the recipe makes of it, in `work/`.

What takes longer than an invocation goes on where it stopped: the lines are an upload that S3 keeps (decision 31), and a
checkpoint says which row comes next. An invocation that was killed has written the same bytes, and they are not written again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from batchdrop.domain.errors import ObjectGone, Rejected
from batchdrop.domain.records import ObjectRef
from batchdrop.formats.cells import text_of
from batchdrop.formats.file_source import fault_in
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.render_checkpoint import RenderCheckpoint, decode_render_checkpoint, encode_render_checkpoint
from batchdrop.formats.rendered_line import BLANK, rendered_line, unrendered_line
from batchdrop.jobs.resumed import Behind
from batchdrop.ports import Objects, ResumedWriter
from batchdrop.recipes.faults import RowFault
from batchdrop.recipes.rendering import Renderer
from batchdrop.reports import sentences
from batchdrop.stages.plan.name_files import JobFiles, TimeIsUp
from batchdrop.stages.plan.prepare import Source, Unpacking
from batchdrop.stages.plan.row_sources import RowSource, SourceRow

# Lines are written, and the clock is looked at, when so much has come together.
_BLOCK_BYTES = 1 << 18


class Render(msgspec.Struct, frozen=True, kw_only=True):
    """`key`: of the lines. `checkpoint_key`: of how far they have come. `max_bytes`: what they may have at most.

    `repeatable`: whoever makes the lines again gets the same bytes. Those of files are others once a file is replaced.
    """

    objects: Objects
    bucket: str
    key: str
    checkpoint_key: str
    max_bytes: int
    repeatable: bool = True

    def __call__(
        self, source: RowSource, line_of: Callable[[SourceRow], bytes], done: Callable[[], None], go_on: Callable[[], bool]
    ) -> Source | Unpacking:
        """Where the lines are, or how far they have come. `done` is called when every row was read, before the lines are there.

        Raises TableFault, ObjectGone, and Rejected for lines of more than `max_bytes`.
        """
        found = self._checkpoint()
        upto = None if self.repeatable else found[0].written if found else 0
        with self.objects.resume(self.key, upto=upto) as out:
            if out.complete:
                return Source(ObjectRef(bucket=self.bucket, key=self.key, size=out.stored))
            if found is None or found[0].written > out.stored:
                # The upload that the checkpoint belongs to is gone.
                found = RenderCheckpoint(offset=source.start[0]), b""
            start, rest = found
            source.remember(start.columns)
            lines = _Lines(Behind(out, start.written), start.written + len(rest), rest, start.line, self.max_bytes)
            offset, number = (start.offset, start.line) if start.line > 1 else source.start
            with source.rows(offset, number) as rows:
                for row in rows:
                    try:
                        line = line_of(row)
                    except TimeIsUp:
                        lines.flush()
                        return self._suspend(out, lines, _reached(offset, lines, source), went_on=lines.next > start.line)
                    lines.add(row.number, line)
                    offset = row.end
                    if lines.full:
                        lines.flush()
                        if not go_on():
                            return self._suspend(out, lines, _reached(offset, lines, source))
            lines.flush()
            done()
        return Source(ObjectRef(bucket=self.bucket, key=self.key, size=lines.size))

    def _suspend(self, out: ResumedWriter, lines: _Lines, reached: RenderCheckpoint, *, went_on: bool = True) -> Unpacking:
        """It has gone on by a row, be it by less than S3 keeps: the checkpoint holds the rest."""
        rest = out.suspend()
        stored = msgspec.structs.replace(reached, written=lines.stored)
        self.objects.put(self.checkpoint_key, encode_render_checkpoint(stored, rest))
        return Unpacking(lines.size, lines.size, went_on=went_on)

    def _checkpoint(self) -> tuple[RenderCheckpoint, bytes] | None:
        try:
            return decode_render_checkpoint(self.objects.get(self.checkpoint_key))
        except ObjectGone:
            return None


def _reached(offset: int, lines: _Lines, source: RowSource) -> RenderCheckpoint:
    return RenderCheckpoint(offset=offset, line=lines.next, columns=source.table(raw=False).columns)


class LineOf:
    """The line of a row. `id_column`: the field that is its custom id. `files`: those that its request names."""

    def __init__(self, renderer: Renderer, id_column: str | None, files: JobFiles | None = None, model: str = "") -> None:
        self._render = renderer.render
        self._id_column = id_column
        self._files = files
        self._model = model

    def __call__(self, row: SourceRow) -> bytes:
        if row.fields is None or row.fault is not None:
            fault = row.fault or InvalidLine(line=row.number, type="not_a_row", message="")
            return unrendered_line(fault, row.own, row.raw, row.named)
        if not row.fields:
            return BLANK
        try:
            params = self._render(row.fields)
        except RowFault as fault:
            invalid = InvalidLine(line=row.number, type=fault.type, message=fault.message)
            return unrendered_line(invalid, row.own, named=row.named)
        if self._files is not None:
            params = self._files(params, self._model, row.versions)
            if (faulty := fault_in(params)) is not None:
                return unrendered_line(
                    InvalidLine(line=row.number, type=faulty.fault, message=faulty.message), row.own, named=row.named
                )
        return rendered_line(self._custom_id(row.fields), params, row.own, row.named)

    def _custom_id(self, fields: Mapping[str, object]) -> bytes | None:
        name = text_of(fields.get(self._id_column)) if self._id_column else ""
        return msgspec.json.encode(name) if name else None


class _Lines:
    """Collects lines, and writes them when there are enough."""

    def __init__(self, out: Behind, size: int, rest: bytes, line: int, max_bytes: int) -> None:
        self._out = out
        self._pending = [rest]
        self._pending_bytes = 0
        self._max_bytes = max_bytes
        self.size = size
        """Of all lines so far."""
        self.next = line
        """The number of the line that is added next."""

    def add(self, number: int, line: bytes) -> None:
        """Lines before it that were not added are blank."""
        if number > self.next:
            line = BLANK * (number - self.next) + line
        self._pending.append(line)
        self._pending_bytes += len(line)
        self.next = number + 1

    @property
    def stored(self) -> int:
        """Bytes that S3 has of all lines so far."""
        return self._out.stored

    @property
    def full(self) -> bool:
        return self._pending_bytes >= _BLOCK_BYTES

    def flush(self) -> None:
        """Raises Rejected."""
        self._out.write(b"".join(self._pending))
        self.size += self._pending_bytes
        self._pending, self._pending_bytes = [], 0
        if self.size > self._max_bytes:
            raise Rejected(sentences.rendered_too_large(self._max_bytes))
