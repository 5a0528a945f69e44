"""Drop a file, rows, or a folder of documents: what lies where before, what goes where, and which job it becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from hashlib import file_digest
from hashlib import new as new_hash
from pathlib import Path
from typing import NamedTuple

import msgspec

from batchdrop.domain import ids, keys
from batchdrop.domain.errors import Forbidden, ObjectGone
from batchdrop.domain.records import MAX_REFERENCE_CHARS, PRIORITIES, PRIORITY, REFERENCE, ObjectRef
from batchdrop.formats import gzip_stream
from batchdrop.stages.plan.kinds import LOOKED_AT, Start, kind_of
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.documents import DOCUMENTS, is_document
from batchdrop_client.dropped_before import DroppedBefore, job_of
from batchdrop_client.ended_job import names_in
from batchdrop_client.errors import NotNamed, OtherRecipe, StackError
from batchdrop_client.job import Job
from batchdrop_client.left_out import folders_with_documents, left_out
from batchdrop_client.named_folder import named_folder
from batchdrop_client.plain_text import OBEYED, plain
from batchdrop_client.progress import Progress
from batchdrop_client.uploading import Upload

DIGEST = "batchdrop-sha256"
"""The metadata of what is dropped: of what it holds."""


class Wishes(NamedTuple):
    """What may be said of a job when it is dropped."""

    reference: str = ""
    """Any text that a program knows its job by."""
    priority: str = ""
    """`high` or `low`."""

    def as_metadata(self) -> dict[str, str]:
        """Raises NotNamed."""
        if self.priority and self.priority not in PRIORITIES:
            raise NotNamed(f"{plain(self.priority)} is no priority. Those are: {', '.join(PRIORITIES)}.")
        if len(self.reference) > MAX_REFERENCE_CHARS or not self.reference.isascii() or plain(self.reference) != self.reference:
            raise NotNamed(f"A reference is one line of at most {MAX_REFERENCE_CHARS} ASCII characters: S3 carries no others.")
        return {name: said for name, said in ((REFERENCE, self.reference), (PRIORITY, self.priority)) if said}


def recipe_beside(folder: Path) -> Path | None:
    return next((path for name in keys.RECIPES if (path := folder / name).is_file()), None)


class Drop:
    """A file or a folder that is about to be dropped. Nothing is written before it is called. All methods raise StackError."""

    def __init__(
        self, bucket: Bucket, path: Path, to: str, wishes: Wishes | None = None, *, name: str = "", all_documents: bool = False
    ) -> None:
        """`to`: the folder below the inbox; one of documents is made below it. `name`: of the object, if not that of the file.

        `all_documents`: of the folder, those too that an earlier job has taken; they are paid again.
        """
        self._bucket = bucket
        self._metadata = (wishes or Wishes()).as_metadata()
        self._documents = _documents_in(path) if path.is_dir() else None
        if all_documents and self._documents is None:
            raise NotNamed(f"All documents are those of a folder: {plain(path.name)} is none. Nothing was dropped.")
        folder = _folder(to) + (_segment(name or path.absolute().name) + "/" if self._documents is not None else "")
        self.path = path
        self.folder = keys.INBOX + folder
        """In the bucket, slash included."""
        marker = keys.START_ALL if all_documents else keys.START
        self.key = self.folder + (marker if self._documents is not None else _segment(name or path.name))
        """Of the object that becomes the job."""
        if self._documents is None:
            _check_file(path, self.key)

    @property
    def size(self) -> int:
        """Bytes that go up, the recipe aside. Raises OSError."""
        return sum(path.stat().st_size for path in ([self.path] if self._documents is None else self._to_put))

    @property
    def documents(self) -> int | None:
        """How many; None of a file."""
        return None if self._documents is None else len(self._documents)

    @property
    def already_there(self) -> int:
        """How many documents are the same as what lies in the inbox. Raises OSError."""
        return len(self._documents or ()) - len(self._to_put)

    def left_out(self, recipe: bytes | None) -> list[str]:
        """Of a folder, what does not become a row, with the reason. `recipe`: None if it is not known here. Raises OSError."""
        return [] if self._documents is None else left_out(self.path, recipe)

    # ------------------------------------------------------------ the recipe

    def recipe_there(self) -> tuple[str, bytes] | None:
        """The recipe of the folder in the inbox, with its key. Those above it are not looked at."""
        for name in keys.RECIPES:
            with aws_said(self._bucket.name), suppress(ObjectGone):
                try:
                    return self.folder + name, self._bucket.objects.get(self.folder + name)
                except Forbidden:
                    # That is also said of what is not there, to whoever may not list everything.
                    if name in names_in(self._bucket, self.folder):
                        raise
        return None

    def recipe_to_put(self, recipe: Path, *, replace: bool) -> tuple[str, bytes] | None:
        """The key, and the recipe; None if it lies there. Raises OtherRecipe if another one does that is not to be replaced."""
        from batchdrop.recipes.reading import MAX_BYTES  # noqa: PLC0415 - YAML, which most commands do without

        ours = recipe.read_bytes()
        if len(ours) > MAX_BYTES:
            raise NotNamed(f"{plain(recipe.name)} is too large for a recipe: it has {len(ours):,} bytes.")
        there = self.recipe_there()
        if there is None:
            return self.folder + keys.RECIPES[0], ours
        key, theirs = there
        if theirs == ours:
            return None
        if not replace:
            raise OtherRecipe(key, str(recipe))
        return key, ours

    # ------------------------------------------------------------ the drop

    def before(self) -> DroppedBefore | None:
        """The job of what lies there now, if that is the same file and its answers are there or to come. Raises OSError.

        None of a folder, whose documents are asked about once; and where one's rights do not let one know.
        """
        if self._documents is not None:
            return None
        with suppress(StackError), aws_said(self._bucket.name):
            info = self._bucket.objects.head(self.key)
            if info.ref.size == self.path.stat().st_size and self._is_same(info.ref, self.path, _digest(self.path, "sha256")):
                return job_of(self._bucket, info)
        return None

    def put_recipe(self, recipe: Path, *, replace: bool = False) -> None:
        """Into the folder in the inbox, if it is not there. Raises OtherRecipe, OSError."""
        to_put = self.recipe_to_put(recipe, replace=replace)
        if to_put is None:
            return
        key, data = to_put
        with aws_said(self._bucket.name):
            put = self._bucket.objects.put(key, data, content_type="application/yaml", once=not replace)
        # Of two who drop at once, with recipes that differ, the second is told.
        if not put and self.recipe_to_put(recipe, replace=False) is not None:
            raise OtherRecipe(key, str(recipe))

    def __call__(self, recipe: Path | None, *, replace: bool = False, sent: Progress = lambda _: None) -> Job:
        """Uploads the recipe, if it is not there, then the file or the documents. Raises OtherRecipe, OSError."""
        if recipe is not None:
            self.put_recipe(recipe, replace=replace)
        with aws_said(self._bucket.name):
            if self._documents is not None:
                for path, digest in self._to_put.items():
                    Upload(self._bucket, self.folder + path.name, {DIGEST: digest}, sent)(path)
                version = Upload(self._bucket, self.key, self._metadata, sent).marker()
            else:
                metadata = {**self._metadata, DIGEST: _digest(self.path, "sha256")}
                version = Upload(self._bucket, self.key, metadata, sent)(self.path)
        return self._job(version)

    def _job(self, version: str | None) -> Job:
        try:
            with aws_said(self._bucket.name):
                info = self._bucket.objects.head(self.key, version)
        except StackError as problem:
            raise StackError(
                f"{plain(self.key)} was uploaded, and is answered in a folder below "
                f"{plain(keys.outbox_folder(self.key, '').rstrip('/'))}/. Which one cannot be told: {problem}"
            ) from None
        job_id = ids.job_id(info.ref, info.written_at)
        return Job(self._bucket, keys.outbox_folder(self.key, job_id), dropped=self.key)

    def others(self) -> list[str]:
        """Names of documents that lie there and are not in the folder here: those that no start has taken go along."""
        ours = {path.name for path in self._documents or ()}
        return sorted(name for name in self._there() if name not in ours and is_document(keys.name_of(name)))

    def _there(self) -> dict[str, ObjectRef]:
        """What lies in the folder in the inbox and below it, by name."""
        with aws_said(self._bucket.name):
            pages = self._bucket.client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket.name, Prefix=self.folder)
            return {
                one["Key"].removeprefix(self.folder): ObjectRef(
                    bucket=self._bucket.name, key=one["Key"], etag=one["ETag"].strip('"'), size=one["Size"]
                )
                for page in pages
                for one in page.get("Contents", [])
            }

    @cached_property
    def _to_put(self) -> dict[Path, str]:
        """Documents that do not lie there, with their digests: another version of one is asked about, and paid, again."""
        there = self._there()
        found = {}
        for path in self._documents or ():
            before = there.get(path.name)
            digest = _digest(path, "sha256")
            if before is None or before.size != path.stat().st_size or not self._is_same(before, path, digest):
                found[path] = digest
        return found

    def _is_same(self, there: ObjectRef, path: Path, digest: str) -> bool:
        """By S3's ETag, or where that tells nothing (a KMS key, parts) by what was told of it here."""
        if there.etag == _digest(path, "md5"):
            return True
        with suppress(ObjectGone, Forbidden):
            return self._bucket.objects.head(there.key).metadata.get(DIGEST) == digest
        return False


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return file_digest(file, lambda: new_hash(kind, usedforsecurity=False)).hexdigest()


