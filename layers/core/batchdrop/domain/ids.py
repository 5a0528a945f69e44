"""Job ids, job tokens and the custom ids that go to the API."""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import b32encode
from datetime import datetime
from typing import NamedTuple

from batchdrop.domain.records import Batch, ObjectRef

_TOKEN_BYTES = 10
_CODE_CHARACTERS = 6
_TIME = "%Y%m%dT%H%M%SZ"
_JOB_ID = re.compile(r"\d{8}T\d{6}Z-[a-z2-7]{16}", re.ASCII)
_CODE = re.compile(r"[a-z2-7]{6}", re.ASCII)
_ANSWERED = re.compile(r"(\d{8}T\d{6}Z-[a-z2-7]{16})(?:-([a-z2-7]{6}))?", re.ASCII)
# 80 bits, so that nobody can guess them, in 16 characters.
_PREFIX_BYTES = 10
_PREFIX_CHARACTERS = 16
# Version 0.1.0 had `<job token>-<attempt>` in place of the drawn prefix.
PREFIX = r"[a-z2-7]{16}(?:-[0-9]{1,2})?"
LINE = r"[0-9]{1,12}"
_CUSTOM_ID = re.compile(f"({PREFIX})-({LINE})")


def job_token(source: ObjectRef, newer_recipe: ObjectRef | None = None) -> str:
    """16 characters, the same for the same object version: bucket, key and version id (or ETag).

    `newer_recipe`: of a job that takes the place of an earlier one of that version, whose recipe was improved.
    """
    versions = [source] if newer_recipe is None else [source, newer_recipe]
    identity = "\0".join(part for one in versions for part in (one.bucket, one.key, one.version_id or f"etag:{one.etag}"))
    return _characters(hashlib.sha256(identity.encode()).digest()[:_TOKEN_BYTES])


def job_id(source: ObjectRef, written_at: datetime, newer_recipe: ObjectRef | None = None) -> str:
    """`20261122T003115Z-<token>`: sorts by the time the object was written, which S3 keeps with the version."""
    return f"{written_at:{_TIME}}-{job_token(source, newer_recipe)}"


def is_job_id(text: str) -> bool:
    """Whether a text has the shape of a job id, whether or not there is such a job."""
    return _JOB_ID.fullmatch(text) is not None


def answered(text: str) -> tuple[str, str] | None:
    """`<job id>` or `<job id>-<code>` as job id and code; None if it is neither."""
    found = _ANSWERED.fullmatch(text)
    return (found[1], found[2] or "") if found else None


def question_code(*parts: object) -> str:
    """Six characters that change with any of the parts."""
    identity = "\0".join(map(str, parts))
    return _characters(hashlib.sha256(identity.encode()).digest())[:_CODE_CHARACTERS]


def group_key(*parts: object) -> str:
    """16 characters that change with any of the parts."""
    return _characters(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:_TOKEN_BYTES])


def is_code(text: str) -> bool:
    """Whether a text has the shape of the code of a question."""
    return _CODE.fullmatch(text) is not None


def uploaded_at(job: str) -> datetime:
    """The time within a job id."""
    return datetime.fromisoformat(job.split("-", 1)[0])


def token_of(job: str) -> str:
    """The job token within a job id."""
    return job.rsplit("-", 1)[1]


def new_prefix() -> str:
    """What all custom ids of one create begin with: drawn, never derived, so that nobody can know it before results exist."""
    return _characters(secrets.token_bytes(_PREFIX_BYTES))


def prefixes_of(batch: Batch) -> tuple[str, ...]:
    """What the custom ids of a batch may begin with at the API."""
    sent_without = not batch.prefixes and batch.intent_at is not None
    if batch.prefixes is None or sent_without:
        # Version 0.1.0 sent it or may have; in the second case it did so while the stack was being updated.
        return (f"{token_of(batch.job_id)}-{batch.attempt}",)
    return batch.prefixes


def custom_id_bytes(line: int) -> int:
    """Size of the custom id of a line."""
    return _PREFIX_CHARACTERS + len(f"-{line}")


class CustomId(NamedTuple):
    """Ours: `<prefix>-<line>`, within the API's `^[a-zA-Z0-9_-]{1,64}$`."""

    prefix: str
    line: int

    def __str__(self) -> str:
        return f"{self.prefix}-{self.line}"


def parse_custom_id(text: str) -> CustomId | None:
    """None when the id does not have the form of ours."""
    found = _CUSTOM_ID.fullmatch(text)
    return CustomId(found[1], int(found[2])) if found else None


def _characters(data: bytes) -> str:
    return b32encode(data).decode().lower().rstrip("=")
