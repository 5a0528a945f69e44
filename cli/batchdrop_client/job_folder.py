"""Find the folder of a job in the outbox: by its id, the end of its id, or its address."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from batchdrop.domain import ids
from batchdrop.domain.keys import OUTBOX
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.errors import NotNamed
from batchdrop_client.named_folder import named_folder
from batchdrop_client.plain_text import plain

_SHORTEST = 4
_SHOWN = 5


def job_folder(bucket: Bucket, job: str, folder: str = "") -> str:
    """The key of the folder, slash included. `folder`: below `outbox/`, where to look. Raises StackError."""
    named = job.strip().removeprefix(f"s3://{bucket.name}/").rstrip("/")
    if named.startswith(OUTBOX) and ids.is_job_id(named.rsplit("/", 1)[-1]):
        return f"{named}/"
    if named.startswith("s3://"):
        raise NotNamed(f"{plain(job)} is not in the bucket {plain(bucket.name)}.")
    if len(named) < _SHORTEST or "/" in named:
        raise NotNamed(f"{plain(job)} is no job id. Give one, or at least its last {_SHORTEST} characters.")
    below = named_folder(folder)
    prefix = f"{OUTBOX}{below}/" if below else OUTBOX
    # Also of a whole id: whoever may write to one folder could put there what looks like a job of another.
    found = list(islice(_folders(bucket, prefix, named), _SHOWN + 1))
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotNamed(
            f"There is no job {plain(job)} below {plain(prefix)} of the bucket {plain(bucket.name)}. A job id is the name of the "
            "last folder there."
        )
    if len({one.rsplit("/", 2)[1] for one in found}) == 1:
        folders = ", ".join(plain(one) for one in found[:_SHOWN])
        raise NotNamed(f"A job {plain(named)} lies in several folders: {folders}. Give the one that you mean instead of the id.")
    names = ", ".join(one.rsplit("/", 2)[1] for one in found[:_SHOWN])
    raise NotNamed(f"Several jobs end in {plain(named)}: {names}{' and others' if found[_SHOWN:] else ''}. Give more of the id.")


def _folders(bucket: Bucket, prefix: str, end: str) -> Iterator[str]:
    """Each job's folder once: every job has a status."""
    with aws_said(bucket.name):
        for page in bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix):
            for one in page.get("Contents", []):
                folder, _, name = one["Key"].rpartition("/")
                job = folder.rsplit("/", 1)[-1]
                if name == "status.json" and job.endswith(end) and ids.is_job_id(job):
                    yield f"{folder}/"
