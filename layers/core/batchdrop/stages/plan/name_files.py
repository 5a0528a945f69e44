"""Look at the files that the rows of a job name, and put into each request which version of them it gets.

A file is read once for a job, however many rows name it, as long as they stand near one another. What is in it is looked at by
`ports.Inspector`. A file that cannot be sent makes its row invalid, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from batchdrop.domain.errors import BatchdropError, Forbidden, ObjectGone
from batchdrop.domain.file_facts import FileFacts
from batchdrop.domain.file_names import SCHEME, Located, NameFault, is_odd, located, may_name
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.model_names import most_pages
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.domain.retries import MAX_FRUITLESS
from batchdrop.formats.file_source import (
    DOCUMENTS,
    IMAGES,
    PDF,
    TEXT,
    Faulty,
    Pinned,
    Place,
    filled,
    name_at,
    pinned_in,
    places,
    sent_bytes,
    source_frame,
    told_at,
)
from batchdrop.formats.invalid_line import shown
from batchdrop.formats.lines import MAX_LINE_BYTES
from batchdrop.jobs.config_files import ConfigObject
from batchdrop.jobs.scratch import scratch
from batchdrop.money.token_guess import guess_text
from batchdrop.ports import Clock, Inspector, Objects

type Sources = Mapping[str, Sequence[str]]

# Anthropic, "Vision": an image may have 10 MB in base64, and 8,000 pixels a side; 2,000 in a request with more than 20 of them.
_MOST_IMAGE_BYTES = 7_500_000
_MOST_PIXELS = 8_000
_MOST_PIXELS_OF_MANY = 2_000
_MANY_IMAGES = 20
# Anthropic, "API overview", request size limits: 32 MB with everything in it, and four bytes of base64 are three of a file.
MOST_REQUEST_BYTES = MAX_LINE_BYTES
_MOST_FILE_BYTES = MOST_REQUEST_BYTES * 3 // 4
# Files are remembered so that those that many rows name are read once: a few hundred bytes each.
_REMEMBERED = 1_000
_READ_BYTES = 1 << 20
_NEWEST: Mapping[Located, str] = MappingProxyType({})
_OF_BLOCK = {"document": DOCUMENTS, "image": IMAGES}
_WORDS = {PDF: "PDF", TEXT: "text", "image/png": "PNG image", "image/jpeg": "JPEG image", "image/gif": "GIF image"}
_WORDS["image/webp"] = "WebP image"
_ENDINGS = {PDF: ".pdf", TEXT: ".txt", "image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}
_NAME_AMONG = {
    "document": "Name it at `images` of the recipe, or in a block of type image.",
    "image": "Name it at `documents` of the recipe, or in a block of type document.",
}
_NOT_FOUND, _BAD = "file_not_found", "invalid_file_name"
# The same for what is missing, closed and another team's: nobody learns what there is.
_NOT_THERE = (
    "is not there, or rows of this folder may not name it. They may name files of their team's folder in the inbox, and what "
    "an operator gives to the folder in config/sources.json."
)
_RIGHT = "Write s3://bucket/key, or the path of the file from this folder on"

_TOO_LONG = "is one of more files than there is time to look at: the time of one invocation is over. Name fewer, or smaller ones."


class TimeIsUp(BatchdropError):
    """There is no time to look at another file."""


class FileFault(Exception):
    """Why a file cannot be sent: an error type, and the rest of a sentence about it."""

    def __init__(self, type: str, message: str) -> None:  # noqa: A002 - the word used for every error of a row
        super().__init__(message)
        self.type = type
        self.message = message


class _Looked(NamedTuple):
    ref: ObjectRef
    facts: FileFacts
    tokens: int


class NameFiles(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    clock: Clock
    inspect: Inspector
    sources: ConfigObject[Sources]
    bucket: str

    @contextmanager
    def __call__(self, job: Job, go_on: Callable[[], bool]) -> Iterator[JobFiles]:
        last_try = job.fruitless + 1 == MAX_FRUITLESS
        with scratch() as folder:
            path = folder / "file"
            try:
                yield JobFiles(
                    self.objects,
                    self.inspect,
                    lambda name: self._find(job, name),
                    path,
                    go_on,
                    last_try=last_try,
                    by_ending=is_start(job.input),
                )
            finally:
                self.inspect.close()

    def _find(self, job: Job, name: str) -> Located:
        """Raises FileFault."""
        try:
            file = located(name, job.input.key, self.bucket)
        except NameFault:
            raise FileFault(_BAD, _why_bad(name)) from None
        sources = self.sources.current(self.clock.now())
        if not may_name(file, job.input.key, self.bucket, sources.value):
            raise FileFault(_NOT_FOUND, " ".join(filter(None, (_NOT_THERE, sources.fault))))
        return file


class JobFiles:
    """Fills the requests of one job. `find`: the object that a name stands for; may raise FileFault. `path`: for one file.

    `last_try`: earlier invocations have not come to the end of the first row that names files. It is at fault, then.
    `by_ending`: what a file is named as was decided by its ending, and by nobody's recipe or request.
    """

    def __init__(
        self,
        objects: Objects,
        inspect: Inspector,
        find: Callable[[str], Located],
        path: Path,
        go_on: Callable[[], bool],
        *,
        last_try: bool = False,
        by_ending: bool = False,
    ) -> None:
        self._by_ending = by_ending
        self._objects = objects
        self._inspect = inspect
        self._find = find
        self._path = path
        self._go_on = go_on
        self._last_try = last_try
        self._known: dict[tuple[Located, str], _Looked | FileFault] = {}

    def __call__(self, params: bytes, model: str, versions: Mapping[Located, str] = _NEWEST) -> bytes:
        """`params` with a `Pinned` for each file that they name, or a `Faulty` where the first is that cannot be sent.

        `versions`: of files that are not meant as they are now. Raises TimeIsUp, and what reading raises.
        """
        named = places(params)
        if not named:
            return params
        try:
            _check_images(named, model)
            found = self._all(named, versions)
            full = filled(params, lambda place: found[place.start])
            if not any(isinstance(told, Faulty) for told in found.values()):
                _check_request(full, model)
        except FileFault as fault:
            why = fault
            full = filled(params, lambda place: Faulty(name=_name_in(place), fault=why.type, message=why.message))
        self._last_try = False
        return full

    def _all(self, named: list[Place], versions: Mapping[Located, str]) -> dict[int, Pinned | Faulty | None]:
        """By place. None: behind one that cannot be sent, nothing is looked at."""
        found: dict[int, Pinned | Faulty | None] = dict.fromkeys(place.start for place in named)
        for number, place in enumerate(named, 1):
            try:
                found[place.start] = self._fitting(place, self._file(name_at(place), versions))
            except FileFault as fault:
                which = f"{place.block.capitalize()} {number} of" if len(named) > 1 else f"The {place.block} of"
                found[place.start] = Faulty(name=_name_in(place), fault=fault.type, message=f"{which} this row {fault.message}")
                break
        return found

    def _fitting(self, place: Place, found: _Looked) -> Pinned:
        kind = found.facts.media_type
        if kind not in _OF_BLOCK[place.block]:
            named = f"Rename it to end in {_ENDINGS[kind]}, and start again." if self._by_ending else _NAME_AMONG[place.block]
            raise FileFault("wrong_kind_of_file", f"is a {_WORDS[kind]}, whatever its name says. {named}")
        return _pinned(_name_in(place), place.block, found)

    def _file(self, name: str, versions: Mapping[Located, str]) -> _Looked:
        try:
            return self._there(name, versions)
        except FileFault as fault:
            if fault.type == _NOT_FOUND and is_odd(name):
                raise FileFault(_BAD, _why_bad(name)) from None
            raise

    def _there(self, name: str, versions: Mapping[Located, str]) -> _Looked:
        file = self._find(name)
        version = versions.get(file, "")
        found = self._known.get((file, version))
        if found is None:
            found = self._known[file, version] = self._look(file, version)
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        if isinstance(found, FileFault):
            raise found
        return found

    def _look(self, file: Located, version: str) -> _Looked | FileFault:
        if not self._go_on():
            if self._last_try:
                raise FileFault("files_take_too_long", _TOO_LONG)
            raise TimeIsUp
        try:
            ref = self._objects.head(file.key, version or None, bucket=file.bucket).ref
            if ref.size > _MOST_FILE_BYTES:
                return FileFault(
                    "file_too_large", f"has {ref.size:,} bytes; a request holds {_MOST_FILE_BYTES:,} at most. Split it."
                )
            with self._objects.read(ref) as stream, self._path.open("wb") as out:
                while chunk := stream.read(_READ_BYTES):
                    out.write(chunk)
            facts = self._inspect(self._path)
        except (ObjectGone, Forbidden):
            return FileFault(_NOT_FOUND, _NOT_THERE)
        if facts.fault:
            return FileFault(facts.fault, facts.message)
        return _Looked(ref, facts, self._tokens() if facts.escaped else 0)

    def _tokens(self) -> int:
        with self._path.open("rb") as file:
            return sum(guess_text(chunk) for chunk in iter(lambda: file.read(_READ_BYTES), b""))


def _why_bad(name: str) -> str:
    """Of a name that leads to no object, what is odd about it."""
    scheme = name.partition("://")[0].lower() if "://" in name else ""
    odd = {
        f"by a web address, which is not fetched. {_RIGHT}.": scheme in ("http", "https"),
        "with S3:// in capitals. Write s3:// in small letters.": scheme == "s3" and not name.startswith(SCHEME),
        "with a backslash, and no file of this folder is called so. Write / between folders.": "\\" in name,
        f"with a slash at the start. {_RIGHT}, without that slash.": name.startswith("/"),
        (
            "with % or ?, as in a web address, and no file of this folder is called so. Write the name as the S3 console shows "
            "it, with its spaces and accents, and without a version."
        ): "%" in name or "?" in name,
        "with an invisible character, and no file of this folder is called so. Type the name anew.": not name.isprintable(),
    }
    usual = f"by a path with an empty part, `.` or `..`. {_RIGHT}."
    return f"is named {next((why for why, holds in odd.items() if holds), usual)}"


def _name_in(place: Place) -> msgspec.Raw:
    """As it was written."""
    return told.name if (told := told_at(place)) is not None else msgspec.Raw(place.value)


def _pinned(name: msgspec.Raw, block: str, found: _Looked) -> Pinned:
    facts, ref = found.facts, found.ref
    if block == "image":
        if ref.size > _MOST_IMAGE_BYTES:
            raise FileFault(
                "file_too_large", f"has {ref.size:,} bytes; the API takes images of up to {_MOST_IMAGE_BYTES:,}. Scale it down."
            )
        if max(facts.width, facts.height) > _MOST_PIXELS:
            raise FileFault(
                "image_too_large",
                f"has {facts.width:,} x {facts.height:,} pixels; the API takes up to {_MOST_PIXELS:,} a side. Scale it down.",
            )
    return Pinned(
        name=name,
        bucket=ref.bucket,
        key=ref.key,
        version_id=ref.version_id,
        etag=ref.etag,
        size=ref.size,
        media_type=facts.media_type,
        sent=sum(map(len, source_frame(facts.media_type))) + (facts.escaped or 4 * ceil(ref.size / 3)),
        pages=facts.pages,
        width=facts.width,
        height=facts.height,
        tokens=found.tokens,
    )


def _check_images(named: list[Place], model: str) -> None:
    """Before any of them is read."""
    images, most = sum(place.block == "image" for place in named), most_pages(model)
    if images > most:
        taken = f"{shown(model)} takes {most} in a request"
        raise FileFault("too_many_images", f"This row names {images:,} images; {taken}. Name fewer.")


def _check_request(params: bytes, model: str) -> None:
    """What the API counts over all files of a request."""
    files = pinned_in(params)
    images = [file for file in files if file.width]
    pages, most = sum(file.pages for file in files), most_pages(model)
    if pages > most:
        taken = f"{shown(model)} takes {most} in a request"
        raise FileFault("too_many_pages", f"The documents of this row have {pages:,} pages; {taken}. Split them.")
    if len(images) > _MANY_IMAGES and any(max(image.width, image.height) > _MOST_PIXELS_OF_MANY for image in images):
        raise FileFault(
            "image_too_large",
            f"This row names more than {_MANY_IMAGES} images, and then each may have {_MOST_PIXELS_OF_MANY:,} pixels a side at "
            "most. Scale them down, or name fewer.",
        )
    if (size := sent_bytes(params)) > MOST_REQUEST_BYTES:
        raise FileFault(
            "request_too_large",
            f"With its files in base64 the request has {size:,} bytes; the API takes {MOST_REQUEST_BYTES:,}. Shrink the files.",
        )
