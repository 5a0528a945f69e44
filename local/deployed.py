"""The functions of the stack as they are deployed, and how to keep them still."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local.aws import Aws

_AS_DEPLOYED = ("Runtime", "Handler", "Timeout", "MemorySize", "Architectures", "LoggingConfig")


@dataclass(frozen=True)
class Deployed:
    """One function."""

    logical_id: str
    """In the template."""
    name: str
    role: str
    variables: dict[str, str]
    layers: list[str]
    """Their logical ids."""
    properties: dict[str, Any]
    """Others, as both Lambda and a template name them."""
    queue_arn: str
    """What brings its events; empty if the schedule calls it."""

    @property
    def stage(self) -> str:
        return self.logical_id.removesuffix("Function").lower()


def functions(aws: Aws, stack: str) -> list[Deployed]:
    """All of them, in the order of their names."""
    found = aws.cloudformation().describe_stack_resources(StackName=stack)["StackResources"]
    named = {
        one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if one["ResourceType"] == "AWS::Lambda::Function"
    }
    return [_deployed(aws, logical_id, name) for logical_id, name in sorted(named.items())]


def _deployed(aws: Aws, logical_id: str, name: str) -> Deployed:
    told = aws.functions().get_function_configuration(FunctionName=name)
    mappings = aws.functions().list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    return Deployed(
        logical_id=logical_id,
        name=name,
        role=told["Role"],
        variables=told["Environment"]["Variables"],
        layers=[layer["Arn"].split(":")[-2] for layer in told["Layers"]],
        properties={key: value for key, value in told.items() if key in _AS_DEPLOYED},
        queue_arn=mappings[0]["EventSourceArn"] if mappings else "",
    )


@contextmanager
def still(aws: Aws, those: Iterable[Deployed]) -> Iterator[None]:
    """Meanwhile AWS calls none of them: messages wait in their queues, and ticks are refused."""
    names = [one.name for one in those]
    try:
        for name in names:
            _listen(aws, name, enabled=False)
            aws.functions().put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        yield
    finally:
        for name in names:
            aws.functions().delete_function_concurrency(FunctionName=name)
            _listen(aws, name, enabled=True)


def _listen(aws: Aws, name: str, *, enabled: bool) -> None:
    for mapping in aws.functions().list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
        aws.functions().update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)
