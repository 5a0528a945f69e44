"""The two layers as they are deployed, made of what is installed here: the locked packages, pruned, compiled ahead, nothing else.

An environment for tests holds packages that a function never sees, and one of them (pyOpenSSL) is imported wherever it is found.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, PackagePath, distribution
from pathlib import Path

from local.paths import ROOT

_LAYERS = ROOT / "layers"
_LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)


def build(folder: Path) -> Path:
    """Puts `python/` of both layers into a folder and returns it."""
    target = folder / "python"
    for name in _locked():
        _copy(distribution(name), target)
    shutil.copytree(_LAYERS / "core" / "batchdrop", target / "batchdrop", ignore=shutil.ignore_patterns("__pycache__"))
    for script in ("dependencies/prune.py", "precompile.py"):
        subprocess.run([sys.executable, str(_LAYERS / script), str(target)], check=True)
    return target


def installed_bytes() -> int:
    """The most that `build` can come to, without building: each source counts twice, for what it is compiled to."""
    core = [path for path in (_LAYERS / "core" / "batchdrop").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    files = [Path(str(package.locate_file(file))) for package in map(distribution, _locked()) for file in _files(package)]
    return sum(path.stat().st_size * (2 if path.suffix == ".py" else 1) for path in [*core, *files])


def unzipped_bytes(packages: Path) -> int:
    """Of both layers together, as Lambda counts them."""
    return sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())


def _locked() -> list[str]:
    return _LOCKED.findall((_LAYERS / "dependencies" / "requirements.txt").read_text())


def _files(package: Distribution) -> list[PackagePath]:
    return [file for file in package.files or () if file.suffix != ".pyc" and ".." not in file.parts]


def _copy(package: Distribution, target: Path) -> None:
    for file in _files(package):
        to = target / file
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(package.locate_file(file)), to)
