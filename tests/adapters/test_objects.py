"""What every bucket owes its callers."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from batchdrop.adapters.part_plan import MIB, MIN_PART_BYTES
from batchdrop.adapters.s3 import ONE_DAY, S3Objects
from batchdrop.domain import keys
from batchdrop.domain.errors import BatchdropError, Incomplete, ObjectGone, Throttled
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


def test_what_was_read_is_replaced_by_one_of_two(objects: Objects) -> None:
    objects.put("key", b"first")
    was = objects.head("key").ref
    assert objects.overwrite(was, b"second", content_type="text/html; charset=utf-8")
    assert not objects.overwrite(was, b"third")
    assert objects.get("key") == b"second"
    assert objects.overwrite(replace(objects.head("key").ref, version_id=None), b"third")
    assert objects.get("key") == b"third"


def test_what_is_kept_for_a_day_has_the_tag_of_the_buckets_rule(s3: S3Client) -> None:
    objects = S3Objects(s3, "bucket")

    def tags() -> str:
        found = s3.get_object_tagging(Bucket="bucket", Key="key")["TagSet"]
        return urlencode([(tag["Key"], tag["Value"]) for tag in found])

    objects.put("key", b"first", once=True, one_day=True)
    assert tags() == ONE_DAY
    assert objects.overwrite(objects.head("key").ref, b"second", one_day=True)
    assert tags() == ONE_DAY
    objects.put("key", b"third")
    assert tags() == ""


def test_what_was_deleted_is_not_replaced(objects: Objects) -> None:
    objects.put("key", b"first")
    was = objects.head("key").ref
    objects.delete("key")
    assert not objects.overwrite(was, b"second")
    with pytest.raises(ObjectGone):
        objects.head("key")


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


SIZES = [0, 3, 2 * MIN_PART_BYTES + 7, 11, MIN_PART_BYTES - 5, 4, MIN_PART_BYTES, 1, 0]
"""Of objects that are joined: too short for a part, as long as one, and longer."""


@pytest.fixture
def sources(objects: Objects) -> list[ObjectRef]:
    cuts = [sum(SIZES[:place]) for place in range(len(SIZES) + 1)]
    for start, end in pairwise(cuts):
        objects.put(f"piece {start}-{end}", LONG[start:end])
    return [ObjectRef(bucket="bucket", key=f"piece {start}-{end}", size=end - start) for start, end in pairwise(cuts)]


def test_objects_are_joined(objects: Objects, sources: list[ObjectRef]) -> None:
    assert objects.join("joined", sources, go_on=lambda: True) == sum(SIZES)
    assert objects.get("joined") == LONG[: sum(SIZES)]


def test_a_join_is_written_once(objects: Objects, sources: list[ObjectRef]) -> None:
    objects.put("joined", b"there")
    assert objects.join("joined", sources, go_on=lambda: True) == sum(SIZES)
    assert objects.get("joined") == b"there"


def test_a_join_goes_on_where_it_stopped(objects: Objects, sources: list[ObjectRef]) -> None:
    """However little is done each time, it ends; every call but the last leaves nothing to see."""
    done = [0]
    while done[-1] < sum(SIZES):
        with pytest.raises(ObjectGone):
            objects.head("joined")
        done.append(objects.join("joined", sources, go_on=_times(1)))
        assert done[-1] > done[-2]
    assert len(done) > 3
    assert objects.get("joined") == LONG[: sum(SIZES)]


def test_a_join_of_what_is_not_there_is_gone(objects: Objects, sources: list[ObjectRef]) -> None:
    for missing in (1, 2):
        objects.delete(sources[missing].key)
        with pytest.raises(ObjectGone):
            objects.join("joined", sources, go_on=lambda: True)


@pytest.mark.parametrize("size", [0, 1, MIN_PART_BYTES - 1, MIN_PART_BYTES, MIN_PART_BYTES + 1, 2 * MIN_PART_BYTES])
def test_a_resumed_write_arrives_whole(objects: Objects, size: int) -> None:
    """Each invocation writes one piece more than is stored, and is then suspended, or dies."""
    objects = _with_parts(objects)
    for leave in (lambda out: out.suspend(), lambda _: None) * 2:
        out = objects.resume("key")
        assert not out.complete
        assert out.stored <= size
        out.write(LONG[out.stored : min(size, out.stored + MIN_PART_BYTES)])
        leave(out)
    with objects.resume("key") as out:
        out.write(LONG[out.stored : size])
    assert objects.get("key") == LONG[:size]


@pytest.mark.parametrize("size", [1, MIN_PART_BYTES + 1])
def test_a_resumed_write_carries_its_metadata(objects: Objects, size: int) -> None:
    metadata = {"anthropic-beta": "one,two", "anthropic-version": "2023-06-01"}
    objects = _with_parts(objects)
    with objects.resume("key", metadata=metadata) as out:
        out.write(LONG[:size])
    assert objects.head("key").metadata == metadata


def test_what_is_stored_is_not_written_again(objects: Objects) -> None:
    objects = _with_parts(objects)
    for parts in (1, 2, 3):
        with objects.resume("key") as out:
            assert out.stored == (parts - 1) * MIN_PART_BYTES
            out.write(LONG[out.stored : parts * MIN_PART_BYTES])
            out.write(b"of the next part")
            assert out.stored == parts * MIN_PART_BYTES
            out.suspend()
    with pytest.raises(ObjectGone):
        objects.head("key")
    with objects.resume("key") as out:
        out.write(LONG[out.stored :])
    assert objects.get("key") == LONG


def test_a_complete_object_needs_no_writing(objects: Objects) -> None:
    objects.put("key", b"there")
    out = objects.resume("key")
    assert (out.complete, out.stored) == (True, 5)
    assert not out.close()
    assert objects.get("key") == b"there"


def test_an_exception_keeps_what_is_stored(objects: Objects) -> None:
    objects = _with_parts(objects)

    def fail() -> None:
        with objects.resume("key") as out:
            out.write(LONG[:MIN_PART_BYTES])
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert objects.resume("key").stored == MIN_PART_BYTES


def test_an_abandoned_write_begins_anew(objects: Objects) -> None:
    objects = _with_parts(objects)
    for key in ("folder/key", "folder/other", "elsewhere"):
        out = objects.resume(key)
        out.write(LONG[:MIN_PART_BYTES])
        out.suspend()
    objects.abandon("folder/")
    stored = [objects.resume(key).stored for key in ("folder/key", "folder/other", "elsewhere")]
    assert stored == [0, 0, MIN_PART_BYTES]


def test_two_invocations_at_once_write_one_object(objects: Objects) -> None:
    objects = _with_parts(objects)
    first = objects.resume("key")
    first.write(LONG[:MIN_PART_BYTES])
    second = objects.resume("key")
    first.write(LONG[MIN_PART_BYTES : 2 * MIN_PART_BYTES])
    second.write(LONG[second.stored : 3 * MIN_PART_BYTES])
    first.write(LONG[2 * MIN_PART_BYTES :])
    assert first.close()
    assert objects.get("key") == LONG
    assert objects.resume("key").complete


def _with_parts(objects: Objects) -> Objects:
    if isinstance(objects, FakeObjects):
        objects.part_bytes = MIN_PART_BYTES
    return objects


def _times(number: int) -> Callable[[], bool]:
    left = [True] * number
    return lambda: bool(left and left.pop())


def test_files_go_there_and_back(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(LONG)
    objects.put_file("key", tmp_path / "from")
    objects.get_file("key", tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == LONG


def test_folders_come_in_order_and_some_at_a_time(objects: Objects) -> None:
    for key in ("work/b/1", "work/a/1", "work/a/2/3", "work/a.b/1", "work/c", "work/d/1", "inbox/a/1"):
        objects.put(key, b"")
    assert objects.folders("work/", limit=10) == ["a.b", "a", "b", "d"]
    found: list[str] = []
    while more := objects.folders("work/", after=found[-1] if found else "", limit=1):
        found += more
    assert found == ["a.b", "a", "b", "d"]
    assert objects.folders("nothing/", limit=10) == []


def test_the_newest_versions_come_in_order_and_some_at_a_time(objects: Objects) -> None:
    for key in ("inbox/a/b.pdf", "inbox/a/ü +&<1.pdf", "inbox/a/B.pdf", "inbox/a/c/d.pdf", "inbox/ab.pdf", "inbox/a/gone.pdf"):
        objects.put(key, b"old")
    for _ in range(3):
        objects.put("inbox/a/b.pdf", b"newer")
    objects.delete("inbox/a/gone.pdf")
    names = ["inbox/a/B.pdf", "inbox/a/b.pdf", "inbox/a/c/d.pdf", "inbox/a/ü +&<1.pdf"]
    assert objects.newest("inbox/a/", limit=10) == [objects.head(name).ref for name in names]
    found: list[str] = []
    while more := objects.newest("inbox/a/", after=found[-1] if found else "", limit=3):
        found += [one.key for one in more]
    assert found == names
    assert objects.newest("inbox/nothing/", limit=10) == []


def test_what_is_removed_is_gone_with_all_versions(objects: Objects) -> None:
    for number in range(3):
        objects.put("work/a/ü +&<1", b"%d" % number)
    objects.put("work/a/2", b"")
    objects.put("work/ab", b"kept")
    first = objects.head("work/a/2").ref
    objects.delete("work/a/2")
    removed = objects.remove_all("work/a/", limit=3)
    assert removed == 3
    while removed := objects.remove_all("work/a/", limit=3):
        assert removed <= 3
    assert objects.folders("work/", limit=10) == []
    with pytest.raises(ObjectGone):
        objects.read(first)
    assert objects.get("work/ab") == b"kept"


def test_more_is_removed_than_one_call_can(objects: Objects) -> None:
    for number in range(1_003):
        objects.put(f"work/a/{number}", b"")
    assert objects.remove_all("work/a/", limit=5_000) == 1_003
    assert objects.remove_all("work/a/", limit=5_000) == 0


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


def test_a_file_of_a_job_is_saved_with_the_name_of_what_was_dropped(s3: S3Client) -> None:
    objects = S3Objects(s3, "bucket", part_bytes=MIN_PART_BYTES)
    folder = keys.outbox_folder('inbox/team/Grüße "q3"\r\n.csv', "20261122T003115Z-aaaaaaaaaaaaaaaa")
    objects.put(folder + "report.html", b"", content_type="text/html")
    with objects.writer(folder + "results.jsonl") as out:
        out.write(LONG)
    with objects.resume(folder + "results.csv") as resumed:
        resumed.write(LONG)
    objects.put("work/piece", LONG)
    assert objects.join(folder + "failed.jsonl", [objects.head("work/piece").ref], go_on=lambda: True) == len(LONG)

    def header(key: str) -> str | None:
        return s3.head_object(Bucket="bucket", Key=key).get("ContentDisposition")

    for name in ("report.html", "results.jsonl", "results.csv", "failed.jsonl"):
        how = "inline" if name == "report.html" else "attachment"
        encoded = f"Gr%C3%BC%C3%9Fe%20%22q3%22__.{name}"
        assert header(folder + name) == f"{how}; filename=\"Gr__e _q3___.{name}\"; filename*=UTF-8''{encoded}"
    assert header("work/piece") is None


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


def _in_progress(s3: S3Client) -> list[str]:
    return [upload["Key"] for upload in s3.list_multipart_uploads(Bucket="bucket").get("Uploads", [])]


def test_a_completed_write_leaves_no_other_upload_of_its_key(s3: S3Client) -> None:
    """Those of invocations that were killed before they could say so, and of one that ran beside."""
    objects = S3Objects(s3, "bucket", part_bytes=MIN_PART_BYTES)
    for key in ("key", "key", "joined", "key.other"):
        s3.create_multipart_upload(Bucket="bucket", Key=key)
    with objects.resume("key") as out:
        out.write(LONG)
    assert objects.get("key") == LONG
    ref = objects.head("key").ref
    objects.join("joined", [ref, ref], go_on=lambda: True)
    assert _in_progress(s3) == ["key.other"]
    s3.create_multipart_upload(Bucket="bucket", Key="key")
    s3.create_multipart_upload(Bucket="bucket", Key="joined")
    assert objects.resume("key").complete
    objects.join("joined", [ref, ref], go_on=lambda: True)
    assert _in_progress(s3) == ["key.other"]


def test_long_objects_are_joined_without_reading_them(s3: S3Client) -> None:
    objects = S3Objects(s3, "bucket", part_bytes=MIN_PART_BYTES)
    with objects.writer("long") as out:
        out.write(LONG)
    objects.put("short", b"abc")
    ref = objects.head("long").ref
    read: list[str] = []
    s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: read.append(params["Range"]))
    copied: list[dict[str, Any]] = []
    s3.meta.events.register("provide-client-params.s3.UploadPartCopy", lambda params, **_: copied.append(params))
    objects.join("joined", [ObjectRef(bucket="bucket", key="short", size=3), ref], go_on=lambda: True)
    (copy,) = copied
    assert copy["CopySourceIfMatch"] == f'"{ref.etag}"'
    assert copy["CopySource"] == f"bucket/long?versionId={ref.version_id}"
    assert read == ["bytes=0-2", f"bytes=0-{MIN_PART_BYTES - 4}"]


def test_the_parts_of_a_join_are_made_at_the_same_time(s3: S3Client) -> None:
    objects = S3Objects(s3, "bucket", part_bytes=MIN_PART_BYTES, connections=3)
    with objects.writer("long") as out:
        out.write(LONG)
    ref = objects.head("long").ref
    together = threading.Barrier(3, timeout=30)

    def wait(**_: object) -> None:
        together.wait()

    s3.meta.events.register("before-call.s3.UploadPartCopy", wait)
    assert objects.join("joined", [ref] * 3, go_on=lambda: True) == 3 * len(LONG)
    assert objects.get("joined") == 3 * LONG


@pytest.mark.parametrize(("code", "error"), [("SlowDown", Throttled), ("AccessDenied", BatchdropError)])
def test_a_version_that_could_not_be_removed_is_told(s3: S3Client, code: str, error: type[Exception]) -> None:
    objects = S3Objects(s3, "bucket")
    objects.put("work/a/1", b"")

    def refuse(**_: Any) -> tuple[Any, dict[str, Any]]:
        return SimpleNamespace(status_code=200), {"Errors": [{"Key": "work/a/1", "Code": code}]}

    s3.meta.events.register("before-call.s3.DeleteObjects", refuse)  # type: ignore[arg-type]  # an answer is taken, and nothing is sent
    with pytest.raises(error, match=f"work/a/1 could not be removed: {code}"):
        objects.remove_all("work/a/", limit=10)
