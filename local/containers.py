"""`sam local invoke` on the laptop system: a deployed function runs in Lambda's image, with its own variables and role."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.errors import DockerException

from local import deploy, relay
from local.aws import Aws
from local.deployed import Deployed
from local.errors import CannotRun
from local.paths import BUILD, INVOKE, ROOT
from local.processes import clean_environment

# The settings of `samconfig.toml`.
TEMPLATE = INVOKE / "template.json"
VARIABLES = INVOKE / "variables.json"
_PROFILE_READS = ROOT / ".local" / "invoke"

_LOOPBACK = "127.0.0.1"
# Under this name, a container in a virtual machine reaches the loopback interface of the machine around it.
_AROUND = "host.docker.internal"
_URLS = ("AWS_ENDPOINT_URL", "ANTHROPIC_BASE_URL")


def address() -> str:
    """Where a container reaches this machine. Raises CannotRun if no engine answers."""
    try:
        with closing(docker.from_env()) as engine:
            if engine.info()["Name"] != platform.node():
                return _AROUND
            return str(engine.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"])
    except DockerException as error:
        raise CannotRun(f"No container engine answers: start Docker. It said: {error}") from error


def prepare(aws: Aws, functions: Sequence[Deployed], at: str) -> None:
    """Writes what `sam local invoke` reads, and opens the way from a container to the emulators at that address."""
    variables = {
        one.logical_id: {**one.variables, "AWS_ENDPOINT_URL": aws.url, **_credentials(aws, one.role)} for one in functions
    }
    ports = sorted({port for of_one in variables.values() for port in _ports(of_one)})
    INVOKE.mkdir(parents=True, exist_ok=True)
    reached = {name: {**of_one, **_from(at, of_one)} for name, of_one in variables.items()}
    TEMPLATE.write_text(json.dumps(template(functions, reached, {"DependenciesLayer": deploy.packages(aws)}), indent=1))
    # Once more, since sam prefers what the shell exports to what the template says. No credentials of the shell get in.
    VARIABLES.write_text(json.dumps(reached, indent=1))
    if at != _AROUND:
        relay.process().stop()
        relay.process(at, ports).start(clean_environment())


def template(
    functions: Sequence[Deployed], variables: Mapping[str, Mapping[str, str]], elsewhere: Mapping[str, Path]
) -> dict[str, Any]:
    """The functions as they are deployed, without a parameter or a condition. `elsewhere`: layers that are not in the build."""
    layers = sorted({layer for one in functions for layer in one.layers})
    resources: dict[str, Any] = {
        layer: {
            "Type": "AWS::Serverless::LayerVersion",
            "Properties": {"ContentUri": str(elsewhere.get(layer, BUILD / layer))},
        }
        for layer in layers
    }
    for one in functions:
        resources[one.logical_id] = {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                **one.properties,
                "CodeUri": str(BUILD / one.logical_id),
                "Layers": [{"Ref": layer} for layer in one.layers],
                "Environment": {"Variables": dict(variables[one.logical_id])},
            },
        }
    return {"AWSTemplateFormatVersion": "2010-09-09", "Transform": "AWS::Serverless-2016-10-31", "Resources": resources}


def command(function: str, event: Path) -> list[str]:
    """What runs a function in a container, from the checkout on."""
    here = [] if INVOKE == _PROFILE_READS else ["--template-file", str(TEMPLATE), "--env-vars", str(VARIABLES)]
    return [".venv/bin/sam", "local", "invoke", function, "--config-env", deploy.PROFILE, *here, "--event", str(event)]


def run(function: str, event: Path) -> Any:  # noqa: ANN401 - whatever the function answers
    """Returns its answer; what sam and the function write goes to stderr. Raises CannotRun if the function did not answer."""
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    ended = subprocess.run(command(function, event), cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    try:
        answer: Any = json.loads(ended.stdout)
    except ValueError:
        raise CannotRun(f"{function} gave no answer in the container: read what sam said above.") from None
    if isinstance(answer, dict) and "errorType" in answer:
        raise CannotRun(f"{function} failed in the container: {answer['errorType']}: {answer.get('errorMessage')}")
    return answer


def _credentials(aws: Aws, role: str) -> dict[str, str]:
    taken = aws.identities().assume_role(RoleArn=role, RoleSessionName="invoke")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"],
        "AWS_SESSION_TOKEN": taken["SessionToken"],
    }


def _ports(variables: Mapping[str, str]) -> Iterator[int]:
    for name in _URLS:
        url = urlsplit(variables.get(name, ""))
        if url.hostname == _LOOPBACK and url.port:
            yield url.port


def _from(at: str, variables: Mapping[str, str]) -> dict[str, str]:
    return {name: url.replace(f"//{_LOOPBACK}:", f"//{at}:") for name in _URLS if (url := variables.get(name))}
