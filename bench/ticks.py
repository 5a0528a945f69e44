"""One tick of `poll` with many batches open: what it costs when nothing has changed, and when a few batches have ended."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from batchdrop.adapters.items import batch_item, claim_item, job_item
from batchdrop.domain.records import Batch, BatchState, Counts, Job, JobState, ObjectRef, Span
from bench import measured
from bench.servers import BUCKET, TABLE, Servers

ENDED = 5
"""Batches that end between the two ticks."""
_BATCHES_PER_JOB = 10
_WRITE_AT_ONCE = 25
_LONG = 80_000.0
_WRITES = ("TransactWriteItems", "PutItem", "UpdateItem")
_READS = ("Query", "Scan", "GetItem")
_PATH = "/v1/messages/batches"
_HEADERS = {"Authorization": "Bearer sk-ant-bench", "anthropic-version": "2026-10-21", "Content-Type": "application/json"}
_PARAMS = {"model": "claude-haiku-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}


def measure(servers: Servers, counts: list[int]) -> dict[int, Any]:
    """By the number of open batches: seconds, calls, list calls and memory of a quiet tick and of one that sees batches end."""
    return {count: _measure(servers, count) for count in counts}


def at_rest(servers: Servers) -> dict[str, Any]:
    """A tick with nothing open, the second of its process."""
    servers.clear()
    answer = measured.stage(servers.environment, {"stages": ["poll"]}, {"stages": ["poll"]})
    tick = answer["runs"][1]["poll"]
    return {**tick, "reads": _sum(tick["calls"], _READS), "peak": answer["peak"]}


def _measure(servers: Servers, count: int) -> dict[str, Any]:
    servers.clear()
    _fill_table(servers, list(_created(servers, count)))
    found: dict[str, Any] = {"changed": ENDED}
    # The first tick of each process only warms it up: it loads the SDK and opens connections.
    for name, stages in (("quiet", ["poll"]), ("ended", ["end", "poll"])):
        answer = measured.stage(servers.environment, {"stages": ["poll"]}, {"stages": stages})
        warm, tick = (one["poll"] for one in answer["runs"])
        counts = {"writes": _sum(tick["calls"], _WRITES), "reads": _sum(tick["calls"], _READS)}
        found[name] = {**tick, **counts, "peak": answer["peak"], "first": {unit: warm[unit] for unit in ("wall", "cpu")}}
    return found


def _created(servers: Servers, count: int) -> Iterator[tuple[str, datetime]]:
    """Batches of one row at the API, the first few of which end within the hour: id and time of each."""
    connection = http.client.HTTPConnection(urlsplit(servers.claude.base_url).netloc)
    for number in range(count):
        if number in {0, ENDED}:
            servers.claude.settings(seconds=_LONG if number else 60.0)
        body = json.dumps({"requests": [{"custom_id": f"row-{number}", "params": _PARAMS}]})
        connection.request("POST", _PATH, body, _HEADERS)
        answer = json.loads(connection.getresponse().read())
        yield answer["id"], datetime.fromisoformat(answer["created_at"])
    connection.close()


def _fill_table(servers: Servers, created: list[tuple[str, datetime]]) -> None:
    items = []
    for first in range(0, len(created), _BATCHES_PER_JOB):
        group = created[first : first + _BATCHES_PER_JOB]
        job = _job(first, group[0][1], len(group))
        items.append(job_item(job))
        for number, (api_id, moment) in enumerate(group):
            batch = _batch(job, number, api_id, moment)
            items += [batch_item(batch), claim_item(api_id, batch)]
    table = servers.client("dynamodb")
    for first in range(0, len(items), _WRITE_AT_ONCE):
        puts = [{"PutRequest": {"Item": item}} for item in items[first : first + _WRITE_AT_ONCE]]
        table.batch_write_item(RequestItems={TABLE: puts})


def _job(number: int, moment: datetime, batches: int) -> Job:
    ref = ObjectRef(bucket=BUCKET, key=f"inbox/{number}.jsonl", version_id="1", etag="1", size=1)
    return Job(
        id=f"20261122T000000Z-{number:016d}",
        token=f"{number:016d}",
        input=ref,
        state=JobState.running,
        created_at=moment,
        updated_at=moment,
        counts=Counts(total=batches),
        batches_total=batches,
    )


def _batch(job: Job, number: int, api_id: str, moment: datetime) -> Batch:
    return Batch(
        job_id=job.id,
        first_line=number + 1,
        last_line=number + 1,
        state=BatchState.in_progress,
        span=Span(object=job.input, start=0, end=1, first_line=number + 1),
        requests=1,
        body_bytes=200,
        start_tag=moment,
        api_id=api_id,
        admitted_at=moment,
        message_sent_at=moment,
        intent_at=moment,
        created_at=moment,
    )


def _sum(calls: dict[str, int], names: tuple[str, ...]) -> int:
    return sum(calls.get(f"DynamoDB.{name}", 0) for name in names)
