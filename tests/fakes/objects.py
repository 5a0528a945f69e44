"""A versioned bucket in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from msgspec.structs import replace

from batchdrop.domain.errors import Forbidden, Incomplete, ObjectGone
from batchdrop.domain.keys import MAX_KEY_BYTES
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import ObjectInfo
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks, hooked


@dataclass(frozen=True)
class _Version:
    """`body` is None for a delete marker."""

    id: str | None
    body: bytes | None
    written_at: datetime
    content_type: str
    metadata: dict[str, str]

    @cached_property
    def etag(self) -> str:
        return hashlib.md5(self.body or b"", usedforsecurity=False).hexdigest()


class _Refusal(NamedTuple):
    code: str
    head: bool
    when: Callable[[], bool]
    storage_class: str
    kms_key: str


class FakeObjects:
    name = "objects"

    def __init__(self, clock: ManualClock, hooks: Hooks | None = None, *, bucket: str = "bucket", versioned: bool = True) -> None:
        self.hooks = hooks or Hooks()
        self.bucket = bucket
        self._clock = clock
        self._versioned = versioned
        self._written = 0
        self._versions: dict[str, list[_Version]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        """What `resume` and `join` have begun and not ended, by key: the parts that the bucket holds."""
        self.part_bytes = 1 << 20
        self._refusals: dict[str, _Refusal] = {}

    # ---------------------------------------------------------------- what a test does and sees

    def drop(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> ObjectRef:
        """A user's upload."""
        self.store(key, body, "binary/octet-stream", once=False, metadata=metadata)
        return self._info(key, self._find(key, None)).ref

    def purge(self, key: str) -> None:
        """Deletes an object for good, with all its versions."""
        self._versions.pop(key, None)

    def forbid(
        self,
        key: str,
        code: str = "AccessDenied",
        *,
        head: bool = False,
        when: Callable[[], bool] = lambda: True,
        storage_class: str = "",
        kms_key: str = "",
    ) -> None:
        """S3 does not hand the object out, `when` that is so: from some time on, or to one reader. `head`: nor answers a HEAD."""
        self._refusals[key] = _Refusal(code, head, when, storage_class, kms_key)

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key, versions in self._versions.items() if key.startswith(prefix) and versions[-1].body is not None)

    def all_keys(self) -> list[str]:
        """Deleted ones too, as long as a version or a delete marker is left of them."""
        return sorted(self._versions)

    def body(self, key: str) -> bytes:
        body = self._find(key, None).body
        assert body is not None
        return body

    def content_type(self, key: str) -> str:
        return self._find(key, None).content_type

    def count_versions(self, key: str) -> int:
        return len(self._versions.get(key, ()))

    # ---------------------------------------------------------------- the port

    @hooked
    def head(self, key: str, version_id: str | None = None, *, bucket: str | None = None) -> ObjectInfo:
        key = self._name(bucket or self.bucket, key)
        refusal = self._refusals.get(key)
        if refusal is not None and refusal.head and refusal.when():
            raise Forbidden(key, code="403")
        return self._info(key, self._find(key, version_id))

    @hooked
    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> BinaryIO:
        return io.BytesIO(self.cut(ref, start, end))

    @hooked
    def get(self, key: str) -> bytes:
        self._hand_out(key)
        return self.body(key)

    @hooked
    def put(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str = "application/json",
        once: bool = False,
        one_day: bool = False,
    ) -> bool:
        return self.store(key, body, content_type, once=once)

    @hooked
    def overwrite(
        self,
        was: ObjectRef,
        body: bytes,
        *,
        content_type: str = "application/json",
        one_day: bool = False,
    ) -> bool:
        if not self.exists(was.key) or self._find(was.key, None).etag != was.etag:
            return False
        return self.store(was.key, body, content_type, once=False)

    @hooked
    def put_file(self, key: str, path: Path, *, content_type: str = "application/octet-stream") -> None:
        self.store(key, path.read_bytes(), content_type, once=False)

    @hooked
    def get_file(self, key: str, path: Path) -> None:
        self._hand_out(key)
        path.write_bytes(self.body(key))

    @hooked
    def writer(self, key: str, *, content_type: str = "application/jsonl", once: bool = False) -> FakeWriter:
        return FakeWriter(self, key, content_type, once=once)

    @hooked
    def resume(
        self,
        key: str,
        *,
        content_type: str = "application/jsonl",
        metadata: Mapping[str, str] | None = None,
        upto: int | None = None,
    ) -> FakeResumedWriter:
        return FakeResumedWriter(self, key, content_type, metadata or {}, upto)

    @hooked
    def join(
        self, key: str, sources: Sequence[ObjectRef], *, go_on: Callable[[], bool], content_type: str = "application/jsonl"
    ) -> int:
        """A part is a source."""
        whole = sum(source.size for source in sources)
        if not self.exists(key):
            upload = self.uploads.setdefault(key, {})
            for number, source in enumerate(sources, 1):
                if source.size and number not in upload:
                    if not go_on():
                        return sum(map(len, upload.values()))
                    self.add_part(key, upload, number, self.cut(source, 0, source.size))
            self.finish_upload(key, upload, content_type)
        self.uploads.pop(key, None)
        return whole

    @hooked
    def abandon(self, prefix: str) -> None:
        for key in [key for key in self.uploads if key.startswith(prefix)]:
            del self.uploads[key]

    @hooked
    def delete(self, key: str) -> None:
        if not self._versioned:
            self._versions.pop(key, None)
        elif key in self._versions:
            self._add(key, None, "", {})

    @hooked
    def folders(self, prefix: str, *, after: str = "", limit: int) -> list[str]:
        below = {key.removeprefix(prefix).split("/")[0] for key in self.keys(prefix) if "/" in key.removeprefix(prefix)}
        return [name for name in sorted(below, key=lambda name: f"{name}/") if not after or f"{name}/" > f"{after}/"][:limit]

    @hooked
    def newest(self, prefix: str, *, after: str = "", limit: int) -> list[ObjectRef]:
        found = [key for key in self.keys(prefix) if key.encode() > after.encode()]
        return [self._info(key, self._find(key, None)).ref for key in sorted(found, key=str.encode)[:limit]]

    @hooked
    def remove_all(self, prefix: str, *, limit: int) -> int:
        left = limit
        for key in sorted(key for key in self._versions if key.startswith(prefix)):
            removed = self._versions[key][:left]
            left -= len(removed)
            self._versions[key] = self._versions[key][len(removed) :]
            if not self._versions[key]:
                del self._versions[key]
        return limit - left

    # ---------------------------------------------------------------- inside

    @hooked
    def add_part(self, key: str, upload: dict[int, bytes], number: int, body: bytes) -> None:
        self._check_upload(key, upload)
        upload[number] = body

    @hooked
    def finish_upload(
        self, key: str, upload: dict[int, bytes], content_type: str, metadata: Mapping[str, str] | None = None
    ) -> bool:
        self._check_upload(key, upload)
        body = b"".join(upload[number] for number in sorted(upload))
        created = self.store(key, body, content_type, once=True, metadata=metadata)
        del self.uploads[key]
        return created

    def _check_upload(self, key: str, upload: dict[int, bytes]) -> None:
        if self.uploads.get(key) is not upload:
            raise Incomplete(f"{key}: the upload is gone")

    def exists(self, key: str) -> bool:
        versions = self._versions.get(key)
        return versions is not None and versions[-1].body is not None

    def store(self, key: str, body: bytes, content_type: str, *, once: bool, metadata: Mapping[str, str] | None = None) -> bool:
        if once and self.exists(key):
            return False
        self._add(key, bytes(body), content_type, {name.lower(): text for name, text in (metadata or {}).items()})
        return True

    def cut(self, ref: ObjectRef, start: int, end: int | None) -> bytes:
        if end is not None and end <= start:
            return b""
        name = self._name(ref.bucket, ref.key)
        version = self._find(name, ref.version_id)
        self._hand_out(name)
        if (ref.etag and ref.etag != version.etag) or version.body is None:
            raise ObjectGone(ref.key)
        if end is not None and end > len(version.body):
            raise Incomplete(f"{ref.key} ends at byte {len(version.body)}, not at {end}")
        return version.body[start:end]

    def _name(self, bucket: str, key: str) -> str:
        """Objects of other buckets lie here under their whole address."""
        return key if bucket == self.bucket else f"s3://{bucket}/{key}"

    def _hand_out(self, key: str) -> None:
        refusal = self._refusals.get(key)
        if refusal is not None and refusal.when():
            raise Forbidden(key, code=refusal.code)

    def _add(self, key: str, body: bytes | None, content_type: str, metadata: dict[str, str]) -> None:
        if len(key.encode()) > MAX_KEY_BYTES:
            raise ValueError(f"KeyTooLongError: {key}")
        self._written += 1
        version_id = f"version-{self._written}" if self._versioned else None
        version = _Version(version_id, body, self._clock.now().replace(microsecond=0), content_type, metadata)
        earlier = self._versions.get(key, []) if self._versioned else []
        self._versions[key] = [*earlier, version]

    def _find(self, key: str, version_id: str | None) -> _Version:
        versions = self._versions.get(key, [])
        found = versions[-1:] if version_id is None else [one for one in versions if one.id == version_id]
        if not found or found[0].body is None:
            raise ObjectGone(key)
        return found[0]

    def _info(self, key: str, version: _Version) -> ObjectInfo:
        size = len(version.body or b"")
        bucket, name = (self.bucket, key) if not key.startswith("s3://") else key.removeprefix("s3://").split("/", 1)
        ref = ObjectRef(bucket=bucket, key=name, version_id=version.id, etag=version.etag, size=size)
        info = ObjectInfo(ref=ref, written_at=version.written_at, metadata=version.metadata)
        refusal = self._refusals.get(key)
        return replace(info, storage_class=refusal.storage_class, kms_key=refusal.kms_key) if refusal else info


