"""A checkout in a folder of its own, whose stack goes from one version to another as a user's does.

What deploys is always today's `local`; what is deployed is the template, the functions and the layers of one version.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from tests.e2e.laptop import ROOT

_DEPLOYED = ("template.yaml", "functions", "layers")
_TOOLS = ("local", "cli", "requirements", "samconfig.toml")
VERSION_0_1_0 = (Path(__file__).parent / "0.1.0" / "stack.tar.gz").read_bytes()
"""The template, functions and layers of version 0.1.0: where tests run there need be no git history."""


class Checkout:
    def __init__(self, root: Path) -> None:
        self.root = root
        for name in _TOOLS:
            _copy(ROOT / name, root / name)
        (root / ".venv").symlink_to(ROOT / ".venv")
        (root / ".local").mkdir()
        (root / ".local" / "ministack").symlink_to(ROOT / ".local" / "ministack")

    def put(self, archive: bytes) -> None:
        """An earlier version: a tar file."""
        self._clear()
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(self.root, filter="data")

    def put_this(self) -> None:
        self._clear()
        for name in _DEPLOYED:
            _copy(ROOT / name, self.root / name)

    def _clear(self) -> None:
        for name in _DEPLOYED:
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def of_commit(ref: str) -> bytes:
    return subprocess.run(["git", "archive", ref, *_DEPLOYED], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


def file_of(archive: bytes, name: str) -> str:
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        found = files.extractfile(name)
        assert found is not None
        return found.read().decode()


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
