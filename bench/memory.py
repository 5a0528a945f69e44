"""Peak memory and disk of each stage against the size of what it is given, each in a process of its own.

Submit and collect see one batch at a time, however large the file is, so at each size they are given the file's first batch.
Finish sees a whole job but no row: its job is written into the table with as many batches as the file makes, whose parts are
one file.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from batchdrop.adapters.items import batch_item, job_item
from batchdrop.domain import ids
from batchdrop.domain.records import Batch, BatchState, Counts, Job, JobState, ObjectRef, Part, Span, Usage
from bench import deployed, files, measured
from bench.servers import BUCKET, TABLE, Servers

MB = 1_000_000
_ROW_BYTES = 4_000
_RESULTS_ROWS = 100_000
_PART_BYTES = 150 * MB
# What else must fit beside the largest input: its objects, bodies and results of one batch.
_ROOM = 6_000 * MB


def measure(servers: Servers, folder: Path, sizes: list[int], results_bytes: int) -> dict[str, Any]:
    """Peaks in bytes by stage and input size in bytes. A size for which this disk has no room is left out, and named."""
    stages: dict[str, dict[int, Any]] = {stage: {} for stage in ("plan", "submit", "collect", "finish")}
    left_out = []
    for size in sizes:
        if shutil.disk_usage(folder).free < size + _ROOM:
            left_out.append(size)
            continue
        for stage, figures in _stages(servers, folder, size).items():
            stages[stage][size] = figures
    return {
        "row_bytes": _ROW_BYTES,
        "stages": stages,
        "left_out_for_want_of_disk": left_out,
        "large_results": _large_results(servers, folder, results_bytes),
        "given": {function: {"memory_mib": deployed.memory(function), "disk": deployed.disk(function)} for function in stages},
    }


def _stages(servers: Servers, folder: Path, size: int) -> dict[str, Any]:
    servers.clear()
    file = files.write_rows(folder / "large.jsonl", size // _ROW_BYTES, _ROW_BYTES)
    key = "inbox/large.jsonl"
    version = servers.drop(key, file)
    found: dict[str, Any] = {stage: _run(servers, key, version, stage) for stage in ("plan", "submit")}
    measured.stage(servers.environment, {"stages": ["end", "poll"]})
    found["collect"] = _run(servers, key, version, "collect")
    file.unlink()
    return {**found, "finish": _finish(servers, folder, size)}


def _run(servers: Servers, key: str, version: str, stage: str) -> Any:  # noqa: ANN401 - JSON
    answer = measured.stage(servers.environment, {"stages": [stage], "key": key, "version": version, "most": 1})
    return {"peak": answer["peak"], "disk": answer["disk"], **answer["runs"][0][stage]}


def _large_results(servers: Servers, folder: Path, results_bytes: int) -> dict[str, Any]:
    """Collect of one batch with that many bytes of results."""
    servers.clear()
    servers.claude.settings(answer_bytes=0, results_bytes=results_bytes)
    file = files.write_rows(folder / "rows.jsonl", _RESULTS_ROWS)
    key = "inbox/rows.jsonl"
    version = servers.drop(key, file)
    measured.stage(servers.environment, {"stages": ["plan", "submit", "end", "poll"], "key": key, "version": version})
    collected = _run(servers, key, version, "collect")
    servers.claude.settings(answer_bytes=files.ANSWER_BYTES, results_bytes=0)
    return {"results_bytes": results_bytes, **collected}


def _finish(servers: Servers, folder: Path, size: int) -> Any:  # noqa: ANN401 - JSON
    servers.clear()
    key = "inbox/joined.jsonl"
    source = folder / "source.jsonl"
    source.write_bytes(b"{}\n")
    version = servers.drop(key, source)
    info = servers.client("s3").head_object(Bucket=BUCKET, Key=key, VersionId=version)
    ref = ObjectRef(bucket=BUCKET, key=key, version_id=version, etag=version, size=size)
    job = Job(
        id=ids.job_id(ref, info["LastModified"]),
        token=ids.job_token(ref),
        input=ref,
        state=JobState.finishing,
        created_at=info["LastModified"],
        updated_at=info["LastModified"],
    )
    with (folder / "part").open("wb") as part:
        part.truncate(min(size, _PART_BYTES))
    batches = [_collected(job, number, min(size, _PART_BYTES)) for number in range(max(1, size // _PART_BYTES))]
    table = servers.client("dynamodb")
    for item in (job_item(job), *map(batch_item, batches)):
        table.put_item(TableName=TABLE, Item=item)
    for batch in batches:
        servers.drop(_key_of(batch), folder / "part")
    return _run(servers, key, version, "finish")


def _collected(job: Job, number: int, size: int) -> Batch:
    first = number * 100_000 + 1
    batch = Batch(
        job_id=job.id,
        first_line=first,
        last_line=first + 99_999,
        state=BatchState.collected,
        span=Span(object=job.input, start=0, end=1, first_line=first),
        requests=100_000,
        counts=Counts(total=100_000, succeeded=100_000),
        usage={"claude-haiku-4-5": Usage(requests=100_000)},
        start_tag=job.created_at,
        api_id=f"msgbatch_{number}",
        created_at=job.created_at,
        ended_at=job.created_at,
    )
    part = Part(key=f"work/{job.id}/{batch.name}/results-0.jsonl", lines=100_000, size=size, crc64nvme="0" * 16)
    return replace(batch, results=part)


def _key_of(batch: Batch) -> str:
    assert batch.results is not None
    return batch.results.key
