"""Reads of S3 on connections that break."""

from __future__ import annotations

import io
from typing import Any, cast

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain.errors import Forbidden, Incomplete, ObjectGone, Throttled
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import ObjectInfo
from tests.fakes.clock import START

CONTENT = bytes(range(256)) * 8


class Breaking(io.BytesIO):
    """A body that ends with an exception, or simply ends, after so many bytes."""

    def __init__(self, content: bytes, good: int, error: Exception | None) -> None:
        super().__init__(content[:good])
        self._error = error if good < len(content) else None

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size)
        if not chunk and self._error:
            raise self._error
        return chunk


class FakeS3:
    """One object whose connections each bring `good` bytes. `ranges=False`: a server that always answers with everything."""

    def __init__(self, good: int, error: Exception | None = None, *, ranges: bool = True) -> None:
        self.good = good
        self.error = error
        self.ranges = ranges
        self.asked: list[dict[str, Any]] = []
        self.refuse: ClientError | Exception | None = None

    def get_object(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if self.refuse is not None and len(self.asked) > 1:
            raise self.refuse
        start, end = 0, len(CONTENT)
        answer: dict[str, Any] = {"ETag": '"etag"', "VersionId": "v1"}
        if self.ranges and "Range" in asked:
            first, _, last = asked["Range"].removeprefix("bytes=").partition("-")
            start, end = int(first), int(last) + 1 if last else end
            answer["ContentRange"] = f"bytes {start}-{end - 1}/{len(CONTENT)}"
        return answer | {"ContentLength": end - start, "Body": Breaking(CONTENT[start:end], self.good, self.error)}


REF = ObjectRef(bucket="bucket", key="key", etag="etag")


def read(s3: FakeS3, start: int = 0, end: int | None = None) -> bytes:
    with S3Objects(cast("Any", s3), "bucket").read(REF, start, end) as body:
        return body.read()


def refusal(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": cast("Any", {"HTTPStatusCode": status})}, "GetObject")


@pytest.mark.parametrize(
    "error",
    [
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ReadTimeoutError(endpoint_url="here"),
        ResponseStreamingError(error="IncompleteRead"),
        ConnectionResetError(),
        None,
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(("start", "end"), [(0, None), (0, 2000), (100, 1900), (5, None)])
def test_a_broken_read_goes_on_where_it_was(error: Exception | None, start: int, end: int | None) -> None:
    s3 = FakeS3(300, error)
    assert read(s3, start, end) == CONTENT[start:end]
    last = (end or len(CONTENT)) - 1
    assert len(s3.asked) == -(-(last + 1 - start) // 300)
    assert s3.asked[2] == {
        "Bucket": "bucket",
        "Key": "key",
        "VersionId": "v1",
        "IfMatch": '"etag"',
        "Range": f"bytes={start + 600}-{last}",
    }


def test_a_server_that_ignores_ranges_is_read_past() -> None:
    assert read(FakeS3(len(CONTENT), ranges=False), 100, 1900) == CONTENT[100:1900]


def test_a_server_that_ignores_ranges_and_breaks_off_comes_to_an_end() -> None:
    with pytest.raises(Incomplete, match="byte 1200 of 1900"):
        read(FakeS3(1200, ConnectionResetError(), ranges=False), 100, 1900)


def test_connections_that_bring_nothing_come_to_an_end() -> None:
    s3 = FakeS3(0, ConnectionResetError())
    with pytest.raises(Incomplete, match="byte 0 of 2048"):
        read(s3)
    assert len(s3.asked) == 6


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        (refusal(412, "PreconditionFailed"), ObjectGone),
        (refusal(404, "NoSuchVersion"), ObjectGone),
        (refusal(503, "SlowDown"), Throttled),
        (refusal(500, "InternalError"), Throttled),
        (refusal(403, "AccessDenied"), Forbidden),
        (refusal(403, "InvalidObjectState"), Forbidden),
        (refusal(400, "KMS.DisabledException"), Forbidden),
        (refusal(400, "ExpiredToken"), ClientError),
        (refusal(403, "RequestTimeTooSkewed"), ClientError),
        (EndpointConnectionError(endpoint_url="here"), Throttled),
    ],
    ids=["changed", "gone", "slow down", "internal error", "denied", "archived", "no key", "expired", "skewed", "no connection"],
)
def test_a_reopening_that_is_refused(refused: Exception, expected: type[Exception]) -> None:
    s3 = FakeS3(300, ConnectionResetError())
    s3.refuse = refused
    with pytest.raises(expected):
        read(s3)


class FakeHead:
    def __init__(self, answer: dict[str, Any] | ClientError) -> None:
        self._answer = answer

    def head_object(self, **_: Any) -> dict[str, Any]:
        if isinstance(self._answer, ClientError):
            raise self._answer
        return self._answer


def head(answer: dict[str, Any] | ClientError) -> ObjectInfo:
    return S3Objects(cast("Any", FakeHead(answer)), "bucket").head("inbox/a.jsonl")


def test_a_head_names_storage_class_and_key() -> None:
    usual = {"ETag": '"e"', "ContentLength": 1, "LastModified": START, "Metadata": {}}
    assert (head(usual).storage_class, head(usual).kms_key) == ("", "")
    special = head(usual | {"StorageClass": "GLACIER", "SSEKMSKeyId": "arn:aws:kms:eu-central-1:111122223333:key/k"})
    assert (special.storage_class, special.kms_key) == ("GLACIER", "arn:aws:kms:eu-central-1:111122223333:key/k")


@pytest.mark.parametrize("status", [400, 403])
def test_a_head_that_is_refused_has_no_words(status: int) -> None:
    with pytest.raises(Forbidden) as caught:
        head(refusal(status, str(status)))
    assert caught.value.code == str(status)


class ConflictedS3:
    """Results the first conditional writes with 409, then as told."""

    def __init__(self, conflicts: int, then: Exception | None) -> None:
        self.conflicts = conflicts
        self.then = then

    def put_object(self, **_: Any) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise refusal(409, "ConditionalRequestConflict")
        if self.then:
            raise self.then


@pytest.mark.parametrize(("then", "created"), [(None, True), (refusal(412, "PreconditionFailed"), False)], ids=["won", "lost"])
def test_conflicting_writers_try_again_until_one_has_won(then: Exception | None, created: bool) -> None:
    slept: list[float] = []
    objects = S3Objects(cast("Any", ConflictedS3(2, then)), "bucket", sleep=slept.append)
    assert objects.put("key", b"", once=True) is created
    assert len(slept) == 2


class ConflictedUploads:
    """The first upload cannot be completed: another one was, of the same object."""

    def __init__(self) -> None:
        self.aborted: list[str] = []
        self.completed: list[str] = []
        self._begun = 0

    def create_multipart_upload(self, **_: Any) -> dict[str, str]:
        self._begun += 1
        return {"UploadId": f"upload {self._begun}"}

    def upload_part(self, PartNumber: int, **_: Any) -> dict[str, str]:
        return {"ETag": f"part {PartNumber}"}

    def complete_multipart_upload(self, UploadId: str, **_: Any) -> None:
        if UploadId == "upload 1":
            raise refusal(409, "ConditionalRequestConflict")
        self.completed.append(UploadId)

    def abort_multipart_upload(self, UploadId: str, **_: Any) -> None:
        self.aborted.append(UploadId)


def test_an_upload_in_a_conflict_is_not_completed_again() -> None:
    """Amazon S3, "CompleteMultipartUpload": after a 409, all is to be uploaded again."""
    s3 = ConflictedUploads()
    objects = S3Objects(cast("Any", s3), "bucket", part_bytes=5_000_000)
    body = bytes(6_000_000)
    with pytest.raises(Throttled), objects.writer("key", once=True) as out:
        out.write(body)
    assert (set(s3.aborted), s3.completed) == ({"upload 1"}, [])
    with objects.writer("key", once=True) as out:
        out.write(body)
    assert s3.completed == ["upload 2"]


def test_conflicting_writers_do_not_try_for_ever() -> None:
    slept: list[float] = []
    objects = S3Objects(cast("Any", ConflictedS3(99, None)), "bucket", sleep=slept.append)
    with pytest.raises(Throttled):
        objects.put("key", b"", once=True)
    assert len(slept) == 6
