"""What every bucket owes its callers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from batchdrop.adapters.s3 import MIB, MIN_PART_BYTES, S3Objects
from batchdrop.domain.errors import Incomplete, ObjectGone
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import Objects
from tests.fakes import FakeObjects, ManualClock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = ["a", "inbox/a+b c%20d.jsonl", "inbox/Grüße/日本 🎉.jsonl", 'inbox/"it\'s" & <so>=?#.jsonl', "inbox/" + "é" * 509]
# Five parts of the least size and a bit, of bytes that repeat nowhere near.
LONG = b"".join(hashlib.sha256(number.to_bytes(4)).digest() for number in range((5 * MIN_PART_BYTES + 3232) // 32))


@pytest.fixture(params=["s3", "fake", "bench_s3"])
def objects(request: pytest.FixtureRequest, clock: ManualClock) -> Objects:
    if request.param == "fake":
        return FakeObjects(clock)
    return S3Objects(request.getfixturevalue(request.param), "bucket", part_bytes=MIN_PART_BYTES, sleep=clock.sleep)


@pytest.fixture
def long(objects: Objects) -> ObjectRef:
    with objects.writer("long") as out:
        out.write(LONG)
    return objects.head("long").ref


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_any_key_goes_there_and_back(objects: Objects, key: str) -> None:
    assert objects.put(key, b"body")
    found = objects.head(key)
    assert (found.ref.key, found.ref.bucket, found.ref.size) == (key, "bucket", 4)
    assert found.written_at.tzinfo is UTC
    assert objects.get(key) == b"body"
    with objects.read(found.ref) as body:
        assert body.read() == b"body"


@pytest.mark.parametrize(
    "ask",
    [
        lambda objects: objects.head("nothing"),
        lambda objects: objects.get("nothing"),
        lambda objects: objects.get_file("nothing", Path("/nowhere")),
        lambda objects: objects.read(ObjectRef(bucket="bucket", key="nothing")),
        lambda objects: objects.read(ObjectRef(bucket="bucket", key="nothing"), 3, 5),
    ],
)
def test_what_is_not_there_is_gone(objects: Objects, ask: Callable[[Objects], object]) -> None:
    with pytest.raises(ObjectGone):
        ask(objects)


def test_an_old_version_stays_readable(objects: Objects) -> None:
    objects.put("key", b"first")
    first = objects.head("key").ref
    objects.put("key", b"second")
    assert first.version_id is not None
    assert objects.head("key", first.version_id).ref == first
    with objects.read(first, 1) as body:
        assert body.read() == b"irst"
    assert objects.get("key") == b"second"


def test_another_etag_is_gone(objects: Objects) -> None:
    objects.put("key", b"first")
    ref = replace(objects.head("key").ref, version_id=None)
    objects.put("key", b"second")
    with pytest.raises(ObjectGone):
        objects.read(ref)


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(objects: Objects) -> None:
    objects.put("key", b"body")
    objects.delete("key")
    objects.delete("key")
    objects.delete("never")
    with pytest.raises(ObjectGone):
        objects.head("key")
    assert objects.put("key", b"new", once=True)


@pytest.mark.parametrize(("start", "end"), [(0, None), (0, 10), (3, 7), (9, 10), (4, None), (10, None), (5, 5)])
def test_ranges(objects: Objects, start: int, end: int | None) -> None:
    objects.put("key", b"0123456789")
    with objects.read(objects.head("key").ref, start, end) as body:
        assert body.read() == b"0123456789"[start:end]
        assert body.read(1) == b""


def test_a_range_past_the_end_is_incomplete(objects: Objects) -> None:
    objects.put("key", b"0123456789")
    with pytest.raises(Incomplete):
        objects.read(objects.head("key").ref, 5, 11)


def test_an_empty_object(objects: Objects) -> None:
    objects.put("key", b"")
    assert objects.get("key") == b""
    with objects.read(objects.head("key").ref) as body:
        assert body.readline() == b""


def test_put_once_keeps_what_is_there(objects: Objects) -> None:
    assert objects.put("key", b"first", once=True)
    assert not objects.put("key", b"second", once=True)
    assert objects.get("key") == b"first"
    assert objects.put("key", b"third")
    assert objects.get("key") == b"third"


@pytest.mark.parametrize("size", [0, 1, MIN_PART_BYTES - 1, MIN_PART_BYTES, MIN_PART_BYTES + 1, 2 * MIN_PART_BYTES])
def test_a_written_stream_arrives_whole(objects: Objects, size: int) -> None:
    with objects.writer("key") as out:
        for start in range(0, size, MIB):
            out.write(memoryview(LONG)[start : min(size, start + MIB)])
    assert objects.get("key") == LONG[:size]


@pytest.mark.parametrize("size", [3, MIN_PART_BYTES + 3])
def test_a_writer_once_keeps_what_is_there(objects: Objects, size: int) -> None:
    first, second = (objects.writer("key", once=True) for _ in range(2))
    first.write(LONG[:size])
    second.write(b"x" * size)
    assert first.close()
    assert not second.close()
    assert (first.close(), second.close()) == (True, False)
    assert objects.get("key") == LONG[:size]


@pytest.mark.parametrize("size", [3, MIN_PART_BYTES + 3])
def test_nothing_is_visible_after_an_exception(objects: Objects, size: int) -> None:
    def fail() -> None:
        with objects.writer("key") as out:
            out.write(LONG[:size])
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    with pytest.raises(ObjectGone):
        objects.head("key")


def test_nothing_is_written_to_a_closed_writer(objects: Objects) -> None:
    out = objects.writer("key")
    out.abort()
    with pytest.raises(ValueError, match="closed"):
        out.write(b"late")
    assert not out.close()


@pytest.mark.parametrize("before", [0, 3, MIN_PART_BYTES - 1, MIN_PART_BYTES, MIN_PART_BYTES + 3])
@pytest.mark.parametrize("length", [0, 5, MIN_PART_BYTES - 1, MIN_PART_BYTES, 2 * MIN_PART_BYTES - 4, len(LONG) - 7])
def test_copies_join_with_what_is_written(objects: Objects, long: ObjectRef, before: int, length: int) -> None:
    with objects.writer("joined") as out:
        out.write(LONG[:before])
        out.copy(long, 7, 7 + length)
        out.write(b"tail")
    assert objects.get("joined") == LONG[:before] + LONG[7 : 7 + length] + b"tail"


def test_small_copies_one_after_another(objects: Objects, long: ObjectRef) -> None:
    step = MIN_PART_BYTES // 2 - 11
    cuts = list(range(0, len(LONG), step))
    with objects.writer("joined") as out:
        for start in cuts:
            out.copy(long, start, min(len(LONG), start + step))
    assert objects.get("joined") == LONG


@pytest.mark.parametrize("length", [5, 2 * MIN_PART_BYTES])
def test_a_copy_of_what_is_not_there_is_gone(objects: Objects, long: ObjectRef, length: int) -> None:
    out = objects.writer("joined")
    with pytest.raises(ObjectGone):
        out.copy(replace(long, key="gone"), 0, length)
    out.abort()


def test_files_go_there_and_back(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(LONG)
    objects.put_file("key", tmp_path / "from")
    objects.get_file("key", tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == LONG


# ---------------------------------------------------------------- what only S3 tells


def test_the_etag_of_a_put_is_its_md5(s3: S3Client, clock: ManualClock) -> None:
    both: list[Objects] = [S3Objects(s3, "bucket"), FakeObjects(clock)]
    for objects in both:
        objects.put("key", b"body")
        assert objects.head("key").ref.etag == hashlib.md5(b"body", usedforsecurity=False).hexdigest()


def test_metadata_content_type_and_time(s3: S3Client) -> None:
    objects = S3Objects(s3, "bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"", Metadata={"Batchdrop-Priority": "1"})
    found = objects.head("key")
    assert found.metadata == {"batchdrop-priority": "1"}
    assert found.written_at <= datetime.now(UTC)
    objects.put("key", b"", content_type="text/html")
    assert s3.head_object(Bucket="bucket", Key="key")["ContentType"] == "text/html"
    with objects.writer("parts", content_type="application/jsonl") as out:
        out.write(LONG)
    assert s3.head_object(Bucket="bucket", Key="parts")["ContentType"] == "application/jsonl"


def test_no_upload_is_left_behind(s3: S3Client) -> None:
    objects = S3Objects(s3, "bucket", part_bytes=MIN_PART_BYTES)
    with objects.writer("key", once=True) as out:
        out.write(LONG)
    second = objects.writer("key", once=True)
    second.write(LONG)
    assert not second.close()
    third = objects.writer("key")
    third.write(LONG)
    third.abort()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")


def test_a_long_range_is_copied_without_reading_it(s3: S3Client) -> None:
    objects = S3Objects(s3, "bucket", part_bytes=MIN_PART_BYTES)
    with objects.writer("long") as out:
        out.write(LONG)
    ref = objects.head("long").ref
    read: list[str] = []
    s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: read.append(params["Range"]))
    copied: list[dict[str, Any]] = []
    s3.meta.events.register("provide-client-params.s3.UploadPartCopy", lambda params, **_: copied.append(params))
    with objects.writer("joined") as out:
        out.write(b"abc")
        out.copy(ref, 0, len(LONG))
    (copy,) = copied
    assert copy["CopySourceIfMatch"] == f'"{ref.etag}"'
    assert copy["CopySource"] == f"bucket/long?versionId={ref.version_id}"
    assert read == [f"bytes=0-{MIN_PART_BYTES - 4}"]
