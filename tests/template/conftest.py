"""The template as CloudFormation gets it: after the SAM transform, with the default parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]  # the package ships no types
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]  # the package ships no types
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]  # the package ships no types

ROOT = Path(__file__).resolve().parents[2]

type Template = Mapping[str, Any]
type Resources = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="session")
def source() -> Template:
    """template.yaml as written; `!Ref x` is `{"Ref": "x"}`."""
    parsed: Template = yaml_parse((ROOT / "template.yaml").read_text())
    return parsed


@pytest.fixture(scope="session")
def translated(source: Template) -> Template:
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


@pytest.fixture(scope="session")
def resources(translated: Template) -> Resources:
    found: Resources = translated["Resources"]
    return found
