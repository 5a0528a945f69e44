"""Where the readers of answers are: packages that nothing else needs, in an environment of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHON = ROOT / ".local" / "interop" / "venv" / "bin" / "python"


def make() -> None:
    """Installs it, or brings it up to date."""
    uv = str(ROOT / "requirements" / "uv")
    if not PYTHON.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(PYTHON.parents[1])], check=True)
    install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(PYTHON), str(REQUIREMENTS)]
    subprocess.run(install, check=True)
