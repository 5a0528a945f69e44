"""The SDK's own tests of the batch endpoints, run against an emulator.

They are not part of the SDK's wheel, so its source distribution is fetched by name and version from wherever this machine
gets its packages, into ``.local/cache``; what they need to run is pinned beside this file and lives in an environment there.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

from local.claude.client import start

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".local" / "cache" / "conformance"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
TESTS = ("tests/api_resources/messages/test_batches.py", "tests/api_resources/beta/messages/test_batches.py")
_SDK = re.compile(r"^anthropic==(\S+) \\\n((?: +--hash=\S+(?: \\)?\n)+)", re.MULTILINE)


class NotPossible(Exception):
    """The tests cannot be run here; the message says why and what to do."""


def run() -> int:
    """Runs the tests and returns pytest's exit status; its summary is the last thing it prints. Raises NotPossible."""
    version, hashes = _pinned()
    python = _environment()
    source = _source(python, version, hashes)
    with start() as control:
        return subprocess.run(
            [python, "-m", "pytest", *TESTS, "-n0", "-q"],
            cwd=source,
            env={**_plain_environment(), "TEST_API_BASE_URL": control.base_url},
            check=False,
        ).returncode


def _plain_environment() -> dict[str, str]:
    """This process's environment without what would put this project's packages or options into the SDK's run."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "PYTEST_"))}


def _pinned() -> tuple[str, str]:
    """Version and hashes of the SDK as pinned; it must be the version that is installed, or another one is tested."""
    match = _SDK.search(REQUIREMENTS.read_text())
    installed = importlib.metadata.version("anthropic")
    if match is None or match[1] != installed:
        pinned = match[1] if match else "nothing"
        raise NotPossible(f"anthropic {installed} is installed but {pinned} is pinned in {REQUIREMENTS.name}: compile it anew")
    return match[1], match[2]


def _environment() -> Path:
    """The interpreter of an environment that holds exactly what is pinned."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = CACHE / f"environment-{digest}"
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        print("Making an environment for the SDK's tests ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            venv.create(folder, with_pip=True)
        except subprocess.CalledProcessError as error:
            raise NotPossible(f"{sys.executable} cannot make environments with pip: {error}") from None
        _pip(python, "install", "--require-hashes", "--requirement", str(REQUIREMENTS))
        done.touch()
    return python


def _source(python: Path, version: str, hashes: str) -> Path:
    """The unpacked source distribution of the SDK."""
    folder = CACHE / f"anthropic-{version}"
    if not folder.exists():
        print(f"Fetching the source distribution of anthropic {version} ...", flush=True)
        wanted = CACHE / "sdk.txt"
        wanted.write_text(f"anthropic=={version} \\\n{hashes}")
        unpacked = CACHE / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        only_source = ("--no-deps", "--no-binary", "anthropic")
        _pip(python, "download", *only_source, "--require-hashes", "--requirement", str(wanted), "--dest", str(CACHE))
        with tarfile.open(CACHE / f"{folder.name}.tar.gz") as archive:
            archive.extractall(unpacked, filter="data")
        (unpacked / folder.name).rename(folder)  # in one step: what is there is whole
    return folder


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "-qq", "--disable-pip-version-check", *arguments]
    try:
        subprocess.run(command, check=True)
    except subprocess.CalledProcessError as error:
        raise NotPossible(f"pip {arguments[0]} failed with status {error.returncode}; what it said is above") from None