def _documents_in(folder: Path) -> list[Path]:
    """Raises NotNamed, OSError."""
    found = sorted(path for path in folder.iterdir() if is_document(path.name) and path.is_file())
    if not found:
        raise NotNamed(_without_documents(folder))
    for path in found:
        _segment(path.name)
        if not path.resolve().is_relative_to(folder.resolve()):
            # Folders come out of archives, with links to whatever whoever made them wants to read.
            raise NotNamed(f"{plain(path.name)} is a link out of the folder. Put the document itself there. Nothing was dropped.")
    return found


def _without_documents(folder: Path) -> str:
    name = plain(folder.absolute().name)
    if below := plain(", ".join(f"{name}/{one}" for one in folders_with_documents(folder))):
        return f"{name} holds no documents but in its folders, which are not uploaded with it. Drop each by itself: {below}."
    found = "".join(f" Left out: {said}." for said in left_out(folder, None))
    return f"{name} holds no documents. Their names end in {', '.join(DOCUMENTS)}.{found}"


def _check_file(path: Path, key: str) -> None:
    if not path.is_file():
        raise NotNamed(f"There is no file {plain(str(path))}.")
    if keys.is_recipe(key):
        raise NotNamed(f"{plain(path.name)} is a recipe. Name the file with the rows; the recipe beside it goes along.")
    if not keys.is_input(key) or is_document(path.name):
        raise NotNamed(f"{plain(path.name)} holds no rows. If it is a document, drop its folder, or a table that names it.")
    if len(key.encode()) > keys.MAX_KEY_BYTES:
        raise NotNamed(f"{plain(path.name)} has too long a name: S3 takes {keys.MAX_KEY_BYTES} bytes, folders included.")


