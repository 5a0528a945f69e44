"""``python -m tests.interop``: makes the environment with pandas and DuckDB if it is not there, and runs the tests with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.interop.environment import PYTHON, REQUIREMENTS, ROOT


def main() -> int:
    uv = str(ROOT / "requirements" / "uv")
    if not PYTHON.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(PYTHON.parents[1])], check=True)
    install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(PYTHON), str(REQUIREMENTS)]
    subprocess.run(install, check=True)
    return subprocess.run([sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
