"""Everything that a function may change, seen twice: jobs and batches, objects, and what waits in the queues."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from batchdrop.adapters.version_0_1_0 import PHASE
from local.deployed import Deployed
from local.system import System

_NONE = "none"
_PAGE = 116

type Seen = dict[str, str]
"""What there is, and how it is, in the order in which it is shown."""


def look(system: System, functions: Sequence[Deployed]) -> Seen:
    return {**dict(_states(system)), **dict(_waiting(system, functions)), **dict(_objects(system))}


def changed(before: Seen, after: Seen) -> list[str]:
    """Lines for people."""
    names = [name for name in dict.fromkeys([*after, *before]) if before.get(name) != after.get(name)]
    if not names:
        return ["Nothing changed."]
    return ["What changed:", *(line for name in names for line in _lines(name, before.get(name, _NONE), after.get(name, _NONE)))]


def _lines(name: str, before: str, after: str) -> list[str]:
    line = f"  {name}: {before} -> {after}"
    return [line] if len(line) <= _PAGE else [f"  {name}:", f"    {before}", f"    -> {after}"]


def _states(system: System) -> Iterator[tuple[str, str]]:
    pages = system.aws.tables().get_paginator("scan").paginate(TableName=system.outputs["Table"])
    items = [item for page in pages for item in page["Items"] if PHASE in item]
    for item in sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"] != "JOB", item["sk"]["S"])):
        job = item["pk"]["S"].replace("JOB#", "job ")
        batch = item["sk"]["S"].replace("BATCH#", "batch ")
        yield job if batch == "JOB" else f"{batch} of {job}", item[PHASE]["S"]


def _waiting(system: System, functions: Sequence[Deployed]) -> Iterator[tuple[str, str]]:
    queues = system.aws.queues()
    for one in functions:
        if one.queue_arn:
            url = queues.get_queue_url(QueueName=one.queue_arn.split(":")[-1])["QueueUrl"]
            told = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
            yield f"waiting for {one.stage}", told["ApproximateNumberOfMessages"]


def _objects(system: System) -> Iterator[tuple[str, str]]:
    s3, bucket = system.aws.s3(), system.outputs["Bucket"]
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            key = found["Key"]
            if key.endswith("/status.json"):
                yield key, json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())["message"]
            else:
                yield key, f"{found['Size']:,} bytes"
