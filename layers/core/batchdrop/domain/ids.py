"""Job ids, job tokens and the custom ids that go to the API."""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from datetime import datetime
from typing import NamedTuple

from batchdrop.domain.records import ObjectRef

_TOKEN_BYTES = 10
_JOB_ID = re.compile(r"\d{8}T\d{6}Z-[a-z2-7]{16}", re.ASCII)
_CUSTOM_ID = re.compile(r"([a-z2-7]{16})-(\d{1,2})-(\d{1,12})")


def job_token(source: ObjectRef) -> str:
    """16 characters, the same for the same object version: bucket, key and version id (or ETag)."""
    identity = "\0".join((source.bucket, source.key, source.version_id or f"etag:{source.etag}"))
    return b32encode(hashlib.sha256(identity.encode()).digest()[:_TOKEN_BYTES]).decode().lower()


def job_id(source: ObjectRef, written_at: datetime) -> str:
    """`20261122T003115Z-<token>`: sorts by the time the object was written, which S3 keeps with the version."""
    return f"{written_at:%Y%m%dT%H%M%SZ}-{job_token(source)}"


def is_job_id(text: str) -> bool:
    """Whether a text has the shape of a job id, whether or not there is such a job."""
    return _JOB_ID.fullmatch(text) is not None


def token_of(job: str) -> str:
    """The job token within a job id."""
    return job.rsplit("-", 1)[1]


def custom_id_prefix(token: str, attempt: int) -> str:
    """What all custom ids of an attempt begin with; the line number follows."""
    return f"{token}-{attempt}-"


class CustomId(NamedTuple):
    """Ours: `<job token>-<attempt>-<line>`, within the API's `^[a-zA-Z0-9_-]{1,64}$`."""

    token: str
    attempt: int
    line: int

    def __str__(self) -> str:
        return f"{custom_id_prefix(self.token, self.attempt)}{self.line}"


def parse_custom_id(text: str) -> CustomId | None:
    """None when the id is not one of ours."""
    found = _CUSTOM_ID.fullmatch(text)
    return CustomId(found[1], int(found[2]), int(found[3])) if found else None
