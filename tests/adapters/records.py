"""Records to try the ledger with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from batchdrop.domain.records import Batch, BatchState, Job, JobState, ObjectRef, Span
from tests.fakes.clock import START

SOURCE = ObjectRef(bucket="bucket", key='inbox/a+b %20 "é".jsonl', version_id="v1", etag="e" * 32, size=5_000)


def job(**fields: Any) -> Job:
    usual: dict[str, Any] = {
        "id": "20261122T003115Z-aaaaaaaaaaaaaaaa",
        "token": "aaaaaaaaaaaaaaaa",
        "input": SOURCE,
        "state": JobState.planning,
        "created_at": START,
        "updated_at": START,
    }
    return Job(**usual | fields)


def batch(first_line: int = 1, **fields: Any) -> Batch:
    usual: dict[str, Any] = {
        "job_id": job().id,
        "first_line": first_line,
        "state": BatchState.ready,
        "span": Span(object=SOURCE, start=0, end=500, first_line=first_line),
        "last_line": first_line + 9,
        "requests": 10,
        "body_bytes": 700,
        "start_tag": START + timedelta(seconds=first_line),
    }
    return Batch(**usual | fields)
