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
# Lambda keeps five long polls of 20 s on each queue it reads, empty or not; fewer only where `MaximumConcurrency` is not set
# (Lambda developer guide, "Configuring scaling behavior for SQS event source mappings").
_POLLERS, _POLL_SECONDS = 5, 20
# The tick's metrics, and Lambda's own lines about an invocation.
_LOG_BYTES_OF_A_TICK = 1_500
# All of the tick but StuckRepaired, which is there only where something was stuck.
_METRICS = 6
# Pieces are removed when their job has ended.
_PIECES_KEPT_DAYS = 1
_DAYS = 30
_NO_S3_WRITES = frozenset({"S3.GetObject", "S3.HeadObject"})
_GB = 1_000_000_000
_MIB_IN_GB = 1024


def model(pipeline: dict[str, Any], quiet_tick: dict[str, Any]) -> dict[str, Any]:
    """Items in US$: per million rows, and idle per month."""
    prices = json.loads(_PRICES.read_text())
    rows = _per_million_rows(prices, pipeline)
    idle = _idle(prices, quiet_tick)
    free = {name: max(0.0, one["amount"] - one["free"]) * one["price"] for name, one in idle.items()}
    return {
        "prices_as_of": prices["as_of"],
        "per_million_rows": {"items": rows, "total": sum(rows.values())},
        "idle_month": {
            "items": {name: one["usd"] for name, one in idle.items()},
            "total": sum(one["usd"] for one in idle.values()),
            "items_with_free_tier": free,
            "total_with_free_tier": sum(free.values()),
        },
    }


# ---------------------------------------------------------------- work


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
        "EventBridge": jobs * prices["eventbridge_event"],
    }
    items["S3 storage of pieces"] = jobs * pipeline["results_bytes"] / _GB * prices["s3_storage_gb_month"] * _PIECES_KEPT_DAYS / _DAYS
    return items


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
    return _UNITS_OF_A_QUERY * calls.get("DynamoDB.Query", 0) + _UNITS_OF_A_GET * calls.get("DynamoDB.GetItem", 0)


# ---------------------------------------------------------------- nothing to do


def _idle(prices: dict[str, Any], tick: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Each item with its amount, its price and what is free of it."""
    free = prices["free_each_month"]
    calls = tick["calls"]
    gb_seconds = TICKS_A_MONTH * (tick["cpu"] / share("poll") + sum(calls.values()) * CALL_SECONDS) * deployed.memory("poll") / _MIB_IN_GB
    polls = _queues_read() * _POLLERS * 30 * 24 * 3600 / _POLL_SECONDS
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
    }
    return {
        name: {"amount": amount, "price": price, "free": included, "usd": amount * price}
        for name, (amount, price, included) in amounts.items()
    }


def _queues_read() -> int:
    events = (one["Properties"].get("Events", {}) for one in deployed.template()["Resources"].values() if "Properties" in one)
    return sum(event["Type"] == "SQS" for group in events if isinstance(group, dict) for event in group.values())
