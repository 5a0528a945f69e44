"""`pip install .`: one package with the command and the layer's code, installed where nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Dependencies come from here; the checkout's own packages do not: no .pth file is read from PYTHONPATH.
ENVIRONMENT = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own; its folder of commands."""
    folder = tmp_path_factory.mktemp("installed")
    uv = Path(sys.executable).with_name("uv")
    run(uv, "venv", "--offline", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    options = ("--offline", "--no-deps", "--no-build-isolation")
    run(uv, "pip", "install", *options, "--cache-dir", folder / "cache", "--python", python, ROOT, cwd=folder)
    return python.parent


def test_the_command_says_its_version(installed: Path) -> None:
    assert run(installed / "batchdrop", "--version", cwd=installed) == f"batchdrop, version {PROJECT['version']}\n"


def test_the_command_explains_its_subcommands(installed: Path) -> None:
    assert "audit" in run(installed / "batchdrop", "--help", cwd=installed)
    assert "batchdrop audit [OPTIONS] JOB" in run(installed / "batchdrop", "audit", "--help", cwd=installed)


def test_both_packages_are_whole(installed: Path) -> None:
    """Everything that an audit imports comes from the installed package."""
    places = "import batchdrop_cli.audit.deployed, batchdrop; print(batchdrop.__file__, batchdrop_cli.__file__)"
    for place in run(installed / "python", "-c", places, cwd=installed).split():
        assert Path(place).is_relative_to(installed.parent)


def test_the_prices_are_in_it(installed: Path) -> None:
    code = "from batchdrop.money.price_file import built_in; print(len(built_in().models))"
    assert int(run(installed / "python", "-c", code, cwd=installed)) > 10


def test_help_loads_no_sdk() -> None:
    code = "import sys, batchdrop_cli.main; print(*{'boto3', 'botocore', 'anthropic', 'msgspec'} & sys.modules.keys())"
    assert run(sys.executable, "-c", code, cwd=ROOT).split() == []


def test_dependencies_are_those_of_the_functions_click_and_rich() -> None:
    lines = (ROOT / "requirements" / "dependencies.in").read_text().splitlines()
    functions = {line for line in lines if line and not line.startswith("#")}
    assert set(PROJECT["dependencies"]) == functions | {"click", "rich"}
