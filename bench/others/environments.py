"""The tools at exactly pinned versions, each in an environment of its own, which nothing else needs.

Compile with hashes and without index addresses, in `bench/others/requirements`:
  uv pip compile --universal --python-version 3.13 --generate-hashes --no-emit-index-url --no-annotate --no-header \\
    NAME.in -o NAME.txt
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from local.paths import ROOT

TOOLS = {"sdk": "anthropic", "instructor": "instructor", "chatlas": "chatlas", "accrue": "accrue"}
"""The package of each driver."""
_REQUIREMENTS = Path(__file__).with_name("requirements")


def python(tool: str) -> Path:
    return ROOT / ".local" / "others" / tool / "bin" / "python"


def pinned(tool: str) -> dict[str, str]:
    """The versions that are measured: of the tool, and of the SDK beneath it."""
    text = (_REQUIREMENTS / f"{tool}.txt").read_text()
    return {
        package: version
        for package, version in re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE)
        if package in {TOOLS[tool], "anthropic"}
    }


def make(tool: str) -> None:
    """Installs a tool where it is not installed as it should be."""
    uv = str(ROOT / "requirements" / "uv")
    where = python(tool)
    if not where.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(where.parents[1])], check=True)
    install = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes", "--python", str(where)]
    subprocess.run([*install, str(_REQUIREMENTS / f"{tool}.txt")], check=True)
