"""A versioned bucket in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

from batchdrop.domain.errors import Incomplete, ObjectGone
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import ObjectInfo
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks, hooked


class _Version(NamedTuple):
    """`body` is None for a delete marker."""

    id: str | None
    body: bytes | None
    written_at: datetime
    content_type: str
    metadata: dict[str, str]

    @property
    def etag(self) -> str:
        return hashlib.md5(self.body or b"", usedforsecurity=False).hexdigest()


class FakeObjects:
    name = "objects"

    def __init__(self, clock: ManualClock, hooks: Hooks | None = None, *, bucket: str = "bucket", versioned: bool = True) -> None:
        self.hooks = hooks or Hooks()
        self.bucket = bucket
        self._clock = clock
        self._versioned = versioned
        self._written = 0
        self._versions: dict[str, list[_Version]] = {}

    # ---------------------------------------------------------------- what a test does and sees

    def drop(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> ObjectRef:
        """A user's upload."""
        self.store(key, body, "binary/octet-stream", once=False, metadata=metadata)
        return self._info(key, self._find(key, None)).ref

    def purge(self, key: str) -> None:
        """Deletes an object for good, with all its versions."""
        self._versions.pop(key, None)

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key, versions in self._versions.items() if key.startswith(prefix) and versions[-1].body is not None)

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
    def head(self, key: str, version_id: str | None = None) -> ObjectInfo:
        return self._info(key, self._find(key, version_id))

    @hooked
    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> BinaryIO:
        return io.BytesIO(self.cut(ref, start, end))

    @hooked
    def get(self, key: str) -> bytes:
        return self.body(key)

    @hooked
    def put(self, key: str, body: bytes, *, content_type: str = "application/json", once: bool = False) -> bool:
        return self.store(key, body, content_type, once=once)

    @hooked
    def put_file(self, key: str, path: Path, *, content_type: str = "application/octet-stream") -> None:
        self.store(key, path.read_bytes(), content_type, once=False)

    @hooked
    def get_file(self, key: str, path: Path) -> None:
        path.write_bytes(self.body(key))

    @hooked
    def writer(self, key: str, *, content_type: str = "application/jsonl", once: bool = False) -> FakeWriter:
        return FakeWriter(self, key, content_type, once=once)

    @hooked
    def delete(self, key: str) -> None:
        if not self._versioned:
            self._versions.pop(key, None)
        elif key in self._versions:
            self._add(key, None, "", {})

    # ---------------------------------------------------------------- inside

    def store(self, key: str, body: bytes, content_type: str, *, once: bool, metadata: Mapping[str, str] | None = None) -> bool:
        if once and key in self.keys(key):
            return False
        self._add(key, bytes(body), content_type, {name.lower(): text for name, text in (metadata or {}).items()})
        return True

    def cut(self, ref: ObjectRef, start: int, end: int | None) -> bytes:
        if end is not None and end <= start:
            return b""
        version = self._find(ref.key, ref.version_id)
        if ref.bucket != self.bucket or (ref.etag and ref.etag != version.etag) or version.body is None:
            raise ObjectGone(ref.key)
        if end is not None and end > len(version.body):
            raise Incomplete(f"{ref.key} ends at byte {len(version.body)}, not at {end}")
        return version.body[start:end]

    def _add(self, key: str, body: bytes | None, content_type: str, metadata: dict[str, str]) -> None:
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
        ref = ObjectRef(bucket=self.bucket, key=key, version_id=version.id, etag=version.etag, size=size)
        return ObjectInfo(ref=ref, written_at=version.written_at, metadata=version.metadata)


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
    def copy(self, source: ObjectRef, start: int, end: int) -> None:
        self._check_open()
        self._body += self._objects.cut(source, start, end)

    @hooked
    def close(self) -> bool:
        if self._open:
            self._created = self._objects.store(self._key, bytes(self._body), self._content_type, once=self._once)
            self._open = False
        return self._created

    @hooked
    def abort(self) -> None:
        self._open = False

    def __enter__(self) -> FakeWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError(f"{self._key}: the writer is closed")
