"""The real `sam build` and `sam deploy` of the one template, against the emulated AWS."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from local.aws import Aws
from local.errors import CannotRun
from local.paths import BUILD, FOR_LINUX, LOGS, ROOT
from local.processes import clean_environment

PROFILE = "local"
_ARTIFACTS = "batchdrop-artifacts"
_SOURCES = ("template.yaml", "samconfig.toml", "functions", "layers")


def stack_name() -> str:
    return str(_profile()["global"]["parameters"]["stack_name"])


def architecture() -> str:
    """Lambda's name for this machine's processor: functions run on it directly."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


def parameters(api_url: str, extra: Sequence[str] = ()) -> list[str]:
    """`Name=value` of every parameter: the profile's, this machine's, then `extra`; for each name, the last one counts."""
    chosen = [
        *_profile()["deploy"]["parameters"]["parameter_overrides"],
        f"Architecture={architecture()}",
        f"ApiBaseUrl={api_url}",
        *extra,
    ]
    return [f"{name}={value}" for name, value in dict(text.split("=", 1) for text in chosen).items()]


def fingerprint(overrides: Iterable[str]) -> str:
    """A value that changes if a deployment would change anything."""
    digest = hashlib.sha256("\n".join(overrides).encode())
    for path in sorted(_files()):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def build(aws: Aws, overrides: Sequence[str]) -> None:
    """Raises CannotRun with the end of the log."""
    _sam("build", ["--build-dir", str(BUILD), "--parameter-overrides", *overrides], _environment(aws))


def packages(aws: Aws) -> Path:
    """The layer of packages for a container, which is Linux: on a Mac, the one that was built is the Mac's."""
    layer = "DependenciesLayer"
    if not _wheels_for_this_machine():
        return BUILD / layer
    overrides = ["--parameter-overrides", f"Architecture={architecture()}"]
    environment = {name: value for name, value in _environment(aws).items() if name not in _wheels_for_this_machine()}
    _sam("build", [layer, "--build-dir", str(FOR_LINUX), *overrides], environment)
    return FOR_LINUX / layer


def deploy(aws: Aws, stack: str, overrides: Sequence[str]) -> dict[str, str]:
    """Deploys what was built; returns the outputs of the stack. Raises CannotRun with the end of the log."""
    aws.s3().create_bucket(Bucket=_ARTIFACTS)
    template = ["--template-file", str(BUILD / "template.yaml"), "--s3-bucket", _ARTIFACTS]
    _sam("deploy", ["--stack-name", stack, *template, "--parameter-overrides", *overrides], _environment(aws))
    found = aws.cloudformation().describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def _environment(aws: Aws) -> dict[str, str]:
    return {**clean_environment(), **aws.environment(), "SAM_CLI_TELEMETRY": "0", **_wheels_for_this_machine()}


def _profile() -> dict[str, dict[str, dict[str, list[str]]]]:
    profile: dict[str, dict[str, dict[str, list[str]]]] = tomllib.loads((ROOT / "samconfig.toml").read_text())[PROFILE]
    return profile


def _files() -> list[Path]:
    found = [ROOT / name for name in _SOURCES]
    inside = [path for folder in found if folder.is_dir() for path in folder.rglob("*") if "__pycache__" not in path.parts]
    return [path for path in (*found, *inside) if path.is_file()]


def _wheels_for_this_machine() -> dict[str, str]:
    """Lambda is Linux, but on a Mac the emulator runs the functions as Mac programs, which need packages compiled for the Mac."""
    if sys.platform != "darwin":
        return {}
    return {"LAYER_PLATFORM": f"{'aarch64' if architecture() == 'arm64' else 'x86_64'}-apple-darwin"}


def _sam(command: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"sam-{command}.log"
    sam = Path(sys.executable).parent / "sam"
    if not sam.exists():
        raise CannotRun("sam is not installed: run make setup.")
    # sam calls uv, make and a Python of the functions' version: those in its own folder come first.
    path = f"{sam.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    with log.open("wb") as file:
        ended = subprocess.run(
            [str(sam), command, "--config-file", str(ROOT / "samconfig.toml"), "--config-env", PROFILE, *arguments],
            cwd=ROOT,
            env={**environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            check=False,
        )
    if ended.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise CannotRun(f"sam {command} failed. The end of {log}:\n{end}")
