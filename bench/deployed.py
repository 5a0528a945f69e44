"""What `template.yaml` deploys, with the defaults of its parameters: the measured settings are the ones that run."""

from __future__ import annotations

from functools import cache
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]  # ships no types

from local.paths import ROOT

_LIMITS = {
    "BATCHDROP_CREATES_PER_TICK": "CreatesPerTick",
    "BATCHDROP_MAX_ATTEMPTS": "MaxAttempts",
    "BATCHDROP_MAX_BATCH_BYTES": "MaxBatchBytes",
    "BATCHDROP_MAX_BATCH_REQUESTS": "MaxBatchRequests",
    "BATCHDROP_MAX_INPUT_BYTES": "MaxInputBytes",
    "BATCHDROP_OPEN_JOBS_PER_FOLDER": "OpenJobsPerFolder",
    "BATCHDROP_QUEUED_REQUESTS_LIMIT": "QueuedRequestsLimit",
    "BATCHDROP_GRACE_SECONDS": "ReconcileGraceSeconds",
    "BATCHDROP_VISIBILITY_SECONDS": "VisibilityTimeoutSeconds",
}
MIB = 1 << 20
ACCOUNT_CONCURRENCY = 1_000
"""Invocations of all functions of an account (Lambda developer guide, "Lambda quotas")."""
# Lambda's own, where a function asks for none.
_USUAL_DISK = 512


@cache
def template() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return parsed


def default(parameter: str) -> str:
    return str(template()["Parameters"][parameter]["Default"])


def limits() -> dict[str, str]:
    """The environment variables that bound the work."""
    spool = template()["Mappings"]["Disk"][default("CollectDiskMiB")]["SpoolBytes"]
    return {variable: default(parameter) for variable, parameter in _LIMITS.items()} | {"BATCHDROP_SPOOL_BYTES": spool}


def memory(function: str) -> int:
    """MiB that the function is given."""
    return int(_value(_properties(function)["MemorySize"]))


def disk(function: str) -> int:
    """Bytes of the function's ephemeral storage."""
    return int(_value(_properties(function).get("EphemeralStorage", {}).get("Size", _USUAL_DISK))) * MIB


def concurrency(function: str) -> int:
    """Invocations of it at the same time, at most."""
    (source,) = (event["Properties"] for event in _properties(function)["Events"].values() if event["Type"] == "SQS")
    return int(_value(source.get("ScalingConfig", {}).get("MaximumConcurrency", ACCOUNT_CONCURRENCY)))


def count(kind: str) -> int:
    """Resources of a type such as `AWS::CloudWatch::Alarm`."""
    return sum(
        one["Type"] == kind and ("Condition" not in one or _holds({"Condition": one["Condition"]}))
        for one in template()["Resources"].values()
    )


def bounded_queues() -> list[bool]:
    """Of each queue that Lambda reads, whether the function has a maximum."""
    events = [event for one in template()["Resources"].values() for event in one.get("Properties", {}).get("Events", {}).values()]
    return [bool(event["Properties"]["ScalingConfig"]) for event in events if event["Type"] == "SQS"]


def _holds(condition: dict[str, Any]) -> bool:
    (kind, of), *_ = condition.items()
    match kind:
        case "Condition":
            return _holds(template()["Conditions"][of])
        case "Fn::Not":
            return not _holds(of[0])
        case "Fn::Or":
            return any(map(_holds, of))
        case "Fn::And":
            return all(map(_holds, of))
        case _:
            return _value(of[0]) == _value(of[1])


def _properties(function: str) -> dict[str, Any]:
    found: dict[str, Any] = template()["Resources"][f"{function.capitalize()}Function"]["Properties"]
    return found


def _value(given: object) -> str:
    return default(given["Ref"]) if isinstance(given, dict) else str(given)
