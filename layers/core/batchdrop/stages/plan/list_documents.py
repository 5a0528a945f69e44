"""List the documents of a folder as rows, one a document, each in the version that lies there now.

A document is taken by one start for each recipe. The claim is an object of its own that is written once: two starts at the same
time share the documents out, and one that is killed finds its own claims again
(`docs/decisions/0063-a-start-takes-what-is-new.md`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from itertools import count

import msgspec
from msgspec.structs import replace

from batchdrop.domain import ids, keys
from batchdrop.domain.errors import ObjectGone, Rejected, Waits
from batchdrop.domain.folder_start import takes_all
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.formats.document_line import document_line
from batchdrop.formats.listing_checkpoint import ListingCheckpoint, decode_listing_checkpoint, encode_listing_checkpoint
from batchdrop.ports import Ledger, Objects
from batchdrop.recipes.recipe import Recipe
from batchdrop.reports import sentences
from batchdrop.stages.plan.prepare import Text, Unpacking
from batchdrop.stages.plan.recipe_text import recipe_of

# Objects that are listed and claimed before the clock is looked at: a page of S3's, and some ten seconds.
_PAGE = 1_000


class ListDocuments(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger

    def __call__(self, job: Job, recipe_ref: ObjectRef, go_on: Callable[[], bool]) -> Text | Unpacking | None:
        """None: `job.text` is that list already. Raises Waits for a recipe that reads no files, Rejected if nothing is new."""
        token = ids.job_token(recipe_ref)
        key = keys.documents(job.id, token)
        if job.text is not None and job.text.key == key:
            return None
        text, recipe = recipe_of(self.objects, recipe_ref)
        if not (recipe.documents or recipe.images):
            raise Waits(sentences.recipe_reads_no_files(recipe_ref.key))
        found, rest = self._checkpoint(keys.documents_checkpoint(job.id, token))
        with self.objects.resume(key, upto=found.written) as out:
            if out.complete:
                return Text(ObjectRef(bucket=job.input.bucket, key=key, size=out.stored))
            if found.written > out.stored:
                # The upload that the checkpoint belongs to is gone.
                found, rest = ListingCheckpoint(), b""
            size = found.written + len(rest)
            out.write(rest)
            take = _Take(self.objects, self.ledger, job, hashlib.sha256(text).hexdigest())
            while True:
                page = self.objects.newest(_folder(job), after=found.after, limit=_PAGE)
                lines = [*take(page, recipe)]
                out.write(b"".join(lines))
                size += sum(map(len, lines))
                found = replace(
                    found,
                    rows=found.rows + len(lines),
                    after=page[-1].key if page else found.after,
                    taken=found.taken + take.left.total(),
                    newest=max(found.newest, *take.left, ""),
                    several=found.several or len({found.newest, *take.left} - {""}) > 1,
                )
                take.left.clear()
                if len(page) < _PAGE:
                    break
                if not go_on():
                    rest = out.suspend()
                    reached = replace(found, written=out.stored)
                    self.objects.put(keys.documents_checkpoint(job.id, token), encode_listing_checkpoint(reached, rest))
                    return Unpacking(size, size, went_on=True)
            if not found.rows:
                raise Rejected(self._nothing_new(_folder(job), found))
        return Text(ObjectRef(bucket=job.input.bucket, key=key, size=size))

    def _nothing_new(self, folder: str, found: ListingCheckpoint) -> str:
        newest = self.ledger.get_job(found.newest) if found.newest else None
        if newest is None:
            return sentences.no_documents(folder)
        return sentences.documents_taken(folder, found.taken, newest, several=found.several)

    def _checkpoint(self, key: str) -> tuple[ListingCheckpoint, bytes]:
        try:
            return decode_listing_checkpoint(self.objects.get(key))
        except ObjectGone:
            return ListingCheckpoint(), b""


def _folder(job: Job) -> str:
    return f"{keys.INBOX}{keys.folder_of(job.input.key)}/"


class _Take:
    """Takes what there is for a job. `recipe`: a digest of the recipe's text."""

    def __init__(self, objects: Objects, ledger: Ledger, job: Job, recipe: str) -> None:
        self._objects = objects
        self._job = job
        self._recipe = recipe
        self._all = takes_all(job.input)
        self._keeps = cache(lambda job_id: _keeps(ledger.get_job(job_id), job))
        self.left: Counter[str] = Counter()
        """How many documents were left to other jobs, by their ids."""

    def __call__(self, page: Iterable[ObjectRef], recipe: Recipe) -> Iterable[bytes]:
        """The lines of those documents that the recipe reads and this job takes."""
        folder = _folder(self._job)
        for file in page:
            image = file.key.lower().endswith(keys.IMAGES)
            wanted = recipe.images if image else recipe.documents
            if wanted and keys.is_document(file.key, texts=True) and (self._claim(file) or self._all):
                apart = bool(recipe.documents and recipe.images)
                yield document_line(file.key.removeprefix(folder), file.version_id, apart=apart, image=image)

    def _claim(self, file: ObjectRef) -> bool:
        """Whether no other start has it, be it in another version of the same bytes."""
        owner = self._claimed_before(file) or self._claimed(self._digest(file, file.etag, str(file.size)))
        if owner == self._job.id:
            return True
        self.left[owner] += 1
        return False

    def _claimed(self, document: str) -> str:
        """The id of the job that has it now."""
        for turn in count(1):
            if self._objects.put(key := keys.taken(document, turn), self._job.id.encode(), once=True):
                break
            owner = self._objects.get(key).decode()
            if owner == self._job.id or self._keeps(owner):
                return owner
        return self._job.id

    def _claimed_before(self, file: ObjectRef) -> str:
        """The id of the job for which an earlier Batchdrop has claimed this very version; empty if there is none."""
        document = self._digest(file, file.version_id or file.etag)
        with suppress(ObjectGone):
            for turn in count(1):
                owner = self._objects.get(keys.taken(document, turn)).decode()
                if owner == self._job.id or self._keeps(owner):
                    return owner
        return ""

    def _digest(self, file: ObjectRef, *what: str) -> str:
        return hashlib.sha256("\0".join((self._recipe, file.key, *what)).encode()).hexdigest()


def _keeps(owner: Job | None, job: Job) -> bool:
    """Whether an owner keeps what it has taken. One that ended without any answer has taken nothing.

    Nor has one of the same start: a newer recipe has taken its place, and no rows of it were sent but those that were tried.
    """
    if owner is None:
        return True
    return owner.input != job.input and (owner.state not in TERMINAL_JOB_STATES or owner.counts.succeeded > 0)
