"""The bucket: reads that survive a broken connection, writes that stream, and copies that never leave S3.

Limits of parts: Amazon S3 user guide, "Amazon S3 multipart upload limits".
"""

from __future__ import annotations

import errno
import io
import shutil
import time
from collections.abc import Buffer, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from botocore.exceptions import ClientError, IncompleteReadError

from batchdrop.adapters.aws import NO_ANSWER, code_of, status_of, throttling
from batchdrop.domain.errors import BatchdropError, Incomplete, ObjectGone, OutOfDisk, Throttled
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import ObjectInfo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, GetObjectOutputTypeDef

MIB = 1024 * 1024
PART_BYTES = 16 * MIB
"""What the writer holds, as a file in memory: of bytes botocore would hold a second copy while it sends. 10,000 are 156 GiB."""
MIN_PART_BYTES = 5 * MIB
"""Every part but the last has at least this many bytes."""
MAX_PART_BYTES = 5 * 1024 * MIB
MAX_PARTS = 10_000
READ_BYTES = 256 * 1024
# Reopenings in a row that brought not one byte.
_FRUITLESS_REOPENINGS = 5
# S3 asks for another try when two conditional writes of a key meet.
_CONFLICT_TRIES = 6
_CONFLICT_PAUSE = 0.2
# 405: a delete marker. 412: If-Match failed, another version lies there now.
_GONE_STATUS = frozenset({404, 405, 412})
_NOT_THE_OBJECT = frozenset({"NoSuchBucket", "NoSuchUpload"})
# One algorithm throughout: S3 refuses parts whose checksum differs in kind from what the upload announced.
_CHECKSUM: dict[str, Any] = {"ChecksumAlgorithm": "CRC32"}