def _folder(to: str) -> str:
    """`inbox/a/b/`, `a/b` -> `a/b/`; empty for the inbox itself."""
    named = named_folder(to)
    return "".join(f"{_segment(one)}/" for one in named.split("/")) if named else ""


def _segment(name: str) -> str:
    """One part of a key. Raises NotNamed."""
    if not name or name in (".", "..") or "/" in name or name.strip() != name or OBEYED.search(name):
        raise NotNamed(f"{plain(name) or 'An empty name'} is no name for a folder or an object of the inbox.")
    return name


def takes_recipe(file: Path) -> bool:
    """Whether a file holds rows, or is packed and may; not requests. Raises OSError."""
    with file.open("rb") as stream:
        data = stream.read(LOOKED_AT)
        whole = not stream.read(1)
    packed = gzip_stream.sniff(data)
    return packed or kind_of(Start(data, packed=False, whole=whole), file.name) is not None


def file_of(rows: object, path: Path) -> None:
    """Writes rows as JSON lines: mappings, or a data frame of pandas or polars. Raises NotNamed, OSError."""
    if hasattr(rows, "write_ndjson"):
        rows.write_ndjson(path)
    elif hasattr(rows, "to_json"):
        rows.to_json(path, orient="records", lines=True, date_format="iso", force_ascii=False)
    else:
        with path.open("wb") as file:
            for line in _lines(rows):
                file.write(line + b"\n")
    if not path.stat().st_size:
        raise NotNamed("There are no rows to drop.")


def _lines(rows: object) -> Iterator[bytes]:
    if isinstance(rows, Mapping | str | bytes) or not hasattr(rows, "__iter__"):
        raise NotNamed("Rows are mappings, one for each: a list of them, a generator, or a data frame of pandas or polars.")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise NotNamed(f"Row {number} is no mapping, such as {{'text': 'The zipper broke.'}}.")
        try:
            yield msgspec.json.encode(dict(row))
        except (TypeError, ValueError, OverflowError) as error:
            raise NotNamed(f"Row {number} cannot be written as JSON: {plain(str(error))}.") from None
