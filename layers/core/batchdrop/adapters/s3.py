"""The bucket: reads that survive a broken connection, writes that stream or go on where they stopped, and copies inside S3."""

from __future__ import annotations

import errno
import io
import shutil
import time
from collections.abc import Buffer, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from botocore.exceptions import ClientError, IncompleteReadError

from batchdrop.adapters.aws import NO_ANSWER, code_of, is_later, status_of, throttling
from batchdrop.adapters.disposition import content_disposition
from batchdrop.adapters.part_plan import MAX_PARTS, MIB, MIN_PART_BYTES, UploadPart, plan_parts, size_of
from batchdrop.domain.errors import BatchdropError, Forbidden, Incomplete, ObjectGone, OutOfDisk, Throttled
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import ObjectInfo

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, GetObjectOutputTypeDef, ObjectIdentifierTypeDef

PART_BYTES = 16 * MIB
"""What the writer holds, as a file in memory: of bytes botocore would hold a second copy while it sends. 10,000 are 156 GiB."""
READ_BYTES = 256 * 1024
# Parts of a joined object that are made at the same time, and the bytes of them that may be in memory.
_CONNECTIONS = 8
_JOIN_BYTES = 80 * MIB
# Amazon S3 API reference, "DeleteObjects" and "ListObjectVersions".
_DELETED_AT_ONCE = 1000
# Sorts behind everything in a folder, and before every other folder.
_AFTER_SLASH = chr(ord("/") + 1)
# Reopenings in a row that brought not one byte.
_FRUITLESS_REOPENINGS = 5
# S3 asks for another try when two conditional writes of a key meet.
_CONFLICT_TRIES = 6
_CONFLICT_PAUSE = 0.2
# 405: a delete marker. 412: If-Match failed, another version lies there now.
_GONE_STATUS = frozenset({404, 405, 412})
_REFUSED_STATUS = frozenset({400, 403})
# Said of the caller's credentials or clock (Amazon S3 API reference, "Error responses"); it says nothing about the object.
_NOT_OF_THE_OBJECT = frozenset(
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
# Whose bucket a call is about, and whose it copies from.
_OWNERS = ("ExpectedBucketOwner", "ExpectedSourceBucketOwner")
_NOT_THE_OBJECT = frozenset({"NoSuchBucket", "NoSuchUpload"})
# One algorithm throughout: S3 refuses parts whose checksum differs in kind from what the upload announced.
_CHECKSUM: dict[str, Any] = {"ChecksumAlgorithm": "CRC32"}
ONE_DAY = "old-versions=one-day"
"""The tag by which a lifecycle rule of the bucket finds versions that it deletes a day after they were replaced."""


def of_owner(client: S3Client, account: str) -> S3Client:
    """The client, whose calls S3 refuses for a bucket of another account: the name of one that is deleted is free again."""

    def name_owner(params: dict[str, Any], model: OperationModel, **_: object) -> None:
        members = model.input_shape.members if model.input_shape else {}
        params |= {name: account for name in _OWNERS if name in members}

    client.meta.events.register("provide-client-params.s3", name_owner)
    return client


class S3Objects:
    """`sleep` is used between tries of a conditional write that met another, at most a few seconds in all."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        *,
        part_bytes: int = PART_BYTES,
        connections: int = _CONNECTIONS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._part_bytes = part_bytes
        self._connections = connections
        self._sleep = sleep

    def head(self, key: str, version_id: str | None = None, *, bucket: str | None = None) -> ObjectInfo:
        bucket = bucket or self._bucket
        with _reading(key):
            found = self._client.head_object(Bucket=bucket, Key=key, **_version(version_id))
        ref = ObjectRef(
            bucket=bucket,
            key=key,
            version_id=_real_version(found.get("VersionId")),
            etag=_bare(found["ETag"]),
            size=found["ContentLength"],
        )
        metadata = {name.lower(): text for name, text in found["Metadata"].items()}
        return ObjectInfo(
            ref=ref,
            written_at=found["LastModified"].astimezone(UTC),
            metadata=metadata,
            storage_class=found.get("StorageClass", ""),
            kms_key=found.get("SSEKMSKeyId", ""),
        )

    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> io.BufferedReader:
        return _reader(self._client, ref, start, end)

    def get(self, key: str) -> bytes:
        with self.read(self._newest(key)) as body:
            return body.read()

    def put(
        self, key: str, body: bytes, *, content_type: str = "application/json", once: bool = False, one_day: bool = False
    ) -> bool:
        return self._target(key, content_type, once=once)._replace(one_day=one_day).put(body)

    def overwrite(self, was: ObjectRef, body: bytes, *, content_type: str = "application/json", one_day: bool = False) -> bool:
        return self._target(was.key, content_type, once=False)._replace(etag=was.etag, one_day=one_day).put(body)

    def put_file(self, key: str, path: Path, *, content_type: str = "application/octet-stream") -> None:
        with path.open("rb", buffering=0) as file, self.writer(key, content_type=content_type) as out:
            while chunk := file.read(MIB):
                out.write(chunk)

    def get_file(self, key: str, path: Path) -> None:
        """Raises OutOfDisk when the file does not fit."""
        with self.read(self._newest(key)) as body, _disk(), path.open("wb") as file:
            shutil.copyfileobj(body, file, READ_BYTES)

    def writer(self, key: str, *, content_type: str = "application/jsonl", once: bool = False) -> S3Writer:
        return S3Writer(self._target(key, content_type, once=once), self._part_bytes)

    def resume(
        self,
        key: str,
        *,
        content_type: str = "application/jsonl",
        metadata: Mapping[str, str] | None = None,
        upto: int | None = None,
    ) -> S3ResumedWriter:
        target = self._target(key, content_type, once=True)._replace(metadata=metadata or {})
        with suppress(ObjectGone):
            return S3ResumedWriter(target, self._part_bytes, there=self.head(key).ref.size)
        return S3ResumedWriter(target, self._part_bytes, upto=upto)

    def join(
        self, key: str, sources: Sequence[ObjectRef], *, go_on: Callable[[], bool], content_type: str = "application/jsonl"
    ) -> int:
        target = self._target(key, content_type, once=True)
        plan = plan_parts([source.size for source in sources])
        with suppress(ObjectGone):
            self.head(key)
            target.abandon()
            return sum(map(size_of, plan))
        upload = target.begun() or target.begin()
        kept = {
            number: part for number, size, part in upload.parts() if number <= len(plan) and size == size_of(plan[number - 1])
        }

        def made(numbered: tuple[int, UploadPart]) -> CompletedPartTypeDef | None:
            number, part = numbered
            return kept.get(number) or (self._make(upload, number, part, sources) if go_on() else None)

        largest = max((size_of(part) for part in plan if len(part) > 1), default=1)
        with ThreadPoolExecutor(max(1, min(self._connections, _JOIN_BYTES // largest))) as pool:
            parts = list(pool.map(made, enumerate(plan, 1)))
        if None in parts:
            return sum(size_of(part) for part, done in zip(plan, parts, strict=True) if done)
        target.complete(upload, [part for part in parts if part])
        target.abandon()
        return sum(map(size_of, plan))

    def abandon(self, prefix: str) -> None:
        for upload in _uploads(self._client, self._bucket, prefix):
            upload.abort()

    def delete(self, key: str) -> None:
        with throttling():
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _make(self, upload: _Upload, number: int, part: UploadPart, sources: Sequence[ObjectRef]) -> CompletedPartTypeDef:
        if len(part) == 1 and size_of(part) >= MIN_PART_BYTES:
            ((source, start, end),) = part
            return upload.copy(number, sources[source], start, end)
        body = io.BytesIO()
        for source, start, end in part:
            with self.read(sources[source], start, end) as stream:
                shutil.copyfileobj(stream, body, READ_BYTES)
        return upload.put(number, body)

    def folders(self, prefix: str, *, after: str = "", limit: int) -> list[str]:
        found: list[str] = []
        where: dict[str, Any] = {"StartAfter": f"{prefix}{after}{_AFTER_SLASH}"} if after else {}
        while len(found) < limit:
            with throttling():
                page = self._client.list_objects_v2(
                    Bucket=self._bucket, Prefix=prefix, Delimiter="/", MaxKeys=limit - len(found), **where
                )
            # An object that lies beside the folders takes the place of one in the page.
            found += [one["Prefix"].removeprefix(prefix).removesuffix("/") for one in page.get("CommonPrefixes", [])]
            if not page.get("IsTruncated"):
                break
            where = {"ContinuationToken": page["NextContinuationToken"]}
        return found

    def newest(self, prefix: str, *, after: str = "", limit: int) -> list[ObjectRef]:
        found: list[ObjectRef] = []
        where: dict[str, Any] = {"KeyMarker": after} if after else {}
        while len(found) < limit:
            with throttling():
                # Pages count older versions too: those of a key come right behind its newest.
                page = self._client.list_object_versions(Bucket=self._bucket, Prefix=prefix, **where)
            found += [
                ObjectRef(
                    bucket=self._bucket,
                    key=one["Key"],
                    version_id=one["VersionId"],
                    etag=one["ETag"].strip('"'),
                    size=one["Size"],
                )
                for one in page.get("Versions", [])
                if one["IsLatest"]
            ]
            if not page.get("IsTruncated"):
                break
            where = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
        return found[:limit]

    def remove_all(self, prefix: str, *, limit: int) -> int:
        removed = 0
        while removed < limit:
            with throttling():
                page = self._client.list_object_versions(
                    Bucket=self._bucket, Prefix=prefix, MaxKeys=min(limit - removed, _DELETED_AT_ONCE)
                )
            found: list[ObjectIdentifierTypeDef] = [
                {"Key": one["Key"], "VersionId": one["VersionId"]}
                for one in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            ]
            if not found:
                break
            self._delete_versions(found)
            removed += len(found)
        return removed

    def _delete_versions(self, versions: list[ObjectIdentifierTypeDef]) -> None:
        with throttling():
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": versions, "Quiet": True})
        for refused in answer.get("Errors", []):
            sentence = f"{refused['Key']} could not be removed: {refused['Code']}"
            raise Throttled(sentence) if is_later(refused["Code"]) else BatchdropError(sentence)

    def _newest(self, key: str) -> ObjectRef:
        """No version and no ETag: the first answer decides which version is read."""
        return ObjectRef(bucket=self._bucket, key=key)

    def _target(self, key: str, content_type: str, *, once: bool) -> _Target:
        return _Target(self._client, self._bucket, key, content_type, once, self._sleep)


class _Conflict(Exception):
    """Another write of the same object was under way, and nobody knows which of them comes first."""


class _Target(NamedTuple):
    """Where one object goes, and how the write of it is decided."""

    client: S3Client
    bucket: str
    key: str
    content_type: str
    once: bool
    sleep: Callable[[float], None]
    metadata: Mapping[str, str] = {}
    etag: str = ""
    """Of the object in whose place it goes; empty: of any, or none."""
    one_day: bool = False

    def put(self, body: bytes | bytearray) -> bool:
        content: Any = body
        for _ in range(_CONFLICT_TRIES):
            with suppress(_Conflict):
                return self._settle(lambda: self.client.put_object(**self._whole(content)))
            self.sleep(_CONFLICT_PAUSE)
        raise Throttled(f"{self.key}: other writers kept coming in between")

    def complete(self, upload: _Upload, parts: Sequence[CompletedPartTypeDef]) -> bool:
        """False: there was an object, and it was kept.

        After a conflict an upload is of no more use: all of it goes again (Amazon S3, "CompleteMultipartUpload", 409).
        """
        try:
            return self._settle(lambda: upload.complete(parts, self._condition()))
        except _Conflict as conflict:
            upload.abort()
            raise Throttled(f"{self.key}: another writer came in between") from conflict

    def _settle(self, attempt: Callable[[], object]) -> bool:
        """Makes a conditional write. False: what there was is kept, as the condition does not hold. Raises _Conflict."""
        try:
            with throttling():
                attempt()
        except ClientError as error:
            # 404: of an object that somebody has deleted since (Amazon S3, "Conditional writes").
            if (self.once and status_of(error) == 412) or (self.etag and status_of(error) in (404, 412)):
                return False
            if status_of(error) == 409:
                raise _Conflict from error
            raise
        return True

    def _whole(self, content: bytes) -> Any:  # noqa: ANN401 - boto3's arguments
        return {"Bucket": self.bucket, "Key": self.key, "Body": content, **self._described(), **_CHECKSUM, **self._condition()}

    def _condition(self) -> dict[str, Any]:
        if self.etag:
            return {"IfMatch": _quoted(self.etag)}
        return {"IfNoneMatch": "*"} if self.once else {}

    def _described(self) -> dict[str, Any]:
        metadata = {"Metadata": dict(self.metadata)} if self.metadata else {}
        shown = {"ContentDisposition": saved} if (saved := content_disposition(self.key)) else {}
        return {"ContentType": self.content_type, **shown, **metadata, **({"Tagging": ONE_DAY} if self.one_day else {})}

    def begin(self) -> _Upload:
        with throttling():
            made = self.client.create_multipart_upload(Bucket=self.bucket, Key=self.key, **self._described(), **_CHECKSUM)
        return _Upload(self.client, self.bucket, self.key, made["UploadId"])

    def begun(self) -> _Upload | None:
        """The upload to continue: of several, every invocation picks the same."""
        return next(self._uploads(), None)

    def abandon(self) -> None:
        """The object is there: other uploads of it, of an invocation that ran beside or was killed, are of no use."""
        for upload in self._uploads():
            upload.abort()

    def _uploads(self) -> Iterator[_Upload]:
        return (upload for upload in _uploads(self.client, self.bucket, self.key) if upload.key == self.key)


class _Upload(NamedTuple):
    """A multipart upload that has begun and has not ended. Raises Incomplete when it is gone."""

    client: S3Client
    bucket: str
    key: str
    id: str

    def put(self, number: int, body: io.BytesIO) -> CompletedPartTypeDef:
        body.seek(0)
        with self._open():
            made = self.client.upload_part(**self._part(number), Body=body, **_CHECKSUM)
        return _completed(number, made)

    def copy(self, number: int, source: ObjectRef, start: int, end: int) -> CompletedPartTypeDef:
        origin: Any = {"Bucket": source.bucket, "Key": source.key, **_version(source.version_id)}
        pinned: dict[str, Any] = {"CopySourceIfMatch": _quoted(source.etag)} if source.etag else {}
        with self._open(), _answers(source.key):
            made = self.client.upload_part_copy(
                **self._part(number), CopySource=origin, CopySourceRange=f"bytes={start}-{end - 1}", **pinned
            )
        return _completed(number, made["CopyPartResult"])

    def parts(self) -> Iterator[tuple[int, int, CompletedPartTypeDef]]:
        """Number and size of each part, and what S3 is told of it at the end."""
        with self._open():
            for page in self.client.get_paginator("list_parts").paginate(**self._address()):
                for part in page.get("Parts", ()):
                    yield part["PartNumber"], part["Size"], _completed(part["PartNumber"], part)

    def complete(self, parts: Sequence[CompletedPartTypeDef], condition: Mapping[str, Any]) -> None:
        with self._open():
            self.client.complete_multipart_upload(**self._address(), MultipartUpload={"Parts": parts}, **condition)

    def abort(self) -> None:
        with suppress(Incomplete), self._open():
            self.client.abort_multipart_upload(**self._address())

    def _part(self, number: int) -> dict[str, Any]:
        if number > MAX_PARTS:
            raise BatchdropError(f"{self.key}: S3 takes no more than {MAX_PARTS:,} parts for one object")
        return {**self._address(), "PartNumber": number}

    def _address(self) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": self.id}

    @contextmanager
    def _open(self) -> Iterator[None]:
        try:
            with throttling():
                yield
        except ClientError as error:
            if code_of(error) == "NoSuchUpload":
                raise Incomplete(f"{self.key}: the upload was completed by another invocation, or aborted") from error
            raise


class S3Writer:
    """A body below one part is one PUT; anything longer is a multipart upload, begun with its first part."""

    def __init__(self, target: _Target, part_bytes: int) -> None:
        self._target = target
        self._part_bytes = part_bytes
        self._buffer = io.BytesIO()
        self._upload: _Upload | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self._open = True
        self._created = False

    def write(self, data: bytes | memoryview) -> None:
        if not self._open:
            raise ValueError(f"{self._target.key}: the writer is closed")
        rest = memoryview(data)
        while rest:
            room = self._part_bytes - self._buffer.tell()
            self._buffer.write(rest[:room])
            rest = rest[room:]
            if self._buffer.tell() == self._part_bytes:
                self._flush()

    def close(self) -> bool:
        """Called again, it answers as it did the first time."""
        if not self._open:
            return self._created
        if (upload := self._upload) is None:
            self._created = self._target.put(self._buffer.getvalue())
        else:
            self._flush()
            self._created = self._target.complete(upload, self._parts)
            if not self._created:
                self.abort()
        self._forget()
        return self._created

    def abort(self) -> None:
        """Trouble while aborting is left to the bucket's lifecycle rule: it must not hide what led here."""
        if self._open and self._upload is not None:
            with suppress(ClientError, Throttled, *NO_ANSWER):
                self._upload.abort()
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._leave()
            return
        try:
            self.close()
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        """After an exception."""
        self.abort()

    def _forget(self) -> None:
        self._open = False
        self._buffer = io.BytesIO()

    def _flush(self) -> None:
        if not self._buffer.tell():
            return
        if self._upload is None:
            self._upload = self._target.begin()
        self._parts.append(self._upload.put(len(self._parts) + 1, self._buffer))
        self._buffer.seek(0)
        self._buffer.truncate()


class S3ResumedWriter(S3Writer):
    """A writer whose upload outlives the invocation. S3 itself remembers which parts it has.

    `there`: the size of the object, if it is complete. `upto`: parts beyond so many bytes are written again.
    """

    def __init__(self, target: _Target, part_bytes: int, there: int | None = None, upto: int | None = None) -> None:
        super().__init__(target, part_bytes)
        self._there = there
        self._upto = upto
        self._open = there is None
        if self._open:
            self._find_parts()
        else:
            target.abandon()

    @property
    def complete(self) -> bool:
        return self._there is not None

    @property
    def stored(self) -> int:
        return len(self._parts) * self._part_bytes if self._there is None else self._there

    def suspend(self) -> bytes:
        rest = self._buffer.getvalue()
        self._forget()
        return rest

    def close(self) -> bool:
        if self._open:
            super().close()
            self._target.abandon()
        return self._created

    def _leave(self) -> None:
        self.suspend()

    def _find_parts(self) -> None:
        """Whole parts from the first one on. The rest is written again, with the same bytes."""
        self._upload = self._target.begun()
        if self._upload is not None:
            whole = {number: part for number, size, part in self._upload.parts() if size == self._part_bytes}
            while (part := whole.get(len(self._parts) + 1)) is not None and self._is_kept(len(self._parts) + 1):
                self._parts.append(part)

    def _is_kept(self, parts: int) -> bool:
        return self._upto is None or parts * self._part_bytes <= self._upto


class _Body(io.RawIOBase):
    """The bytes of one version, through as many connections as it takes."""

    def __init__(self, client: S3Client, ref: ObjectRef, start: int, end: int | None) -> None:
        super().__init__()
        self._client = client
        self._ref = ref
        self._position = start
        self._end = end
        self._body: Any = None
        self._ahead = 0
        self._fruitless = 0
        if end is None or start < end:
            self._open_first()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        while self._end is not None and self._position < self._end:
            if chunk := self._chunk(min(len(view), self._end - self._position)):
                view[: len(chunk)] = chunk
                self._position += len(chunk)
                self._fruitless = 0
                return len(chunk)
        return 0

    def close(self) -> None:
        self._drop()
        super().close()

    def _chunk(self, size: int) -> bytes:
        """Empty when the connection broke: the next call opens another."""
        trouble: Exception | None = None
        try:
            if self._body is None:
                self._connect(self._get(self._position, self._end))
            self._skip_ahead()
            if chunk := cast("bytes", self._body.read(size)):
                return chunk
        except (*NO_ANSWER, IncompleteReadError, OSError, EOFError) as error:
            trouble = error
        self._drop()
        self._fruitless += 1
        if self._fruitless > _FRUITLESS_REOPENINGS:
            raise Incomplete(f"{self._ref.key} broke off at byte {self._position} of {self._end}") from trouble
        return b""

    def _open_first(self) -> None:
        asked = self._end
        try:
            with throttling():
                answer = self._get(self._position, asked)
        except ClientError as error:
            if status_of(error) == 416 and asked is None:
                self._end = self._position
                return
            raise
        available = self._connect(answer)
        self._end = available if asked is None else min(asked, available)
        # From here on only this version will do.
        self._ref = ObjectRef(
            bucket=self._ref.bucket,
            key=self._ref.key,
            version_id=self._ref.version_id or _real_version(answer.get("VersionId")),
            etag=_bare(answer["ETag"]),
            size=self._ref.size,
        )
        if asked is not None and available < asked:
            self._drop()
            raise Incomplete(f"{self._ref.key} ends at byte {self._end}, not at {asked}")

    def _connect(self, answer: GetObjectOutputTypeDef) -> int:
        """Returns where in the object the answer ends.

        A server may answer a ranged request with everything (RFC 9110, 14.2). S3 does not; an emulator does for old versions.
        """
        is_partial = "ContentRange" in answer
        self._body = answer["Body"]
        self._ahead = 0 if is_partial else self._position
        return answer["ContentLength"] + (self._position if is_partial else 0)

    def _skip_ahead(self) -> None:
        while self._ahead:
            skipped = len(self._body.read(min(READ_BYTES, self._ahead)))
            if not skipped:
                raise EOFError
            self._ahead -= skipped

    def _get(self, start: int, end: int | None) -> GetObjectOutputTypeDef:
        options = _version(self._ref.version_id)
        if self._ref.etag:
            options["IfMatch"] = _quoted(self._ref.etag)
        if start or end is not None:
            options["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        with _reading(self._ref.key):
            return self._client.get_object(Bucket=self._ref.bucket, Key=self._ref.key, **options)

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


def _reader(client: S3Client, ref: ObjectRef, start: int, end: int | None) -> io.BufferedReader:
    return io.BufferedReader(_Body(client, ref, start, end), READ_BYTES)


def _uploads(client: S3Client, bucket: str, prefix: str) -> Iterator[_Upload]:
    """Those in progress, by key; of one key the oldest first."""
    with throttling():
        pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
        found = [upload for page in pages for upload in page.get("Uploads", ())]
    for upload in sorted(found, key=lambda one: (one["Key"], one["Initiated"], one["UploadId"])):
        yield _Upload(client, bucket, upload["Key"], upload["UploadId"])


def _completed(number: int, answer: Any) -> CompletedPartTypeDef:  # noqa: ANN401 - what S3 says of a part, in three shapes
    """The checksum goes back to S3 with the part, where S3 told one."""
    part: CompletedPartTypeDef = {"ETag": answer["ETag"], "PartNumber": number}
    if checksum := answer.get("ChecksumCRC32"):
        part["ChecksumCRC32"] = checksum
    return part


@contextmanager
def _answers(key: str) -> Iterator[None]:
    """Gives S3's definite "not there (any more)" its name."""
    try:
        with throttling():
            yield
    except ClientError as error:
        if status_of(error) in _GONE_STATUS and code_of(error) not in _NOT_THE_OBJECT:
            raise ObjectGone(f"{key}: {code_of(error)}") from error
        raise


@contextmanager
def _reading(key: str) -> Iterator[None]:
    """As `_answers`, and gives a name to S3's refusal to hand an object out that is there."""
    try:
        with _answers(key):
            yield
    except ClientError as error:
        if status_of(error) in _REFUSED_STATUS and code_of(error) not in _NOT_OF_THE_OBJECT:
            raise Forbidden(f"{key}: {code_of(error)}", code=code_of(error)) from error
        raise


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OutOfDisk(str(error)) from error
        raise


def _version(version_id: str | None) -> dict[str, Any]:
    return {"VersionId": version_id} if version_id else {}


def _real_version(version_id: str | None) -> str | None:
    """S3 calls the version of an object without one `null`."""
    return None if version_id == "null" else version_id


def _bare(etag: str) -> str:
    """As in S3's events: without the quotes that HTTP puts around it."""
    return etag.strip('"')


def _quoted(etag: str) -> str:
    return f'"{_bare(etag)}"'