class FakeWriter:
    name = "objects.writer"

    def __init__(self, objects: FakeObjects, key: str, content_type: str, *, once: bool) -> None:
        self.hooks = objects.hooks
        self._objects = objects
        self._key = key
        self._content_type = content_type
        self._once = once
        self._body = bytearray()
        self._open = True
        self._created = False

    @hooked
    def write(self, data: bytes | memoryview) -> None:
        self._check_open()
        self._body += data

    @hooked
    def close(self) -> bool:
        if self._open:
            self._created = self._objects.store(self._key, bytes(self._body), self._content_type, once=self._once)
            self._open = False
        return self._created

    @hooked
    def abort(self) -> None:
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError(f"{self._key}: the writer is closed")


class FakeResumedWriter:
    """Whole parts are kept; a body below one part is one write."""

    name = "objects.resumed"

    def __init__(
        self, objects: FakeObjects, key: str, content_type: str, metadata: Mapping[str, str], upto: int | None = None
    ) -> None:
        self.hooks = objects.hooks
        self._objects = objects
        self._key = key
        self._content_type = content_type
        self._metadata = metadata
        self._body = bytearray()
        self._created = False
        self.complete = objects.exists(key)
        if self.complete:
            objects.uploads.pop(key, None)
        self._upload = objects.uploads.get(key)
        self._whole = 0
        while len((self._upload or {}).get(self._whole + 1, b"")) == objects.part_bytes and (
            upto is None or (self._whole + 1) * objects.part_bytes <= upto
        ):
            self._whole += 1
        self._open = not self.complete

    @property
    def stored(self) -> int:
        return len(self._objects.body(self._key)) if self.complete else self._whole * self._objects.part_bytes

    @hooked
    def write(self, data: bytes | memoryview) -> None:
        if not self._open:
            raise ValueError(f"{self._key}: the writer is closed")
        self._body += data
        while len(self._body) >= self._objects.part_bytes:
            self._flush(self._objects.part_bytes)

    @hooked
    def close(self) -> bool:
        if self._open and self._upload is None:
            self._created = self._objects.store(
                self._key, bytes(self._body), self._content_type, once=True, metadata=self._metadata
            )
        elif self._open and self._upload is not None:
            if self._body:
                self._flush(len(self._body))
            self._created = self._objects.finish_upload(self._key, self._upload, self._content_type, self._metadata)
        self._open = False
        return self._created

    @hooked
    def abort(self) -> None:
        if self._open:
            self._objects.uploads.pop(self._key, None)
        self._open = False

    @hooked
    def suspend(self) -> bytes:
        self._open = False
        return bytes(self._body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.suspend()

    def _flush(self, size: int) -> None:
        if self._upload is None:
            self._upload = self._objects.uploads.setdefault(self._key, {})
        self._objects.add_part(self._key, self._upload, self._whole + 1, bytes(self._body[:size]))
        self._whole += 1
        del self._body[:size]
