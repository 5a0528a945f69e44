"""`pip install .`: one package with the command and the layer's code, installed where nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from batchdrop_cli.main import batchdrop

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Dependencies come from here; the checkout's own packages do not: no .pth file is read from PYTHONPATH.
ENVIRONMENT = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}

CHECKOUT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


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


def test_every_command_is_there(installed: Path) -> None:
    code = "import click; from batchdrop_cli.main import batchdrop; print(*batchdrop.list_commands(click.Context(batchdrop)))"
    names = run(installed / "python", "-c", code, cwd=installed).split()
    assert names == batchdrop.list_commands(click.Context(batchdrop))
    # What they import when they run, too: nothing of the checkout is needed.
    code = "import importlib, pkgutil, batchdrop_cli, batchdrop_client; [importlib.import_module(one.name) for package in "
    code += "(batchdrop_cli, batchdrop_client) for one in pkgutil.walk_packages(package.__path__, package.__name__ + '.') "
    code += "if not one.name.endswith('__main__')]"
    run(installed / "python", "-c", code, cwd=installed)


def test_every_file_of_the_packages_is_in_it(installed: Path) -> None:
    """Prices, pages and styles too, the marks that they are typed, and whatever else comes beside code."""
    (packages,) = (installed.parent / "lib").glob("python*/site-packages")
    for folder in (ROOT / "layers" / "core" / "batchdrop", ROOT / "cli" / "batchdrop_cli", ROOT / "cli" / "batchdrop_client"):
        files = {
            path.relative_to(folder.parent) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        }
        assert {path for path in files if path.suffix in (".html", ".css", ".json")} or folder.name != "batchdrop"
        assert sorted(str(path) for path in files if not (packages / path).is_file()) == []


def test_a_program_that_does_what_the_documents_say_has_the_right_types(installed: Path, tmp_path: Path) -> None:
    """Checked against the installed package. Neither pandas nor polars is needed: these are the forms of their methods."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    command = (sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "--python-executable", installed / "python")
    done = subprocess.run([*command, program], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stdout == "Success: no issues found in 1 source file\n"


_PROGRAM = """\
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import IO, Literal, overload

from batchdrop_client import Stack


class Pandas:
    def __iter__(self) -> Iterator[Hashable]:
        yield "text"

    @overload
    def to_json(self, path_or_buf: None = ..., *, orient: Literal["records"], lines: Literal[True] = ...) -> str: ...
    @overload
    def to_json(self, path_or_buf: str | Path, *, orient: Literal["records"] = ..., lines: bool = ...) -> None: ...
    def to_json(self, path_or_buf: str | Path | None = None, *, orient: str = "", lines: bool = False) -> str | None:
        return None


class Polars:
    def write_ndjson(self, file: IO[bytes] | str | Path) -> None: ...


stack = Stack("my-bucket", folder="marketing")
stack.drop(Pandas())
stack.drop(Polars())
stack.drop([{"text": "a", "stars": 4}])
stack.drop(Path("letters"), all_documents=True)
stack.drop(7)  # type: ignore[arg-type]
job = stack.drop("reviews.csv", to="marketing", recipe="recipe.yaml", reference="order 7", priority="low")
status = job.wait(timeout=60, on_change=lambda status: print(status.message))
if status.asks:
    job.approve(up_to="2.50")
print(job.id + 1)  # type: ignore[operator]
for row in job.results():
    print(row.line, row.answer, row.error, row.cost_usd)
print(job.folder, sorted(job.files()), job.report("report.html"), stack.jobs().jobs, Stack.from_environment(folder="a"))
job.retry()
again = job.retried(timeout=60)
print(again and again.wait().is_complete)
"""


def test_both_packages_are_whole(installed: Path) -> None:
    """Everything that an audit imports comes from the installed package."""
    places = "import batchdrop_cli.audit.deployed, batchdrop; print(batchdrop.__file__, batchdrop_cli.__file__)"
    for place in run(installed / "python", "-c", places, cwd=installed).split():
        assert Path(place).is_relative_to(installed.parent)


def test_the_prices_are_in_it(installed: Path) -> None:
    code = "from batchdrop.money.price_file import built_in; print(len(built_in().models))"
    assert int(run(installed / "python", "-c", code, cwd=installed)) > 10


def test_help_loads_no_sdk() -> None:
    code = "import sys, batchdrop_cli.main; print(*{module.partition('.')[0] for module in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], env=CHECKOUT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"batchdrop_cli", "click"} <= loaded
    assert loaded & {"anthropic", "batchdrop", "boto3", "botocore", "httpx2", "minijinja", "msgspec", "pydantic", "rich"} == set()


def test_dependencies_are_those_of_the_functions_click_and_rich() -> None:
    lines = (ROOT / "requirements" / "dependencies.in").read_text().splitlines()
    functions = {line for line in lines if line and not line.startswith("#")}
    assert set(PROJECT["dependencies"]) == functions | {"click", "rich"}
