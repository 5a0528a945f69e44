"""The lines that the rows of a job were read from, made anew: the copies in `work/` are removed at the job's end."""

from __future__ import annotations

import io
import sys
from collections.abc import Buffer, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import msgspec

from batchdrop.bootstrap import open_rows
from batchdrop.domain import keys
from batchdrop.domain.errors import Forbidden, ObjectGone, Rejected, Waits
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.formats import gzip_stream
from batchdrop.formats.cells import text_of
from batchdrop.formats.lines import Line, read_lines
from batchdrop.ports import Ledger, Objects
from batchdrop.recipes.faults import RecipeFault
from batchdrop.recipes.form import Kind
from batchdrop.recipes.reading import read_recipe
from batchdrop.recipes.recipe import changes_of

_CHUNK = 1 << 20


@contextmanager
def input_lines(objects: Objects, ledger: Ledger, job: Job) -> Iterator[Iterator[Line]]:
    """With the number of each row; blank where there is none. Raises ObjectGone and Forbidden, also while reading."""
    copied = job.source is not None and job.source.key != job.input.key
    if job.recipe is not None and copied:
        try:
            text = _text(objects, job)
            opened = open_rows(cast(Objects, _Unpacked(objects)), ledger)
            with (
                opened(job, job.recipe, text, Kind(job.kind)) as rows,
                rows.source.rows(*rows.source.start) as found,
            ):
                # As requests would have it: the audit asks for the custom id only.
                yield (
                    Line(row.number, 0, 0, _as_request(row.fields, rows.recipe.id), cut=False)
                    for row in found
                    if row.fields != {}
                )
        except (Waits, Rejected) as error:
            raise ObjectGone("the recipe or the table cannot be read any more") from error
        return
    # What is known of files that requests name is in a copy of its own, whether the file is packed or not.
    packed = copied and (job.text is not None or not job.names_files)
    with objects.read(job.input) as stream:
        yield read_lines(io.BufferedReader(_Inflated(stream)) if packed else stream)


def _text(objects: Objects, job: Job) -> ObjectRef:
    """What its rows were read from."""
    if is_start(job.input):
        return objects.head(keys.listed_documents(job.input.key, job.id)).ref
    # Where the unpacked copy was, the packed file is read, with the size of the copy.
    return msgspec.structs.replace(job.input, size=job.text.size) if job.text else job.input


def pays_again(objects: Objects, job: Job) -> bool:
    """Whether the job's recipe has unusable answers asked for again. Nobody knows if the recipe is gone: then it may."""
    if job.recipe is None:
        return False
    try:
        with objects.read(job.recipe) as stream:
            return bool(changes_of(read_recipe(stream.read(), job.recipe.key).recipe).keys() - {"errored"})
    except (Forbidden, ObjectGone, RecipeFault):
        return True


def _as_request(fields: object, id_column: str | None) -> bytes:
    name = text_of(fields.get(id_column)) if isinstance(fields, dict) and id_column else ""
    return msgspec.json.encode({"custom_id": name} if name else {"row": True})


class _Unpacked:
    """The bucket, with packed files as if they were not."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def __getattr__(self, name: str) -> object:
        return getattr(self._objects, name)

    @contextmanager
    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> Iterator[BinaryIO]:
        with self._objects.read(ref, 0, min(2, ref.size)) as stream:
            packed = gzip_stream.sniff(stream.read(2))
        with self._objects.read(ref) if packed else self._objects.read(ref, start, end) as stream:
            if not packed:
                yield stream
                return
            unpacked = io.BufferedReader(_Inflated(stream))
            left = start
            while left and (skipped := unpacked.read(min(left, _CHUNK))):
                left -= len(skipped)
            yield unpacked if end is None else io.BytesIO(unpacked.read(end - start))


class _Inflated(io.RawIOBase):
    """A gzip file as the lines that were made of it. Where it is damaged, it ends with a line that is no row."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._pieces = self._inflated(stream)
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = memoryview(piece)
        taken = self._held[: len(view)]
        view[: len(taken)] = taken
        self._held = self._held[len(taken) :]
        return len(taken)

    @staticmethod
    def _inflated(stream: BinaryIO) -> Iterator[bytes]:
        try:
            yield from gzip_stream.inflate(iter(lambda: stream.read(_CHUNK), b""), sys.maxsize)
        except gzip_stream.InflateError as damage:
            yield f"[{damage.type}]".encode()
