"""What AWS would charge: list prices (`prices.json`) times what was measured here. A model, and every assumption is in it.

Time on Lambda is processor time here divided by the share of a processor that the memory buys, plus the bytes over the
network at a function's bandwidth, nothing overlapping. Prices of the API itself are not in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import deployed

_PRICES = Path(__file__).with_name("prices.json")
# As this model saw it, with seven metrics in every tick and five polls on every queue.
_BEFORE = Path(__file__).with_name("idle_before.json")
ROWS = 1_000_000
TICKS_A_MONTH = 60 * 24 * 30
# Lambda developer guide, "Configure Lambda function memory": 1,769 MB are one processor.
_MIB_OF_ONE_PROCESSOR = 1_769
# Seen by many with functions of 1 GB; AWS names none.
_NETWORK_BYTES_A_SECOND = 75_000_000
CALL_SECONDS = 0.01
"""A call to an AWS service within the region, waited for."""
# Transactions charge two units for each KB of each item; three items, one of them also in the index.
_UNITS_OF_A_TRANSACTION = 12
# Half a unit for each 4 KB of an eventually consistent query, one for a consistent read of an item.
_UNITS_OF_A_QUERY, _UNITS_OF_A_GET = 0.5, 1.0
# On a queue where nothing comes Lambda goes down from five long polls of 20 s to two, but not where `MaximumConcurrency` is set
# (Lambda developer guide, "Configuring scaling behavior for SQS event source mappings": "as few as 2").
_POLLERS, _POLLERS_WITH_A_MAXIMUM, _POLL_SECONDS = 2, 5, 20
# Lambda's own two lines about an invocation; the tick itself writes none.
_LOG_BYTES_OF_A_TICK = 700
# No metric of ours has a value at rest (tests/stages/test_alarms_ring.py), and AWS's own are free.
_METRICS = 0
# Lambda replaces a process that is used every minute after two hours or so; it bills the start as well.
_COLD_STARTS = 360
# At rest: prices and limits every quarter of an hour; folders in work/ every six hours and in each new process.
_S3_HEADS, _S3_LISTS = 2 * 4 * 24 * 30, 4 * 30 + _COLD_STARTS
# What is in work/ is removed when its job has ended.
_WORK_KEPT_DAYS = 1
_DAYS = 30
_NO_S3_WRITES = frozenset({"S3.GetObject", "S3.HeadObject"})
# Calls after which there is a new object. EventBridge is told of each, and of its end, whatever its prefix: a bucket sends
# all of its events or none (Amazon S3 user guide, "Using EventBridge").
_NEW_OBJECTS = frozenset({"S3.PutObject", "S3.CopyObject", "S3.CompleteMultipartUpload"})
_EVENTS_OF_AN_OBJECT = 2
_GB = 1_000_000_000
_MIB_IN_GB = 1024


def model(pipeline: dict[str, Any], tick_at_rest: dict[str, Any], start: float) -> dict[str, Any]:
    """Items in US$: per million rows, per million rows that wait for a month, idle per month. `start`: CPU of a cold start."""
    prices = list_prices()
    rows = _per_million_rows(prices, pipeline)
    idle = _idle(prices, tick_at_rest, start)
    waiting = _waiting(prices, pipeline)
    free = {name: max(0.0, one["amount"] - one["free"]) * one["price"] for name, one in idle.items()}
    return {
        "prices_as_of": prices["as_of"],
        "per_million_rows": {"items": rows, "total": sum(rows.values())},
        "waiting_month": {"items": waiting, "total": sum(waiting.values())},
        "idle_month": {
            "before": json.loads(_BEFORE.read_text()),
            "items": {name: one["usd"] for name, one in idle.items()},
            "total": sum(one["usd"] for one in idle.values()),
            "items_with_free_tier": free,
            "total_with_free_tier": sum(free.values()),
        },
    }


# ---------------------------------------------------------------- work


def list_prices() -> dict[str, Any]:
    """Of AWS, in dollars."""
    found: dict[str, Any] = json.loads(_PRICES.read_text())
    return found


def _per_million_rows(prices: dict[str, Any], pipeline: dict[str, Any]) -> dict[str, float]:
    jobs = ROWS / pipeline["rows"]
    calls: dict[str, int] = {}
    gb_seconds = storage = invocations = 0.0
    for stage, worked in work(pipeline).items():
        figures = pipeline["batchdrop"][stage]
        for name, number in figures["calls"].items():
            calls[name] = calls.get(name, 0) + number
        seconds = worked + sum(figures["calls"].values()) * CALL_SECONDS
        gb_seconds += jobs * seconds * deployed.memory(stage) / _MIB_IN_GB
        storage += jobs * seconds * (deployed.disk(stage) / deployed.MIB - 512) / _MIB_IN_GB
        invocations += jobs
    units = {name: jobs * number for name, number in calls.items()}
    puts = sum(number for name, number in units.items() if name.startswith("S3.") and name not in _NO_S3_WRITES)
    gets = units.get("S3.GetObject", 0) + units.get("S3.HeadObject", 0)
    items = {
        "Lambda time": gb_seconds * prices["lambda_arm64_gb_second"],
        "Lambda requests": invocations * prices["lambda_request"],
        "Lambda disk": storage * prices["lambda_storage_gb_second"],
        "S3 writes": puts * prices["s3_put_copy_post_list"],
        "S3 reads": gets * prices["s3_get"],
        "DynamoDB writes": _write_units(units) * prices["dynamodb_write_unit"],
        "DynamoDB reads": _read_units(units) * prices["dynamodb_read_unit"],
        # Sent, received, deleted; one for each step.
        "SQS": 3 * 4 * jobs * prices["sqs_request"],
        # The upload itself too, and its end whenever it is deleted.
        "EventBridge": _EVENTS_OF_AN_OBJECT
        * (jobs + sum(number for name, number in units.items() if name in _NEW_OBJECTS))
        * prices["eventbridge_event"],
    }
    items["S3 storage of work/"] = sum(_waiting(prices, pipeline).values()) * _WORK_KEPT_DAYS / _DAYS
    return items


def _waiting(prices: dict[str, Any], pipeline: dict[str, Any]) -> dict[str, float]:
    """A month in `work/` of what a job keeps there until its end, for a million rows. A file of requests has no copy there."""
    gigabytes = {
        "S3 storage of lines made of rows, or of an unpacked copy": pipeline["input_bytes"],
        "S3 storage of pieces of results": pipeline["results_bytes"],
    }
    return {name: ROWS / pipeline["rows"] * size / _GB * prices["s3_storage_gb_month"] for name, size in gigabytes.items()}


def work(pipeline: dict[str, Any]) -> dict[str, float]:
    """Seconds of each stage of the pipeline on Lambda, without those of its calls."""
    source, results = pipeline["input_bytes"], pipeline["results_bytes"]
    moved = {"plan": source, "submit": 2 * source, "collect": source + 2 * results, "finish": 0}
    return {
        stage: pipeline["batchdrop"][stage]["cpu"]["median"] / share(stage) + size / _NETWORK_BYTES_A_SECOND
        for stage, size in moved.items()
    }


def share(stage: str) -> float:
    """Of a processor, that the function's memory buys."""
    return min(1.0, deployed.memory(stage) / _MIB_OF_ONE_PROCESSOR)


