"""Questions about a translated template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]  # the package ships no types
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]  # the package ships no types
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]  # the package ships no types

ROOT = Path(__file__).resolve().parents[2]

type Template = Mapping[str, Any]
type Resources = Mapping[str, Mapping[str, Any]]


def source() -> Template:
    """template.yaml as written; `!Ref x` is `{"Ref": "x"}`."""
    return parse((ROOT / "template.yaml").read_text())


def parse(text: str) -> Template:
    parsed: Template = yaml_parse(text)
    return parsed


def translate(source: Template) -> Template:
    """What CloudFormation creates. Code is where `sam package` would have put it."""
    packaged = json.loads(json.dumps(source))
    for resource in packaged["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://artifacts/code"
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = "s3://artifacts/layer"
    result: Template = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1")).translate(
        packaged, parameter_values={}
    )
    return result


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


USUAL = frozenset({"HasApiKey"})
"""Conditions that hold with the default parameters."""
KEYLESS = frozenset({"HasWorkspace", "IsAwsDefault"})
"""Those that hold with `ApiAccess=aws`."""


def chosen(value: Any, true: frozenset[str] = USUAL) -> Any:
    """A value with every `Fn::If` decided, the conditions in `true` being all that hold."""
    match value:
        case {"Fn::If": [condition, yes, no]}:
            return chosen(yes if condition in true else no, true)
        case Mapping():
            decided = {name: chosen(inner, true) for name, inner in value.items()}
            return {name: inner for name, inner in decided.items() if inner != _NOTHING}
        case list():
            return [inner for inner in (chosen(one, true) for one in value) if inner != _NOTHING]
        case _:
            return value


_NOTHING = {"Ref": "AWS::NoValue"}


def statements(resources: Resources, true: frozenset[str] = USUAL) -> Iterator[Statement]:
    """Every statement of every role's own policies, where the conditions in `true` hold."""
    for role, properties in of_type(resources, "AWS::IAM::Role").items():
        for policy in properties.get("Policies", []):
            for entry in chosen(policy["PolicyDocument"]["Statement"], true):
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


def named(value: Any) -> str:
    """An intrinsic as text: whatever it asks of a resource, the resource's logical id in braces stands for it."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            return f"{{{name}}}"
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(?!AWS::)(\w+)(\.\w+)?\}", r"{\1}", text)
        case _:
            return str(value)
