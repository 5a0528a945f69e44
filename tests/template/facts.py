"""Questions about a translated template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

type Resources = Mapping[str, Mapping[str, Any]]


class Statement(NamedTuple):
    role: str
    sid: str
    actions: tuple[str, ...]
    resources: tuple[Any, ...]
    condition: Any


def of_type(resources: Resources, kind: str) -> dict[str, Mapping[str, Any]]:
    """Logical id to properties."""
    return {name: resource.get("Properties", {}) for name, resource in resources.items() if resource["Type"] == kind}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(resources: Resources) -> Iterator[Statement]:
    """Every statement of every role's own policies."""
    for role, properties in of_type(resources, "AWS::IAM::Role").items():
        for policy in properties.get("Policies", []):
            for entry in policy["PolicyDocument"]["Statement"]:
                yield Statement(
                    role,
                    entry.get("Sid", ""),
                    tuple(as_list(entry["Action"])),
                    tuple(as_list(entry["Resource"])),
                    entry.get("Condition"),
                )


def references(value: Any) -> Iterator[str]:
    """Logical ids that a value names by Ref, GetAtt or Sub."""
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::GetAtt": str(text)}:
            yield text.split(".")[0]
        case {"Fn::Sub": str(text)}:
            yield from (part.split("}")[0].split(".")[0] for part in text.split("${")[1:])
        case Mapping():
            for inner in value.values():
                yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)