def _write_units(calls: dict[str, float]) -> float:
    return _UNITS_OF_A_TRANSACTION * sum(
        calls.get(f"DynamoDB.{name}", 0) for name in ("TransactWriteItems", "PutItem", "UpdateItem")
    )


def _read_units(calls: dict[str, float]) -> float:
    queries = calls.get("DynamoDB.Query", 0) + calls.get("DynamoDB.Scan", 0)
    return _UNITS_OF_A_QUERY * queries + _UNITS_OF_A_GET * calls.get("DynamoDB.GetItem", 0)


# ---------------------------------------------------------------- nothing to do


def _idle(prices: dict[str, Any], tick: dict[str, Any], start: float) -> dict[str, dict[str, float]]:
    """Each item with its amount, its price and what is free of it."""
    free = prices["free_each_month"]
    calls = tick["calls"]
    of_tick = tick["cpu"] / share("poll") + sum(calls.values()) * CALL_SECONDS
    seconds = TICKS_A_MONTH * of_tick + _COLD_STARTS * start / share("poll")
    gb_seconds = seconds * deployed.memory("poll") / _MIB_IN_GB
    pollers = sum(_POLLERS_WITH_A_MAXIMUM if bounded else _POLLERS for bounded in deployed.bounded_queues())
    polls = pollers * _DAYS * 24 * 3600 / _POLL_SECONDS
    logs = TICKS_A_MONTH * _LOG_BYTES_OF_A_TICK / _GB
    amounts = {
        "Secrets Manager, the API key": (1.0, prices["secret_month"], 0),
        "CloudWatch alarms": (deployed.count("AWS::CloudWatch::Alarm"), prices["alarm_month"], free["alarms"]),
        "CloudWatch metrics": (_METRICS, prices["metric_month"], free["metrics"]),
        "CloudWatch logs": (logs, prices["log_gb"], free["log_gb"]),
        "SQS, Lambda's long polls": (polls, prices["sqs_request"], free["sqs_requests"]),
        "Lambda time of the ticks": (gb_seconds, prices["lambda_arm64_gb_second"], free["lambda_gb_seconds"]),
        "Lambda requests": (TICKS_A_MONTH, prices["lambda_request"], free["lambda_requests"]),
        "Scheduler": (TICKS_A_MONTH, prices["scheduler_invocation"], free["scheduler_invocations"]),
        "DynamoDB reads": (TICKS_A_MONTH * _read_units(calls), prices["dynamodb_read_unit"], 0),
        "S3 requests": (1, _S3_LISTS * prices["s3_put_copy_post_list"] + _S3_HEADS * prices["s3_get"], 0),
    }
    return {
        name: {"amount": amount, "price": price, "free": included, "usd": amount * price}
        for name, (amount, price, included) in amounts.items()
    }
