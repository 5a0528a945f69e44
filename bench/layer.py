"""The two layers as they are deployed, made of what is installed here: the locked packages, pruned, compiled ahead, nothing else.

An environment for tests holds packages that a function never sees, and one of them (pyOpenSSL) is imported wherever it is found.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from local.paths import ROOT

_LAYERS = ROOT / "layers"
_LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)


def build(folder: Path) -> Path:
    """Puts `python/` of both layers into a folder and returns it."""
    target = folder / "python"
    for name in _LOCKED.findall((_LAYERS / "dependencies" / "requirements.txt").read_text()):
        _copy(name, target)
    shutil.copytree(_LAYERS / "core" / "batchdrop", target / "batchdrop", ignore=shutil.ignore_patterns("__pycache__"))
    for script in ("dependencies/prune.py", "precompile.py"):
        subprocess.run([sys.executable, str(_LAYERS / script), str(target)], check=True)
    return target


def _copy(name: str, target: Path) -> None:
    package = distribution(name)
    for file in package.files or ():
        if file.suffix == ".pyc" or ".." in file.parts:
            continue
        to = target / file
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(package.locate_file(file)), to)
