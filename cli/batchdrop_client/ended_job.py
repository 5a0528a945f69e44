"""A job that has ended, as its folder in the outbox tells."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.record import Record
from batchdrop.domain.records import ObjectRef
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.errors import StackError
from batchdrop_client.plain_text import plain


class _Named(Record, frozen=True):
    key: str
    version_id: str | None = None
    etag: str = ""


class RealTime(Record, frozen=True):
    """Of what was asked in real time from a terminal: there is no job of that id, only its outcome."""

    job: str
    """The job whose lines are counted."""
    file: str
    """The key of its file."""


class _Outcome(Record, frozen=True):
    job_id: str
    input: _Named
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    recipe: _Named | None = None
    real_time: RealTime | None = None
    files: dict[str, object] = msgspec.field(default_factory=dict)


class EndedJob(NamedTuple):
    id: str
    folder: str
    """In the outbox, slash included."""
    names: frozenset[str]
    """Of what lies there and is of its outcome: who was killed while putting files there may have left others."""
    file: str
    """The key of the file that was dropped."""
    headers: dict[str, str]
    """Of its calls; empty if it ended with a version that did not tell."""
    recipe: ObjectRef | None
    real_time: RealTime | None


def names_in(bucket: Bucket, folder: str) -> frozenset[str]:
    """A HEAD of what is not there is answered with 403 to whoever may not list everything; this is not."""
    with aws_said(bucket.name):
        pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=folder)
        return frozenset(one["Key"].removeprefix(folder) for page in pages for one in page.get("Contents", []))


def ended_job(bucket: Bucket, folder: str) -> EndedJob:
    """Raises StackError, also while it has not ended."""
    job = folder.rstrip("/").rsplit("/", 1)[-1]
    names = names_in(bucket, folder)
    if not names:
        raise StackError(f"There is no job at {plain(folder)} in the bucket {plain(bucket.name)}.")
    if "manifest.json" not in names:
        raise StackError(f"The job {job} has not ended. Its rows may be answered yet: wait for it, or cancel it first.")
    with aws_said(bucket.name):
        data = bucket.objects.get(f"{folder}manifest.json")
    try:
        found = msgspec.json.decode(data, type=_Outcome)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise StackError(f"The manifest of {job} cannot be read.") from None
    of = found.recipe
    recipe = ObjectRef(bucket=bucket.name, key=of.key, version_id=of.version_id, etag=of.etag) if of else None
    file = found.real_time.file if found.real_time else found.input.key
    if found.job_id != job or not file.startswith(keys.INBOX):
        raise StackError(f"The manifest in {plain(folder)} is not that of {job}.")
    names &= {*found.files, *keys.RECIPES}
    return EndedJob(job, folder, names, file, found.headers, recipe, found.real_time)
