"""The bodies of messages, as the queues bring them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from batchdrop.domain.errors import ForeignEvent
from batchdrop.domain.messages import Dropped, ResumePlanning, RetryJob, Upload
from batchdrop.handling import Home, control_message, plan_message

HOME = Home("bucket", "123456789012")
EVENT = {
    "account": "123456789012",
    "time": "2026-11-22T00:31:15Z",
    "detail-type": "Object Created",
    "detail": {
        "bucket": {"name": "bucket"},
        "object": {"key": "inbox/a+b %20.jsonl", "size": 5, "etag": "e", "version-id": "v"},
        "reason": "PutObject",
    },
}


def body(**changes: object) -> bytes:
    return msgspec.json.encode(EVENT | changes)


def test_an_event_of_s3_is_an_upload() -> None:
    at = datetime(2026, 11, 22, 0, 31, 15, tzinfo=UTC)
    assert plan_message(body(), HOME) == Upload(key="inbox/a+b %20.jsonl", version_id="v", etag="e", size=5, at=at)


def test_what_plan_sends_itself_is_a_resumption() -> None:
    assert plan_message(b'{"job_id":"a"}', HOME) == ResumePlanning(job_id="a")


@pytest.mark.parametrize("wrong", [b"{}", b'{"job_id":null}', b'{"job_id":5}', b"[]", body(time=""), body(detail=None)])
def test_a_body_that_is_neither_is_refused(wrong: bytes) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)):
        plan_message(wrong, HOME)


@pytest.mark.parametrize("time", ["2026-11-22T00:31:15Z", "", "yesterday"])
def test_a_command_needs_its_key_alone(time: str) -> None:
    at = datetime(2026, 11, 22, 0, 31, 15, tzinfo=UTC) if time.startswith("2026") else None
    assert control_message(body(time=time), HOME) == Dropped(key="inbox/a+b %20.jsonl", version_id="v", at=at)


def test_a_command_tells_where_it_came_from() -> None:
    detail = {**EVENT["detail"], "source-ip-address": "203.0.113.17"}  # type: ignore[dict-item]
    assert control_message(body(detail=detail), HOME).source_ip == "203.0.113.17"  # type: ignore[union-attr]


def test_the_rest_of_a_retry_names_its_job() -> None:
    assert control_message(msgspec.json.encode(RetryJob(job_id="a")), HOME) == RetryJob(job_id="a")


def test_a_command_without_an_object_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        control_message(b'{"time":"2026-11-22T00:31:15Z"}', HOME)


@pytest.mark.parametrize("read", [plan_message, control_message])
@pytest.mark.parametrize(
    "changes",
    [{"account": "999999999999"}, {"account": ""}, {"detail": {**EVENT["detail"], "bucket": {"name": "another"}}}],  # type: ignore[dict-item]
)
def test_an_event_of_another_bucket_or_account_is_foreign(
    read: Callable[[bytes, Home], object], changes: dict[str, object]
) -> None:
    with pytest.raises(ForeignEvent):
        read(body(**changes), HOME)