class S3Objects:
    """`sleep` is used between tries of a conditional write that met another, at most a few seconds in all."""

    def __init__(
        self, client: S3Client, bucket: str, *, part_bytes: int = PART_BYTES, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._part_bytes = part_bytes
        self._sleep = sleep

    def head(self, key: str, version_id: str | None = None) -> ObjectInfo:
        with _answers(key):
            found = self._client.head_object(Bucket=self._bucket, Key=key, **_version(version_id))
        ref = ObjectRef(
            bucket=self._bucket,
            key=key,
            version_id=_real_version(found.get("VersionId")),
            etag=_bare(found["ETag"]),
            size=found["ContentLength"],
        )
        metadata = {name.lower(): text for name, text in found["Metadata"].items()}
        return ObjectInfo(ref=ref, written_at=found["LastModified"].astimezone(UTC), metadata=metadata)

    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> io.BufferedReader:
        return _reader(self._client, ref, start, end)

    def get(self, key: str) -> bytes:
        with self.read(self._newest(key)) as body:
            return body.read()

    def put(self, key: str, body: bytes, *, content_type: str = "application/json", once: bool = False) -> bool:
        return self._target(key, content_type, once=once).put(body)

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

    def delete(self, key: str) -> None:
        with throttling():
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _newest(self, key: str) -> ObjectRef:
        """No version and no ETag: the first answer decides which version is read."""
        return ObjectRef(bucket=self._bucket, key=key)

    def _target(self, key: str, content_type: str, *, once: bool) -> _Target:
        return _Target(self._client, self._bucket, key, content_type, once, self._sleep)


class _Target(NamedTuple):
    """Where one object goes, and how the write of it is decided."""

    client: S3Client
    bucket: str
    key: str
    content_type: str
    once: bool
    sleep: Callable[[float], None]

    def put(self, body: bytes | bytearray) -> bool:
        content: Any = body
        return self.settle(
            lambda: self.client.put_object(
                Bucket=self.bucket, Key=self.key, Body=content, ContentType=self.content_type, **_CHECKSUM, **self.unless_there()
            )
        )

    def settle(self, attempt: Callable[[], object]) -> bool:
        """Makes a conditional write until it is decided. False: there was an object, and it was kept."""
        for _ in range(_CONFLICT_TRIES):
            try:
                with throttling():
                    attempt()
            except ClientError as error:
                if self.once and status_of(error) == 412:
                    return False
                if status_of(error) != 409:
                    raise
                self.sleep(_CONFLICT_PAUSE)
                continue
            return True
        raise Throttled(f"{self.key}: other writers kept coming in between")

    def unless_there(self) -> dict[str, Any]:
        return {"IfNoneMatch": "*"} if self.once else {}


class S3Writer:
    """A body below one part is one PUT; anything longer is a multipart upload, begun with its first part."""

    def __init__(self, target: _Target, part_bytes: int) -> None:
        self._target = target
        self._part_bytes = part_bytes
        self._buffer = io.BytesIO()
        self._upload_id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self._open = True
        self._created = False

    def write(self, data: bytes | memoryview) -> None:
        self._check_open()
        rest = memoryview(data)
        while rest:
            room = self._part_bytes - self._buffer.tell()
            self._buffer.write(rest[:room])
            rest = rest[room:]
            if self._buffer.tell() == self._part_bytes:
                self._flush()

    def copy(self, source: ObjectRef, start: int, end: int) -> None:
        """What is too short for a part passes through the buffer; the rest never leaves S3."""
        self._check_open()
        # A buffer that is too short for a part is filled up with the first bytes of the range.
        held = self._buffer.tell()
        filling = max(0, MIN_PART_BYTES - held) if held else 0
        if end - start - filling < MIN_PART_BYTES:
            self._pass_through(source, start, end)
            return
        self._pass_through(source, start, start + filling)
        self._flush()
        for piece_start, piece_end in _pieces(start + filling, end):
            self._copy_part(source, piece_start, piece_end)

    def close(self) -> bool:
        """Called again, it answers as it did the first time."""
        if not self._open:
            return self._created
        if self._upload_id is None:
            self._created = self._target.put(self._buffer.getvalue())
        else:
            self._flush()
            self._created = self._target.settle(self._complete)
            if not self._created:
                self.abort()
        self._forget()
        return self._created

    def abort(self) -> None:
        """Trouble while aborting is left to the bucket's lifecycle rule: it must not hide what led here."""
        if self._open and self._upload_id is not None:
            with suppress(ClientError, *NO_ANSWER):
                self._target.client.abort_multipart_upload(**self._address())
        self._forget()

    def __enter__(self) -> S3Writer:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self.abort()
            return
        try:
            self.close()
        except BaseException:
            self.abort()
            raise

    def _forget(self) -> None:
        self._open = False
        self._buffer = io.BytesIO()

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError(f"{self._target.key}: the writer is closed")

    def _pass_through(self, source: ObjectRef, start: int, end: int) -> None:
        if start == end:
            return
        with _reader(self._target.client, source, start, end) as body:
            while chunk := body.read(READ_BYTES):
                self.write(chunk)

    def _flush(self) -> None:
        if not self._buffer.tell():
            return
        self._buffer.seek(0)
        with throttling():
            done = self._target.client.upload_part(**self._next_part(), Body=self._buffer, **_CHECKSUM)
        self._remember(done["ETag"], done.get("ChecksumCRC32"))
        self._buffer.seek(0)
        self._buffer.truncate()

    def _copy_part(self, source: ObjectRef, start: int, end: int) -> None:
        origin: Any = {"Bucket": source.bucket, "Key": source.key, **_version(source.version_id)}
        pinned: dict[str, Any] = {"CopySourceIfMatch": _quoted(source.etag)} if source.etag else {}
        with _answers(source.key):
            done = self._target.client.upload_part_copy(
                **self._next_part(), CopySource=origin, CopySourceRange=f"bytes={start}-{end - 1}", **pinned
            )["CopyPartResult"]
        self._remember(done["ETag"], done.get("ChecksumCRC32"))

    def _next_part(self) -> dict[str, Any]:
        number = len(self._parts) + 1
        if number > MAX_PARTS:
            raise BatchdropError(f"{self._target.key}: S3 takes no more than {MAX_PARTS:,} parts for one object")
        return {**self._address(), "PartNumber": number}

    def _remember(self, etag: str, checksum: str | None) -> None:
        """The checksum goes back to S3 with the part, where S3 told one."""
        part: CompletedPartTypeDef = {"ETag": etag, "PartNumber": len(self._parts) + 1}
        if checksum:
            part["ChecksumCRC32"] = checksum
        self._parts.append(part)

    def _address(self) -> dict[str, Any]:
        if self._upload_id is None:
            with throttling():
                self._upload_id = self._target.client.create_multipart_upload(
                    Bucket=self._target.bucket, Key=self._target.key, ContentType=self._target.content_type, **_CHECKSUM
                )["UploadId"]
        return {"Bucket": self._target.bucket, "Key": self._target.key, "UploadId": self._upload_id}

    def _complete(self) -> None:
        self._target.client.complete_multipart_upload(
            **self._address(), MultipartUpload={"Parts": self._parts}, **self._target.unless_there()
        )


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
        with _answers(self._ref.key):
            return self._client.get_object(Bucket=self._ref.bucket, Key=self._ref.key, **options)

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


def _reader(client: S3Client, ref: ObjectRef, start: int, end: int | None) -> io.BufferedReader:
    return io.BufferedReader(_Body(client, ref, start, end), READ_BYTES)


def _pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cuts a range into parts that S3 copies; none is too short."""
    while end - start > MAX_PART_BYTES:
        cut = start + MAX_PART_BYTES
        if end - cut < MIN_PART_BYTES:
            cut = end - MIN_PART_BYTES
        yield start, cut
        start = cut
    yield start, end


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
